//! `falconer alert test`: sends a message that says it is a test, to see that a receiver works. Owns
//! the arguments, the choice of receivers, the order of messages and the exit code.

mod advice;
mod message;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};

use self::report::Attempt;
use crate::app::receivers::{configured, send_timeout};
use crate::cli::EXIT_USAGE;
use crate::cli::running::{block_on, who};
use crate::clock::Clock;
use crate::config::wording::{did_you_mean, list};
use crate::config::{self, Loaded};
use crate::effects::{Notifier, NotifyError};
use crate::model::{Notification, Severity};
use crate::telemetry;

/// The receiver's own deadline comes first by so much, since it has the better words.
const ALLOWANCE: Duration = Duration::from_millis(500);
/// Stands for all receivers.
const ALL: &str = "all";

/// Send a test message, to see that a receiver works.
///
/// Reads the configuration and sends directly, whether falconer runs or not: first a message that
/// something fires, then that it is over, both marked as a test. So nothing stays open where a
/// receiver keeps incidents. Prints what the far side said and how long it took. Routes, silences
/// and grouping play no part.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct TestArgs {
    /// The receivers, as routes name them: email, slack, alertmanager, log, pagerduty.NAME,
    /// webhook.NAME, or all
    #[arg(long, value_name = "RECEIVER", required = true, value_delimiter = ',')]
    pub to: Vec<String>,
    /// How bad the test says it is
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    pub severity: TestSeverity,
    /// Do not say that it is over, except to receivers that keep incidents
    #[arg(long)]
    pub firing_only: bool,
    /// Wait at most this long for each message [default: the deadline of the receiver]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// The configuration file [default: actors.toml in the working directory]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// How bad a test says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestSeverity {
    /// Somebody should look at it today.
    Warning,
    /// Somebody should look at it now: calls people where warnings do not.
    Critical,
}

impl TestSeverity {
    const fn meant(self) -> Severity {
        match self {
            Self::Warning => Severity::Warning,
            Self::Critical => Severity::Critical,
        }
    }
}

const AFTER_HELP: &str = "\
Examples:
  falconer alert test --to email
  falconer alert test --to email,webhook.oncall --severity critical
  falconer alert test --to all --config /etc/falconer/actors.toml --timeout 10s

Exit codes:
  0  every receiver has accepted every message
  1  a receiver has not, or only in part
  2  wrong arguments or wrong configuration; nothing was sent";

