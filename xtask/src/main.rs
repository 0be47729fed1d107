//! `cargo xtask`: the one entry to building, running and checking the project.
#![forbid(unsafe_code)]

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use xtask::{bench, binaries, ebpf, lint, run, test};

fn main() -> ExitCode {
    match dispatch(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::BuildEbpf => ebpf::build().map(|_| ExitCode::SUCCESS),
        Task::Build { release } => binaries::build(release).map(|_| ExitCode::SUCCESS),
        Task::Run { no_live, command } => run::run(&run::Request { live: !no_live, command }),
        Task::GuardSession { no_live, invoker, cwd, command } => {
            run::session(&run::Request { live: !no_live, command }, invoker, &cwd)
        }
        Task::Test(options) => test::run(&options),
        Task::Lint { only } => lint::run(only.as_deref()),
        Task::Bench { name } => bench::run(name.as_deref()),
    }
}

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Build, run and check Agent Guard")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the eBPF object into target/bpf/agent-guard.bpf.o.
    BuildEbpf,
    /// Build the eBPF object, agent-guardd and agentguardctl.
    Build {
        /// With optimisations.
        #[arg(long)]
        release: bool,
    },
    /// Build everything and start the guard in the foreground; with a command, run that as an agent under it.
    Run {
        /// Do not print the live view (for agents that draw on the terminal).
        #[arg(long)]
        no_live: bool,
        /// The agent's command line, after `--`.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// The half of `run` that needs root.
    #[command(hide = true)]
    GuardSession {
        #[arg(long)]
        no_live: bool,
        #[arg(long)]
        invoker: Option<u32>,
        #[arg(long)]
        cwd: PathBuf,
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// Unit, property, privileged and end-to-end tests; with --all, the long ones in resumable parts.
    Test(test::Options),
    /// Format, clippy on host and BPF targets, size budgets, import boundaries, machine words, dependencies.
    Lint {
        /// One of fmt, sizes, boundaries, words, clippy, bpf, deny.
        only: Option<String>,
    },
    /// Run the benchmarks, or one of them.
    Bench {
        /// One entry of the table that is printed without it.
        name: Option<String>,
    },
}
