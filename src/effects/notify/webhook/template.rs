//! The body of a webhook as people write it: a template of minijinja, bounded in work and size.
//! Values are escaped for the content type, so that JSON stays JSON. Reads no file and sends
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::Value;

use super::payload;
use crate::effects::notify::{render, words};
use crate::model::{
    Acknowledgement, Affected, AlertMessage, AlertStatus, ComponentId, IncidentId, Notification,
    Reason, ReasonKind, Severity, Sighting, Timestamp,
};

/// The work that one message may cost: steps of the template, and pieces of 64 bytes that it makes.
const FUEL: u64 = 500_000;
/// The longest body, in bytes.
const OUTPUT_LIMIT: usize = 1 << 20;
/// The longest template, in bytes.
pub const TEMPLATE_LIMIT: u64 = 256 * 1024;
/// What a template is called in errors.
const NAME: &str = "template";
/// The longest error that is told, in bytes.
const ERROR_LIMIT: usize = 250;

/// How values are escaped, which follows from the content type; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escaping {
    /// A value is written as JSON, a text with its quotes; the result must be JSON.
    Json,
    /// Markup in a value means nothing.
    Html,
    /// Values are written as they are.
    None,
}

impl Escaping {
    fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_lowercase();
        if essence.ends_with("/json") || essence.ends_with("+json") {
            Self::Json
        } else if essence.contains("html") || essence.contains("xml") {
            Self::Html
        } else {
            Self::None
        }
    }

    fn auto_escape(self) -> AutoEscape {
        match self {
            Self::Json => AutoEscape::Json,
            Self::Html => AutoEscape::Html,
            Self::None => AutoEscape::None,
        }
    }
}

/// What a template makes of a notification.
///
/// # Errors
/// Where and why the template fails, in one line; also when it makes no JSON although the content
/// type says so.
pub(super) fn make(template: &str, content_type: &str, context: &Value) -> Result<Vec<u8>, String> {
    let escaping = Escaping::of(content_type);
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(move |_| escaping.auto_escape());
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let template = environment.template_from_named_str(NAME, template).map_err(describe)?;
    let body = template.render(Serde(context)).map_err(describe)?;
    if body.len() > OUTPUT_LIMIT {
        return Err(format!("makes {} bytes, more than {OUTPUT_LIMIT}", body.len()));
    }
    if escaping == Escaping::Json
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&body)
    {
        let hint = "values are written with their quotes: {\"text\": {{ text }}}";
        return Err(format!("makes no JSON ({error}); {hint}"));
    }
    Ok(body.into_bytes())
}

/// What a template is handed: the fields of falconer's own format, and some that are handy.
pub(super) fn context(receiver: &str, external: &str, notification: &Notification) -> Value {
    let mut fields = payload::falconer(receiver, notification);
    fields["subject"] = render::subject(notification).into();
    fields["text"] = render::text(notification).into();
    fields["external_url"] = external.into();
    if let Value::Array(alerts) = &mut fields["alerts"] {
        for (handed, alert) in alerts.iter_mut().zip(notification.alerts()) {
            handed["lasted"] = words::lasted(alert, notification.sent_at).into();
        }
    }
    fields
}

/// Tries a template on messages of every kind.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn check(template: &str, content_type: &str) -> Result<(), String> {
    for sample in samples() {
        make(
            template,
            content_type,
            &context("webhook.sample", "https://falconer.example", &sample),
        )?;
    }
    Ok(())
}

fn describe(error: minijinja::Error) -> String {
    let place = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    render::one_line(&format!("{place}{what}"), ERROR_LIMIT)
}

/// One alert that fires, one that is over, and several of which somebody looks after one.
fn samples() -> [Notification; 3] {
    let firing = sample(AlertStatus::Firing);
    let mut acknowledged = sample(AlertStatus::Firing).lead;
    acknowledged.acknowledged = Some(Acknowledgement {
        by: "alice".into(),
        at: acknowledged.started_at,
        comment: "on it".into(),
    });
    let mut several = sample(AlertStatus::Firing);
    several.group = BTreeMap::from([("cluster".to_owned(), "milvus".to_owned())]);
    several.others = vec![acknowledged, sample(AlertStatus::Resolved).lead];
    several.still_firing = 2;
    [firing, sample(AlertStatus::Resolved), several]
}

