//! The stage without the play: every client, way, server and simulator of the gate tests, with no guard in between. If
//! these fail, a gate test's verdict means nothing.

use std::time::{Duration, Instant};

use agent_guard_tests::DEADLINE;
use agent_guard_tests::clients::{self, Answer, Kind};
use agent_guard_tests::fuse::SilentFs;
use agent_guard_tests::gate::Gate;
use agent_guard_tests::moto::{Fleet, Moto};
use agent_guard_tests::pki::Authority;
use agent_guard_tests::require::{self, Need};
use agent_guard_tests::route::{Medium, Path};
use agent_guard_tests::scratch::Scratch;
use agent_guard_tests::server::Behaviour;
use anyhow::{Result, ensure};

/// Root, because even unguarded agents run under a uid of their own with a hosts file of their own.
const STAGE: &[Need] = &[Need::Root];

#[test]
fn every_client_reaches_the_server_and_keeps_its_connection() -> Result<()> {
    for kind in Kind::ALL {
        if !require::met(&[STAGE, kind.needs()].concat()) {
            continue;
        }
        let gate = Gate::unguarded(Path::LOOPBACK, Behaviour::default())?;
        let mut client = gate.client(kind)?;
        client.passes("GET", "/first")?;
        client.send("POST", "/second", 100_000)?;
        ensure!(client.answer(DEADLINE)? == Answer::Status(200), "{kind:?}");
        client.send("DELETE", "/status/404", 0)?;
        ensure!(client.answer(DEADLINE)? == Answer::Status(404), "{kind:?}");
        gate.ledger().read(|state| {
            let bytes: Vec<u64> = state.requests.iter().map(|request| request.body_bytes).collect();
            assert_eq!(bytes, [0, 100_000, 0], "{kind:?}");
            let connections = if kind == Kind::Curl { 3 } else { 1 };
            assert_eq!(state.connections.len(), connections, "{kind:?}");
            assert!(state.raw_bytes() > state.plain_bytes(), "{kind:?}");
            assert!(state.saw("DELETE /status/404"), "{kind:?}");
        });
    }
    Ok(())
}

