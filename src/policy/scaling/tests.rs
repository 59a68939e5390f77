//! The guards one by one, the step rule, and what holds whatever the load does.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{Autoscaler, GitOps, GitOpsTool, Percent, PodCondition, PodLife, Resources};

const START: Timestamp = Timestamp::from_millis(1_000_000_000_000);
const GIB: u64 = 1 << 30;
const INTERVAL: Duration = Duration::from_secs(15);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn reference() -> WorkloadRef {
    WorkloadRef {
        kind: WorkloadKind::Deployment,
        namespace: "n".into(),
        name: "milvus-proxy".into(),
    }
}

fn pod(index: u32) -> Pod {
    Pod {
        name: format!("p-{index}").into(),
        ip: None,
        condition: PodCondition::Ready,
        requests: Resources { cpu_milli: Some(1_000), memory_bytes: Some(GIB) },
        limits: Resources { cpu_milli: Some(2_000), memory_bytes: Some(GIB) },
        started_at: None,
        workload: Some(reference()),
        life: PodLife::default(),
    }
}

fn usage(index: u32, cpu: Percent, memory: Percent) -> PodUsage {
    PodUsage {
        pod: format!("p-{index}"),
        cpu_milli: Some(u64::from(cpu) * 10),
        memory_bytes: Some(u64::from(memory) * GIB / 100),
        cpu_percent_of_request: Some(cpu),
        memory_percent_of_request: Some(memory),
        cpu_percent_of_limit: None,
        memory_percent_of_limit: None,
        sampled_at: None,
        window: std::time::Duration::ZERO,
    }
}

/// A healthy proxy with `replicas` pods that all have this load.
fn load(replicas: u32, cpu: Percent, memory: Percent) -> ScalingRequest {
    ScalingRequest {
        component: ComponentId::new("a", "proxy"),
        role: Role::Proxy,
        workloads: vec![Workload {
            reference: reference(),
            desired_replicas: replicas,
            ready_replicas: replicas,
            paused: false,
            rolling_out: false,
            owner: Owner::None,
            autoscaler: None,
            gitops: None,
            holds: Vec::new(),
            revision: None,
        }],
        pods: (0..replicas).map(pod).collect(),
        usage: (0..replicas).map(|index| usage(index, cpu, memory)).collect(),
        figures: Vec::new(),
        health: HealthState::Healthy,
        being_restarted: Vec::new(),
        sick_below: Vec::new(),
        quiet: None,
    }
}

/// The policy with its ledger, as the actor uses it.
struct Desk {
    ledger: ScalingLedger,
    settings: ScalingSettings,
}

impl Desk {
    fn new() -> Self {
        Self { ledger: ScalingLedger::default(), settings: ScalingSettings::default() }
    }

    /// A desk that takes away without waiting.
    fn hasty() -> Self {
        let mut desk = Self::new();
        desk.settings.scale_down.stabilization = Duration::ZERO;
        desk
    }

    fn judge(&mut self, request: &ScalingRequest, now: Timestamp) -> ScalingDecision {
        let (component, settings) = (&request.component, &self.settings);
        let current = request.workloads.first().map_or(0, |w| w.desired_replicas);
        self.ledger.observe(component, current, settings, INTERVAL, now);
        let judged = judge(request, &self.ledger, Some(settings), now);
        if let Some(replicas) = judged.recommended {
            self.ledger.recommend(component, replicas, now);
        }
        judged.decision
    }

    fn change(&mut self, request: &ScalingRequest, now: Timestamp) -> (u32, u32) {
        match self.judge(request, now) {
            ScalingDecision::Scale(plan) => {
                self.ledger.begin(&request.component, &plan, now);
                self.ledger.accepted(&request.component, now);
                self.ledger.ended(&request.component, now);
                (plan.from, plan.to)
            }
            other => panic!("expected a change, not {other:?}"),
        }
    }

    fn kept(&mut self, request: &ScalingRequest, now: Timestamp) -> KeepReason {
        match self.judge(request, now) {
            ScalingDecision::Keep { reason } => reason,
            other => panic!("expected no change, not {other:?}"),
        }
    }
}

#[test]
fn above_either_threshold_one_is_added_and_below_half_of_both_one_is_removed() {
    assert_eq!(Desk::new().change(&load(3, 71, 0), START), (3, 4));
    assert_eq!(Desk::new().change(&load(3, 0, 81), START), (3, 4));
    assert_eq!(Desk::hasty().change(&load(3, 34, 39), START), (3, 2));
    for (cpu, memory) in [(70, 80), (35, 39), (34, 40), (50, 50)] {
        let reason = Desk::hasty().kept(&load(3, cpu, memory), START);
        assert_eq!(reason.as_str(), "within_band", "{cpu} {memory}");
    }
}