fn sample(status: AlertStatus) -> Notification {
    let started_at = Timestamp::from_millis(1_767_225_600_000);
    let sent_at = started_at + Duration::from_secs(400);
    let component = ComponentId::new("milvus", "querynode");
    let incident = IncidentId::new(&component, started_at);
    let id: Arc<str> = format!("{incident}/{}/{}", status.as_str(), sent_at.as_millis()).into();
    let lead = AlertMessage {
        incident: incident.clone(),
        component,
        severity: Severity::Critical,
        status,
        title: "querynode is unhealthy".into(),
        reason: Reason::new(ReasonKind::Timeout, "1/3 pods healthy: \"querynode-b\" timed out"),
        details: vec!["querynode-b: no answer within 5 s".into()],
        action: "rollout restart of deployment/milvus-querynode".into(),
        seen: vec![Sighting {
            reason: Reason::new(ReasonKind::Timeout, "no answer within 5 s"),
            first_at: started_at,
            last_at: sent_at,
            times: 3,
            latency_ms: 5_003,
        }],
        causes: vec![],
        affects: vec![Affected {
            component: ComponentId::new("milvus", "proxy"),
            severity: Some(Severity::Warning),
            since: started_at,
        }],
        look_closer: vec!["falconer explain milvus/querynode".into()],
        is_flapping: false,
        is_news: true,
        acknowledged: None,
        started_at,
        ended_at: match status {
            AlertStatus::Firing => None,
            AlertStatus::Resolved => Some(sent_at),
        },
    };
    Notification {
        id,
        thread: incident.as_str().into(),
        group: BTreeMap::new(),
        is_digest: false,
        lead,
        others: Vec::new(),
        left_out: 0,
        still_firing: match status {
            AlertStatus::Firing => 1,
            AlertStatus::Resolved => 0,
        },
        reference: None,
        sent_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";

    fn made(template: &str, content_type: &str, message: &Notification) -> Result<String, String> {
        let body = make(template, content_type, &context("webhook.a", "https://f", message))?;
        Ok(String::from_utf8(body).unwrap())
    }

    #[test]
    fn a_template_makes_json_of_whatever_a_message_holds() {
        let mut hostile = sample(AlertStatus::Firing);
        hostile.lead.title = "\"}, {\"evil\": \"\n\\".into();
        let template = r#"{"summary": {{ alerts[0].title }}, "text": {{ subject ~ "!" }},
            "names": [{% for alert in alerts %}{{ alert.component.component }}{% if not loop.last %},{% endif %}{% endfor %}],
            "all": {{ alerts|tojson }}, "firing": {{ status == "firing" }}, "end": {{ alerts[0].ended_at }}}"#;
        let value: Value = serde_json::from_str(&made(template, JSON, &hostile).unwrap()).unwrap();
        assert_eq!(value["summary"], hostile.lead.title);
        assert_eq!(value["names"][0], "querynode");
        assert_eq!(value["all"][0]["title"], hostile.lead.title);
        assert_eq!((&value["firing"], &value["end"]), (&true.into(), &Value::Null));
        assert_eq!(check(template, JSON), Ok(()));
    }

    #[test]
    fn other_content_types_have_other_escapes() {
        let mut message = sample(AlertStatus::Firing);
        message.lead.title = "<b>".into();
        assert_eq!(made("{{ alerts[0].title }}", "text/plain", &message).unwrap(), "<b>");
        assert_eq!(made("{{ alerts[0].title }}", "text/html", &message).unwrap(), "&lt;b&gt;");
        let json = made("{{ alerts[0].title }}", "application/vnd.x+json; v=1", &message).unwrap();
        assert_eq!(json, "\"<b>\"");
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said_with_its_line() {
        for (template, words) in [
            ("{\n{{ text }", "line 2: syntax error"),
            ("\n\n{{ txet }}", "line 3: undefined value"),
            ("{{ alerts[0].tilte }}", "undefined value"),
            ("{{ text|nosuch }}", "unknown filter"),
            ("{{ alerts[7].title }}", "undefined value"),
            ("{\"text\": \"{{ text }}\"}", "makes no JSON"),
            (
                "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                "fuel",
            ),
            ("{{ \"x\" * 2000000 }}", "more than 1048576"),
            ("{{ \"x\" * 2000000000 }}", "line 1"),
            ("{% include \"/etc/passwd\" %}", "line 1"),
        ] {
            let error = check(template, JSON).unwrap_err();
            assert!(error.contains(words), "{template}: {error}");
            assert!(error.len() < 400 && !error.contains('\n'), "{error}");
        }
    }
}
