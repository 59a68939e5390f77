//! The guards one by one, and what holds whatever happens.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{
    ComponentId, IncidentId, Owner, Reason, ReasonKind, Workload, WorkloadKind, WorkloadRef,
};

const START: Timestamp = Timestamp::from_millis(1_000_000_000_000);

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

fn reference(name: &str) -> WorkloadRef {
    WorkloadRef { kind: WorkloadKind::Deployment, namespace: "n".into(), name: name.into() }
}

fn workload(name: &str, replicas: u32) -> Workload {
    Workload {
        reference: reference(name),
        desired_replicas: replicas,
        ready_replicas: 0,
        paused: false,
        rolling_out: false,
        owner: Owner::None,
        autoscaler: None,
        holds: Vec::new(),
        revision: None,
    }
}

fn request(component: &str, since: Timestamp) -> RecoveryRequest {
    let component = ComponentId::new("a", component);
    RecoveryRequest {
        incident: IncidentId::new(&component, since),
        workloads: vec![workload(&format!("milvus-{}", component.component), 2)],
        component,
        role: None,
        pods: Vec::new(),
        serves: false,
        unhealthy_since: since,
        failures: 3,
        failure_threshold: 3,
        grace_until: None,
        sick_others: Vec::new(),
        milvus_version: None,
        not_leader: None,
        quiet: None,
        sick_components: 1,
        watched_components: 4,
        sick_dependencies: Vec::new(),
        cluster_seen_at: None,
        platform_error: None,
        being_scaled: Vec::new(),
    }
}

/// The policy with its ledger, as the actor uses it.
struct Desk {
    ledger: RecoveryLedger,
    settings: RecoverySettings,
    global: GlobalSettings,
}

impl Desk {
    fn new() -> Self {
        Self {
            ledger: RecoveryLedger::default(),
            settings: RecoverySettings {
                ladder: vec![LadderStep::RolloutRestart, LadderStep::Escalate],
                ..RecoverySettings::default()
            },
            global: GlobalSettings::default(),
        }
    }

    fn decide(&mut self, request: &RecoveryRequest, now: Timestamp) -> RecoveryDecision {
        let memory = self.settings.ladder_memory;
        self.ledger.saw_sick(request, memory, now);
        decide(request, &self.ledger, &self.settings, &self.global, now)
    }

    fn begin(&mut self, request: &RecoveryRequest, plan: &PlannedAction, now: Timestamp) {
        let limits = Limits { settings: &self.settings, global: &self.global };
        self.ledger.begin(&request.component, &request.incident, plan, limits, &[], now);
    }

    /// Decides, expects an action and lets the platform accept it.
    fn act(&mut self, request: &RecoveryRequest, now: Timestamp) -> PlannedAction {
        match self.decide(request, now) {
            RecoveryDecision::Act(plan) => {
                self.begin(request, &plan, now);
                self.ledger.accepted(&request.component, now);
                plan
            }
            other => panic!("expected an action, not {other:?}"),
        }
    }

    fn refusal(&mut self, request: &RecoveryRequest, now: Timestamp) -> RefusalReason {
        match self.decide(request, now) {
            RecoveryDecision::Refuse { reason } => reason,
            other => panic!("expected a refusal, not {other:?}"),
        }
    }
}

#[test]
fn a_sick_component_is_restarted_once_and_the_key_names_incident_and_step() {
    let mut desk = Desk::new();
    let request = request("proxy", START);
    let plan = desk.act(&request, START);
    assert_eq!(plan.step, ActionStep::RolloutRestart);
    assert_eq!(plan.idempotency_key, format!("{}/0-rollout_restart", request.incident));
    assert_eq!(desk.decide(&request, START + minutes(1)), RecoveryDecision::InFlight);
}