#[test]
fn the_bounds_hold_and_are_named() {
    assert_eq!(Desk::new().kept(&load(10, 95, 0), START).as_str(), "at_maximum");
    assert_eq!(Desk::hasty().kept(&load(2, 1, 1), START).as_str(), "at_minimum");
    assert_eq!(Desk::new().change(&load(1, 50, 50), START), (1, 2));
}

#[test]
fn more_replicas_than_the_maximum_are_not_cut_while_they_are_busy() {
    assert_eq!(Desk::hasty().kept(&load(15, 95, 50), START).as_str(), "at_maximum");
    assert_eq!(Desk::hasty().kept(&load(15, 50, 50), START).as_str(), "within_band");
    assert_eq!(Desk::hasty().change(&load(15, 5, 5), START), (15, 14));
}

#[test]
fn every_guard_holds_and_says_why() {
    type Spoil = fn(&mut ScalingRequest);
    let cases: [(&str, Spoil); 13] = [
        ("role_never_scales", |r| r.role = Role::MixCoord),
        ("role_never_scales", |r| r.role = Role::Standalone),
        ("role_never_scales", |r| r.role = Role::Cdc),
        ("no_workload", |r| r.workloads.clear()),
        ("scaled_to_zero", |r| r.workloads[0].desired_replicas = 0),
        ("several_workloads", |r| r.workloads.push(r.workloads[0].clone())),
        ("kind_never_scales", |r| r.workloads[0].reference.kind = WorkloadKind::Process),
        ("kind_never_scales", |r| r.workloads[0].reference.kind = WorkloadKind::DaemonSet),
        ("unknown_owner", |r| {
            r.workloads[0].owner =
                Owner::Unknown { kind: "Robot".to_owned(), name: "marvin".to_owned() };
        }),
        ("paused", |r| r.workloads[0].paused = true),
        ("rolling_out", |r| r.workloads[0].rolling_out = true),
        ("being_restarted", |r| r.being_restarted = vec![reference()]),
        ("quiet", |r| {
            let (why, until) = ("the window".to_owned(), START + seconds(60));
            r.quiet = Some(Quiet { why, until });
        }),
    ];
    for (kind, spoil) in cases {
        let mut request = load(3, 95, 95);
        spoil(&mut request);
        match Desk::new().judge(&request, START) {
            ScalingDecision::Hold { reason } => {
                assert_eq!(reason.as_str(), kind);
                assert!(!reason.to_string().is_empty());
            }
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[test]
fn what_something_else_scales_is_observed_and_said_what_would_be_done() {
    let (kind, name) = ("HorizontalPodAutoscaler".to_owned(), "proxy".to_owned());
    let observed = |desk: &mut Desk, cpu: u32, autoscaler: &Autoscaler, now: Timestamp| {
        let mut request = load(3, cpu, 0);
        request.workloads[0].autoscaler = Some(autoscaler.clone());
        match desk.judge(&request, now) {
            ScalingDecision::Observe(observed) => observed,
            other => panic!("expected to look on, not {other:?}"),
        }
    };
    let hpa = Autoscaler { kind, name };
    let (mut desk, now) = (Desk::hasty(), START);
    for (cpu, expected, change, words) in [
        (
            95,
            "would_scale_up",
            Some((3, 4)),
            "falconer would scale it from 3 to 4 replicas: CPU 95%",
        ),
        (50, "scaled_by_other", None, "falconer by itself: no change: CPU 50%"),
        (
            5,
            "would_scale_down",
            Some((3, 2)),
            "falconer would scale it from 3 to 2 replicas: CPU 5%",
        ),
    ] {
        let seen = observed(&mut desk, cpu, &hpa, now);
        assert_eq!(seen.as_str(), expected);
        assert_eq!(seen.change().map(|plan| (plan.from, plan.to)), change);
        let start = "not scaled: HorizontalPodAutoscaler proxy scales deployment/";
        assert!(seen.to_string().starts_with(start), "{seen}");
        assert!(seen.to_string().contains(words), "{seen}");
    }
    let unknown = observed(&mut desk, 95, &Autoscaler::unknown("403"), now).to_string();
    assert!(unknown.contains("cannot be told: 403; falconer would"), "{unknown}");
    let left = observed(&mut desk, 95, &Autoscaler::handed_over("it is -1"), now).to_string();
    assert!(left.contains("left to an autoscaler: it is -1; falconer would"), "{left}");
}

#[test]
fn what_the_operator_owns_is_scaled_and_what_gitops_looks_after_too_with_a_warning() {
    let mut request = load(3, 95, 0);
    request.workloads[0].owner = Owner::MilvusOperator { name: "mine".to_owned() };
    assert_eq!(Desk::new().change(&request, START), (3, 4));
    assert_eq!(gitops_warning(&request.workloads[0]), None);
    let gitops = |sets_replicas| GitOps {
        tool: GitOpsTool::ArgoCd,
        evidence: "label l".to_owned(),
        sets_replicas,
    };
    for (sets_replicas, words) in [(true, "will set back"), (false, "lasts only while")] {
        request.workloads[0].gitops = Some(gitops(sets_replicas));
        assert_eq!(Desk::new().change(&request, START), (3, 4));
        let warning = gitops_warning(&request.workloads[0]).expect("a warning");
        assert!(warning.contains("Argo CD (label l)") && warning.contains(words), "{warning}");
    }
}

#[test]
fn an_incident_or_unready_replicas_hold_the_number_where_it_is() {
    for state in [HealthState::Unknown, HealthState::Degraded, HealthState::Unhealthy] {
        let mut request = load(3, 95, 95);
        request.health = state;
        let reason = HoldReason::NotHealthy { state };
        assert_eq!(Desk::new().judge(&request, START), ScalingDecision::Hold { reason });
    }
    let mut request = load(3, 95, 95);
    request.workloads[0].ready_replicas = 2;
    let reason = HoldReason::NotAllReady { ready: 2, desired: 3 };
    assert_eq!(Desk::new().judge(&request, START), ScalingDecision::Hold { reason });
}

#[test]
fn what_is_not_listed_is_only_observed() {
    let request = load(3, 95, 95);
    let unlisted = judge(&request, &ScalingLedger::default(), None, START).decision;
    assert_eq!(unlisted, ScalingDecision::Hold { reason: HoldReason::NotListed });
    let mut desk = Desk::new();
    desk.settings.enabled = false;
    let reason = HoldReason::Disabled;
    assert_eq!(desk.judge(&request, START), ScalingDecision::Hold { reason });
}

#[test]
fn a_pod_without_a_sample_is_not_idle() {
    let mut request = load(3, 1, 1);
    request.usage.pop();
    let reason = KeepReason::MissingSamples { missing: 1, ready_pods: 3 };
    assert_eq!(Desk::hasty().kept(&request, START), reason);
    request.usage = vec![usage(0, 95, 1)];
    assert_eq!(Desk::new().change(&request, START), (3, 4), "the known ones are busy");
    request.usage.clear();
    assert_eq!(Desk::hasty().kept(&request, START), KeepReason::NoMetrics { ready_pods: 3 });
}

#[test]
fn an_old_sample_is_no_sample() {
    let mut request = load(3, 1, 1);
    for usage in &mut request.usage {
        usage.sampled_at = Some(START.minus(seconds(301)));
    }
    assert_eq!(Desk::hasty().kept(&request, START).as_str(), "no_metrics");
}

#[test]
fn a_pod_without_a_request_is_named() {
    let mut request = load(3, 1, 1);
    request.usage[1].cpu_percent_of_request = None;
    let reason = KeepReason::MissingRequest { pod: "p-1".to_owned(), resource: "CPU" };
    assert_eq!(Desk::hasty().kept(&request, START), reason);
}

#[test]
fn pods_that_are_not_ready_or_belong_to_something_else_do_not_count() {
    let mut request = load(2, 75, 10);
    let mut starting = pod(7);
    starting.condition = PodCondition::NotReady;
    let mut foreign = pod(8);
    foreign.workload = Some(WorkloadRef { name: "other".into(), ..reference() });
    request.pods.extend([starting, foreign]);
    request.usage.extend([usage(7, 0, 0), usage(8, 0, 0)]);
    assert_eq!(Desk::new().change(&request, START), (2, 3));
}

#[test]
fn a_query_node_is_not_removed_if_its_data_would_not_fit_elsewhere() {
    let mut request = load(3, 1, 39);
    request.role = Role::QueryNode;
    for pod in &mut request.pods {
        pod.limits.memory_bytes = Some(GIB / 2);
    }
    let expected = KeepReason::MemoryWouldNotFit { predicted: 116, allowed: 80 };
    assert_eq!(Desk::hasty().kept(&request, START), expected);
    for pod in &mut request.pods {
        pod.limits.memory_bytes = Some(4 * GIB);
    }
    assert_eq!(Desk::hasty().change(&request, START), (3, 2));
}

#[test]
fn nothing_is_removed_before_it_was_idle_for_the_whole_window() {
    let mut desk = Desk::new();
    let request = load(4, 1, 1);
    for second in (0..300).step_by(15) {
        assert_eq!(desk.kept(&request, START + seconds(second)).as_str(), "stabilizing");
    }
    assert_eq!(desk.change(&request, START + seconds(300)), (4, 3));
    let request = load(3, 1, 1);
    for second in (315..600).step_by(15) {
        assert_eq!(desk.kept(&request, START + seconds(second)).as_str(), "stabilizing");
    }
    assert_eq!(desk.change(&request, START + seconds(600)), (3, 2));
}

#[test]
fn one_busy_moment_or_an_incident_starts_the_window_anew() {
    let spoilers: [fn(&mut ScalingRequest); 3] = [
        |r| r.usage.iter_mut().for_each(|u| u.cpu_percent_of_request = Some(60)),
        |r| r.health = HealthState::Unhealthy,
        |r| r.usage.clear(),
    ];
    for spoil in spoilers {
        let mut desk = Desk::new();
        let idle = load(4, 1, 1);
        let mut other = idle.clone();
        spoil(&mut other);
        for second in (0..495).step_by(15) {
            let request = if second == 195 { &other } else { &idle };
            let decision = desk.judge(request, START + seconds(second));
            assert!(!matches!(decision, ScalingDecision::Scale(_)), "{second}: {decision:?}");
        }
        assert_eq!(desk.change(&idle, START + seconds(495)), (4, 3));
    }
}

#[test]
fn a_silence_as_long_as_the_window_starts_it_anew() {
    let mut desk = Desk::new();
    desk.judge(&load(4, 1, 1), START);
    assert_eq!(desk.kept(&load(4, 1, 1), START + seconds(3_600)).as_str(), "stabilizing");
}

#[test]
fn a_window_no_longer_than_the_interval_takes_away_at_the_second_idle_look() {
    for window in [1, 10, 15] {
        let mut desk = Desk::new();
        desk.settings.scale_down.stabilization = seconds(window);
        assert_eq!(desk.kept(&load(4, 1, 1), START).as_str(), "stabilizing");
        assert_eq!(desk.change(&load(4, 1, 1), START + seconds(15)), (4, 3), "{window}");
        desk.settings.scale_down.policies.clear();
        assert_eq!(desk.kept(&load(3, 60, 1), START + seconds(30)).as_str(), "within_band");
        assert_eq!(desk.kept(&load(3, 1, 1), START + seconds(45)).as_str(), "stabilizing");
        assert_eq!(desk.change(&load(3, 1, 1), START + seconds(60)), (3, 2), "{window}");
        let late = START + seconds(3_600);
        assert_eq!(desk.kept(&load(4, 1, 1), late).as_str(), "stabilizing", "after a silence");
    }
}

#[test]
fn figures_of_milvus_count_while_they_are_fresh_and_only_for_roles_that_have_them() {
    let mut desk = Desk::hasty();
    desk.settings.mode = ScalingMode::Target;
    (desk.settings.cpu_threshold, desk.settings.memory_threshold) = (None, None);
    desk.settings.figure_thresholds =
        figures::Figures { qps: Some(100_000), latency_p99: None, read_queue: Some(1_000) };
    let with_qps = |replicas: u32, qps: u64, cpu: Percent| {
        let mut request = load(replicas, cpu, 1);
        let figures = figures::Figures { qps: Some(qps * 1_000), ..Default::default() };
        let one = |pod: &Pod| PodFigures { pod: pod.name.clone(), figures, sampled_at: START };
        request.figures = request.pods.iter().map(one).collect();
        for usage in &mut request.usage {
            usage.sampled_at = Some(START);
        }
        request
    };
    assert_eq!(desk.change(&with_qps(3, 150, 1), START), (3, 5));
    assert_eq!(desk.change(&with_qps(5, 50, 1), START + seconds(61)), (5, 3), "no read queue");
    let stale = desk.judge(&with_qps(4, 10, 1), START + seconds(301));
    let ScalingDecision::Keep { reason } = stale else { panic!("{stale:?}") };
    assert!(reason.to_string().contains("(QPS per replica)"), "{reason}");
}

#[test]
fn scaling_up_can_have_a_window_too() {
    let mut desk = Desk::new();
    desk.settings.scale_up.stabilization = seconds(60);
    for second in (0..60).step_by(15) {
        assert_eq!(desk.kept(&load(4, 95, 1), START + seconds(second)).as_str(), "stabilizing");
    }
    assert_eq!(desk.change(&load(4, 95, 1), START + seconds(75)), (4, 5));
}

#[test]
fn samples_from_before_the_last_change_are_waited_out_for_a_while() {
    let mut desk = Desk::new();
    assert_eq!(desk.change(&load(3, 95, 1), START), (3, 4));
    let mut stale = load(4, 95, 1);
    for usage in &mut stale.usage {
        usage.sampled_at = Some(START.minus(seconds(5)));
    }
    assert_eq!(desk.kept(&stale, START + seconds(15)), KeepReason::Settling);
    let mut fresh = stale.clone();
    for usage in &mut fresh.usage {
        usage.sampled_at = Some(START + seconds(20));
    }
    assert_eq!(desk.change(&fresh, START + seconds(30)), (4, 5));
    let mut stuck = load(5, 95, 1);
    stuck.usage.pop();
    assert_eq!(desk.kept(&stuck, START + seconds(45)), KeepReason::Settling);
    assert_eq!(desk.change(&stuck, START + seconds(200)), (5, 6));
}

#[test]
fn the_policies_limit_the_change_per_period_and_a_direction_can_be_disabled() {
    let mut desk = Desk::new();
    let one_a_minute = ChangeLimit { kind: ChangeLimitKind::Pods, value: 1, period: seconds(60) };
    desk.settings.scale_up.policies = vec![one_a_minute];
    assert_eq!(desk.change(&load(3, 95, 1), START), (3, 4));
    assert_eq!(desk.kept(&load(4, 95, 1), START + seconds(30)).as_str(), "limit_reached");
    assert_eq!(desk.change(&load(4, 95, 1), START + seconds(60)), (4, 5));
    desk.settings.scale_up.select = LimitSelect::Disabled;
    let kept = desk.kept(&load(5, 95, 1), START + seconds(300));
    assert_eq!(kept, KeepReason::DirectionDisabled { recommended: 6 });
}

proptest! {
    #[test]
    fn the_number_stays_within_its_bounds_and_moves_by_one_in_any_history(
        loads in prop::collection::vec((0..200_u32, 0..120_u32, 1..90_u64, 0..4_usize), 1..200),
        min_replicas in 1..4_u32,
        extra in 0..6_u32,
        first in 1..12_u32,
    ) {
        let mut desk = Desk::new();
        desk.settings.min_replicas = min_replicas;
        desk.settings.max_replicas = min_replicas + extra;
        let mut current = first;
        let mut now = START;
        let mut removed_at: Option<Timestamp> = None;
        for (cpu, memory, pass, unmeasured) in loads {
            now = now + seconds(pass);
            let mut request = load(current, cpu, memory);
            request.usage.truncate(request.usage.len().saturating_sub(unmeasured));
            let decision = desk.judge(&request, now);
            prop_assert_eq!(&decision, &{
                // The same question has the same answer.
                let settings = desk.settings.clone();
                let again = judge(&request, &desk.ledger, Some(&settings), now).decision;
                if matches!(again, ScalingDecision::Scale(_)) { again } else { decision.clone() }
            });
            let ScalingDecision::Scale(plan) = decision else { continue };
            prop_assert_eq!(plan.from, current);
            prop_assert!(plan.to != current);
            if plan.to > current {
                prop_assert!(plan.to <= desk.settings.max_replicas);
                prop_assert!(plan.to == current + 1 || current < min_replicas);
            } else {
                prop_assert!(plan.to >= min_replicas && plan.to + 1 == current);
                prop_assert!(unmeasured == 0);
                let apart = removed_at.is_none_or(|at| now.since(at) >= seconds(300));
                prop_assert!(apart, "two removals within one window");
                removed_at = Some(now);
            }
            desk.ledger.begin(&request.component, &plan, now);
            desk.ledger.accepted(&request.component, now);
            desk.ledger.ended(&request.component, now);
            current = plan.to;
        }
    }
}
