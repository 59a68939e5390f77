//! `falconer whatif`: questions to falconer's policies that need no cluster and no clock.

pub mod scaling;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Ask a policy what it would do.
///
/// No cluster, no clock and no configuration: everything that the answer depends on is in the input.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct WhatifArgs {
    /// Which policy.
    #[command(subcommand)]
    pub question: Question,
}

const AFTER_HELP: &str = "\
Examples:
  falconer whatif scaling --input questions.jsonl

Exit codes:
  0  every question was understood and answered
  1  the input cannot be read, or the answers cannot be written
  2  a question was not understood";

/// What can be asked.
#[allow(missing_docs, reason = "a comment here would replace the longer help of the arguments")]
#[derive(Debug, Subcommand)]
pub enum Question {
    Scaling(scaling::ScalingArgs),
}

/// Answers.
///
/// # Errors
/// When the input cannot be read, or the answers cannot be written.
pub fn execute(args: WhatifArgs) -> anyhow::Result<ExitCode> {
    match args.question {
        Question::Scaling(args) => scaling::execute(&args),
    }
}
