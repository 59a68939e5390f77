//! Tables of inventories and answers, and the verdict each must get.

use std::sync::Arc;

use super::*;
use crate::model::{Owner, Resources, Workload, WorkloadKind, WorkloadRef};

const OK: Outcome = Outcome::Healthy;
const YOUNG_SINCE: Timestamp = Timestamp::from_millis(1_000_000);

fn late() -> Outcome {
    Outcome::failed(ReasonKind::Timeout, "timeout after 5s")
}

fn pending() -> PodCondition {
    PodCondition::Pending { message: "Unschedulable: 0/3 nodes are available".into() }
}

fn crashing() -> PodCondition {
    PodCondition::CrashLoop { message: "container querynode: CrashLoopBackOff, 7 restarts".into() }
}

fn evicted() -> PodCondition {
    PodCondition::Ended { message: "Evicted: the node was low on memory".into() }
}

use PodCondition::{NotReady, Ready, Terminating};

fn reference(name: &str) -> WorkloadRef {
    let namespace: Arc<str> = "milvus".into();
    WorkloadRef { kind: WorkloadKind::Deployment, namespace, name: name.into() }
}

fn workload(name: &str, desired_replicas: u32, rolling_out: bool) -> Workload {
    Workload {
        reference: reference(name),
        desired_replicas,
        ready_replicas: 0,
        paused: false,
        rolling_out,
        owner: Owner::None,
        autoscaler: None,
        gitops: None,
        holds: Vec::new(),
        revision: None,
    }
}

fn pod(number: usize, condition: PodCondition) -> Pod {
    Pod {
        name: format!("qn-{number}").into(),
        ip: Some("10.0.0.1".into()),
        condition,
        requests: Resources::default(),
        limits: Resources::default(),
        started_at: None,
        workload: Some(reference("qn")),
        life: crate::model::PodLife::default(),
    }
}

/// The verdict on one workload with these pods, of which each gave this answer.
fn verdict_of(desired: u32, rolling_out: bool, pods: Vec<(PodCondition, Outcome)>) -> Outcome {
    let mut inventory = ComponentInventory {
        workloads: vec![workload("qn", desired, rolling_out)],
        ..ComponentInventory::default()
    };
    let mut targets = Vec::new();
    for (number, (condition, outcome)) in pods.into_iter().enumerate() {
        let pod = pod(number, condition);
        targets.push(TargetReport { outcome, ..unasked(&pod) });
        inventory.pods.push(pod);
    }
    judge("querynode", &inventory, &targets, YOUNG_SINCE)
}

#[track_caller]
fn assert_reason(verdict: &Outcome, outcome: &str, kind: ReasonKind, text: &str) {
    let reason = verdict.reason().expect("a reason");
    assert_eq!((verdict.as_str(), reason.kind, reason.text.as_str()), (outcome, kind, text));
}

#[test]
fn all_pods_healthy_is_healthy() {
    assert_eq!(verdict_of(2, false, vec![(Ready, OK), (Ready, OK)]), OK);
}

#[test]
fn one_sick_pod_among_healthy_ones_fails_and_is_named() {
    let verdict = verdict_of(3, false, vec![(Ready, OK), (Ready, late()), (Ready, OK)]);
    let text = "2/3 pods healthy: qn-1 timeout after 5s";
    assert_reason(&verdict, "failed", ReasonKind::SomePods, text);
}

#[test]
fn a_sick_pod_that_the_platform_took_out_of_service_still_fails() {
    let verdict = verdict_of(2, false, vec![(Ready, OK), (NotReady, late())]);
    let text = "1/2 pods healthy: qn-1 timeout after 5s";
    assert_reason(&verdict, "failed", ReasonKind::SomePods, text);
}

#[test]
fn new_pods_of_a_rollout_that_are_not_up_yet_only_degrade() {
    let refused = Outcome::failed(ReasonKind::Refused, "connection refused");
    for condition in [NotReady, crashing()] {
        let verdict = verdict_of(1, true, vec![(Ready, OK), (condition, refused.clone())]);
        assert_eq!(
            (verdict.as_str(), verdict.reason().unwrap().kind),
            ("degraded", ReasonKind::SomePods)
        );
    }
    let verdict = verdict_of(1, true, vec![(Ready, OK), (NotReady, refused)]);
    let text = "1/2 pods healthy: qn-1 connection refused (a rollout is in progress)";
    assert_reason(&verdict, "degraded", ReasonKind::SomePods, text);
}

