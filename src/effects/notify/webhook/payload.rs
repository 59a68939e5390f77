//! The JSON of a webhook. Owns the two fixed formats, sends nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::effects::notify::alertmanager::ALERT_NAME;
use crate::effects::notify::{render, words};
use crate::model::{AlertMessage, AlertStatus, Notification};

/// The version of falconer's own format; grows when a field changes its meaning.
const FALCONER_VERSION: u32 = 2;
/// The version of Alertmanager's webhook format.
const ALERTMANAGER_VERSION: &str = "4";
/// How Alertmanager writes that an alert has not ended.
const NOT_ENDED: &str = "0001-01-01T00:00:00Z";
/// How many alerts one message in Alertmanager's format holds.
const MAX_ALERTS: usize = 100;

/// The notification, with a version and the receiver's name.
pub(super) fn falconer(receiver: &str, notification: &Notification) -> Value {
    json!({
        "version": FALCONER_VERSION,
        "receiver": receiver,
        "id": notification.id,
        "thread": notification.thread,
        "group": notification.group,
        "is_digest": notification.is_digest,
        "status": notification.status(),
        "severity": notification.severity(),
        "still_firing": notification.still_firing,
        "left_out": notification.left_out,
        "alerts": notification.alerts().collect::<Vec<_>>(),
        "lasted": words::lasted(&notification.lead, notification.sent_at),
        "sent_at": notification.sent_at,
    })
}

type Texts = BTreeMap<&'static str, String>;

/// The notification as a group of Alertmanager's. The group is the thread, and neither it nor the
/// fingerprints depend on the severity, so that a worse or a resolved incident replaces what the far
/// side holds of it.
pub(super) fn alertmanager(receiver: &str, external: &str, notification: &Notification) -> Value {
    let alerts: Vec<(Texts, Texts, Value)> = notification
        .alerts()
        .take(MAX_ALERTS)
        .map(|one| alert(one, external, notification))
        .collect();
    let all = 1 + notification.others.len() + notification.left_out;
    let truncated = all.saturating_sub(alerts.len());
    let mut group = json!(notification.group);
    group["alertname"] = ALERT_NAME.into();
    if notification.group.is_empty() && notification.others.is_empty() {
        group["cluster"] = notification.lead.component.cluster.as_ref().into();
        group["component"] = notification.lead.component.component.as_ref().into();
    }
    json!({
        "version": ALERTMANAGER_VERSION,
        "groupKey": format!("{{}}:{{thread={:?}}}", notification.thread),
        "truncatedAlerts": truncated,
        "status": notification.status().as_str(),
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": common(alerts.iter().map(|(labels, ..)| labels)),
        "commonAnnotations": common(alerts.iter().map(|(_, annotations, _)| annotations)),
        "externalURL": external,
        "alerts": alerts.into_iter().map(|(.., alert)| alert).collect::<Vec<_>>(),
    })
}

/// Labels, annotations, and the alert that has them.
fn alert(
    alert: &AlertMessage,
    external: &str,
    notification: &Notification,
) -> (Texts, Texts, Value) {
    let id = &alert.component;
    let labels = Texts::from([
        ("alertname", ALERT_NAME.to_owned()),
        ("cluster", id.cluster.to_string()),
        ("component", id.component.to_string()),
        ("severity", alert.severity.as_str().to_owned()),
    ]);
    let annotations = annotations(alert);
    let ends_at = match (alert.status, alert.ended_at) {
        (AlertStatus::Resolved, Some(ended)) => ended.to_string(),
        (AlertStatus::Resolved, None) => notification.sent_at.to_string(),
        (AlertStatus::Firing, _) => NOT_ENDED.to_owned(),
    };
    let (cluster, component) = (&*id.cluster, &*id.component);
    let known_by =
        format!("alertname={ALERT_NAME:?}, cluster={cluster:?}, component={component:?}");
    let value = json!({
        "status": alert.status.as_str(),
        "labels": labels,
        "annotations": annotations,
        "startsAt": alert.started_at.to_string(),
        "endsAt": ends_at,
        "generatorURL": external,
        "fingerprint": render::fingerprint(&known_by),
    });
    (labels, annotations, value)
}

