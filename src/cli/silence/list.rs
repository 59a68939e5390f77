//! `falconer silence list`: what falconer is quiet about.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::describe;
use crate::cli::running::{RunningArgs, block_on};
use crate::model::SilencesShown;

/// Show the silences that are in force or to come
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Show those too that are over; they are forgotten after a week
    #[arg(long)]
    expired: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: RunningArgs,
}

/// Shows them.
///
/// # Errors
/// When no falconer answers.
#[allow(clippy::print_stdout, reason = "this is what the command is for")]
pub fn execute(args: ListArgs) -> anyhow::Result<ExitCode> {
    let running = args.running.find(false)?;
    let query = [("expired", args.expired.to_string())];
    let asked = block_on(running.instance.get::<Value>(&["api", "v1", "silences"], &query));
    let answer = asked.context("cannot ask a running falconer; --url says where it runs")?;
    if args.json {
        println!("{answer:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let SilencesShown { silences } =
        serde_json::from_value(answer).context("what answers is no falconer of this version")?;
    if silences.is_empty() {
        println!("there is no silence");
    }
    for shown in &silences {
        println!("{}", describe(shown));
    }
    Ok(ExitCode::SUCCESS)
}
