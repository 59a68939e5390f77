//! Which pod goes, and which never does.

use super::*;

fn deleting() -> Desk {
    let mut desk = Desk::new();
    desk.settings.ladder = RecoverySettings::default().ladder;
    desk
}

fn with_pods(pods: Vec<PodState>) -> RecoveryRequest {
    RecoveryRequest { pods, ..request("querynode", START) }
}

fn target(desk: &mut Desk, request: &RecoveryRequest) -> Option<String> {
    match desk.decide(request, START) {
        RecoveryDecision::Act(plan) => plan.pod.map(|pod| pod.name.to_string()),
        _ => None,
    }
}

#[test]
fn the_sick_pod_goes_and_rather_one_that_is_not_ready() {
    let mut not_ready = sick("c", ReasonKind::Timeout);
    not_ready.pod.condition = PodCondition::NotReady;
    let pods = vec![well("a"), sick("b", ReasonKind::Timeout), not_ready];
    assert_eq!(target(&mut deleting(), &with_pods(pods)).as_deref(), Some("c"));
}

#[test]
fn the_last_pod_that_may_serve_stays() {
    let timeout = ReasonKind::Timeout;
    let starting = || pod_in("b", PodCondition::Pending { message: "x".to_owned() });
    // The platform has it ready, and the other one is not: it may serve somebody yet.
    assert_eq!(target(&mut deleting(), &with_pods(vec![sick("a", timeout), starting()])), None);
    // All are sick.
    let all = vec![sick("a", timeout), sick("b", timeout)];
    assert_eq!(target(&mut deleting(), &with_pods(all)), None);
    // The component serves, though nobody knows with which pod.
    let mut not_ready = sick("a", timeout);
    not_ready.pod.condition = PodCondition::NotReady;
    let mut serves = with_pods(vec![not_ready.clone(), pod_in("b", PodCondition::NotReady)]);
    serves.serves = true;
    assert_eq!(target(&mut deleting(), &serves), None);
    // The others are ending.
    let pods = vec![not_ready, ending("b", START.minus(minutes(60)))];
    serves.pods = pods;
    assert_eq!(target(&mut deleting(), &serves), None);
    serves.pods.push(well("c"));
    assert_eq!(target(&mut deleting(), &serves).as_deref(), Some("a"));
}

#[test]
fn one_pod_at_a_time_is_drained_and_one_that_never_ends_is_not_waited_for_for_ever() {
    let mut desk = deleting();
    let mut one = with_pods(vec![well("a"), sick("b", ReasonKind::Timeout)]);
    one.pods.push(ending("c", START.minus(minutes(9))));
    let until = START + minutes(1);
    let reason = WaitReason::OtherPod { pod: "c".into() };
    assert_eq!(desk.decide(&one, START), RecoveryDecision::Wait { until, reason });
    assert!(matches!(desk.decide(&one, until), RecoveryDecision::Act(_)));
}

#[test]
fn each_sick_pod_is_replaced_once_and_what_falls_sick_afterwards_needs_the_next_step() {
    let mut desk = deleting();
    let timeout = ReasonKind::Timeout;
    let mut one = with_pods(vec![sick("a", timeout), sick("b", timeout), well("c")]);
    let first = desk.act(&one, START);
    assert_eq!(first.pod.expect("a pod").name.as_ref(), "a");
    desk.ledger.pod_replaced(&one.component);
    one.pods = vec![well("a2"), sick("b", timeout), well("c")];
    let second = desk.act(&one, START + minutes(5));
    assert_eq!((second.index, second.pod.expect("a pod").name.as_ref()), (0, "b"));
    desk.ledger.pod_replaced(&one.component);
    one.pods = vec![sick("a2", timeout), well("b2"), well("c")];
    let third = desk.act(&one, START + minutes(10));
    assert_eq!((third.index, third.step), (1, ActionStep::RolloutRestart));
}

