//! The JSON of a webhook. Owns the two formats, sends nothing.

use serde_json::{Value, json};

use crate::effects::notify::render;
use crate::model::{AlertStatus, Notification};

/// The version of falconer's own format; grows when a field changes its meaning.
const FALCONER_VERSION: u32 = 2;
/// The version of Alertmanager's webhook format.
const ALERTMANAGER_VERSION: &str = "4";
/// What Alertmanager calls the rule; the same for every incident.
const ALERT_NAME: &str = "MilvusComponentUnhealthy";
/// How Alertmanager writes that an alert has not ended.
const NOT_ENDED: &str = "0001-01-01T00:00:00Z";

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
        "lasted": render::lasted(notification),
        "sent_at": notification.sent_at,
    })
}

/// The notification as a group with one alert. The group and the fingerprint do not depend on the
/// severity, so that a worse or a resolved incident replaces what the far side holds of it.
pub(super) fn alertmanager(receiver: &str, external: &str, notification: &Notification) -> Value {
    let (cluster, component) = (
        notification.lead.component.cluster.as_ref(),
        notification.lead.component.component.as_ref(),
    );
    let group_labels =
        json!({ "alertname": ALERT_NAME, "cluster": cluster, "component": component });
    let labels = json!({
        "alertname": ALERT_NAME,
        "cluster": cluster,
        "component": component,
        "severity": notification.lead.severity.as_str(),
    });
    let annotations = json!({
        "summary": render::title(notification),
        "description": description(notification),
        "reason": notification.lead.reason.kind.as_str(),
        "action": notification.lead.action,
        "incident": notification.lead.incident.as_str(),
    });
    let group = format!("alertname={ALERT_NAME:?}, cluster={cluster:?}, component={component:?}");
    let ends_at = match (notification.lead.status, notification.lead.ended_at) {
        (AlertStatus::Resolved, Some(ended)) => ended.to_string(),
        (AlertStatus::Resolved, None) => notification.sent_at.to_string(),
        (AlertStatus::Firing, _) => NOT_ENDED.to_owned(),
    };
    json!({
        "version": ALERTMANAGER_VERSION,
        "groupKey": format!("{{}}:{{{group}}}"),
        "truncatedAlerts": 0,
        "status": notification.lead.status.as_str(),
        "receiver": receiver,
        "groupLabels": group_labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": external,
        "alerts": [{
            "status": notification.lead.status.as_str(),
            "labels": labels,
            "annotations": annotations,
            "startsAt": notification.lead.started_at.to_string(),
            "endsAt": ends_at,
            "generatorURL": external,
            "fingerprint": render::fingerprint(&group),
        }],
    })
}

fn description(notification: &Notification) -> String {
    let lines = render::paragraphs(notification);
    let evidence = lines.iter().filter(|(heading, _)| matches!(*heading, "Reason" | "Details"));
    evidence.flat_map(|(_, lines)| lines.clone()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::notification;
    use crate::model::Severity;

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
            r#"{}:{alertname="MilvusComponentUnhealthy", cluster="milvus-ha", component="querynode"}"#
        );
        assert_eq!(firing["version"], "4");
        assert_eq!(firing["alerts"][0]["endsAt"], NOT_ENDED);
        assert_eq!(resolved["status"], "resolved");
        assert_eq!(resolved["alerts"][0]["endsAt"], "2026-01-01T00:06:40.250Z");
        assert_eq!(firing["commonLabels"]["severity"], "critical");
    }
}
