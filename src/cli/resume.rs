//! `falconer resume`: a person has looked, and recovery goes on where it was stopped. Owns the
//! arguments and the words; what is reset, the running falconer says.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;

use super::explain::render::action_line;
use super::instance::harmless;
use super::running::{Running, RunningArgs, block_on};
use crate::model::explanation::BreakerShown;

/// Let recovery go on in a cluster in which it was stopped.
///
/// Beyond its budget falconer does nothing more in a cluster until a person has looked. This shows
/// where that is so and which actions led there, then resets it: what was done before counts no more
/// against the budgets of the cluster and of everything. Needs the admin token.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ResumeArgs {
    /// The cluster [default: every one in which recovery is stopped]
    #[arg(value_name = "CLUSTER")]
    pub cluster: Option<String>,
    /// Only show what would be reset
    #[arg(long)]
    pub show: bool,
    #[command(flatten)]
    running: RunningArgs,
}

const AFTER_HELP: &str = "\
Examples:
  falconer resume --show
  falconer resume milvus-ha
  falconer resume milvus-ha --token-file /run/secrets/falconer/admin --url http://127.0.0.1:8000

Exit codes:
  0  reset, or shown
  1  nothing to reset, refused, or no falconer answers
  2  wrong arguments or wrong configuration";

#[derive(Deserialize)]
struct Breakers {
    breakers: Vec<BreakerShown>,
    #[serde(default)]
    trouble: Option<String>,
}

#[derive(Deserialize)]
struct Resumed {
    resumed: Vec<String>,
}

/// Shows, then resets.
///
/// # Errors
/// When nobody answers, the token is wrong, or there is nothing to reset.
pub fn execute(args: ResumeArgs) -> anyhow::Result<ExitCode> {
    let running = args.running.find(!args.show)?;
    block_on(resume(&running, &args))
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
async fn resume(running: &Running, args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let instance = &running.instance;
    let path = ["api", "v1", "recovery", "breakers"];
    let asked: anyhow::Result<Breakers> = instance.get(&path, &[]).await;
    let Breakers { breakers, trouble } =
        asked.context("cannot ask a running falconer; --url says where it runs")?;
    let wanted = |shown: &&BreakerShown| {
        args.cluster.as_ref().is_none_or(|cluster| *cluster == shown.cluster)
    };
    let concerned: Vec<&BreakerShown> = breakers.iter().filter(wanted).collect();
    for shown in &concerned {
        println!("{}", describe(shown));
    }
    if let Some(trouble) = trouble {
        eprintln!("note: what was done before is not known: {}", harmless(trouble));
    }
    if args.show {
        if concerned.is_empty() {
            println!("recovery is not stopped{}", at(args.cluster.as_deref()));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let token = running.token().await?;
    let by = format!("falconer resume{}", who());
    // Not by name where none was named: another one may have been stopped meanwhile, which nobody saw.
    let mut resumed = Vec::new();
    let named = args.cluster.iter().cloned().collect::<Vec<_>>();
    let clusters = match (named.is_empty(), concerned.is_empty()) {
        (false, _) => named.into_iter().map(Some).collect::<Vec<_>>(),
        (true, false) => concerned.iter().map(|shown| Some(shown.cluster.clone())).collect(),
        // The running falconer says why there is nothing to do, or who is not allowed to.
        (true, true) => vec![None],
    };
    for cluster in clusters {
        let body = serde_json::json!({ "cluster": cluster, "by": by });
        let answer: anyhow::Result<Resumed> =
            instance.post(&["api", "v1", "recovery", "resume"], &token, &body).await;
        resumed.extend(answer.map_err(|error| running.in_words(error))?.resumed);
    }
    for cluster in &resumed {
        println!("recovery of {} goes on", harmless(cluster));
    }
    Ok(ExitCode::SUCCESS)
}

fn at(cluster: Option<&str>) -> String {
    cluster.map_or_else(|| " anywhere".to_owned(), |cluster| format!(" in {cluster}"))
}

/// Who sits here, as far as the environment says.
fn who() -> String {
    match std::env::var("USER") {
        Ok(user) if !user.is_empty() => format!(" by {}", harmless(user)),
        Ok(_) | Err(_) => String::new(),
    }
}

fn describe(shown: &BreakerShown) -> String {
    let (cluster, since, why) = (harmless(&shown.cluster), shown.since, harmless(&shown.why));
    let mut text = format!("recovery of {cluster} is stopped since {since}: {why}\n");
    match shown.actions.as_slice() {
        [] => text.push_str("  which actions led there is not known any more"),
        actions => {
            text.push_str("  the actions before, newest first:");
            for action in actions {
                text.push_str("\n    ");
                text.push_str(&action_line(action));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn what_is_reset_is_shown_with_the_actions_that_led_there() {
        let shown = BreakerShown {
            cluster: "a".into(),
            since: Timestamp::from_millis(1_767_225_600_000),
            why: "the cluster's budget of 10 actions per 1h is spent".into(),
            actions: Vec::new(),
        };
        assert_eq!(
            describe(&shown),
            "recovery of a is stopped since 2026-01-01T00:00:00.000Z: the cluster's budget of 10 \
             actions per 1h is spent\n  which actions led there is not known any more"
        );
    }
}
