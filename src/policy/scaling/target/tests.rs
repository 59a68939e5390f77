//! The rules of the HPA one by one, and what holds whatever the load.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::Resources;
use crate::policy::scaling::load::{PodPhase, Sample};
use crate::policy::scaling::{
    ChangeLimit, ChangeLimitKind, LimitSelect, ScalingBehavior, ScalingMode,
};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A pod that has been ready for an hour and uses `used` of 1000 thousandths of a core.
fn pod(used: u64) -> PodLoad {
    let resources =
        |cpu_milli| Resources { cpu_milli: Some(cpu_milli), memory_bytes: Some(cpu_milli) };
    PodLoad {
        name: "pod".into(),
        phase: PodPhase::Running,
        ready: Some(true),
        ready_since: Some(START.minus(seconds(3_600))),
        started_at: Some(START.minus(seconds(3_600))),
        terminating: false,
        requests: resources(1_000),
        usage: Some(Sample { used: resources(used), sampled_at: START, window: seconds(15) }),
        figures: Figures::default(),
    }
}

fn without(mut pod: PodLoad, change: impl FnOnce(&mut PodLoad)) -> PodLoad {
    change(&mut pod);
    pod
}

/// CPU alone, a target of 50 %, no limits but the bounds.
fn settings() -> ScalingSettings {
    let free = ScalingBehavior {
        stabilization: Duration::ZERO,
        select: LimitSelect::Max,
        policies: vec![],
    };
    ScalingSettings {
        mode: ScalingMode::Target,
        min_replicas: 1,
        max_replicas: 100,
        cpu_threshold: Some(50),
        memory_threshold: None,
        scale_up: free.clone(),
        scale_down: free,
        ..ScalingSettings::default()
    }
}

fn judged(current: u32, pods: Vec<PodLoad>, settings: &ScalingSettings) -> TargetJudgement {
    let seen = Observation { current, pods, figure_targets: Figures::default(), raw_desired: None };
    judge(&seen, &History::default(), settings, START)
}

fn desired(current: u32, pods: Vec<PodLoad>) -> u32 {
    judged(current, pods, &settings()).desired
}

#[test]
fn rule_1_the_ratio_times_the_pods_that_count_is_rounded_up() {
    assert_eq!(desired(3, vec![pod(600); 3]), 4, "600 / 500 × 3 = 3.6");
    assert_eq!(desired(4, vec![pod(600); 2]), 3, "of the pods that are there, not those asked for");
}

#[test]
fn rule_2_utilization_is_cut_off_to_whole_per_cent_and_needs_every_request() {
    assert_eq!(
        judged(3, vec![pod(559), pod(550), pod(550)], &settings()).utilization.cpu,
        Some(55)
    );
    let unrequested = without(pod(900), |pod| pod.requests.cpu_milli = None);
    let failed = without(unrequested.clone(), |pod| pod.phase = PodPhase::Failed);
    for odd in [unrequested, failed] {
        let judged = judged(2, vec![pod(900), odd], &settings());
        assert_eq!((judged.desired, judged.error), (2, Some(MetricError::MissingRequest)));
    }
}

#[test]
fn rule_2_requests_weigh_and_without_any_there_is_no_utilization() {
    let large = without(pod(300), |pod| pod.requests.cpu_milli = Some(3_000));
    let judged_both = judged(2, vec![pod(500), large], &settings());
    assert_eq!(judged_both.utilization.cpu, Some(20), "800 of 4000, not the mean of 50 % and 10 %");
    let nothing = without(pod(300), |pod| pod.requests.cpu_milli = Some(0));
    let nothing = judged(2, vec![nothing.clone(), nothing], &settings());
    assert_eq!((nothing.desired, nothing.error), (2, Some(MetricError::NoMetrics)));
}

