//! What cannot be read, or could be read in two ways, is held as undecidable: never passed, never repaired, never a
//! panic. One daemon lives through all of it.

use agent_guard_api::harm::Harm;
use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate::{Gate, Raw, WATCH};
use agent_guard_tests::guard::Settings;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::Path;
use agent_guard_tests::server::Behaviour;
use anyhow::{Result, ensure};

/// In the request's target, so that its arrival is seen.
const NEEDLE: &str = "/malformed";

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST {NEEDLE} HTTP/1.1\r\nHost: api.agent-guard.test\r\n{headers}\r\n{body}").into_bytes()
}

fn ambiguous() -> Vec<Raw> {
    let many = "X-Header: x\r\n".repeat(5_000);
    vec![
        Raw::one(
            "length-and-chunked",
            post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        Raw::one("two-lengths", post("Content-Length: 4\r\nContent-Length: 5\r\n", "abcde")),
        Raw::one("signed-length", post("Content-Length: +4\r\n", "abcd")),
        Raw::one("huge-length", post("Content-Length: 99999999999999999999\r\n", "abcd")),
        Raw::one("coding-not-chunked", post("Transfer-Encoding: gzip\r\n", "abcd")),
        Raw::one("chunked-not-last", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")),
        Raw::one("chunk-size", post("Transfer-Encoding: chunked\r\n", "zz\r\nabcd\r\n0\r\n\r\n")),
        Raw::one("huge-chunk", post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\nabcd")),
        Raw::one("folding", post("X-Folded: a\r\n b\r\n", "")),
        Raw::one("bare-cr", post("X-Bare: a\rb\r\n", "")),
        Raw::one("bare-lf", post("X-Bare: a\nContent-Length: 0\r\n", "")),
        Raw::one("nul", post("X-Nul: a\0b\r\n", "")),
        Raw::one("space-before-colon", post("Content-Length : 0\r\n", "")),
        Raw::one("too-many-headers", post(&many, "")),
        Raw::one("huge-header", post(&format!("X-Huge: {}\r\n", "h".repeat(200_000)), "")),
        Raw::one("http-0.9", format!("GET {NEEDLE}\r\n\r\n")),
        Raw::one("http-2", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{NEEDLE}")),
        Raw::one("no-http", [&b"\x00\x01\x02\xff\xfe"[..], NEEDLE.as_bytes(), b"\r\n\r\n"].concat()),
    ]
}

#[test]
fn the_ambiguous_is_undecidable() -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let mut gate = Gate::guarded(Path::LOOPBACK, &Settings::default(), Behaviour::default())?;
    let mut failures = Vec::new();
    for case in ambiguous() {
        if let Err(error) = play(&gate, &case) {
            failures.push(format!("{}: {error:#}", case.name));
        }
    }
    ensure!(gate.guard()?.runs()?, "the daemon ended");
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn play(gate: &Gate, case: &Raw) -> Result<()> {
    let mut client = gate.client(Kind::OpenSsl)?;
    client.passes("GET", "/before")?;
    let id = gate.raw_is_held(&mut client, &mut gate.events()?, case, NEEDLE)?;
    let hold = gate.ctl()?.show(&id)?;
    ensure!(hold.harm == Harm::Undecidable, "judged {:?}: {}", hold.harm, hold.why);
    Ok(())
}

/// What is only begun cannot be judged yet: nothing of it leaves, and the connection's end is the end of it.
#[test]
fn the_truncated_stays_where_it_is() -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let gate = Gate::guarded(Path::LOOPBACK, &Settings::default(), Behaviour::default())?;
    for (name, bytes) in [
        ("half-a-line", format!("DELETE {NEEDLE}").into_bytes()),
        (
            "half-a-second",
            format!("GET /a HTTP/1.1\r\nHost: h\r\n\r\nDELETE {NEEDLE} HTTP/1.1\r\n").into_bytes(),
        ),
        ("half-a-head", format!("DELETE {NEEDLE} HTTP/1.1\r\nHost: h\r\n").into_bytes()),
        (
            "half-a-body",
            format!("DELETE {NEEDLE} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc").into_bytes(),
        ),
        ("half-a-chunk", post("Transfer-Encoding: chunked\r\n", "5\r\nab")),
    ] {
        let mut client = gate.client(Kind::OpenSsl)?;
        client.passes("GET", "/before")?;
        gate.send_raw(&mut client, &Raw::one(name, bytes))?;
        gate.ledger().silent(WATCH)?;
        client.process().kill()?;
        gate.ledger().silent(WATCH)?;
        ensure!(!gate.ledger().read(|state| state.saw(NEEDLE)), "{name}: part of it arrived");
    }
    Ok(())
}
