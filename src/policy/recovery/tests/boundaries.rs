//! Each guard exactly at its limit, and that none keeps falconer off for ever.

use super::*;
use crate::model::{Hold, Liveness, LivenessKind, Role};

#[test]
fn one_sick_component_of_one_is_no_common_cause() {
    let mut request = request("standalone", START);
    request.watched_components = 1;
    Desk::new().act(&request, START);
}

#[test]
fn an_action_waits_until_the_rest_of_the_cluster_was_probed_but_not_for_ever() {
    let mut desk = Desk::new();
    let mut request = request("proxy", START);
    request.cluster_seen_at = Some(START.minus(Duration::from_secs(1)));
    let waiting = desk.decide(&request, START);
    let until = START + minutes(1);
    assert_eq!(waiting, RecoveryDecision::Wait { until, reason: WaitReason::Settling });
    desk.act(&request, until);
    let mut fresh = Desk::new();
    request.cluster_seen_at = Some(START);
    fresh.act(&request, START + Duration::from_secs(1));
}

#[test]
fn the_deployment_with_replicas_is_chosen_of_the_operators_two() {
    let mut request = request("querynode", START);
    request.workloads = vec![workload("q-0", 0), workload("q-1", 3)];
    assert_eq!(Desk::new().act(&request, START).workload, reference("q-1"));
}

/// Whether it is restarted at `now`, where nothing but one thing speaks against it.
fn acts(change: impl Fn(&mut RecoveryRequest), now: Timestamp) -> bool {
    let mut one = request("querynode", START);
    change(&mut one);
    matches!(Desk::new().decide(&one, now), RecoveryDecision::Act(_))
}

#[test]
fn a_limit_in_time_ends_at_its_very_instant() {
    let until = START + minutes(5);
    let just_before = until.minus(Duration::from_millis(1));
    let quiet = Quiet { why: "the maintenance window".to_owned(), until };
    let limits: [&dyn Fn(&mut RecoveryRequest); 2] =
        [&|r| r.grace_until = Some(until), &|r| r.quiet = Some(quiet.clone())];
    for limit in limits {
        assert!(!acts(limit, just_before));
        assert!(acts(limit, until));
    }
}

#[test]
fn the_threshold_counts_and_the_half_of_the_cluster_is_not_most_of_it() {
    assert!(!acts(|r| r.failures = 2, START));
    assert!(acts(|r| r.failures = 3, START));
    assert!(!acts(|r| (r.sick_components, r.watched_components) = (3, 5), START));
    assert!(acts(|r| (r.sick_components, r.watched_components) = (2, 4), START));
    assert!(!acts(|r| (r.sick_components, r.watched_components) = (usize::MAX, 5), START));
}

#[test]
fn the_kubelet_is_waited_for_once_but_not_in_a_crash_loop_and_not_for_ever() {
    let liveness = Liveness { kind: LivenessKind::Tcp, deadline: minutes(4) };
    let refusing = move |started: Timestamp| {
        let mut one = sick("q", ReasonKind::Refused);
        one.pod.life.liveness = Some(liveness);
        one.pod.started_at = Some(started);
        one
    };
    let old = |r: &mut RecoveryRequest| r.pods = vec![refusing(START.minus(minutes(60)))];
    assert!(!acts(old, (START + minutes(4)).minus(Duration::from_millis(1))));
    assert!(acts(old, START + minutes(4)));
    // Started again in the meantime, so it has its time again.
    let again = |r: &mut RecoveryRequest| r.pods = vec![refusing(START + minutes(3))];
    assert!(!acts(again, START + minutes(6)));
    assert!(acts(again, START + minutes(7)));
    // Started again and again.
    let now = START + minutes(14);
    let forever = |r: &mut RecoveryRequest| {
        let mut one = refusing(now.minus(minutes(1)));
        one.pod.life.starting_until = Some(now + minutes(2));
        r.pods = vec![one];
    };
    assert!(!acts(forever, now.minus(Duration::from_secs(1))));
    assert!(acts(forever, now));
    let looping = |r: &mut RecoveryRequest| {
        let mut one = newest("q");
        one.sick = Some(Reason::new(ReasonKind::Refused, "connection refused"));
        one.pod.life.liveness = Some(liveness);
        one.pod.life.starting_until = Some(START + minutes(3));
        r.pods = vec![one];
    };
    assert!(acts(looping, START + minutes(1)));
}