#[test]
fn rule_3_which_pods_count() {
    let young = |change: fn(&mut PodLoad)| {
        let pod = without(pod(900), |pod| {
            pod.started_at = Some(START.minus(seconds(60)));
            pod.ready_since = pod.started_at;
        });
        without(pod, change)
    };
    // The pod itself, and how many of three such pods and one that uses 90 % count.
    let cases: Vec<(&str, PodLoad, u32)> = vec![
        ("measured", pod(900), 8),
        ("being deleted", without(pod(900), |pod| pod.terminating = true), 2),
        ("failed", without(pod(900), |pod| pod.phase = PodPhase::Failed), 2),
        ("succeeded counts", without(pod(900), |pod| pod.phase = PodPhase::Succeeded), 8),
        ("pending is unready", without(pod(900), |pod| pod.phase = PodPhase::Pending), 4),
        ("no condition is unready", without(pod(900), |pod| pod.ready = None), 4),
        ("not started is unready", without(pod(900), |pod| pod.started_at = None), 4),
        ("no sample is missing", without(pod(900), |pod| pod.usage = None), 4),
        ("young and ready all the time", young(|_| ()), 8),
        ("young and not ready", young(|pod| pod.ready = Some(false)), 4),
        (
            "young, ready since within the window",
            young(|pod| pod.ready_since = Some(START.minus(seconds(14)))),
            4,
        ),
        (
            "young, ready since exactly the window",
            young(|pod| pod.ready_since = Some(START.minus(seconds(15)))),
            8,
        ),
        (
            "old, not ready since long",
            without(pod(900), |pod| {
                pod.ready = Some(false);
                pod.ready_since = Some(START.minus(seconds(60)));
            }),
            8,
        ),
        (
            "old, never ready",
            without(pod(900), |pod| {
                pod.ready = Some(false);
                pod.ready_since = pod.started_at.map(|at| at + seconds(29));
            }),
            4,
        ),
    ];
    for (name, odd, expected) in cases {
        let pods = vec![pod(900), odd.clone(), odd.clone(), odd];
        assert_eq!(desired(4, pods), expected, "{name}");
    }
}

#[test]
fn rule_3_memory_does_not_look_at_readiness() {
    let mut memory = settings();
    (memory.cpu_threshold, memory.memory_threshold) = (None, Some(50));
    let young = without(pod(900), |pod| {
        pod.started_at = Some(START.minus(seconds(60)));
        pod.ready = Some(false);
    });
    assert_eq!(judged(4, vec![young.clone(); 4], &memory).desired, 8);
    assert_eq!(judged(4, vec![young; 4], &settings()).error, Some(MetricError::NoMetrics));
}

#[test]
fn rule_4_within_the_tolerance_nothing_changes_and_both_ends_belong_to_it() {
    for (used, expected) in [(440, 9), (450, 10), (500, 10), (550, 10), (560, 12)] {
        assert_eq!(desired(10, vec![pod(used); 10]), expected, "{used}");
    }
    let mut lopsided = settings();
    lopsided.tolerance = Tolerance { up: 0.0, down: 0.5 };
    assert_eq!(judged(10, vec![pod(260); 10], &lopsided).desired, 10);
    assert_eq!(judged(10, vec![pod(510); 10], &lopsided).desired, 11);
}

#[test]
fn rule_5_where_all_are_measured_only_the_tolerance_keeps_the_number() {
    assert_eq!(desired(30, vec![pod(550); 2]), 30, "within it the number asked for stays");
    assert_eq!(desired(30, vec![pod(600); 2]), 3, "outside of it the pods decide, even downwards");
    assert_eq!(desired(1, vec![pod(400); 4]), 4, "and even upwards where they are idle");
}

#[test]
fn rule_6_who_was_not_measured_damps_and_never_turns_the_change_around() {
    let missing = || without(pod(0), |pod| pod.usage = None);
    let pending = || without(pod(0), |pod| pod.phase = PodPhase::Pending);
    // Two use 20 %, one is missing and counts as 100 %: 46 % instead of 20 %.
    assert_eq!(desired(3, vec![pod(200), pod(200), missing()]), 3);
    // Three use 10 %, one is missing: 32 %, ratio 0.64, 2.56 of 4.
    assert_eq!(desired(4, vec![pod(100), pod(100), pod(100), missing()]), 3);
    // Unready pods count only where replicas would come.
    assert_eq!(desired(4, vec![pod(100), pod(100), pod(100), pending()]), 1);
    assert_eq!(desired(2, vec![pod(1_000), pending()]), 2, "100 % turns into 50 %");
    // On the way up who is missing counts as idle: 66 %, ratio 1.32, 3.96 of 3.
    assert_eq!(desired(3, vec![pod(1_000), pod(1_000), missing()]), 4);
    // The direction turned around, or the number would move against the new ratio.
    assert_eq!(desired(3, vec![pod(400), missing(), missing()]), 3, "40 % turns into 80 %");
    assert_eq!(desired(1, vec![pod(100), pod(100), pod(100), missing()]), 1, "3 are no fewer");
    assert_eq!(desired(9, vec![pod(1_000), pod(1_000), missing()]), 9, "4 are no more");
    // Above a target of 100 % the missing ones count as the target: 102 %, ratio 0.68, 3.4 of 5.
    let mut high = settings();
    high.cpu_threshold = Some(150);
    let pods = vec![pod(300), pod(300), missing(), missing(), missing()];
    assert_eq!(judged(5, pods, &high).desired, 4);
}

