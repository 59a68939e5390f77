//! Situations of falconer itself and of the rest of the cluster.

use super::*;

fn beside(role: Role) -> SickComponent {
    let component = ComponentId::new("a", role.as_str());
    SickComponent { component, role: Some(role), serves: false }
}

fn depends(name: &str) -> Case {
    Case::of(Role::QueryNode).given(|r| r.sick_dependencies = vec![ComponentId::new("a", name)])
}

fn quiet(why: &str, until: Timestamp) -> Case {
    Case::of(Role::QueryNode).given(|r| r.quiet = Some(Quiet { why: why.to_owned(), until }))
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = itself();
    all.extend(causes());
    all.extend(order());
    all
}

fn itself() -> Vec<Scenario> {
    let node = || Case::of(Role::QueryNode);
    let grace = START + minutes(3);
    let window = "the maintenance window \"sunday\"";
    vec![
        scenario(
            Guard::Enabled,
            "recovery is switched off for the component",
            "refuse disabled",
            node().set(|s| s.enabled = false),
        ),
        scenario(
            Guard::FailureThreshold,
            "two of three failed probes",
            "refuse below_threshold",
            node().given(|r| r.failures = 2),
        ),
        scenario(
            Guard::StartupGrace,
            "it was started two minutes ago and may take five",
            "wait starting",
            node().given(|r| r.grace_until = Some(grace)),
        ),
        scenario(
            Guard::StartupGrace,
            "the same, at the very end of its grace",
            "act delete_pod pod-a",
            node().given(|r| r.grace_until = Some(grace)).at(grace),
        ),
        scenario(
            Guard::Leader,
            "another replica of falconer is the leader",
            "refuse not_leader",
            node().given(|r| r.not_leader = Some("falconer-1 is the leader".to_owned())),
        ),
        scenario(
            Guard::Leader,
            "the lease may end before the action would",
            "refuse not_leader",
            node().given(|r| {
                r.not_leader = Some("its lease ends in 4s, an action takes up to 10s".to_owned());
            }),
        ),
        scenario(
            Guard::Platform,
            "the Kubernetes API does not answer: what is known of the workload may be old",
            "refuse platform_unavailable",
            node().given(|r| {
                let text = "no answer from the Kubernetes API for 30s";
                r.platform_error = Some(Reason::new(ReasonKind::PlatformUnavailable, text));
            }),
        ),
        scenario(
            Guard::Quiet,
            "a maintenance window",
            "refuse quiet",
            quiet(window, START + minutes(60)),
        ),
        scenario(
            Guard::Quiet,
            "a silence of somebody",
            "refuse quiet",
            quiet("silenced by ada", START + minutes(30)),
        ),
        scenario(
            Guard::Quiet,
            "a maintenance window that has just ended",
            "act delete_pod pod-a",
            quiet(window, START + minutes(1)),
        ),
    ]
}

fn causes() -> Vec<Scenario> {
    let ones_own = |r: &mut RecoveryRequest| r.sick_dependencies = vec![r.component.clone()];
    vec![
        scenario(Guard::Dependency, "etcd is down", "refuse dependency_sick", depends("etcd")),
        scenario(
            Guard::Dependency,
            "the object store is down",
            "refuse dependency_sick",
            depends("minio"),
        ),
        scenario(
            Guard::Dependency,
            "the message log is down",
            "refuse dependency_sick",
            depends("pulsar"),
        ),
        scenario(
            Guard::Dependency,
            "the coordinator is sick, which explains why its nodes are",
            "refuse dependency_sick",
            Case::of(Role::QueryNode).given(|r| r.sick_others = vec![beside(Role::MixCoord)]),
        ),
        scenario(
            Guard::Dependency,
            "the same up to 2.5, where coordinators have processes of their own",
            "refuse dependency_sick",
            Case::of(Role::DataNode).given(|r| r.sick_others = vec![beside(Role::DataCoord)]),
        ),
        scenario(
            Guard::Dependency,
            "only the standby of the coordinator is sick",
            "act delete_pod pod-a",
            Case::of(Role::QueryNode).given(|r| {
                r.sick_others = vec![SickComponent { serves: true, ..beside(Role::MixCoord) }];
            }),
        ),
        scenario(
            Guard::Dependency,
            "the coordinator itself, which is named as a dependency of the cluster",
            "act delete_pod pod-a",
            Case::of(Role::MixCoord).given(ones_own),
        ),
        scenario(
            Guard::CommonCause,
            "three of five components are sick at once: it may well be falconer's own network",
            "refuse common_cause",
            Case::of(Role::QueryNode).given(|r| (r.sick_components, r.watched_components) = (3, 5)),
        ),
        scenario(
            Guard::CommonCause,
            "two of four",
            "act delete_pod pod-a",
            Case::of(Role::QueryNode).given(|r| (r.sick_components, r.watched_components) = (2, 4)),
        ),
    ]
}

fn order() -> Vec<Scenario> {
    let with =
        |role: Role, other: Role| Case::of(role).given(|r| r.sick_others = vec![beside(other)]);
    let querynode = ComponentId::new("a", "querynode");
    vec![
        scenario(
            Guard::RestartOrder,
            "a query node is sick too, which comes before the proxy",
            "refuse restart_order",
            with(Role::Proxy, Role::QueryNode),
        ),
        scenario(
            Guard::RestartOrder,
            "since 2.6 the streaming node, which owns the log, comes before the query node",
            "refuse restart_order",
            with(Role::QueryNode, Role::StreamingNode)
                .given(|r| r.milvus_version = Some("v2.6.15".to_owned())),
        ),
        scenario(
            Guard::RestartOrder,
            "up to 2.5 the index node comes even before the coordinator",
            "refuse restart_order",
            with(Role::MixCoord, Role::IndexNode)
                .given(|r| r.milvus_version = Some("2.5.16".to_owned())),
        ),
        scenario(
            Guard::RestartOrder,
            "what comes first need not wait for what comes later",
            "act delete_pod pod-a",
            with(Role::QueryNode, Role::Proxy),
        ),
        scenario(
            Guard::RestartOrder,
            "what comes first was left to a person",
            "act delete_pod pod-a",
            with(Role::Proxy, Role::QueryNode).after(|desk, _| {
                let incident = IncidentId::new(&querynode, START);
                desk.ledger.escalated(&querynode, &incident, START);
            }),
        ),
        scenario(
            Guard::RestartOrder,
            "what comes first has not been dealt with for 15 minutes: its recovery is off, its \
             budget spent, or somebody holds it",
            "act delete_pod pod-a",
            with(Role::Proxy, Role::QueryNode).at(START + minutes(15)),
        ),
    ]
}
