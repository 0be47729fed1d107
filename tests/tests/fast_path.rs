//! The fast path lets a write pass that is provably one harmless head. For each of its conditions, a DELETE hides behind
//! what would be let through without it.

use agent_guard_tests::clients::{Client, Kind};
use agent_guard_tests::gate::{Gate, Raw};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Context, Result, ensure};

/// In every request that must not arrive.
const HIDDEN: &str = "hidden";

const DELETE: &str = "DELETE /hidden HTTP/1.1\r\nHost: api.agent-guard.test\r\n\r\n";

/// A harmless head with `more` lines in it.
fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: api.agent-guard.test\r\n{more}\r\n")
}

/// Each case plays on a connection that the daemon has found in step, at a request boundary.
fn play(cases: &[Raw]) -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let mut gate = Gate::guarded(Path::LOOPBACK, &Settings::default(), Behaviour::default())?;
    let mut failures = Vec::new();
    for case in cases {
        if let Err(error) = play_one(&gate, case) {
            failures.push(format!("{}: {error:#}", case.name));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    ensure!(gate.guard()?.runs()?, "the daemon ended");
    Ok(())
}

fn play_one(gate: &Gate, case: &Raw) -> Result<()> {
    let mut client = in_step(gate)?;
    gate.raw_is_held(&mut client, &mut gate.events()?, case, HIDDEN)?;
    gate.client(Kind::OpenSsl)?.passes("GET", "/after").context("another client, afterwards")
}

/// A client whose last GET took the fast path.
fn in_step(gate: &Gate) -> Result<Client> {
    let mut client = gate.client(Kind::OpenSsl)?;
    client.passes("GET", "/first")?;
    client.passes("GET", "/second")?;
    let fast = |gate: &Gate| gate.ctl()?.status().map(|status| status.counters.fast_path);
    let before = fast(gate)?;
    client.passes("GET", "/third")?;
    ensure!(
        fast(gate)? > before,
        "a plain GET does not take the fast path, so this test would prove nothing"
    );
    Ok(client)
}

#[test]
fn one_head_and_no_more() -> Result<()> {
    play(&[
        Raw::one("pipelined", get("/a", "") + DELETE),
        Raw::parts("after-two", &[(get("/a", "") + &get("/b", "") + DELETE).as_bytes()]),
        Raw::parts("split-method", &[b"DEL", b"ETE /hidden HTTP/1.1\r\nHost: api.agent-guard.test\r\n\r\n"]),
        Raw::parts(
            "split-override",
            &[
                b"GET /hidden HTTP/1.1\r\nHost: api.agent-guard.test\r\nX-HTTP-Method-Over",
                b"ride: DELETE\r\n\r\n",
            ],
        ),
        Raw::one(
            "bare-line-feeds",
            "GET /a HTTP/1.1\nHost: h\n\nDELETE /hidden HTTP/1.1\nHost: h\n\n\r\n\r\n",
        ),
    ])
}

#[test]
fn no_body_and_no_upgrade() -> Result<()> {
    let smuggled = |more: &str, rest: &str| get("/a", more) + rest;
    play(&[
        Raw::one("chunked", smuggled("Transfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{DELETE}"))),
        Raw::one("empty-body", smuggled("Content-Length: 0\r\n", DELETE)),
        Raw::parts(
            "length-then-delete",
            &[get("/a", "Content-Length: 4\r\n").as_bytes(), b"body", DELETE.as_bytes()],
        ),
        Raw::parts(
            "upgrade",
            &[get("/a", "Connection: Upgrade\r\nUpgrade: h2c\r\n").as_bytes(), DELETE.as_bytes()],
        ),
    ])
}

#[test]
fn at_most_8_kib() -> Result<()> {
    let filler = format!("X-Filler: {}\r\n", "x".repeat(9 << 10));
    play(&[
        Raw::one(
            "override-far-behind",
            get("/hidden", &(filler.clone() + "X-HTTP-Method-Override: DELETE\r\n")),
        ),
        Raw::one(
            "word-far-behind",
            get(&format!("/hidden?pad={}&action=DeleteAll", "x".repeat(9 << 10)), ""),
        ),
    ])
}

#[test]
fn no_override() -> Result<()> {
    play(&[
        Raw::one("header", get("/hidden", "X-HTTP-Method-Override: DELETE\r\n")),
        Raw::one("header-in-other-case", get("/hidden", "x-http-METHOD-override: delete\r\n")),
        Raw::one("other-header", get("/hidden", "X-HTTP-Method: DELETE\r\n")),
        Raw::one("third-header", get("/hidden", "X-Method-Override: DELETE\r\n")),
        Raw::one("parameter", get("/hidden?_method=DELETE", "")),
        Raw::one("encoded-parameter", get("/hidden?%5Fmethod=DELETE", "")),
    ])
}

#[test]
fn no_rpc_word() -> Result<()> {
    play(&[
        Raw::one("aws", get("/?Action=TerminateInstances&InstanceId.1=i-hidden", "")),
        Raw::one("action", get("/api?action=delete&id=hidden", "")),
        Raw::one("method", get("/api?method=items.delete&id=hidden", "")),
        Raw::one("cmd", get("/api?cmd=drop&id=hidden", "")),
        Raw::one("query", get("/graphql?query=mutation%7BdeleteUser(id:%22hidden%22)%7Bid%7D%7D", "")),
        Raw::one("encoded-name", get("/api?%61ction=delete&id=hidden", "")),
        Raw::one("second-parameter", get("/api?x=1&action=delete&id=hidden", "")),
    ])
}

/// A write in the middle of a body that looks like a harmless head must not be taken for one: the boundary would shift.
#[test]
fn at_a_request_boundary() -> Result<()> {
    let inner = get("/inner", "");
    let head = |length: usize| {
        format!("POST /frob HTTP/1.1\r\nHost: api.agent-guard.test\r\nContent-Length: {length}\r\n\r\n")
    };
    play(&[
        Raw::parts("head-in-body", &[head(inner.len()).as_bytes(), inner.as_bytes(), DELETE.as_bytes()]),
        Raw::parts(
            "head-across-the-end",
            // The body ends three bytes into what looks like a head: the rest is "DELETE".
            &[head(3).as_bytes(), format!("GET{DELETE}").as_bytes()],
        ),
    ])
}
