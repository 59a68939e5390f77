//! Messages to write, for the tests of everything that writes them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    Affected, AlertMessage, AlertStatus, ComponentId, IncidentId, Notification, Reason, ReasonKind,
    Severity, Sighting, Timestamp,
};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A notification of a querynode that has been sick for 35 s, or was for 400 s.
pub(crate) fn notification(status: AlertStatus) -> Notification {
    let component = ComponentId::new("milvus-ha", "querynode");
    let incident = IncidentId::new(&component, START);
    let sent_at = match status {
        AlertStatus::Firing => START + Duration::from_secs(35),
        AlertStatus::Resolved => START + Duration::from_millis(400_300),
    };
    let lead = AlertMessage {
        incident: incident.clone(),
        component,
        severity: Severity::Critical,
        status,
        title: "querynode is unhealthy".into(),
        reason: Reason::new(ReasonKind::SomePods, "1/3 pods healthy: querynode-abc timed out"),
        details: vec![
            "querynode-abc: no answer within 5 s".into(),
            "querynode-def: status 500 <b>\"no\"</b>".into(),
        ],
        action: "rollout restart of deployment/milvus-querynode (1 of 3 this hour)".into(),
        seen: vec![],
        causes: vec![],
        affects: vec![],
        look_closer: vec![],
        is_flapping: false,
        is_news: true,
        acknowledged: None,
        started_at: START,
        ended_at: match status {
            AlertStatus::Firing => None,
            AlertStatus::Resolved => Some(START + Duration::from_millis(400_250)),
        },
    };
    Notification {
        id: format!("{incident}/{}/{}", status.as_str(), sent_at.as_millis()).into(),
        thread: incident.as_str().into(),
        group: BTreeMap::new(),
        is_digest: false,
        lead,
        others: vec![],
        left_out: 0,
        still_firing: usize::from(status == AlertStatus::Firing),
        reference: None,
        sent_at,
    }
}

/// Three alerts of one cluster: one critical, one a warning, one over.
pub(crate) fn group() -> Notification {
    let mut group = notification(AlertStatus::Firing);
    let other = |name: &str, severity, began_before: u64, lasted: Option<u64>| {
        let started_at = START.minus(Duration::from_secs(began_before));
        let component = ComponentId::new("milvus-ha", name);
        let (status, how) = match (lasted, severity) {
            (Some(_), _) => (AlertStatus::Resolved, "unhealthy"),
            (None, Severity::Critical) => (AlertStatus::Firing, "unhealthy"),
            (None, Severity::Warning) => (AlertStatus::Firing, "degraded"),
        };
        AlertMessage {
            incident: IncidentId::new(&component, started_at),
            component,
            severity,
            status,
            title: format!("{name} is {how}"),
            reason: Reason::new(ReasonKind::ReportedUnhealthy, "memory quota is nearly used"),
            details: vec![],
            action: "nothing: it serves, and a restart would not help".into(),
            started_at,
            ended_at: lasted.map(|lasted| started_at + Duration::from_secs(lasted)),
            ..notification(AlertStatus::Firing).lead
        }
    };
    group.others = vec![
        other("datanode", Severity::Warning, 300, None),
        other("indexnode", Severity::Critical, 120, Some(120)),
    ];
    group.group = BTreeMap::from([("cluster".to_owned(), "milvus-ha".to_owned())]);
    (group.id, group.thread) = ("milvus-ha/1".into(), "group/milvus-ha".into());
    group.still_firing = 2;
    group
}

/// etcd, and eight components that suffer from it.
pub(crate) fn cause() -> Notification {
    let mut cause = notification(AlertStatus::Firing);
    let component = ComponentId::new("milvus-ha", "etcd");
    let suffering = [
        "rootcoord",
        "datacoord",
        "querycoord",
        "indexcoord",
        "proxy",
        "querynode",
        "datanode",
        "indexnode",
    ];
    cause.lead.incident = IncidentId::new(&component, START);
    cause.lead.component = component;
    cause.lead.title = "etcd is unhealthy".into();
    cause.lead.reason = Reason::new(ReasonKind::Refused, "connection refused by 10.0.3.7:2379");
    cause.lead.details = vec![
        "http://etcd:2379/health: connection refused, three times in a row".into(),
        "the last good answer took 4 ms, 41 s ago".into(),
    ];
    cause.lead.action = "nothing: etcd is not falconer's to restart; what suffers from it is \
                         left alone until it is back"
        .into();
    cause.lead.seen = vec![
        sighting(ReasonKind::Timeout, "no answer within 5 s", 1, 5_003),
        sighting(ReasonKind::Refused, "connection refused by 10.0.3.7:2379", 3, 2),
    ];
    let mut severities = [Some(Severity::Critical), Some(Severity::Warning), None].iter().cycle();
    cause.lead.affects = suffering
        .map(|name| Affected {
            component: ComponentId::new("milvus-ha", name),
            severity: severities.next().copied().flatten(),
            since: START + Duration::from_secs(12),
        })
        .to_vec();
    cause.lead.affects.sort_by_key(|one| std::cmp::Reverse(one.severity));
    cause.lead.look_closer =
        vec!["kubectl -n milvus-ha get pods".into(), "falconer explain milvus-ha/etcd".into()];
    cause.thread = cause.lead.incident.as_str().into();
    cause.id = format!("{}/firing/1", cause.thread).into();
    cause
}

fn sighting(kind: ReasonKind, text: &str, times: u32, latency_ms: u64) -> Sighting {
    let first_at = START.minus(Duration::from_secs(10 * u64::from(times)));
    let reason = Reason::new(kind, text);
    Sighting { reason, first_at, last_at: START, times, latency_ms }
}

/// A dozen alerts of two clusters.
pub(crate) fn digest() -> Notification {
    let mut digest = group();
    let templates: Vec<AlertMessage> = digest.alerts().cloned().collect();
    digest.others = (1..12_usize)
        .map(|index| {
            let cluster = if index % 2 == 0 { "milvus-ha" } else { "milvus-eu" };
            let name = format!("querynode-{index}");
            let component = ComponentId::new(cluster, name.as_str());
            let template = templates[index % 3].clone();
            AlertMessage {
                incident: IncidentId::new(&component, template.started_at),
                title: format!("{name} is unhealthy"),
                component,
                ..template
            }
        })
        .collect();
    digest.others.sort_by_key(|alert| {
        (alert.status == AlertStatus::Resolved, std::cmp::Reverse(alert.severity))
    });
    digest.is_digest = true;
    digest.group = BTreeMap::new();
    (digest.id, digest.thread) = ("digest/1".into(), "digest/email".into());
    digest.still_firing = 8;
    digest
}
