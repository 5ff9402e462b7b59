//! The module's program: arguments and environment in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    edge_tcp_gateway::cli::run()
}
