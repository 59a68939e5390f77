//! Milvus's own figures as metrics: a table of cases, and what several metrics decide together.

use super::*;
use crate::model::{Resources, Role};
use crate::policy::scaling::ScalingMode;
use crate::policy::scaling::load::{PodPhase, Sample};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A pod that serves, uses 50 % of its CPU request and has `value` whole units of `figure`.
fn pod(figure: Figure, value: u64) -> PodLoad {
    let cpu = |cpu_milli| Resources { cpu_milli: Some(cpu_milli), memory_bytes: None };
    let sample =
        Sample { used: cpu(500), sampled_at: START, window: std::time::Duration::from_secs(15) };
    PodLoad {
        name: "pod".into(),
        phase: PodPhase::Running,
        ready: Some(true),
        ready_since: None,
        started_at: Some(Timestamp::default()),
        terminating: false,
        requests: cpu(1_000),
        usage: Some(sample),
        figures: Figures::default().with(figure, Some(value * 1_000)),
    }
}

fn pods(figure: Figure, values: &[u64]) -> Vec<PodLoad> {
    values.iter().map(|value| pod(figure, *value)).collect()
}

fn with(mut pods: Vec<PodLoad>, index: usize, change: fn(&mut PodLoad)) -> Vec<PodLoad> {
    change(&mut pods[index]);
    pods
}

fn unknown(pod: &mut PodLoad) {
    pod.figures = Figures::default();
}

/// No limits but the bounds; CPU is looked at where it has a target.
fn settings(cpu: Option<Percent>) -> ScalingSettings {
    let mut settings = ScalingSettings {
        mode: ScalingMode::Target,
        min_replicas: 1,
        max_replicas: 100,
        cpu_threshold: cpu,
        memory_threshold: None,
        ..ScalingSettings::default()
    };
    for behavior in [&mut settings.scale_up, &mut settings.scale_down] {
        behavior.stabilization = std::time::Duration::ZERO;
        behavior.policies.clear();
    }
    settings
}

fn target(figure: Figure, value: u64) -> Figures {
    Figures::default().with(figure, Some(value * 1_000))
}

fn judged(
    current: u32,
    pods: Vec<PodLoad>,
    figure_targets: Figures,
    cpu: Option<Percent>,
) -> (TargetJudgement, String) {
    let (seen, settings) =
        (Observation { current, pods, figure_targets, raw_desired: None }, settings(cpu));
    let judged = judge(&seen, &History::default(), &settings, START);
    let words = Summary::of(&judged, &seen, &settings).to_string();
    (judged, words)
}

#[test]
fn an_average_over_the_pods_is_compared_with_its_target() {
    for figure in [Figure::Qps, Figure::ReadQueue] {
        let three = |values: [u64; 3]| pods(figure, &values);
        let four =
            |value: u64, change: fn(&mut PodLoad)| with(pods(figure, &[value; 4]), 3, change);
        // What there is, of how many replicas, and how many are asked for with a target of 100.
        let cases: Vec<(&str, Vec<PodLoad>, u32, u32)> = vec![
            ("300 + 100 + 200, on average twice the target", three([300, 100, 200]), 3, 6),
            ("1.5 × 3, rounded up", three([150; 3]), 3, 5),
            ("within the tolerance", three([110, 110, 109]), 3, 3),
            ("0.6 × 3, rounded up", three([60; 3]), 3, 2),
            ("idle: the lower bound", three([0; 3]), 3, 1),
            ("up: the missing one counts as idle, 450 / 4 × 4", four(150, unknown), 4, 5),
            ("up, flipped by the missing one", four(120, unknown), 4, 4),
            (
                "down: the missing one counts as on target, (120 + 100) / 4 × 4",
                four(40, unknown),
                4,
                3,
            ),
            ("on target, one missing", four(100, unknown), 4, 4),
            (
                "up: one that is pending counts as idle",
                four(200, |pod| pod.phase = PodPhase::Pending),
                4,
                6,
            ),
            (
                "down: one that is pending does not count",
                four(40, |pod| pod.phase = PodPhase::Pending),
                4,
                2,
            ),
            (
                "one that is not ready counts, as with all metrics but CPU",
                four(200, |pod| pod.ready = Some(false)),
                4,
                8,
            ),
            ("one that ends does not count", four(150, |pod| pod.terminating = true), 3, 5),
            ("one that failed does not count", four(150, |pod| pod.phase = PodPhase::Failed), 3, 5),
        ];
        for (case, pods, current, expected) in cases {
            let (judged, words) = judged(current, pods, target(figure, 100), None);
            assert_eq!(judged.desired, expected, "{figure:?}: {case}: {words}");
            assert_eq!(judged.error, None, "{case}");
        }
    }
}

