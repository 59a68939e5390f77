//! One alert as Alertmanager's API v2 takes it. Sends nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::effects::notify::words;
use crate::model::{AlertMessage, Severity, Timestamp};

/// What Alertmanager calls the rule; the same for every incident.
pub(in crate::effects::notify) const ALERT_NAME: &str = "MilvusComponentUnhealthy";

/// What all alerts of one request have in common.
pub(super) struct Frame<'a> {
    /// Labels that every alert gets.
    pub labels: &'a BTreeMap<String, String>,
    /// Where people find falconer; may be empty.
    pub external: &'a str,
    /// When it is sent.
    pub now: Timestamp,
    /// After this time Alertmanager takes an alert that is not told again for over.
    pub lapses_after: Duration,
}

impl Frame<'_> {
    /// An alert that goes on until it lapses.
    pub(super) fn firing(&self, alert: &AlertMessage) -> Value {
        self.postable(alert, alert.severity, self.now + self.lapses_after)
    }

    /// An alert that is over under `severity`: as a whole, or because it has another one by now.
    pub(super) fn over(&self, alert: &AlertMessage, severity: Severity) -> Value {
        // An end that lies in the future would be none.
        let end = alert.ended_at.unwrap_or(self.now).min(self.now).max(alert.started_at);
        self.postable(alert, severity, end)
    }

    fn postable(&self, alert: &AlertMessage, severity: Severity, ends_at: Timestamp) -> Value {
        let mut labels = json!(self.labels);
        labels["alertname"] = ALERT_NAME.into();
        labels["cluster"] = alert.component.cluster.as_ref().into();
        labels["component"] = alert.component.component.as_ref().into();
        labels["severity"] = severity.as_str().into();
        let mut postable = json!({
            "labels": labels,
            "annotations": annotations(alert),
            "startsAt": alert.started_at.to_string(),
            "endsAt": ends_at.to_string(),
        });
        if !self.external.is_empty() {
            postable["generatorURL"] = self.external.into();
        }
        postable
    }
}

/// Those that say something.
fn annotations(alert: &AlertMessage) -> BTreeMap<&'static str, String> {
    let flapping = if alert.is_flapping { "true" } else { "" };
    let all = [
        ("summary", words::title(alert)),
        ("description", words::description(alert)),
        ("action", words::action(alert)),
        ("incident", alert.incident.as_str().to_owned()),
        ("affects", words::affects(alert)),
        ("causes", words::causes(alert)),
        ("acknowledged", words::acknowledged(alert).unwrap_or_default()),
        ("flapping", flapping.to_owned()),
        ("look_closer", words::look_closer(alert)),
    ];
    all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render::tests::{START, notification};
    use crate::model::AlertStatus;

    fn frame(labels: &BTreeMap<String, String>) -> Frame<'_> {
        let (now, lapses_after) = (START + Duration::from_secs(600), Duration::from_secs(180));
        Frame { labels, external: "", now, lapses_after }
    }

    #[test]
    fn what_fires_lapses_and_what_is_over_ended_when_it_did() {
        let labels = BTreeMap::from([("team".to_owned(), "vectors".to_owned())]);
        let firing = frame(&labels).firing(&notification(AlertStatus::Firing).lead);
        assert_eq!(firing["endsAt"], "2026-01-01T00:13:00.000Z");
        assert_eq!(firing["labels"]["team"], "vectors");
        assert_eq!(firing["labels"]["severity"], "critical");
        assert_eq!(firing["annotations"]["look_closer"], "falconer explain milvus-ha/querynode");
        assert_eq!(firing["annotations"].get("affects"), None);
        assert_eq!(firing.get("generatorURL"), None);
        let over =
            frame(&labels).over(&notification(AlertStatus::Resolved).lead, Severity::Critical);
        assert_eq!(over["endsAt"], "2026-01-01T00:06:40.250Z");
        assert_eq!(firing["labels"], over["labels"]);
    }

    #[test]
    fn the_former_severity_is_over_now() {
        let labels = BTreeMap::new();
        let alert = notification(AlertStatus::Firing).lead;
        let former = frame(&labels).over(&alert, Severity::Warning);
        assert_eq!(former["labels"]["severity"], "warning");
        assert_eq!(former["endsAt"], "2026-01-01T00:10:00.000Z");
        let mut future = notification(AlertStatus::Resolved).lead;
        future.ended_at = Some(START + Duration::from_secs(9_999));
        let over = frame(&labels).over(&future, Severity::Critical);
        assert_eq!(over["endsAt"], "2026-01-01T00:10:00.000Z");
    }
}