#[test]
fn every_guard_refuses_and_says_why() {
    type Spoil = fn(&mut RecoveryRequest);
    let cases: [(&str, Spoil); 10] = [
        ("no_workload", |r| r.workloads.clear()),
        ("platform_unavailable", |r| {
            r.platform_error = Some(Reason::new(ReasonKind::PlatformUnavailable, "gone"));
        }),
        ("dependency_sick", |r| r.sick_dependencies = vec![ComponentId::new("a", "etcd")]),
        ("common_cause", |r| r.sick_components = 3),
        ("scaled_to_zero", |r| r.workloads = vec![workload("w", 0)]),
        ("several_workloads", |r| r.workloads = vec![workload("w-0", 1), workload("w-1", 2)]),
        ("paused", |r| r.workloads[0].paused = true),
        ("unknown_owner", |r| {
            r.workloads[0].owner =
                Owner::Unknown { kind: "Robot".to_owned(), name: "marvin".to_owned() };
        }),
        ("rollout_in_progress", |r| r.workloads[0].rolling_out = true),
        ("being_scaled", |r| r.being_scaled = vec![r.workloads[0].reference.clone()]),
    ];
    for (kind, spoil) in cases {
        let mut request = request("proxy", START);
        spoil(&mut request);
        let reason = Desk::new().refusal(&request, START + minutes(60));
        assert_eq!(reason.as_str(), kind);
        assert!(!reason.to_string().is_empty());
    }
    let mut desk = Desk::new();
    desk.settings.enabled = false;
    assert_eq!(desk.refusal(&request("proxy", START), START), RefusalReason::Disabled);
}

#[test]
fn a_refusal_names_the_sick_dependency_and_the_unknown_owner() {
    let mut etcd = request("proxy", START);
    etcd.sick_dependencies = vec![ComponentId::new("a", "etcd")];
    let text = Desk::new().refusal(&etcd, START).to_string();
    assert_eq!(text, "not restarted: it depends on a/etcd, which is sick: mend that first");
    let mut owned = request("proxy", START);
    owned.workloads[0].owner = Owner::Unknown { kind: "Robot".into(), name: "marvin".into() };
    assert!(Desk::new().refusal(&owned, START).to_string().contains("Robot/marvin"));
}

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

#[test]
fn a_step_that_did_not_help_is_followed_by_the_next_and_escalation_is_said_once() {
    let mut desk = Desk::new();
    let request = request("proxy", START);
    desk.act(&request, START);
    let later = START + minutes(10);
    desk.ledger.not_recovered(&request.component, later);
    let reason = EscalationReason::LadderEnds { steps_taken: 1, skipped: Vec::new() };
    assert_eq!(desk.decide(&request, later), RecoveryDecision::Escalate { reason });
    desk.ledger.escalated(&request.component, &request.incident, later);
    let refusal = desk.refusal(&request, later + minutes(300));
    assert_eq!(refusal, RefusalReason::LeftToPerson { since: later });
}

#[test]
fn a_rollout_that_our_restart_began_and_that_never_ended_reaches_a_person() {
    let mut desk = Desk::new();
    desk.settings.ladder = vec![LadderStep::RolloutRestart, LadderStep::RolloutRestart];
    let mut request = request("proxy", START);
    desk.act(&request, START);
    desk.ledger.not_recovered(&request.component, START + minutes(10));
    request.workloads[0].rolling_out = true;
    let workload = request.workloads[0].reference.clone();
    let reason = EscalationReason::RolloutStuck { workload };
    assert_eq!(desk.decide(&request, START + minutes(20)), RecoveryDecision::Escalate { reason });
}

#[test]
fn what_came_back_soon_after_its_recovery_was_not_helped() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    desk.act(&first, START);
    desk.ledger.recovered(&first.component, START + minutes(1));
    let back = request("proxy", START + minutes(9));
    let reason = EscalationReason::LadderEnds { steps_taken: 1, skipped: Vec::new() };
    assert_eq!(desk.decide(&back, START + minutes(9)), RecoveryDecision::Escalate { reason });
}