#[test]
fn rule_7_the_largest_proposal_wins_and_an_error_never_removes() {
    let mut both = settings();
    both.memory_threshold = Some(80);
    let of_memory = |used: u64| {
        without(pod(100), |pod| {
            pod.usage = pod.usage.map(|sample| Sample {
                used: Resources { memory_bytes: Some(used), ..sample.used },
                ..sample
            });
        })
    };
    let judged = |pods: Vec<PodLoad>| judged(4, pods, &both);
    let busy = judged(vec![of_memory(960); 4]);
    assert_eq!((busy.desired, busy.reason), (5, TargetReason::MemoryAboveTarget));
    let blind = |used: u64| {
        without(pod(used), |pod| {
            pod.usage = pod.usage.map(|sample| Sample {
                used: Resources { memory_bytes: None, ..sample.used },
                ..sample
            });
        })
    };
    let idle = judged(vec![blind(100); 4]);
    assert_eq!((idle.desired, idle.error), (4, Some(MetricError::NoMetrics)));
    assert_eq!(idle.utilization.cpu, Some(10), "what works is shown");
    let busy = judged(vec![blind(900); 4]);
    assert_eq!((busy.desired, busy.error), (8, None));
    let nothing = judged(vec![]);
    assert_eq!((nothing.desired, nothing.raw), (4, None), "where all fail, nothing is done");
    assert_eq!(nothing.error, Some(MetricError::NoMetrics));
}

#[test]
fn rule_7_bounds_come_first() {
    let mut bounded = settings();
    (bounded.min_replicas, bounded.max_replicas) = (2, 5);
    let at = |current| {
        let judged = judged(current, vec![], &bounded);
        (judged.desired, judged.limited_by, judged.reason)
    };
    assert_eq!(at(0), (0, None, TargetReason::ScaledToZero));
    assert_eq!(at(1), (2, Some(Limiter::MinReplicas), TargetReason::BelowMinimum));
    assert_eq!(at(9), (5, Some(Limiter::MaxReplicas), TargetReason::AboveMaximum));
}

fn limited(
    current: u32,
    raw: u32,
    history: &History<'_>,
    settings: &ScalingSettings,
) -> (u32, Option<Limiter>) {
    let seen = Observation {
        current,
        pods: vec![],
        figure_targets: Figures::default(),
        raw_desired: Some(raw),
    };
    let judged = judge(&seen, history, settings, START);
    assert_eq!(judged.raw, Some(raw), "what is remembered is not limited");
    (judged.desired, judged.limited_by)
}

#[test]
fn rule_8_the_windows_hold_the_most_careful_recommendation() {
    let mut settings = settings();
    settings.scale_up.stabilization = seconds(60);
    settings.scale_down.stabilization = seconds(300);
    let recommendations = [
        (START.minus(seconds(300)), 90),
        (START.minus(seconds(299)), 8),
        (START.minus(seconds(59)), 6),
    ];
    let history = History { recommendations: &recommendations, changes: &[] };
    let by = Some(Limiter::Stabilization);
    assert_eq!(limited(5, 10, &history, &settings), (6, by), "the lowest within 60 s");
    assert_eq!(limited(9, 1, &history, &settings), (8, by), "the highest within 300 s, not at it");
    assert_eq!(limited(7, 1, &history, &settings), (7, by));
    assert_eq!(limited(5, 6, &history, &settings), (6, None), "and no more careful than that");
}

