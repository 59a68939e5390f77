//! `falconer run`: supervise until told to end.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Supervise the clusters until SIGTERM or Ctrl-C, then drain.
///
/// Starts one prober per component, tells people about what fails, restarts and scales within the
/// configured bounds, and serves /metrics, /livez, /readyz and /api/v1/status.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArgs {
    /// The configuration file [default: actors.toml in the working directory]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change nothing: show each restart and each scaling instead of doing it
    #[arg(long)]
    pub dry_run: bool,
}

const AFTER_HELP: &str = "\
Examples:
  falconer run
  falconer run --config /etc/falconer/actors.toml --dry-run

Exit codes:
  0  drained after SIGTERM or Ctrl-C
  1  failed
  2  wrong arguments or wrong configuration; nothing was started";

/// Supervises.
///
/// # Errors
/// When the system cannot be started.
pub fn execute(_args: RunArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