#[test]
fn what_stayed_well_for_longer_is_restarted_again() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    desk.act(&first, START);
    desk.ledger.recovered(&first.component, START + minutes(1));
    let back = request("proxy", START + minutes(12));
    assert_eq!(desk.act(&back, START + minutes(12)).index, 0);
}

#[test]
fn a_failed_ladder_is_remembered_across_incidents_until_it_was_well_for_long() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    desk.act(&first, START);
    desk.ledger.not_recovered(&first.component, START + minutes(10));
    let soon = request("proxy", START + minutes(20));
    let escalated = desk.decide(&soon, START + minutes(20));
    assert!(matches!(escalated, RecoveryDecision::Escalate { .. }), "{escalated:?}");
    let much_later = request("proxy", START + minutes(51));
    assert_eq!(desk.act(&much_later, START + minutes(51)).index, 0);
}

#[test]
fn a_long_incident_does_not_begin_its_ladder_anew() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    desk.act(&first, START);
    desk.ledger.not_recovered(&first.component, START + minutes(10));
    for minute in (11..300).step_by(5) {
        let decision = desk.decide(&first, START + minutes(minute));
        assert!(matches!(decision, RecoveryDecision::Escalate { .. }), "{decision:?}");
    }
    // The same trouble under another incident, as after a respawn of the supervisor.
    let renamed = request("proxy", START + minutes(300));
    let decision = desk.decide(&renamed, START + minutes(300));
    assert!(matches!(decision, RecoveryDecision::Escalate { .. }), "{decision:?}");
}

#[test]
fn cooldown_and_both_budgets_refuse_with_their_numbers() {
    let mut desk = Desk::new();
    desk.settings.verify_timeout = minutes(1);
    desk.settings.cooldown = minutes(5);
    desk.settings.ladder = vec![LadderStep::RolloutRestart; 9];
    let request = request("proxy", START);
    for round in 0..3 {
        let now = START + minutes(6 * round);
        desk.act(&request, now);
        let left = desk.ledger.cooldown_left(&request.component, "", desk.settings.cooldown, now);
        assert_eq!(left, Some(minutes(5)));
        desk.ledger.not_recovered(&request.component, now + minutes(1));
        let refused = desk.refusal(&request, now + minutes(2));
        assert_eq!(refused, RefusalReason::Cooldown { left: minutes(3) });
    }
    let refused = desk.refusal(&request, START + minutes(18));
    let budget = desk.settings.budget;
    assert_eq!(refused, RefusalReason::ComponentBudgetSpent { budget, free_in: minutes(42) });
    desk.act(&request, START + minutes(60));
    desk.global.budget.actions = 1;
    let other = super::tests::request("datanode", START + minutes(60));
    desk.ledger.not_recovered(&request.component, START + minutes(61));
    let refused = desk.refusal(&other, START + minutes(62));
    assert!(matches!(refused, RefusalReason::GlobalBudgetSpent { .. }), "{refused:?}");
}

#[test]
fn two_sick_components_of_one_cluster_are_restarted_one_after_the_other() {
    let mut desk = Desk::new();
    let (first, mut second) = (request("proxy", START), request("datanode", START));
    desk.act(&first, START);
    let components = vec![first.component.clone()];
    let refused = desk.refusal(&second, START);
    assert_eq!(refused, RefusalReason::AnotherInFlight { components, max_concurrent: 1 });
    second.component = ComponentId::new("another-cluster", "datanode");
    desk.act(&second, START);
}

