//! `falconer silence`: what people want to hear nothing of for a time. Owns the dispatch; each
//! subcommand's work is in its own file.

mod add;
mod expire;
mod list;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::model::{Held, SilencePhase, SilenceShown};

use super::instance::harmless;

/// Tell people nothing of something for a time, for example while you work on it.
///
/// Asks the falconer that runs here, which keeps silences across restarts. A silenced alert is neither
/// told nor repeated; who was told of it before is told when it is over. When the silence ends, what
/// still fires is told at once. With --hold nothing is restarted or scaled meanwhile either.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, subcommand_required = true, arg_required_else_help = true)]
pub struct SilenceArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SilenceCommand,
}

const AFTER_HELP: &str = "\
Examples:
  falconer silence add --component querynode --for 2h --comment \"new disks\"
  falconer silence add --cluster 'milvus-*' --severity warning --for 3d --comment \"known, see the wiki\"
  falconer silence add --component etcd --from 2026-01-03T02:00:00+01:00 --for 1h --hold recovery,scaling \\
                       --comment \"upgrade\"
  falconer silence list
  falconer silence expire k7x2mq

Exit codes:
  0  shown, or done
  1  refused, no such silence, or no falconer answers
  2  wrong arguments or wrong configuration";

/// What can be done with silences.
#[allow(missing_docs, reason = "a comment here would replace the longer help of the arguments")]
#[derive(Debug, Subcommand)]
pub enum SilenceCommand {
    Add(add::AddArgs),
    List(list::ListArgs),
    Expire(expire::ExpireArgs),
}

/// Does what was asked.
///
/// # Errors
/// When no falconer answers, or it refuses.
pub fn execute(args: SilenceArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        SilenceCommand::Add(args) => add::execute(args),
        SilenceCommand::List(args) => list::execute(args),
        SilenceCommand::Expire(args) => expire::execute(args),
    }
}

/// One silence as two lines.
fn describe(shown: &SilenceShown) -> String {
    let SilenceShown { silence, phase } = shown;
    let held: Vec<&str> = silence.holds.iter().copied().map(Held::as_str).collect();
    let (id, matchers, held) = (&silence.id, &silence.matchers, held.join(", "));
    let when = match phase {
        SilencePhase::Pending => format!("from {} until {}", silence.starts_at, silence.ends_at),
        SilencePhase::Active => format!("until {}", silence.ends_at),
        SilencePhase::Expired => match &silence.expired_by {
            Some(by) => format!("ended at {} by {by}", silence.ends_at),
            None => format!("ended at {}", silence.ends_at),
        },
    };
    let first = harmless(format!("{id} {} {when}: {matchers} (holds {held})", phase.as_str()));
    let second = harmless(format!("by {}: {}", silence.created_by, silence.comment));
    format!("{first}\n  {second}")
}
