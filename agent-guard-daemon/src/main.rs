//! `agent-guardd`: holds what AI agents must not do alone. See the README.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_guard_daemon::daemon::main()
}