#[test]
fn a_try_after_a_platform_error_is_the_same_request_and_waits_longer_each_time() {
    let mut desk = Desk::new();
    desk.settings.budget.actions = 1;
    desk.global.budget.actions = 1;
    let request = request("proxy", START);
    let RecoveryDecision::Act(plan) = desk.decide(&request, START) else { panic!("no action") };
    let mut now = START;
    for expected in [30, 60, 120, 240, 300, 300] {
        desk.begin(&request, &plan, now);
        let delay = desk.ledger.postponed(&request.component, &desk.settings.clone(), now);
        assert_eq!(delay, Duration::from_secs(expected));
        let waits = desk.decide(&request, now + Duration::from_secs(expected - 1));
        assert!(matches!(waits, RecoveryDecision::Wait { .. }), "{waits:?}");
        now = now + delay;
        assert_eq!(desk.decide(&request, now), RecoveryDecision::Act(plan.clone()));
    }
    assert_eq!(desk.ledger.component_actions(&request.component, minutes(60), now), 1);
}

#[test]
fn a_request_without_an_answer_may_have_arrived_so_its_cooldown_holds_for_the_next_incident() {
    let mut desk = Desk::new();
    let first = request("proxy", START);
    let RecoveryDecision::Act(plan) = desk.decide(&first, START) else { panic!("no action") };
    desk.begin(&first, &plan, START);
    desk.ledger.postponed(&first.component, &desk.settings.clone(), START + minutes(1));
    let next = request("proxy", START + minutes(2));
    let left = minutes(3);
    assert_eq!(desk.refusal(&next, START + minutes(2)), RefusalReason::Cooldown { left });
}

#[test]
fn verification_needs_the_rollout_and_the_health_and_ends_at_its_deadline() {
    let mut desk = Desk::new();
    let request = request("proxy", START);
    let key = desk.act(&request, START).idempotency_key;
    let component = &request.component;
    let settings = desk.settings.clone();
    let judge = |ledger: &RecoveryLedger, now| {
        verify(ledger.in_flight(component).expect("in flight"), &settings, now)
    };
    desk.ledger.saw_healthy(component, START.minus(minutes(1)));
    desk.ledger.saw_rollout(component, &key, RolloutProgress::Complete);
    assert_eq!(judge(&desk.ledger, START + minutes(1)), Verification::Pending);
    let reason = verification::VerificationFailure::NotHealthy { timeout: minutes(10) };
    let late = judge(&desk.ledger, START + minutes(10));
    assert_eq!(late, Verification::NotRecovered { reason });
    desk.ledger.saw_healthy(component, START + minutes(2));
    let took = minutes(3);
    assert_eq!(judge(&desk.ledger, START + took), Verification::Recovered { took });
    let back = super::tests::request("proxy", START + minutes(2));
    desk.decide(&back, START + minutes(2));
    assert_eq!(judge(&desk.ledger, START + minutes(3)), Verification::Pending);
}

