//! `falconer probe`: everything once, as a table.

pub mod render;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use actix::System;
use clap::Args;

use crate::app::{self, descriptors};
use crate::config;

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
  falconer probe --json | jq '.components'

Exit codes:
  0  everything is healthy
  1  something is not, or failed
  2  wrong arguments or wrong configuration; nothing was started";

/// Probes everything once.
///
/// # Errors
/// When the configuration is wrong.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub fn execute(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let loaded = config::load(args.config.as_deref())?;
    loaded.require_clusters()?;
    if let Some(warning) = descriptors::raise_limit(&loaded.settings) {
        eprintln!("warning: {warning}");
    }
    let reports = System::new().block_on(app::probe_once(Arc::new(loaded.settings)));
    if args.json {
        println!("{:#}", render::json(&reports));
    } else {
        let terminal = std::io::stdout().is_terminal();
        let layout = if terminal { render::Layout::Folded } else { render::Layout::OneLinePerRow };
        println!("{}", render::table(&reports, layout));
    }
    Ok(if render::all_healthy(&reports) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
