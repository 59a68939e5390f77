//! `falconer silence expire`: to be quiet no more.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::describe;
use crate::cli::running::{Running, RunningArgs, block_on, who};
use crate::model::SilenceShown;

/// End a silence before its time: what still fires is told at once
#[derive(Debug, Args)]
pub struct ExpireArgs {
    /// Its identifier, as `falconer silence list` shows it
    #[arg(value_name = "ID")]
    id: String,
    /// Who wants it [default: USER at HOST]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    running: RunningArgs,
}

/// Asks for it.
///
/// # Errors
/// When no falconer answers, or it refuses.
#[allow(clippy::print_stdout, reason = "this is what the command is for")]
pub fn execute(args: ExpireArgs) -> anyhow::Result<ExitCode> {
    let running = args.running.find(true)?;
    let shown = block_on(expire(&running, &args))?;
    println!("{}", describe(&shown));
    Ok(ExitCode::SUCCESS)
}

async fn expire(running: &Running, args: &ExpireArgs) -> anyhow::Result<SilenceShown> {
    let token = running.token().await?;
    let by = args.by.clone().unwrap_or_else(who);
    let path = ["api", "v1", "silences", &args.id];
    let answer: anyhow::Result<SilenceShown> =
        running.instance.delete(&path, &token, &[("by", by)]).await;
    let answer = answer.map_err(|error| running.in_words(error));
    answer.context("the silence was not ended; --url says where falconer runs")
}
