//! The message that is sent to try a receiver. Owns its words, which say that it is a test.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    AlertMessage, AlertStatus, ComponentId, IncidentId, Notification, Reason, ReasonKind, Severity,
    Timestamp,
};

/// What no cluster is called.
const CLUSTER: &str = "test";
/// What no component is called.
const COMPONENT: &str = "falconer-test";

/// Something fires that is a test, which was sent by somebody.
pub(super) fn firing(receiver: &str, by: &str, severity: Severity, now: Timestamp) -> Notification {
    let component = ComponentId::new(CLUSTER, COMPONENT);
    let incident = IncidentId::new(&component, now);
    let lead = AlertMessage {
        incident: incident.clone(),
        component,
        severity,
        status: AlertStatus::Firing,
        title: "this is a test, nothing is wrong".to_owned(),
        reason: Reason::new(
            ReasonKind::ReportedUnhealthy,
            format!("{by} has called falconer alert test to try the receiver {receiver}"),
        ),
        details: vec![
            "Nobody has to do anything.".to_owned(),
            "A real alert tells here what was seen of each pod.".to_owned(),
        ],
        action: "nothing: this is a test".to_owned(),
        seen: Vec::new(),
        causes: Vec::new(),
        affects: Vec::new(),
        look_closer: vec!["falconer check --print".to_owned()],
        is_flapping: false,
        is_news: true,
        acknowledged: None,
        started_at: now,
        ended_at: None,
    };
    Notification {
        id: format!("{incident}/{receiver}/firing").into(),
        thread: format!("{incident}/{receiver}").into(),
        group: BTreeMap::new(),
        is_digest: false,
        lead,
        others: Vec::new(),
        left_out: 0,
        still_firing: 1,
        reference: None,
        sent_at: now,
    }
}

/// The same is over. `reference` is what the receiver gave back for it.
pub(super) fn resolved(
    firing: &Notification,
    reference: Option<Arc<str>>,
    now: Timestamp,
) -> Notification {
    let mut over = firing.clone();
    over.id = format!("{}/resolved", firing.thread).into();
    over.lead.status = AlertStatus::Resolved;
    over.lead.ended_at = Some(now);
    (over.still_firing, over.reference, over.sent_at) = (0, reference, now);
    over
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::notify::render;

    #[test]
    fn a_test_says_so_in_its_subject_and_its_end_belongs_to_it() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let firing = firing("email", "ada@laptop", Severity::Warning, now);
        assert_eq!(
            render::subject(&firing),
            "[WARNING] Milvus Alert: this is a test, nothing is wrong"
        );
        // As the other samples, see the tests of mails.
        for (name, text) in
            [("test.txt", render::text(&firing)), ("test.html", render::html(&firing))]
        {
            let path = format!("{}/tests/data/mails/{name}", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("FALCONER_REWRITE_EXPECTED").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{path}");
        }
        let over = resolved(&firing, Some("C1/2".into()), now);
        assert_eq!(over.status(), AlertStatus::Resolved);
        assert_eq!(over.thread, firing.thread);
        assert_ne!(over.id, firing.id);
        assert_eq!(over.reference.as_deref(), Some("C1/2"));
    }
}
