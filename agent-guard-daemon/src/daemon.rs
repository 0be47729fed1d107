//! What both binaries of the daemon run: command line, start, end. See the README.

use std::{io::Write, path::PathBuf, process::ExitCode};

use crate::{
    guard::{self, Config, Ending},
    kernel::pins,
    live, logging,
    settings::Settings,
};
use anyhow::Context;
use clap::Parser;

/// The guard daemon. Runs as root; reads /etc/agent-guard/agent-guard.toml where it exists.
#[derive(Debug, Parser)]
#[command(name = "agent-guardd", version)]
struct Arguments {
    /// Settings file instead of /etc/agent-guard/agent-guard.toml.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Control socket.
    #[arg(long, default_value = "/run/agent-guard/control.sock")]
    socket: PathBuf,
    /// Directory of ledger and audit, instead of the settings' one.
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Root of the pins, on a bpffs.
    #[arg(long, default_value = pins::ROOT)]
    pin_dir: PathBuf,
    /// Stay in the foreground (the daemon never forks; kept for service files).
    #[arg(long)]
    foreground: bool,
    /// On SIGINT or SIGTERM refuse what is held and remove every probe and pin, instead of leaving them in force.
    #[arg(long)]
    ephemeral: bool,
    /// Print every audit record as it comes.
    #[arg(long)]
    live: bool,
    /// Check the settings and end.
    #[arg(long)]
    check: bool,
}

/// The daemon, from its command line to its end.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent-guardd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut settings = Settings::load(arguments.config.as_deref())?;
    if let Some(directory) = arguments.state_dir {
        settings.state_dir = directory;
    }
    if arguments.check {
        println!("the settings are good");
        return Ok(());
    }
    let signals = logging::signals().context("cannot wait for signals")?;
    let config = Config { settings, socket: arguments.socket.clone(), pin_root: arguments.pin_dir };
    let started = guard::start(config)?;
    let viewer = arguments.live.then(|| live::follow(&started.log));
    for finding in &started.findings {
        if finding.severity != agent_guard_api::status::Severity::Ok {
            eprintln!("{}: {}. {} {}", finding.check, finding.finding, finding.consequence, finding.remedy);
        }
    }
    eprintln!(
        "agent-guardd {} guards; control socket {}",
        env!("CARGO_PKG_VERSION"),
        arguments.socket.display()
    );
    println!("READY");
    std::io::stdout().flush().context("cannot print READY")?;
    let on_signal = if arguments.ephemeral {
        Ending::Remove { reason: "the guard was ended by a signal".to_owned() }
    } else {
        Ending::Leave
    };
    let ended = started.guard.run(signals, &on_signal);
    started.api.stop();
    started.audit.finish();
    drop(viewer);
    ended.context("the event loop ended")
}
