//! The integrator's desk: runs the module against a stand-in for edgeHub on this machine.

mod bench;
mod call;
mod convert;
mod devices;
mod hub;
mod infer;
mod messages;
mod module;
mod sample;
mod send;
mod settings_file;
mod simulate;
mod stop;
mod up;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::module::LOG_LEVEL;

/// Runs the module on this machine, without Azure.
///
/// Messages go to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a stand-in for edgeHub, the module, and simulated devices; prints what arrives upstream.
    #[command(after_help = up::EXAMPLES)]
    Up(up::Options),
    /// Runs the stand-in for edgeHub alone and says how a module connects to it.
    #[command(after_help = hub::EXAMPLES)]
    Hub(hub::Options),
    /// Asks the module that runs under `up` or `hub`: a direct method, or a message to an input.
    #[command(after_help = call::EXAMPLES)]
    Call(call::Options),
    /// Plays bytes to a listener, as a device would, and prints what comes back.
    #[command(after_help = send::EXAMPLES)]
    Send(send::Options),
    /// Plays devices of a protocol, with faults: they connect to a gateway, or are called by it.
    #[command(after_help = simulate::EXAMPLES)]
    Simulate(simulate::Options),
    /// Proposes framing and checksum of bytes that were captured, with the evidence.
    #[command(after_help = infer::EXAMPLES)]
    Infer(infer::Options),
    /// Makes settings of this module out of those of another one.
    #[command(after_help = convert::EXAMPLES)]
    Convert(convert::Options),
    /// Measures the module beside a naive gateway: processor time, rate, memory, latency.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Options),
    /// A process of the benchmark.
    #[command(hide = true)]
    BenchPart {
        #[command(subcommand)]
        role: bench::Role,
    },
    /// The module itself, in a process of its own.
    #[command(hide = true)]
    Module,
}

/// What the stand-in runs with.
#[derive(Debug, clap::Args)]
struct Shown {
    /// Your settings; what you change in the file is applied as a twin update.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Stop after so many seconds instead of at Ctrl-C.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// One JSON object per message: device, module, output, properties, system, body.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: call::Socket,
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Module => return edge_tcp_gateway::cli::module(),
        Command::Up(options) => on_a_runtime(up::run(options, variable(LOG_LEVEL))),
        Command::Hub(options) => on_a_runtime(hub::run(options)),
        Command::Bench(options) => on_a_runtime(bench::run(options)),
        Command::BenchPart { role } => on_a_runtime(bench::be(role)),
        Command::Infer(options) => infer::run(&options),
        Command::Convert(options) => convert::run(&options),
        Command::Call(options) => on_one_thread(call::run(options)),
        Command::Send(options) => on_a_runtime(send::run(options)),
        Command::Simulate(options) => on_one_thread(simulate::run(options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("workbench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here, once, and passed on"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn on_a_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(work)
}

fn on_one_thread(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(work)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Tells the person at the desk something that is no message.
fn say(text: std::fmt::Arguments<'_>) {
    // There is nobody to tell that standard error is closed.
    drop(io::Write::write_fmt(
        &mut io::stderr(),
        format_args!("{text}\n"),
    ));
}
