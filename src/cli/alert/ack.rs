//! `falconer alert ack`: somebody looks after an alert, so that nobody is reminded or called for it.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use reqwest::StatusCode;

use crate::cli::instance::{Refused, harmless};
use crate::cli::running::{Running, RunningArgs, block_on, who};
use crate::model::{AlertShown, AlertStatus, AlertsShown};

/// Say that somebody looks after an alert: it is not repeated and not escalated until it gets worse
#[derive(Debug, Args)]
pub struct AckArgs {
    /// The incident as `falconer alert list` shows it, or the component: `querynode`, `milvus-ha/querynode`
    #[arg(value_name = "INCIDENT|COMPONENT")]
    pub alert: String,
    /// What the others should know
    #[arg(long, value_name = "TEXT")]
    pub comment: String,
    /// Who looks after it [default: USER at HOST]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    #[command(flatten)]
    running: RunningArgs,
}

/// Finds the alert and acknowledges it.
///
/// # Errors
/// When no falconer answers, there is no such alert or more than one, or it refuses.
#[allow(clippy::print_stdout, reason = "this is what the command is for")]
pub fn execute(args: AckArgs) -> anyhow::Result<ExitCode> {
    let running = args.running.find(true)?;
    let alert = block_on(acknowledge(&running, &args))?;
    println!("acknowledged: {} ({})", harmless(&alert.incident), harmless(&alert.title));
    Ok(ExitCode::SUCCESS)
}

async fn acknowledge(running: &Running, args: &AckArgs) -> anyhow::Result<AlertShown> {
    let asked = running.instance.get::<AlertsShown>(&["api", "v1", "alerts"], &[]).await;
    let AlertsShown { alerts, .. } =
        asked.context("cannot ask a running falconer; --url says where it runs")?;
    let alert = find(&alerts, &args.alert)?;
    let token = running.token().await?;
    let by = args.by.clone().unwrap_or_else(who);
    let body = serde_json::json!({ "by": by, "comment": args.comment });
    let path = ["api", "v1", "alerts", alert.incident.as_str(), "acknowledge"];
    let answer = running.instance.post(&path, &token, &body).await;
    answer.map_err(|error: anyhow::Error| match error.downcast_ref::<Refused>() {
        Some(Refused { status: StatusCode::NOT_FOUND, .. }) => {
            anyhow!("{} is over by now", harmless(&alert.incident))
        }
        Some(_) | None => running.in_words(error),
    })
}

/// The one open alert that is meant.
fn find<'a>(alerts: &'a [AlertShown], wanted: &str) -> anyhow::Result<&'a AlertShown> {
    let open: Vec<&AlertShown> =
        alerts.iter().filter(|alert| alert.status == AlertStatus::Firing).collect();
    if let Some(exact) = open.iter().find(|alert| alert.incident.as_str() == wanted) {
        return Ok(exact);
    }
    let is_meant = |alert: &&&AlertShown| {
        *alert.component == *wanted || format!("{}/{}", alert.cluster, alert.component) == wanted
    };
    let meant: Vec<&AlertShown> = open.iter().filter(is_meant).copied().collect();
    match meant.as_slice() {
        [one] => Ok(one),
        [] => bail!(
            "no alert of {} is open; `falconer alert list` shows those that are",
            harmless(wanted)
        ),
        several => {
            let names: Vec<&str> = several.iter().map(|alert| alert.incident.as_str()).collect();
            bail!("{} has several open alerts, name one: {}", harmless(wanted), names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IncidentId, Severity, Timestamp};

    fn alert(cluster: &str, component: &str, status: AlertStatus) -> AlertShown {
        AlertShown {
            incident: IncidentId::from_text(format!("{cluster}/{component}@t")),
            cluster: cluster.into(),
            component: component.into(),
            severity: Severity::Critical,
            status,
            title: String::new(),
            reason: String::new(),
            started_at: Timestamp::default(),
            told: Vec::new(),
            held: None,
            acknowledged: None,
        }
    }

    #[test]
    fn an_alert_is_named_by_its_incident_or_by_its_component_where_that_is_one() {
        let alerts = [
            alert("a", "proxy", AlertStatus::Firing),
            alert("b", "proxy", AlertStatus::Firing),
            alert("b", "etcd", AlertStatus::Resolved),
        ];
        let found = |wanted: &str| find(&alerts, wanted).map(|alert| alert.incident.to_string());
        assert_eq!(found("a/proxy@t").unwrap(), "a/proxy@t");
        assert_eq!(found("b/proxy").unwrap(), "b/proxy@t");
        let several = found("proxy").unwrap_err().to_string();
        assert_eq!(several, "proxy has several open alerts, name one: a/proxy@t, b/proxy@t");
        let over = found("etcd").unwrap_err().to_string();
        assert_eq!(over, "no alert of etcd is open; `falconer alert list` shows those that are");
    }
}