#[test]
fn a_port_that_still_accepts_is_all_that_a_tcp_probe_wants() {
    let waits = |kind: LivenessKind, reason: ReasonKind| {
        let liveness = Liveness { kind, deadline: minutes(4) };
        let mut one = sick("q", reason);
        one.pod.life.liveness = Some(liveness);
        !acts(|r| r.pods = vec![one.clone()], START + minutes(1))
    };
    assert!(waits(LivenessKind::Tcp, ReasonKind::Refused));
    assert!(!waits(LivenessKind::Tcp, ReasonKind::Timeout));
    assert!(!waits(LivenessKind::Tcp, ReasonKind::Status));
    assert!(waits(LivenessKind::Http, ReasonKind::Timeout));
    assert!(waits(LivenessKind::Http, ReasonKind::Status));
    assert!(!waits(LivenessKind::Http, ReasonKind::CanaryFailed));
}

fn sick_beside(role: Role) -> SickComponent {
    let component = ComponentId::new("a", role.as_str());
    SickComponent { component, role: Some(role), serves: false }
}

#[test]
fn what_comes_earlier_is_waited_for_only_while_something_may_be_done_about_it() {
    let mut desk = Desk::new();
    let mut proxy = request("proxy", START);
    proxy.role = Some(Role::Proxy);
    proxy.sick_others = vec![sick_beside(Role::QueryNode)];
    let querynode = request("querynode", START);
    let first = querynode.component.clone();
    let order = RefusalReason::RestartOrder { first: first.clone() };
    assert_eq!(desk.refusal(&proxy, START), order);
    // Its recovery is off, its budget spent, or somebody holds it: nothing happens to it.
    let turn_over = START + minutes(15);
    assert_eq!(desk.refusal(&proxy, turn_over.minus(Duration::from_millis(1))), order);
    assert!(matches!(desk.decide(&proxy, turn_over), RecoveryDecision::Act(_)));
    // Something was done about it, which takes its time, but not for ever.
    desk.act(&querynode, START + minutes(10));
    desk.ledger.not_recovered(&first, START + minutes(14));
    assert_eq!(desk.refusal(&proxy, turn_over), order);
    desk.ledger.escalated(&first, &querynode.incident, START + minutes(16));
    assert!(matches!(desk.decide(&proxy, START + minutes(16)), RecoveryDecision::Act(_)));
}

#[test]
fn a_sick_coordinator_is_the_cause_for_its_nodes_but_not_for_itself() {
    let mut node = request("querynode", START);
    node.role = Some(Role::QueryNode);
    node.sick_others = vec![sick_beside(Role::MixCoord)];
    let reason = Desk::new().refusal(&node, START + minutes(600));
    let dependencies = vec![ComponentId::new("a", "mixcoord")];
    assert_eq!(reason, RefusalReason::DependencySick { dependencies });
    let mut coordinator = request("mixcoord", START);
    coordinator.role = Some(Role::MixCoord);
    coordinator.sick_others = vec![sick_beside(Role::QueryNode)];
    coordinator.sick_dependencies = vec![coordinator.component.clone()];
    Desk::new().act(&coordinator, START);
}