fn policy(kind: ChangeLimitKind, value: u32, period: u64) -> ChangeLimit {
    ChangeLimit { kind, value, period: seconds(period) }
}

#[test]
fn rule_9_the_policies_count_from_the_start_of_their_period() {
    use ChangeLimitKind::{Percent, Pods};
    let none = History::default();
    let mut settings = settings();
    (settings.min_replicas, settings.max_replicas) = (0, 1_000);
    let by = Some(Limiter::Policy);
    settings.scale_up.policies = vec![policy(Percent, 10, 60)];
    settings.scale_down.policies = vec![policy(Percent, 30, 60)];
    assert_eq!(limited(100, 500, &none, &settings), (111, by), "in doubles");
    assert_eq!(limited(90, 1, &none, &settings), (62, by), "in doubles");
    settings.scale_up.policies = vec![policy(Pods, 4, 60), policy(Percent, 100, 60)];
    for (select, current, expected) in [
        (LimitSelect::Max, 3, 7),
        (LimitSelect::Min, 3, 6),
        (LimitSelect::Max, 10, 20),
        (LimitSelect::Min, 10, 14),
        (LimitSelect::Disabled, 10, 10),
    ] {
        settings.scale_up.select = select;
        assert_eq!(limited(current, 500, &none, &settings), (expected, by), "{select:?}");
    }
    settings.scale_up.select = LimitSelect::Max;
    settings.scale_up.policies = vec![policy(Pods, 4, 60)];
    let changes = [(START.minus(seconds(60)), 50), (START.minus(seconds(59)), 3), (START, -1)];
    let history = History { recommendations: &[], changes: &changes };
    assert_eq!(limited(10, 500, &history, &settings), (12, by), "10 − 3 + 1 + 4");
    settings.max_replicas = 12;
    let bound = Some(Limiter::MaxReplicas);
    assert_eq!(limited(10, 500, &history, &settings), (12, bound), "where both hold, the bound");
}

#[test]
fn rule_9_downwards_what_is_removed_rounds_up_and_what_was_removed_before_counts() {
    use ChangeLimitKind::{Percent, Pods};
    let (none, by) = (History::default(), Some(Limiter::Policy));
    let mut settings = settings();
    settings.scale_down.policies = vec![policy(Pods, 2, 60), policy(Percent, 50, 60)];
    for (select, current, expected) in [
        (LimitSelect::Max, 9, 4),
        (LimitSelect::Min, 9, 7),
        (LimitSelect::Max, 3, 1),
        (LimitSelect::Min, 3, 1),
        (LimitSelect::Disabled, 9, 9),
    ] {
        settings.scale_down.select = select;
        let limiter = if expected == 1 { None } else { by };
        assert_eq!(limited(current, 1, &none, &settings), (expected, limiter), "{select:?}");
    }
    settings.scale_down.select = LimitSelect::Max;
    settings.scale_down.policies = vec![policy(Pods, 4, 60)];
    let changes = [(START.minus(seconds(60)), -50), (START.minus(seconds(59)), -3), (START, 1)];
    let history = History { recommendations: &[], changes: &changes };
    assert_eq!(limited(10, 1, &history, &settings), (8, by), "10 + 3 − 1 − 4");
    settings.min_replicas = 8;
    let bound = Some(Limiter::MinReplicas);
    assert_eq!(limited(10, 1, &history, &settings), (8, bound), "where both hold, the bound");
}