#[test]
fn a_serving_pod_that_falls_sick_during_a_rollout_fails() {
    let verdict = verdict_of(2, true, vec![(Ready, OK), (Ready, late())]);
    let text = "1/2 pods healthy: qn-1 timeout after 5s";
    assert_reason(&verdict, "failed", ReasonKind::SomePods, text);
}

#[test]
fn a_rollout_of_another_workload_excuses_nothing() {
    let mut inventory = ComponentInventory {
        workloads: vec![workload("qn", 2, false), workload("other", 0, true)],
        ..ComponentInventory::default()
    };
    inventory.pods = vec![pod(0, Ready), pod(1, NotReady)];
    let mut targets: Vec<_> = inventory.pods.iter().map(unasked).collect();
    targets[0].outcome = OK;
    assert!(judge("querynode", &inventory, &targets, YOUNG_SINCE).is_failed());
}

#[test]
fn a_pod_that_was_just_started_beside_serving_ones_only_degrades() {
    let verdict = |started_at: u64, condition: PodCondition| {
        let mut inventory = ComponentInventory {
            workloads: vec![workload("qn", 2, false)],
            ..ComponentInventory::default()
        };
        let started_at = Some(Timestamp::from_millis(started_at));
        inventory.pods = vec![pod(0, Ready), Pod { started_at, ..pod(1, condition) }];
        let mut targets: Vec<_> = inventory.pods.iter().map(unasked).collect();
        targets[0].outcome = OK;
        targets[1].outcome = late();
        judge("querynode", &inventory, &targets, YOUNG_SINCE)
    };
    let text = "1/2 pods healthy: qn-1 timeout after 5s (just started)";
    assert_reason(&verdict(1_000_001, NotReady), "degraded", ReasonKind::SomePods, text);
    assert!(verdict(1_000_000, NotReady).is_failed());
    assert!(verdict(1_000_001, Ready).is_failed());
    assert!(verdict(1_000_001, crashing()).is_failed());
}

#[test]
fn a_pod_without_a_node_beside_serving_ones_only_degrades() {
    let verdict = verdict_of(2, false, vec![(Ready, OK), (pending(), late())]);
    let text = "1/2 pods healthy: qn-1 pending: Unschedulable: 0/3 nodes are available";
    assert_reason(&verdict, "degraded", ReasonKind::Pending, text);
}

#[test]
fn a_crash_loop_beside_serving_pods_fails() {
    let verdict = verdict_of(2, false, vec![(Ready, OK), (crashing(), late())]);
    let text = "1/2 pods healthy: qn-1 container querynode: CrashLoopBackOff, 7 restarts";
    assert_reason(&verdict, "failed", ReasonKind::SomePods, text);
}

#[test]
fn without_a_healthy_pod_the_kind_is_that_of_the_pod_nearest_to_serving() {
    for (conditions, kind) in [
        (vec![Ready, crashing(), NotReady, pending()], ReasonKind::Timeout),
        (vec![crashing(), NotReady, pending()], ReasonKind::CrashLoop),
        (vec![NotReady, pending()], ReasonKind::NoneReady),
        (vec![pending(), pending()], ReasonKind::Pending),
    ] {
        let pods = conditions.iter().map(|condition| (condition.clone(), late())).collect();
        let verdict = verdict_of(4, false, pods);
        assert!(verdict.is_failed());
        assert_eq!(verdict.reason().unwrap().kind, kind, "{conditions:?}");
    }
    let verdict = verdict_of(1, false, vec![(crashing(), late())]);
    let text = "0/1 pods healthy: qn-0 container querynode: CrashLoopBackOff, 7 restarts";
    assert_reason(&verdict, "failed", ReasonKind::CrashLoop, text);
}

#[test]
fn pods_on_their_way_out_do_not_count() {
    let leaving = || Outcome::degraded(ReasonKind::Terminating, "the pod is being deleted");
    let verdict = verdict_of(1, false, vec![(Ready, OK), (Terminating, leaving())]);
    assert_eq!(verdict, OK);
    let verdict = verdict_of(1, false, vec![(Ready, OK), (evicted(), late())]);
    assert_eq!(verdict, OK);
}