#[test]
fn whoever_keeps_falconer_off_for_long_is_named_anew_and_still_obeyed() {
    let held = |r: &mut RecoveryRequest| r.workloads[0].holds = vec![Hold::ManualMode];
    let paused = |r: &mut RecoveryRequest| r.workloads[0].paused = true;
    let rolling = |r: &mut RecoveryRequest| r.workloads[0].rolling_out = true;
    type Change = fn(&mut RecoveryRequest);
    let changes: [(Change, [&str; 2]); 3] = [
        (held, ["held", "held_for_long"]),
        (paused, ["paused", "paused_for_long"]),
        (rolling, ["rollout_in_progress", "rollout_for_long"]),
    ];
    for (change, [soon, late]) in changes {
        let mut desk = Desk::new();
        let mut one = request("querynode", START);
        change(&mut one);
        assert_eq!(desk.refusal(&one, START + minutes(10)).as_str(), soon);
        let reason = desk.refusal(&one, START + minutes(11));
        assert_eq!(reason.as_str(), late);
        assert!(reason.to_string().contains("sick for more than 10m"), "{reason}");
        assert_eq!(desk.refusal(&one, START + minutes(100_000)), reason);
    }
}

#[test]
fn what_serves_is_neither_restarted_nor_left_to_a_person() {
    let mut desk = Desk::new();
    let mut one = request("querynode", START);
    desk.act(&one, START);
    desk.ledger.not_recovered(&one.component, START + minutes(10));
    one.serves = true;
    for (rolling_out, holds) in
        [(false, vec![]), (true, vec![]), (false, vec![Hold::Rolling { id: "x".to_owned() }])]
    {
        (one.workloads[0].rolling_out, one.workloads[0].holds) = (rolling_out, holds);
        for minute in [20, 60, 600] {
            let decision = desk.decide(&one, START + minutes(minute));
            assert!(matches!(decision, RecoveryDecision::Refuse { .. }), "{decision:?}");
        }
    }
}

#[test]
fn absurd_numbers_and_a_clock_that_goes_back_do_no_harm() {
    let mut desk = Desk::new();
    let huge = Budget { actions: usize::MAX, per: Duration::MAX };
    (desk.settings.budget, desk.global.budget, desk.global.cluster_budget) = (huge, huge, huge);
    desk.settings.verify_timeout = Duration::MAX;
    desk.settings.settle = Duration::MAX;
    let one = request("querynode", START);
    desk.act(&one, START);
    desk.ledger.not_recovered(&one.component, Timestamp::from_millis(u64::MAX));
    let earlier = START.minus(minutes(600));
    for now in [earlier, START, Timestamp::default(), Timestamp::from_millis(u64::MAX)] {
        let assessment = assess(&one, &desk.ledger, &desk.settings, &desk.global, now);
        assert!(!format!("{:?}", assessment.decision).is_empty());
        for verdict in assessment.verdicts {
            assert!(!verdict.finding.to_string().is_empty());
        }
    }
    let nothing = Budget { actions: 0, per: minutes(60) };
    desk.settings.budget = nothing;
    let refused = desk.refusal(&request("datanode", START), START);
    let free_in = minutes(60);
    assert_eq!(refused, RefusalReason::ComponentBudgetSpent { budget: nothing, free_in });
}

#[test]
fn an_incident_does_not_forget_its_ladder_when_the_clock_goes_back() {
    let mut desk = Desk::new();
    let one = request("querynode", START);
    desk.act(&one, START);
    desk.ledger.not_recovered(&one.component, START + minutes(10));
    let back = START.minus(minutes(60));
    for now in [back, back + minutes(1), START + minutes(20)] {
        let decision = desk.decide(&one, now);
        assert!(!matches!(decision, RecoveryDecision::Act(_)), "{decision:?}");
    }
}

#[test]
fn a_verification_ends_in_its_time_although_the_clock_went_back_before_it_was_resumed() {
    let mut desk = Desk::new();
    let one = request("querynode", START);
    desk.act(&one, START);
    let now = START.minus(minutes(1_000_000));
    desk.ledger.resume(now);
    let action = desk.ledger.in_flight(&one.component).expect("an action").clone();
    assert_eq!(verify(&action, &desk.settings, now + minutes(9)), Verification::Pending);
    let ended = verify(&action, &desk.settings, now + minutes(10));
    assert!(matches!(ended, Verification::NotRecovered { .. }), "{ended:?}");
}