#[derive(Debug, Clone)]
enum Step {
    Sick { component: usize, new_incident: bool },
    Healthy { component: usize },
    RolledOut { component: usize },
    Pass { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_usize, any::<bool>())
            .prop_map(|(component, new_incident)| Step::Sick { component, new_incident }),
        1 => (0..4_usize).prop_map(|component| Step::Healthy { component }),
        1 => (0..4_usize).prop_map(|component| Step::RolledOut { component }),
        3 => (1..900_u64).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// Plays a history in which the platform answers as `answers` says (0 error, 1 refusal, 2 dry-run,
/// else accepted) and gives the instants of what was done, by component.
fn play(steps: &[Step], answers: &[u8], desk: &mut Desk) -> Vec<(usize, Timestamp)> {
    let names = ["proxy", "querynode", "datanode", "mixcoord"];
    let mut now = START;
    let mut since = [START; 4];
    let mut done = Vec::new();
    let mut answers = answers.iter().copied().cycle();
    for step in steps {
        for id in names.map(|name| ComponentId::new("a", name)) {
            let Some(action) = desk.ledger.in_flight(&id) else { continue };
            match verify(action, &desk.settings, now) {
                Verification::Pending => {}
                Verification::PodReplaced { .. } => drop(desk.ledger.pod_replaced(&id)),
                Verification::Recovered { .. } => drop(desk.ledger.recovered(&id, now)),
                Verification::NotRecovered { .. } => drop(desk.ledger.not_recovered(&id, now)),
            }
        }
        match step {
            Step::Pass { seconds } => now = now + Duration::from_secs(*seconds),
            Step::Healthy { component } => {
                desk.ledger.saw_healthy(&ComponentId::new("a", names[*component]), now);
            }
            Step::RolledOut { component } => {
                let id = ComponentId::new("a", names[*component]);
                if let Some(key) = desk.ledger.in_flight(&id).map(|a| a.idempotency_key.clone()) {
                    desk.ledger.saw_rollout(&id, &key, RolloutProgress::Complete);
                }
            }
            Step::Sick { component, new_incident } => {
                if *new_incident {
                    since[*component] = now;
                }
                let request = request(names[*component], since[*component]);
                match desk.decide(&request, now) {
                    RecoveryDecision::Act(plan) => {
                        desk.begin(&request, &plan, now);
                        let id = &request.component;
                        match answers.next() {
                            Some(0) => drop(desk.ledger.postponed(id, &desk.settings.clone(), now)),
                            Some(1) => drop(desk.ledger.not_recovered(id, now)),
                            Some(2) => drop(desk.ledger.shown(id, now)),
                            Some(_) | None => {
                                desk.ledger.accepted(id, now);
                                done.push((*component, now));
                            }
                        }
                    }
                    RecoveryDecision::Escalate { .. } => {
                        desk.ledger.escalated(&request.component, &request.incident, now);
                    }
                    RecoveryDecision::Refuse { .. }
                    | RecoveryDecision::Wait { .. }
                    | RecoveryDecision::InFlight => {}
                }
            }
        }
        assert!(desk.ledger.in_flight_in("a").len() <= desk.global.max_concurrent);
    }
    done
}

fn holds(times: &[Timestamp], budget: Budget) -> bool {
    times.iter().all(|start| {
        let inside = times.iter().filter(|at| *at >= start && at.since(*start) < budget.per);
        inside.count() <= budget.actions
    })
}

proptest! {
    #[test]
    fn budgets_cooldown_and_one_at_a_time_hold_in_any_history(
        steps in prop::collection::vec(step(), 1..250),
        answers in prop::collection::vec(0..8_u8, 1..20),
        rungs in 1..6_usize,
        max_concurrent in 1..3_usize,
    ) {
        let mut desk = Desk::new();
        desk.settings.ladder = vec![LadderStep::RolloutRestart; rungs];
        desk.global = GlobalSettings {
            budget: Budget { actions: 5, per: minutes(60) },
            max_concurrent,
            ..GlobalSettings::default()
        };
        let done = play(&steps, &answers, &mut desk);
        let all: Vec<Timestamp> = done.iter().map(|(_, at)| *at).collect();
        prop_assert!(holds(&all, desk.global.budget));
        for component in 0..4 {
            let own: Vec<Timestamp> =
                done.iter().filter(|(who, _)| *who == component).map(|(_, at)| *at).collect();
            prop_assert!(holds(&own, desk.settings.budget));
            let apart = own.windows(2).all(|pair| pair[1].since(pair[0]) >= desk.settings.cooldown);
            prop_assert!(apart);
        }
    }

    #[test]
    fn a_sick_dependency_never_leads_to_an_action(
        steps in prop::collection::vec((0..4_usize, 1..900_u64), 1..100),
    ) {
        let mut desk = Desk::new();
        let names: [Arc<str>; 4] =
            ["proxy".into(), "querynode".into(), "datanode".into(), "mixcoord".into()];
        let mut now = START;
        for (component, seconds) in steps {
            now = now + Duration::from_secs(seconds);
            let mut request = request(&names[component], START);
            request.sick_dependencies = vec![ComponentId::new("a", "etcd")];
            let decision = desk.decide(&request, now);
            let refused = matches!(decision, RecoveryDecision::Refuse { .. });
            prop_assert!(refused, "{:?}", decision);
        }
    }
}