#[test]
fn a_broken_connection_is_an_error_and_the_client_goes_on() -> Result<()> {
    if !require::met(&[STAGE, Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let behaviour = Behaviour { idle_close: Some(Duration::from_millis(200)), ..Behaviour::default() };
    let gate = Gate::unguarded(Path::LOOPBACK, behaviour)?;
    let mut client = gate.client(Kind::OpenSsl)?;
    client.passes("GET", "/first")?;
    gate.ledger().wait("the idle close", DEADLINE, |state| {
        state.connections[0].end.as_deref().is_some_and(|why| why.contains("idle")).then_some(())
    })?;
    client.send("GET", "/second", 0)?;
    ensure!(matches!(client.answer(DEADLINE)?, Answer::Error(_)));
    client.passes("GET", "/third")
}

#[test]
fn every_way_carries_requests_and_the_slow_line_is_slow() -> Result<()> {
    for path in Path::ALL {
        if !require::met(&[STAGE, path.needs(), Kind::OpenSsl.needs(), Kind::Curl.needs()].concat()) {
            continue;
        }
        let gate = Gate::unguarded(path, Behaviour::default())?;
        gate.client(Kind::Curl)?.passes("GET", "/curl")?;
        let mut client = gate.client(Kind::OpenSsl)?;
        client.passes("GET", "/connected")?;
        let start = Instant::now();
        client.passes("GET", "/timed")?;
        let round_trip = start.elapsed();
        if path.medium == Medium::Veth {
            ensure!(round_trip >= Duration::from_millis(40), "{path}: {round_trip:?}");
        }
        client.send("POST", "/big", 512 << 10)?;
        ensure!(client.answer(DEADLINE)? == Answer::Status(200), "{path}");
        let got = gate.ledger().read(|state| state.requests[3].body_bytes);
        ensure!(got == 512 << 10, "{path}: {got}");
    }
    Ok(())
}

#[test]
fn the_slow_line_loses_packets() -> Result<()> {
    if !require::met(&[STAGE, Path::ALL[3].needs(), Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let gate = Gate::unguarded(Path::ALL[3], Behaviour::default())?;
    let mut client = gate.client(Kind::OpenSsl)?;
    client.send("POST", "/big", 3 << 20)?;
    ensure!(client.answer(Duration::from_secs(120))? == Answer::Status(200));
    let agent = gate.route().agent_namespace().expect("a slow line has one");
    let counters = agent.within(|| std::fs::read_to_string("/proc/thread-self/net/netstat"))??;
    ensure!(retransmissions(&counters) > 0, "3 MiB went over without one retransmission");
    Ok(())
}

/// `TcpExt: TCPLostRetransmit … TCPFastRetrans` of `/proc/net/netstat`: the fast ones are caused by loss.
fn retransmissions(netstat: &str) -> u64 {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let found = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "TCPFastRetrans");
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

#[test]
fn c_clients_do_what_they_say() -> Result<()> {
    if !require::met(&[STAGE, Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    let gate = Gate::unguarded(Path::LOOPBACK, Behaviour::default())?;
    for (connections, nagle, upload) in [("kept", "nagle", "quiet"), ("new", "nodelay", "upload")] {
        let before = gate.ledger().read(|state| state.delivered("DELETE", "/held"));
        let report = gate.run_client("two_threads", &["50", connections, nagle, upload], DEADLINE)?;
        println!("{connections} {nagle} {upload}: {report:?}");
        ensure!(report[0]["trials"] == 50, "{report:?}");
        let held = gate.ledger().read(|state| state.delivered("DELETE", "/held")) - before;
        ensure!(held == 50, "without a guard every DELETE arrives, but {held} of 50 did");
    }
    let report = gate.run_client("interleave", &["100", "20"], DEADLINE)?;
    let posts = gate.ledger().read(|state| state.delivered("POST", "/free")) as u64;
    ensure!(report[0]["expected"].as_u64().is_some_and(|expected| expected <= posts), "{report:?}, {posts}");

    let report = gate.run_client("flip", &["200"], DEADLINE)?;
    ensure!(report[0]["answered"].as_u64().is_some_and(|answered| answered > 150), "{report:?}");
    let flipped = gate.ledger().read(|state| state.delivered("DELETE", "/flip?pad="));
    ensure!(flipped > 0, "the second thread never won, so the test would prove nothing");

    let report = gate.run_client("stream", &["20000000", "1000"], Duration::from_secs(120))?;
    println!("{report:?}");
    ensure!(report[0]["free_mb_s"].as_f64().is_some_and(|speed| speed > 0.0), "{report:?}");
    ensure!(report[1]["status"] == 200, "{report:?}");
    Ok(())
}

#[test]
fn the_simulator_keeps_books() -> Result<()> {
    if !require::met(&[STAGE, &[Need::Venv]].concat()) {
        return Ok(());
    }
    let scratch = Scratch::new()?;
    let authority = Authority::new(&scratch)?;
    let moto = Moto::start(&scratch, &authority)?;
    let ids = moto.launch(5)?;
    ensure!(moto.fleet()? == Fleet { running: 5, terminated: 0 });
    let agent = agent_guard_tests::agent::Agent::by_user();
    let args = ["ec2", "terminate-instances", "--instance-ids", &ids[0], &ids[1]];
    moto.aws(&agent, &args)?.finish(DEADLINE)?.success()?;
    ensure!(moto.fleet()? == Fleet { running: 3, terminated: 2 });
    Ok(())
}

#[test]
fn the_silent_file_is_asked_and_does_not_answer() -> Result<()> {
    if !require::met(&[STAGE, Kind::OpenSsl.needs(), &[Need::File("/dev/fuse")]].concat()) {
        return Ok(());
    }
    let gate = Gate::unguarded(Path::LOOPBACK, Behaviour::default())?;
    let silent = SilentFs::mount(gate.scratch().join("silent"))?;
    let file = silent.file().display().to_string();
    let mut writer = gate.start_client("fuse_write", &[&file])?;
    writer.line(DEADLINE, |line| line == "writing")?;
    silent.wait_asked(DEADLINE)?;
    ensure!(!writer.ended()?, "it did not wait for the page");
    clients::compile(gate.scratch(), "sigcont")?;
    drop(silent);
    // The aborted page fault is a SIGBUS.
    ensure!(!writer.finish(DEADLINE)?.status.success());
    Ok(())
}