#[test]
fn rule_10_the_defaults_of_the_hpa_double_or_add_four_and_wait_for_five_minutes() {
    use ChangeLimitKind::{Percent, Pods};
    let usual = ScalingSettings::default();
    assert_eq!((usual.tolerance.up, usual.tolerance.down), (0.1, 0.1));
    assert_eq!(usual.cpu_initialization_period, seconds(300));
    assert_eq!(usual.initial_readiness_delay, seconds(30));
    assert_eq!(usual.scale_up.stabilization, Duration::ZERO);
    assert_eq!(usual.scale_down.stabilization, seconds(300));
    let settings = ScalingSettings {
        scale_up: ScalingBehavior {
            policies: vec![policy(Percent, 100, 15), policy(Pods, 4, 15)],
            ..usual.scale_up
        },
        scale_down: ScalingBehavior {
            policies: vec![policy(Percent, 100, 15)],
            ..usual.scale_down
        },
        ..settings()
    };
    let by = Some(Limiter::Policy);
    let none = History::default();
    for (current, expected) in [(1, 5), (3, 7), (4, 8), (10, 20)] {
        assert_eq!(limited(current, 90, &none, &settings), (expected, by), "{current}");
    }
    assert_eq!(limited(10, 1, &none, &settings), (1, None), "100 % is all of them");
    let before = [(START.minus(seconds(299)), 10)];
    let history = History { recommendations: &before, changes: &[] };
    let by = Some(Limiter::Stabilization);
    assert_eq!(limited(10, 1, &history, &settings), (10, by));
}

#[test]
fn rule_10_the_utilization_that_is_shown_is_the_measured_one() {
    let missing = without(pod(0), |pod| pod.usage = None);
    let seen = judged(4, vec![pod(100), pod(100), pod(100), missing], &settings());
    assert_eq!((seen.utilization.cpu, seen.desired), (Some(10), 3), "not the 32 % of the damping");
}

#[test]
fn rule_9_too_much_in_the_period_never_turns_the_change_around() {
    let mut settings = settings();
    settings.scale_up.policies = vec![policy(ChangeLimitKind::Pods, 1, 60)];
    let changes = [(START.minus(seconds(1)), 5)];
    let history = History { recommendations: &[], changes: &changes };
    assert_eq!(limited(10, 20, &history, &settings), (10, Some(Limiter::Policy)));
}

