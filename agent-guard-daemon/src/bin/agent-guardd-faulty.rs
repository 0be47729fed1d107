//! `agent-guardd` with decoders that fail on demand: `AGENT_GUARD_TEST_ABORT_ON` and `AGENT_GUARD_TEST_PANIC_ON` name the
//! text on which they do. For tests only.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_guard_daemon::daemon::main()
}