#[test]
fn a_pod_that_hangs_in_its_end_degrades_what_is_well_and_is_told_beside_what_is_not() {
    let since = Timestamp::from_millis(1_767_225_600_000);
    let after = Duration::from_mins(10);
    let mut hung = pod(0, Terminating);
    let grace = Duration::from_hours(30 * 24);
    hung.life.terminating = Some(crate::model::Terminating { since, grace });
    let inventory =
        ComponentInventory { pods: vec![hung, pod(1, Ready)], ..ComponentInventory::default() };
    let judged = |verdict: Outcome, time| judge_with_hung(verdict, &inventory, after, since + time);
    assert_eq!(judged(OK, Duration::from_secs(599)), OK);
    let degraded = judged(OK, after);
    let reason = degraded.reason().expect("a reason");
    assert_eq!((degraded.as_str(), reason.kind), ("degraded", ReasonKind::Terminating));
    assert!(reason.text.contains("does not end: deleted at 2026-01-01T00:00:00.000Z"), "{reason}");
    assert_eq!(judged(OK, after * 2), degraded, "the same words for as long as it hangs");
    let failed = judged(late(), after);
    let reason = failed.reason().expect("a reason");
    assert_eq!((failed.as_str(), reason.kind), ("failed", late().reason().unwrap().kind));
    assert!(reason.text.contains("does not end"), "{reason}");
}

#[test]
fn a_component_without_pods_says_why() {
    let text = "no pods but 1 being deleted";
    let verdict = verdict_of(1, false, vec![(Terminating, late())]);
    assert_reason(&verdict, "failed", ReasonKind::Terminating, text);
    let text = "deployment/qn wants 3 replicas and has no pods";
    assert_reason(&verdict_of(3, false, Vec::new()), "failed", ReasonKind::NoPods, text);
    let text = "deployment/qn wants 1 replicas and has no pods \
                (1 ended: Evicted: the node was low on memory)";
    let verdict = verdict_of(1, false, vec![(evicted(), late())]);
    assert_reason(&verdict, "failed", ReasonKind::NoPods, text);
    let verdict = verdict_of(0, false, vec![(Terminating, late())]);
    assert_reason(&verdict, "degraded", ReasonKind::ScaledToZero, "scaled to zero by its owner");
    let verdict = judge("querynode", &ComponentInventory::default(), &[], YOUNG_SINCE);
    let text = "no workload and no pods of querynode found";
    assert_reason(&verdict, "failed", ReasonKind::NoPods, text);
}

#[test]
fn a_pod_that_answers_is_healthy_whatever_the_platform_thinks() {
    let verdict = verdict_of(2, false, vec![(Ready, OK), (NotReady, OK)]);
    let text = "1 of 2 pods healthy but not ready: qn-1";
    assert_reason(&verdict, "degraded", ReasonKind::SomePods, text);
    let text = "every pod answers its health page, but none is ready: they get no traffic";
    let verdict = verdict_of(1, false, vec![(NotReady, OK)]);
    assert_reason(&verdict, "degraded", ReasonKind::NoneReady, text);
    assert_eq!(verdict_of(2, true, vec![(Ready, OK), (NotReady, OK)]), OK);
}

#[test]
fn missing_pods_degrade_unless_a_rollout_explains_them() {
    let pods = || vec![(Ready, OK), (evicted(), late())];
    let text = "1 of 2 pods exist (1 ended: Evicted: the node was low on memory)";
    assert_reason(&verdict_of(2, false, pods()), "degraded", ReasonKind::SomePods, text);
    assert_eq!(verdict_of(2, true, pods()), OK);
}

#[test]
fn a_reason_names_a_few_pods_and_counts_the_rest() {
    let pods = (0..50).map(|_| (Ready, late())).collect();
    let verdict = verdict_of(50, false, pods);
    let text = "0/50 pods healthy: qn-0 timeout after 5s; qn-1 timeout after 5s; \
                qn-2 timeout after 5s; and 47 more";
    assert_reason(&verdict, "failed", ReasonKind::Timeout, text);
}

#[test]
fn a_platform_that_cannot_be_asked_is_not_the_components_fault() {
    let error = Reason::new(ReasonKind::PlatformUnavailable, "401 Unauthorized");
    let note = "the platform cannot be asked (401 Unauthorized), last known state";
    let all_healthy = judge_with_platform(OK, Some(&error));
    let text = format!("{note}: all pods healthy");
    assert_reason(&all_healthy, "degraded", ReasonKind::PlatformUnavailable, &text);
    let no_pods = verdict_of(3, false, Vec::new());
    let verdict = judge_with_platform(no_pods, Some(&error));
    assert_eq!(verdict.as_str(), "degraded");
    let sick = verdict_of(1, false, vec![(Ready, late())]);
    let text = format!("0/1 pods healthy: qn-0 timeout after 5s ({note})");
    let verdict = judge_with_platform(sick, Some(&error));
    assert_reason(&verdict, "failed", ReasonKind::Timeout, &text);
    assert_eq!(judge_with_platform(OK, None), OK);
}
