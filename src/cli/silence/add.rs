//! `falconer silence add`: the arguments, and what is asked of the running falconer.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::describe;
use crate::cli::running::{Running, RunningArgs, block_on, who};
use crate::model::SilenceShown;

/// Be quiet about something for a time
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The component; `*` and `?` stand for letters
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// The cluster; `*` and `?` stand for letters
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Only incidents of this severity
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<SeverityName>,
    /// How long, e.g. 90m, 2h, 3d; a year at most
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Duration,
    /// When it begins, e.g. 2026-01-03T02:00:00Z, or 2026-01-03T02:00 by the clock of this machine [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    from: Option<jiff::Timestamp>,
    /// What is held besides alerts
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    hold: Vec<HeldName>,
    /// Why, for everybody who wonders
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// Who wants it [default: USER at HOST]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    running: RunningArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SeverityName {
    Warning,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HeldName {
    Recovery,
    Scaling,
}

/// Asks for it.
///
/// # Errors
/// When no falconer answers, or it refuses.
#[allow(clippy::print_stdout, reason = "this is what the command is for")]
pub fn execute(args: AddArgs) -> anyhow::Result<ExitCode> {
    if args.component.is_none() && args.cluster.is_none() && args.severity.is_none() {
        bail!("say what to be quiet about: --component, --cluster or --severity");
    }
    let running = args.running.find(true)?;
    let shown = block_on(add(&running, &args))?;
    println!("{}", describe(&shown));
    Ok(ExitCode::SUCCESS)
}

async fn add(running: &Running, args: &AddArgs) -> anyhow::Result<SilenceShown> {
    let token = running.token().await?;
    let path = ["api", "v1", "silences"];
    let answer: anyhow::Result<SilenceShown> =
        running.instance.post(&path, &token, &body(args)).await;
    let answer = answer.map_err(|error| running.in_words(error));
    answer.context("no silence was made; --url says where falconer runs")
}

fn body(args: &AddArgs) -> Value {
    let mut matchers = Map::new();
    let mut given = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            matchers.insert(name.to_owned(), value.into());
        }
    };
    given("component", args.component.as_deref());
    given("cluster", args.cluster.as_deref());
    given(
        "severity",
        args.severity.map(|severity| match severity {
            SeverityName::Warning => "warning",
            SeverityName::Critical => "critical",
        }),
    );
    let held = args.hold.iter().map(|held| match held {
        HeldName::Recovery => "recovery",
        HeldName::Scaling => "scaling",
    });
    let by = args.by.clone().unwrap_or_else(who);
    json!({
        "matchers": matchers,
        "holds": held.collect::<Vec<_>>(),
        "starts_at": args.from.map(|from| from.to_string()),
        "for": humantime::format_duration(args.lasts).to_string(),
        "created_by": by,
        "comment": args.comment,
    })
}

/// An instant with its offset, or what the clock of this machine shows.
fn instant(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(instant) = text.parse() {
        return Ok(instant);
    }
    let wanted = "an instant such as 2026-01-03T02:00:00Z or 2026-01-03T02:00";
    let civil: jiff::civil::DateTime = text.parse().map_err(|_| format!("wanted is {wanted}"))?;
    let zoned = civil.to_zoned(TimeZone::system()).map_err(|error| error.to_string())?;
    Ok(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        add: AddArgs,
    }

    #[test]
    fn what_was_written_is_what_is_asked_for() {
        let args = "add --component query* --severity critical --for 90m --hold recovery,scaling \
                    --from 2026-01-03T02:00:00+01:00 --comment x --by ada";
        let args = Alone::try_parse_from(args.split_whitespace()).unwrap().add;
        assert_eq!(
            body(&args),
            json!({
                "matchers": { "component": "query*", "severity": "critical" },
                "holds": ["recovery", "scaling"],
                "starts_at": "2026-01-03T01:00:00Z",
                "for": "1h 30m",
                "created_by": "ada",
                "comment": "x",
            })
        );
        for wrong in ["add --for 1x --comment a", "add --for 1h", "add --comment a"] {
            assert!(Alone::try_parse_from(wrong.split_whitespace()).is_err(), "{wrong}");
        }
        assert!(instant("tomorrow").is_err() && instant("2026-01-03 02:00").is_ok());
    }
}