#[test]
fn a_pod_of_a_stateful_set_that_came_back_under_its_name_has_a_key_of_its_own() {
    let mut desk = deleting();
    desk.settings.ladder = vec![LadderStep::DeletePod; 2];
    let mut one = with_pods(vec![sick("s-0", ReasonKind::Timeout), well("s-1")]);
    let first = desk.act(&one, START);
    desk.ledger.not_recovered(&one.component, START + minutes(1));
    one.pods[0].pod.life.uid = Some("another".into());
    let second = desk.act(&one, START + minutes(10));
    assert_ne!(first.idempotency_key, second.idempotency_key);
    assert!(second.idempotency_key.ends_with("s-0@another"), "{}", second.idempotency_key);
}

#[test]
fn a_hung_pod_is_removed_by_force_once_and_only_where_that_is_allowed() {
    let mut one = with_pods(vec![well("a"), ending("b", START.minus(minutes(30)))]);
    one.serves = true;
    let mut desk = deleting();
    assert_eq!(target(&mut desk, &one), None);
    desk.settings.force_delete_after = Some(minutes(30));
    let plan = desk.act(&one, START);
    assert_eq!(plan.step, ActionStep::ForceDelete);
    desk.ledger.not_recovered(&one.component, START + minutes(1));
    assert!(!matches!(desk.decide(&one, START + minutes(20)), RecoveryDecision::Act(_)));
    let mut younger = deleting();
    younger.settings.force_delete_after = Some(minutes(30) + Duration::from_millis(1));
    assert_eq!(target(&mut younger, &one), None);
    // It may be the only one that serves.
    one.pods.remove(0);
    let mut alone = deleting();
    alone.settings.force_delete_after = Some(minutes(30));
    assert_eq!(target(&mut alone, &one), None);
}

#[test]
fn a_pod_that_hangs_after_its_eviction_may_be_removed_by_force() {
    let mut desk = deleting();
    desk.settings.force_delete_after = Some(minutes(10));
    let mut one = with_pods(vec![sick("a", ReasonKind::Timeout), well("b")]);
    desk.act(&one, START);
    desk.ledger.not_recovered(&one.component, START + minutes(10));
    one.pods[0] = ending("a", START);
    let plan = desk.act(&one, START + minutes(11));
    assert_eq!(plan.step, ActionStep::ForceDelete);
}

#[test]
fn a_removal_by_force_that_the_platform_refuses_is_not_asked_for_again() {
    let mut desk = deleting();
    desk.settings.force_delete_after = Some(minutes(10));
    let mut one = with_pods(vec![well("a"), ending("b", START.minus(minutes(30)))]);
    one.serves = true;
    let RecoveryDecision::Act(plan) = desk.decide(&one, START) else { panic!("no action") };
    desk.begin(&one, &plan, START);
    desk.ledger.not_recovered(&one.component, START);
    assert_eq!(desk.refusal(&one, START + minutes(60)).as_str(), "still_serves");
}

#[test]
fn what_is_remembered_of_removed_pods_is_bounded() {
    let mut desk = deleting();
    desk.settings.cooldown = Duration::ZERO;
    desk.settings.budget.actions = usize::MAX;
    desk.global.budget.actions = usize::MAX;
    desk.global.cluster_budget.actions = usize::MAX;
    for round in 0..100_u64 {
        // Each time it stays well for longer than a recurrence, but not for long enough to forget.
        let now = START + minutes(20 * round);
        let name = format!("q-{round}");
        let mut one = with_pods(vec![sick(&name, ReasonKind::Timeout), well("w")]);
        (one.unhealthy_since, one.incident) = (now, IncidentId::new(&one.component, now));
        desk.act(&one, now);
        desk.ledger.recovered(&one.component, now + minutes(1));
    }
    let stored = desk.ledger.export();
    let size = stored["recovery/a/querynode"].len();
    let removed = stored["recovery/a/querynode"].matches("uid-q-").count();
    assert_eq!(removed, 32, "{size} bytes");
}