fn any_pod() -> impl Strategy<Value = PodLoad> {
    let phases = [PodPhase::Pending, PodPhase::Running, PodPhase::Running, PodPhase::Failed];
    (
        0..2_000_u64,
        0..4_usize,
        prop::option::weighted(0.9, any::<bool>()),
        0..600_u64,
        any::<bool>(),
        0..10_u8,
    )
        .prop_map(move |(used, phase, ready, age, measured, terminating)| {
            without(pod(used), |pod| {
                pod.phase = phases[phase];
                pod.ready = ready;
                pod.started_at = Some(START.minus(seconds(age)));
                pod.ready_since = Some(START.minus(seconds(age / 2)));
                pod.terminating = terminating == 0;
                if !measured {
                    pod.usage = None;
                }
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_number_is_within_its_bounds(
        pods in prop::collection::vec(any_pod(), 0..12),
        current in 0..30_u32, min in 0..5_u32, extra in 0..20_u32, target in 1..200_u32,
    ) {
        let settings = ScalingSettings {
            min_replicas: min, max_replicas: min + extra, cpu_threshold: Some(target), ..settings()
        };
        let judged = judged(current, pods, &settings);
        if current == 0 {
            prop_assert_eq!(judged.desired, 0);
        } else {
            prop_assert!((min..=min + extra).contains(&judged.desired));
        }
    }

    #[test]
    fn more_load_never_asks_for_fewer(
        pods in prop::collection::vec(any_pod().prop_filter("it counts", |pod| {
            !pod.terminating && pod.phase != PodPhase::Failed
        }), 1..12),
        more in 0..1_000_u64,
    ) {
        // With other pods than those asked for, the HPA itself is not monotonous: rule 5.
        let current = u32::try_from(pods.len()).unwrap();
        let busier = pods.iter().cloned().map(|pod| without(pod, |pod| {
            pod.usage = pod.usage.map(|sample| Sample {
                used: Resources { cpu_milli: sample.used.cpu_milli.map(|used| used + more), ..sample.used },
                ..sample
            });
        })).collect();
        let settings = settings();
        let (before, after) = (judged(current, pods, &settings), judged(current, busier, &settings));
        prop_assert!(after.desired >= before.desired, "{before:?} {after:?}");
    }

    #[test]
    fn within_the_tolerance_nothing_moves(
        uses in prop::collection::vec(450..=550_u64, 1..20), current in 1..30_u32,
    ) {
        let pods = uses.into_iter().map(pod).collect();
        prop_assert_eq!(desired(current, pods), current);
    }

    /// The same load on as many pods as were asked for: after a few steps the number stays.
    #[test]
    fn a_steady_load_finds_its_number_and_stays_there(
        load in 100..60_000_u64, start in 1..100_u32, target in 30..=100_u32,
    ) {
        let settings = ScalingSettings { cpu_threshold: Some(target), ..settings() };
        let step = |current: u32| {
            let pods = vec![pod(load / u64::from(current)); current as usize];
            judged(current, pods, &settings).desired
        };
        let found = (0..10).fold(start, |current, _| step(current));
        prop_assert_eq!(step(found), found);
    }

    /// Whatever is asked for, however often: compared with the number at the beginning of its period
    /// no policy is exceeded, the stricter one of two where both hold, one of them where either does.
    #[test]
    fn no_policy_is_exceeded_in_any_window(
        asked in prop::collection::vec((1..200_u32, 1..40_u64), 1..80),
        (pods, percent) in (1..10_u32, 1..150_u32),
        (first, second) in (1..120_u64, 1..120_u64),
        both in any::<bool>(),
    ) {
        let select = if both { LimitSelect::Min } else { LimitSelect::Max };
        let policies = vec![
            policy(ChangeLimitKind::Pods, pods, first),
            policy(ChangeLimitKind::Percent, percent, second),
        ];
        let behavior = ScalingBehavior { stabilization: Duration::ZERO, select, policies };
        let mut settings = settings();
        (settings.scale_up, settings.scale_down) = (behavior.clone(), behavior);
        settings.max_replicas = 1_000;
        let (mut now, mut changes, mut numbers) = (START, Vec::new(), vec![(Timestamp::default(), 10)]);
        for (raw, pass) in asked {
            now = now + seconds(pass);
            let (_, current) = *numbers.last().unwrap();
            let history = History { recommendations: &[], changes: &changes };
            let seen = Observation { current, pods: vec![], figure_targets: Figures::default(), raw_desired: Some(raw) };
            let to = judge(&seen, &history, &settings, now).desired;
            if to == current {
                continue;
            }
            let at_start = |period: u64| {
                let known = numbers.iter().rfind(|(at, _)| now.since(*at) >= seconds(period));
                f64::from(known.unwrap().1)
            };
            let share = f64::from(percent) / 100.0;
            let (by_pods, by_share, to_exact) = (at_start(first), at_start(second), f64::from(to));
            let is_kept = if to > current {
                [to_exact <= by_pods + f64::from(pods), to_exact < by_share * (1.0 + share) + 1.0]
            } else {
                [to_exact >= by_pods - f64::from(pods), to_exact > by_share * (1.0 - share) - 1.0]
            };
            let holds = if both { is_kept == [true, true] } else { is_kept.contains(&true) };
            prop_assert!(holds, "from {current} to {to}: {numbers:?}");
            changes.push((now, i64::from(to) - i64::from(current)));
            numbers.push((now, to));
        }
    }

    /// In one direction nothing gives room for more: no window of the period's length, wherever it
    /// begins, has more than the policy allows.
    #[test]
    fn growth_alone_never_exceeds_its_policy(
        passes in prop::collection::vec(1..40_u64, 1..60), value in 1..10_u32, period in 1..120_u64,
    ) {
        let mut settings = settings();
        settings.max_replicas = 1_000;
        settings.scale_up.policies = vec![policy(ChangeLimitKind::Pods, value, period)];
        let (mut current, mut now, mut changes) = (1_u32, START, Vec::new());
        for pass in passes {
            now = now + seconds(pass);
            let history = History { recommendations: &[], changes: &changes };
            let seen = Observation { current, pods: vec![], figure_targets: Figures::default(), raw_desired: Some(900) };
            let to = judge(&seen, &history, &settings, now).desired;
            changes.push((now, i64::from(to) - i64::from(current)));
            current = to;
        }
        for (end, _) in &changes {
            let within = changes.iter().filter(|(at, _)| at <= end && end.since(*at) < seconds(period));
            let sum: i64 = within.map(|(_, change)| *change).sum();
            prop_assert!(sum <= i64::from(value), "{sum} within {period} s");
        }
        prop_assert!(current > 1);
    }
}