fn annotations(alert: &AlertMessage) -> Texts {
    let mut annotations = Texts::from([
        ("summary", words::title(alert)),
        ("description", words::description(alert)),
        ("reason", alert.reason.kind.as_str().to_owned()),
        ("action", alert.action.clone()),
        ("incident", alert.incident.as_str().to_owned()),
        ("look_closer", words::look_closer(alert)),
    ]);
    let others = [
        ("affects", words::affects(alert)),
        ("causes", words::causes(alert)),
        ("acknowledged", words::acknowledged(alert).unwrap_or_default()),
    ];
    annotations.extend(others.into_iter().filter(|(_, text)| !text.is_empty()));
    annotations
}

/// What all have alike.
fn common<'a>(mut all: impl Iterator<Item = &'a Texts>) -> Texts {
    let mut common = all.next().cloned().unwrap_or_default();
    for one in all {
        common.retain(|name, text| one.get(name) == Some(text));
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::notification;
    use crate::model::{ComponentId, Severity};

    #[test]
    fn our_own_format_is_the_notification_with_a_version() {
        let value = falconer("webhook.oncall", &notification(AlertStatus::Resolved));
        assert_eq!(value["version"], 2);
        assert_eq!(value["status"], "resolved");
        assert_eq!(value["severity"], "critical");
        assert_eq!(value["alerts"][0]["component"]["component"], "querynode");
        assert_eq!(value["alerts"][0]["ended_at"], "2026-01-01T00:06:40.250Z");
        assert_eq!(value["lasted"], "6m 40s");
    }

    #[test]
    fn alertmanagers_format_keeps_group_and_fingerprint_through_an_incident() {
        let firing = alertmanager("oncall", "", &notification(AlertStatus::Firing));
        let mut warning = notification(AlertStatus::Firing);
        warning.lead.severity = Severity::Warning;
        let warning = alertmanager("oncall", "", &warning);
        let resolved = alertmanager("oncall", "", &notification(AlertStatus::Resolved));
        for other in [&warning, &resolved] {
            assert_eq!(firing["groupKey"], other["groupKey"]);
            assert_eq!(firing["alerts"][0]["fingerprint"], other["alerts"][0]["fingerprint"]);
        }
        assert_eq!(
            firing["groupKey"],
            r#"{}:{thread="milvus-ha/querynode@2026-01-01T00:00:00.000Z"}"#
        );
        assert_eq!(firing["version"], "4");
        assert_eq!(firing["alerts"][0]["endsAt"], NOT_ENDED);
        assert_eq!(resolved["status"], "resolved");
        assert_eq!(resolved["alerts"][0]["endsAt"], "2026-01-01T00:06:40.250Z");
        assert_eq!(firing["commonLabels"]["severity"], "critical");
        assert_eq!(firing["groupLabels"]["component"], "querynode");
    }

    #[test]
    fn several_alerts_have_in_common_what_is_alike_in_all() {
        let mut message = notification(AlertStatus::Firing);
        let mut other = message.lead.clone();
        other.component = ComponentId::new("milvus-ha", "proxy");
        other.severity = Severity::Warning;
        message.group = BTreeMap::from([("cluster".to_owned(), "milvus-ha".to_owned())]);
        message.others = vec![other; 120];
        message.still_firing = 121;
        let value = alertmanager("oncall", "", &message);
        assert_eq!(value["alerts"].as_array().unwrap().len(), MAX_ALERTS);
        assert_eq!(value["truncatedAlerts"], 21);
        assert_eq!(
            value["commonLabels"],
            json!({ "alertname": ALERT_NAME, "cluster": "milvus-ha" })
        );
        assert_eq!(
            value["groupLabels"],
            json!({ "alertname": ALERT_NAME, "cluster": "milvus-ha" })
        );
        assert!(value["commonAnnotations"].get("incident").is_some());
        assert_ne!(value["alerts"][0]["fingerprint"], value["alerts"][1]["fingerprint"]);
    }

    #[test]
    fn the_end_of_one_alert_is_not_the_end_of_the_group() {
        let mut message = notification(AlertStatus::Resolved);
        message.still_firing = 2;
        let value = alertmanager("oncall", "", &message);
        assert_eq!(value["status"], "firing");
        assert_eq!(value["alerts"][0]["status"], "resolved");
    }
}
