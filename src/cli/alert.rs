//! `falconer alert`: what people are told of, and by whom it is looked after. Owns the dispatch; each
//! subcommand's work is in its own file.

pub mod ack;
pub mod list;
pub mod test;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Show the open alerts, say that somebody looks after one, or try a receiver.
///
/// Asks the falconer that runs here, except for a test. An alert that is acknowledged is not repeated and not escalated
/// until it gets worse; that it is over is told all the same.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, subcommand_required = true, arg_required_else_help = true)]
pub struct AlertArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AlertCommand,
}

const AFTER_HELP: &str = "\
Examples:
  falconer alert list
  falconer alert ack querynode --comment \"on it, the disk is full\"
  falconer alert ack milvus-ha/querynode@2026-01-01T03:12:08.114Z --comment \"known, see the wiki\"
  falconer alert test --to email

Exit codes:
  0  shown, or done
  1  no such alert, refused, not delivered, or no falconer answers
  2  wrong arguments or wrong configuration";

/// What can be done with alerts.
#[allow(missing_docs, reason = "a comment here would replace the longer help of the arguments")]
#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    List(list::ListArgs),
    Ack(ack::AckArgs),
    Test(test::TestArgs),
}

/// Does what was asked.
///
/// # Errors
/// When no falconer answers, or it refuses.
pub fn execute(args: AlertArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        AlertCommand::List(args) => list::execute(args),
        AlertCommand::Ack(args) => ack::execute(args),
        AlertCommand::Test(args) => test::execute(args),
    }
}
