//! `falconer probe`: everything once, as a table.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Probe everything once and print a table.
///
/// One row per component and pod: whether it is healthy, how long the probe took, the reason where
/// it is not, CPU and memory. Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ProbeArgs {
    /// The configuration file [default: actors.toml in the working directory]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  falconer probe
  falconer probe --json | jq '.clusters'

Exit codes:
  0  everything is healthy
  1  something is not, or failed
  2  wrong arguments or wrong configuration; nothing was started";

/// Probes.
///
/// # Errors
/// When the probes cannot be made.
pub fn execute(_args: ProbeArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