/// Sends.
///
/// # Errors
/// When the configuration is wrong.
#[allow(clippy::print_stderr, reason = "this is what the command is for")]
pub fn execute(args: TestArgs) -> anyhow::Result<ExitCode> {
    let mut loaded = config::load(args.config.as_deref())?;
    if let Some(timeout) = args.timeout {
        let email = &mut loaded.settings.alerter.email;
        email.timeout = email.timeout.min(timeout.into());
    }
    let receivers = match configured(&loaded.settings.alerter) {
        Ok(receivers) => receivers,
        Err(error) => {
            eprintln!("falconer: {}: {error:#}", loaded.path.display());
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let chosen = match choose(&args.to, receivers) {
        Ok(chosen) => chosen,
        Err(why) => {
            eprintln!("falconer: {}: {why}", loaded.path.display());
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    // The receiver `log` would otherwise write to nowhere.
    telemetry::init(&telemetry::TelemetrySettings::default())
        .context("cannot set up the log, to which one of the receivers writes")?;
    block_on(async { Ok(send_to_all(&args, &loaded, &chosen).await) })
}

/// The receivers that are meant, each once, in the order of the configuration.
fn choose(
    wanted: &[String],
    receivers: Vec<Arc<dyn Notifier>>,
) -> Result<Vec<Arc<dyn Notifier>>, String> {
    let is_meant = |receiver: &dyn Notifier, name: &str| {
        let own_name = receiver.name().split_once('.').map(|(_, own_name)| own_name);
        name == ALL || name == receiver.name() || own_name == Some(name)
    };
    for name in wanted {
        if !receivers.iter().any(|receiver| is_meant(receiver.as_ref(), name)) {
            let known = || receivers.iter().map(|receiver| receiver.name());
            if receivers.is_empty() {
                return Err(
                    "no receiver is set up: there is no [alerter.email], and no other".into()
                );
            }
            let hint = did_you_mean(name, known());
            return Err(format!(
                "no receiver {name:?} is set up (there is {}){hint}",
                list(known())
            ));
        }
    }
    let is_wanted =
        |receiver: &Arc<dyn Notifier>| wanted.iter().any(|name| is_meant(receiver.as_ref(), name));
    Ok(receivers.into_iter().filter(is_wanted).collect())
}

/// All at the same time, each told of as soon as it is done: one that hangs holds up no other.
#[allow(clippy::print_stdout, reason = "this is what the command is for")]
async fn send_to_all(
    args: &TestArgs,
    loaded: &Loaded,
    receivers: &[Arc<dyn Notifier>],
) -> ExitCode {
    let limit = args.timeout.map(|timeout| timeout + ALLOWANCE);
    let limit = limit.unwrap_or_else(|| send_timeout(&loaded.settings.alerter));
    let tests = receivers.iter().map(|receiver| async move {
        let attempts = test(receiver.as_ref(), args, limit).await;
        (receiver.name(), attempts)
    });
    let mut tests: FuturesUnordered<_> = tests.collect();
    let mut all_accepted = true;
    while let Some((receiver, attempts)) = tests.next().await {
        for attempt in &attempts {
            println!("{}", attempt.line(receiver));
            if let Some(trouble) = attempt.trouble() {
                all_accepted = false;
                for line in advice::advice(receiver, &trouble, &loaded.settings.alerter) {
                    println!("  {line}");
                }
            }
        }
    }
    if all_accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The messages to one receiver.
async fn test(receiver: &dyn Notifier, args: &TestArgs, limit: Duration) -> Vec<Attempt> {
    let clock = Clock::system();
    let firing = message::firing(receiver.name(), &who(), args.severity.meant(), clock.now());
    let first = attempt(receiver, &firing, limit).await;
    let keeps_incidents = keeps_incidents(receiver.name());
    let wants_end = match &first.result {
        Ok(_) => keeps_incidents || !args.firing_only,
        // Nobody knows whether something is open there.
        Err(NotifyError::Timeout { .. } | NotifyError::Unavailable { .. }) => keeps_incidents,
        Err(NotifyError::Overloaded { .. } | NotifyError::Refused { .. }) => false,
    };
    let reference = first.result.as_ref().ok().and_then(|receipt| receipt.reference.clone());
    let mut attempts = vec![first];
    if wants_end {
        let over = message::resolved(&firing, reference, clock.now());
        attempts.push(attempt(receiver, &over, limit).await);
    }
    attempts
}

/// Whether what was told there stays open until it is told to be over. Who is behind a webhook, is
/// not known.
fn keeps_incidents(receiver: &str) -> bool {
    !matches!(receiver, "email" | "slack" | "log")
}

async fn attempt(receiver: &dyn Notifier, message: &Notification, limit: Duration) -> Attempt {
    let begun = Instant::now();
    let result = timeout(limit, receiver.notify(message)).await.unwrap_or_else(|_| {
        let receiver = receiver.name().to_owned();
        Err(NotifyError::Timeout { receiver, seconds: limit.as_secs().max(1) })
    });
    Attempt { status: message.status(), result, took: begun.elapsed() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::{LogNotifier, WebhookNotifier, WebhookSettings};

    fn receivers() -> Vec<Arc<dyn Notifier>> {
        let webhook = WebhookSettings::new("oncall", "http://127.0.0.1:9/");
        vec![Arc::new(WebhookNotifier::new(webhook).unwrap()), Arc::new(LogNotifier)]
    }

    fn chosen(wanted: &[&str]) -> Result<Vec<String>, String> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let chosen = choose(&wanted, receivers())?;
        Ok(chosen.iter().map(|receiver| receiver.name().to_owned()).collect())
    }

    #[test]
    fn receivers_are_named_as_in_routes_and_each_is_tried_once() {
        assert_eq!(chosen(&["log"]).unwrap(), ["log"]);
        assert_eq!(chosen(&["oncall", "webhook.oncall"]).unwrap(), ["webhook.oncall"]);
        assert_eq!(chosen(&["all", "log"]).unwrap(), ["webhook.oncall", "log"]);
    }

    #[test]
    fn one_that_is_not_there_is_a_mistake_that_names_those_that_are() {
        assert_eq!(
            chosen(&["log", "webhook.oncal"]).unwrap_err(),
            "no receiver \"webhook.oncal\" is set up (there is \"webhook.oncall\" or \"log\"); did \
             you mean \"webhook.oncall\"?"
        );
        assert!(choose(&["all".to_owned()], vec![]).is_err());
    }
}
