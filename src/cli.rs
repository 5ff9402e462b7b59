//! The command line: without a subcommand it is the module, with one a tool for the integrator.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock::Clock;
use crate::{app, check, decode, reference};

/// The environment is wrong: sysexits' EX_CONFIG.
const EXIT_ENVIRONMENT: u8 = 78;

/// The command itself was wrong: the same as for arguments that do not fit.
const EXIT_COMMAND: u8 = 2;

/// Carries TCP field devices of any protocol to Azure IoT Hub and back, as an IoT Edge module.
///
/// Without a subcommand it runs as the module: the IoT Edge runtime's environment says who it is,
/// the module twin's desired properties say what to do.
///
/// Environment: IOTEDGE_* as the runtime sets them, or EdgeHubConnectionString and
/// EdgeModuleCACertificateFile; STORAGE_DIR (default /data); PROTOCOLS_DIR (default
/// /data/protocols); METRICS_PORT of /metrics and /healthz (default 9600, 0 for none);
/// RuntimeLogLevel (error, warning, info, debug, verbose; default info).
///
/// Exit codes: 0 asked to stop, 1 an essential part failed, 78 the environment is wrong.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    tool: Option<Tool>,
}

#[derive(Debug, Subcommand)]
enum Tool {
    Check(check::Arguments),
    Decode(decode::Arguments),
    Presets(check::presets::Arguments),
    Schema(reference::Arguments),
}

/// Reads the arguments and does what they say.
pub fn run() -> ExitCode {
    // Not locked: the module's log lines go there too, from every thread.
    let out = &mut io::stdout();
    match CommandLine::parse().tool {
        None => module(),
        Some(Tool::Check(arguments)) => tool(check::run(&arguments, out)),
        Some(Tool::Presets(arguments)) => tool(check::presets::run(&arguments, out)),
        Some(Tool::Schema(arguments)) => tool(reference::run(&arguments, out)),
        Some(Tool::Decode(arguments)) => tool(decode::run(&arguments, Clock::system().now(), out)),
    }
}

/// Runs the module with the process's own environment until it is asked to stop.
pub fn module() -> ExitCode {
    match app::Environment::read(&variable) {
        Ok(environment) => finished(app::start(environment)),
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_ENVIRONMENT)
        }
    }
}

fn finished(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            match error.is::<app::StorageTaken>() {
                true => ExitCode::from(EXIT_ENVIRONMENT),
                false => ExitCode::FAILURE,
            }
        }
    }
}

fn tool(result: io::Result<u8>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // To a person, not to edgeAgent's log.
            drop(writeln!(io::stderr(), "error: {error}"));
            ExitCode::from(EXIT_COMMAND)
        }
    }
}

/// Says once, with the whole chain of causes, why the process ends, in the shape of a log line.
fn complain(error: &anyhow::Error) {
    let line = format!(
        "<3> {} [ERR] - {error:#}",
        Clock::system()
            .now()
            .utc
            .strftime("%Y-%m-%d %H:%M:%S%.3f +00:00")
    );
    // Nobody is left to tell when standard error is gone too.
    drop(writeln!(io::stderr(), "{line}"));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here, once, and passed on"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
