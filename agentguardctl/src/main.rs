//! `agentguardctl`: what people type to see what is held and to decide it.
//!
//! It has no rights of its own: whether somebody may read or approve is decided by the daemon, from the kernel's word on
//! who connects. What agents wrote reaches the terminal only through [`render`] (escaped, quoted, cut) or
//! as JSON in ASCII ([`output`]). Exit statuses are in [`exit`].
#![forbid(unsafe_code)]

use std::{io, process::ExitCode};

use clap::Parser;

mod args;
mod commands;
mod exit;
mod output;
mod render;

use self::{
    args::Args,
    exit::{Exit, Failure},
    output::Output,
};

fn main() -> ExitCode {
    let args = Args::parse();
    let mut output = Output::new(io::stdout().lock(), args.json);
    let exit = match commands::run(args, &mut output) {
        Ok(exit) => exit,
        // Whoever read has read enough: `agentguardctl log | head`.
        Err(Failure::Reader(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(failure) => {
            output.failure(&failure);
            failure.exit()
        }
    };
    ExitCode::from(exit)
}
