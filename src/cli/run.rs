//! `falconer run`: supervises until SIGTERM or Ctrl-C, then drains.

use std::path::PathBuf;
use std::process::ExitCode;

use actix::System;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Options};
use crate::config;

/// The process ends with this code when an actor cannot be kept alive (`EX_SOFTWARE`).
pub const EXIT_BEYOND_HELP: u8 = 70;

/// Arguments of `falconer run`.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// The configuration file [default: actors.toml in the working directory]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show every restart and scaling as the exact patch instead of doing it
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs until a signal.
///
/// # Errors
/// When the system cannot be started at all.
pub fn execute(args: RunArgs) -> anyhow::Result<ExitCode> {
    let loaded = config::load(args.config.as_deref())?;
    System::new().block_on(supervise(loaded, args.dry_run))
}
