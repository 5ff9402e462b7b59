//! The integrator's desk: runs the module against a stand-in for edgeHub on this machine.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a command line program"
)]

mod devices;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs the module on this machine, without Azure.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a stand-in for edgeHub, the module, and simulated devices; prints what arrives upstream.
    ///
    /// Example: workbench up --settings settings.json
    Up {
        /// Your settings instead of the sample; changes of the file are applied as twin updates.
        #[arg(long)]
        settings: Option<PathBuf>,
        /// Stop after so many seconds instead of at Ctrl-C.
        #[arg(long = "for", value_name = "SECONDS")]
        seconds: Option<u64>,
        /// One JSON object per message.
        #[arg(long)]
        json: bool,
    },
    /// The module itself, in a process of its own.
    #[command(hide = true)]
    Module,
}

fn main() -> ExitCode {
    match CommandLine::parse().command {
        Command::Module => edge_tcp_gateway::cli::module(),
        Command::Up {
            settings,
            seconds,
            json,
        } => finish(up::run(up::Options {
            settings,
            seconds,
            json,
        })),
    }
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workbench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