#[test]
fn a_latency_is_one_value_for_all_whose_ratio_is_applied_to_the_pods_that_serve() {
    let figure = Figure::LatencyP99;
    let four = |values: [u64; 4]| pods(figure, &values);
    let cases: Vec<(&str, Vec<PodLoad>, u32)> = vec![
        ("the highest counts: 300 / 200 × 4", four([100, 300, 100, 0]), 6),
        ("within the tolerance", four([100, 219, 0, 0]), 4),
        ("all are fast: 100 / 200 × 4", four([100, 20, 0, 0]), 2),
        ("nobody asks", four([0; 4]), 1),
        (
            "fast, but one is not known: it may be as slow as the target",
            with(four([100; 4]), 1, unknown),
            4,
        ),
        ("slow, and one is not known: that changes nothing", with(four([300; 4]), 1, unknown), 6),
        ("three serve: 400 / 200 × 3", with(four([400; 4]), 1, |pod| pod.ready = Some(false)), 6),
        (
            "too slow is never a reason for fewer",
            with(with(four([230; 4]), 1, |pod| pod.ready = None), 2, |pod| pod.ready = None),
            4,
        ),
    ];
    for (case, pods, expected) in cases {
        let (judged, words) = judged(4, pods, target(figure, 200), None);
        assert_eq!(judged.desired, expected, "{case}: {words}");
        assert_eq!(judged.error, None, "{case}");
    }
    let blind = with(pods(figure, &[300]), 0, |pod| pod.ready = Some(false));
    assert_eq!(judged(1, blind, target(figure, 200), None).0.error, Some(MetricError::NoMetrics));
}

#[test]
fn the_metric_that_asks_for_most_decides_and_is_named() {
    let busy = |cpu| judged(4, pods(Figure::Qps, &[150; 4]), target(Figure::Qps, 100), Some(cpu));
    let (by_qps, words) = busy(100);
    assert_eq!((by_qps.desired, by_qps.reason), (6, TargetReason::QpsAboveTarget));
    assert_eq!(
        words,
        "CPU 50% of the requests (target 100%), QPS per replica 150 (target 100): \
         QPS per replica is above its target"
    );
    let (by_cpu, _) = busy(25);
    assert_eq!((by_cpu.desired, by_cpu.reason), (8, TargetReason::CpuAboveTarget));
    let (idle, words) =
        judged(4, pods(Figure::LatencyP99, &[50; 4]), target(Figure::LatencyP99, 100), Some(200));
    assert_eq!((idle.desired, idle.reason), (2, TargetReason::LatencyBelowTarget));
    assert!(
        words.contains("the p99 latency 50ms (target 100ms): the p99 latency is below"),
        "{words}"
    );
    let steady =
        judged(4, pods(Figure::ReadQueue, &[9; 4]), target(Figure::ReadQueue, 9), Some(200));
    assert_eq!((steady.0.desired, steady.0.reason), (4, TargetReason::WithinTolerance));
}

#[test]
fn a_figure_that_nobody_knows_blocks_removal_and_never_an_addition() {
    for figure in Figure::ALL {
        let dark = |cpu| judged(4, with_none(), target(figure, 100), Some(cpu));
        let (idle, words) = dark(200);
        assert_eq!((idle.desired, idle.raw), (4, None), "{figure:?}");
        assert_eq!(
            (idle.error, idle.unknown),
            (Some(MetricError::NoMetrics), Some(Metric::Figure(figure)))
        );
        assert!(words.ends_with(&format!("({})", figure.words())), "{words}");
        assert_eq!(dark(25).0.desired, 8, "{figure:?}: CPU may add");
        assert_eq!(judged(4, with_none(), target(figure, 100), None).0.desired, 4);
    }
}

fn with_none() -> Vec<PodLoad> {
    let mut pods = pods(Figure::Qps, &[0; 4]);
    pods.iter_mut().for_each(unknown);
    pods
}

#[test]
fn a_role_is_not_asked_for_figures_that_its_pods_never_tell() {
    let all = Figures { qps: Some(1), latency_p99: Some(2), read_queue: Some(3) };
    assert_eq!(all.told_by(Role::QueryNode), all);
    assert_eq!(all.told_by(Role::Proxy), Figures { read_queue: None, ..all });
    assert_eq!(all.told_by(Role::DataNode), Figures::default());
}
