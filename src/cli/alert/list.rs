//! `falconer alert list`: the open alerts, who was told of them, and what keeps people from being told.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use crate::cli::instance::harmless;
use crate::cli::running::{RunningArgs, block_on};
use crate::model::{AlertShown, AlertsShown, PendingShown};

/// Show the open alerts of the falconer that runs here
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
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
    let asked = block_on(running.instance.get::<Value>(&["api", "v1", "alerts"], &[]));
    let answer = asked.context("cannot ask a running falconer; --url says where it runs")?;
    if args.json {
        println!("{answer:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let AlertsShown { alerts, pending, note } =
        serde_json::from_value(answer).context("what answers is no falconer of this version")?;
    if alerts.is_empty() {
        println!("no alert is open");
    }
    for alert in &alerts {
        println!("{}", describe(alert));
    }
    for one in &pending {
        println!("{}", describe_pending(one));
    }
    if let Some(note) = note {
        println!("note: {}", harmless(note));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe_pending(pending: &PendingShown) -> String {
    let PendingShown { cluster, component, reason, since, failures, failure_threshold } = pending;
    let (component, reason) = (harmless(format!("{cluster}/{component}")), harmless(reason));
    format!(
        "pending since {since}: {component}: {reason}\n  {failures} of {failure_threshold} failures"
    )
}

fn describe(alert: &AlertShown) -> String {
    let AlertShown { incident, severity, title, reason, started_at, .. } = alert;
    let (title, reason) = (harmless(title), harmless(reason));
    let status = alert.status.as_str();
    let severity = severity.as_str();
    let mut text =
        format!("{severity} {status} since {started_at}: {title}: {reason}\n  {incident}");
    let told: Vec<&str> = alert.told.iter().map(|name| &**name).collect();
    let told = if told.is_empty() { "nobody yet".to_owned() } else { told.join(", ") };
    text.push_str("\n  told: ");
    text.push_str(&harmless(told));
    if let Some(held) = &alert.held {
        text.push_str("\n  not told: ");
        text.push_str(&harmless(held));
    }
    if let Some(by) = &alert.acknowledged {
        let comment =
            if by.comment.is_empty() { String::new() } else { format!(": {}", by.comment) };
        let line = harmless(format!("acknowledged by {} at {}{comment}", by.by, by.at));
        text.push_str("\n  ");
        text.push_str(&line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Acknowledgement, AlertStatus, IncidentId, Severity, Timestamp};

    #[test]
    fn what_is_pending_is_shown_with_its_failures() {
        let pending = PendingShown {
            cluster: "a".into(),
            component: "etcd".into(),
            reason: "timeout".into(),
            since: Timestamp::from_millis(1_767_225_600_000),
            failures: 2,
            failure_threshold: 3,
        };
        let expected = "pending since 2026-01-01T00:00:00.000Z: a/etcd: timeout\n  2 of 3 failures";
        assert_eq!(describe_pending(&pending), expected);
    }

    #[test]
    fn an_alert_is_shown_with_who_was_told_and_who_looks_after_it() {
        let at = Timestamp::from_millis(1_767_225_600_000);
        let alert = AlertShown {
            incident: IncidentId::from_text("a/proxy@2026-01-01T00:00:00.000Z"),
            cluster: "a".into(),
            component: "proxy".into(),
            severity: Severity::Critical,
            status: AlertStatus::Firing,
            title: "proxy is unhealthy".into(),
            reason: "timeout\x1b[31m".into(),
            started_at: at,
            told: vec!["email".into()],
            held: None,
            acknowledged: Some(Acknowledgement { by: "ada".into(), at, comment: "mine".into() }),
        };
        assert_eq!(
            describe(&alert),
            "critical firing since 2026-01-01T00:00:00.000Z: proxy is unhealthy: timeout [31m\n  \
             a/proxy@2026-01-01T00:00:00.000Z\n  told: email\n  acknowledged by ada at \
             2026-01-01T00:00:00.000Z: mine"
        );
    }
}
