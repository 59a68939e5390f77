//! Probers in virtual time, with probes in memory.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::actors::link::Link;
use crate::actors::supervisor::ProbeCompleted;
use crate::actors::testing::{Recorder, in_virtual_time};
use crate::metrics::{MetricsRegistry, MetricsSettings};

/// Answers after a delay, or never.
struct Slow(Option<Duration>);

#[async_trait]
impl Probe for Slow {
    async fn probe(&self, _: Duration) -> ProbeObservation {
        match self.0 {
            Some(delay) => tokio::time::sleep(delay).await,
            None => std::future::pending().await,
        }
        ProbeObservation::of(Outcome::Healthy)
    }
}

fn settings() -> ProberSettings {
    ProberSettings {
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        ..ProberSettings::default()
    }
}

/// Runs probers side by side for `seconds` of virtual time and returns what they reported.
fn run<P: Probe + 'static>(probes: Vec<(&'static str, P)>, seconds: u64) -> Vec<ProbeReport> {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&reports);
    in_virtual_time(async move {
        let team = Team::new();
        for (name, probe) in probes {
            team.add(name, settings(), Arc::new(probe));
        }
        sleep(seconds * 1_000).await;
        *kept.lock().unwrap() = team.reports();
    });
    let mut guard = reports.lock().unwrap();
    std::mem::take(&mut *guard)
}

async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Probers that share a pacer, and what they report. Must be made in virtual time.
struct Team {
    link: Link<ProbeCompleted>,
    seen: Arc<Mutex<Vec<ProbeCompleted>>>,
    clock: Clock,
    pacer: Pacer,
    metrics: Metrics,
    registry: MetricsRegistry,
}

impl Team {
    fn new() -> Self {
        let link = Link::<ProbeCompleted>::new();
        let seen = Recorder::behind(&link);
        let clock = Clock::starting_at(Timestamp::from_millis(1_000_000));
        let (metrics, registry) = Metrics::new(&MetricsSettings::default()).unwrap();
        Self { link, seen, clock, pacer: Pacer::default(), metrics, registry }
    }

    fn add(&self, name: &str, settings: ProberSettings, probe: Arc<dyn Probe>) -> Addr<Prober> {
        let parts = ProberParts {
            id: ComponentId::new("milvus-ha", name),
            kind: ProberKind::Http,
            settings: settings.into(),
            probe,
            reports: ReportOutbox::new(self.link.clone(), Metrics::default()),
            pacer: self.pacer.clone(),
            clock: self.clock,
            metrics: self.metrics.clone(),
        };
        Prober::new(parts).start()
    }

    /// What was reported since this was last asked for.
    fn reports(&self) -> Vec<ProbeReport> {
        self.seen.lock().unwrap().drain(..).map(|message| message.0).collect()
    }

    /// The value of a series on the metrics page; 0 where it is not there.
    fn metric(&self, series: &str) -> u64 {
        let page = self.registry.encode().unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a number"))
    }
}

/// The largest number of `times` within any window.
fn most_within(times: &mut [Timestamp], window: Duration) -> usize {
    times.sort();
    let mut first = 0;
    let mut most = 0;
    for (index, time) in times.iter().enumerate() {
        while time.since(times[first]) >= window {
            first += 1;
        }
        most = most.max(index + 1 - first);
    }
    most
}

fn starts_of(reports: &[ProbeReport], component: &str) -> Vec<Timestamp> {
    let ours = reports.iter().filter(|report| &*report.id.component == component);
    ours.map(|report| report.started_at).collect()
}

#[test]
fn a_stalled_prober_does_not_delay_its_siblings() {
    let probes = vec![
        ("proxy", Slow(None)),
        ("rootcoord", Slow(None)),
        ("datanode", Slow(None)),
        ("querynode", Slow(Some(Duration::from_millis(2)))),
    ];
    let reports = run(probes, 600);
    let starts = starts_of(&reports, "querynode");
    assert!((599..=601).contains(&starts.len()), "{} probes in 600 s", starts.len());
    // The first probe comes early, the others keep to the schedule.
    for pair in starts[1..].windows(2) {
        let gap = pair[1].since(pair[0]).as_millis();
        assert!((890..=1_110).contains(&gap), "a gap of {gap} ms");
    }
}

#[test]
fn a_probe_that_never_returns_is_given_up_and_told_as_a_time_out() {
    let reports = run(vec![("proxy", Slow(None))], 60);
    assert!(reports.len() >= 9, "{} reports", reports.len());
    for report in &reports {
        let reason = report.observation.outcome.reason().expect("a reason");
        assert_eq!(reason.text, "timeout after 5s");
    }
}

#[test]
fn due_times_that_pass_during_a_slow_probe_are_left_out_and_not_made_up_for() {
    let slow = Slow(Some(Duration::from_millis(2_500)));
    let starts = starts_of(&run(vec![("proxy", slow)], 61), "proxy");
    assert!((18..=21).contains(&starts.len()), "{} probes", starts.len());
    assert!(starts.windows(2).all(|pair| pair[1].since(pair[0]).as_millis() >= 2_500));
}

/// Says what it is told to say.
#[derive(Default)]
struct Switch(Mutex<Option<ReasonKind>>);

impl Switch {
    fn set(&self, kind: Option<ReasonKind>) {
        *self.0.lock().unwrap() = kind;
    }
}

#[async_trait]
impl Probe for Switch {
    async fn probe(&self, _: Duration) -> ProbeObservation {
        let kind = *self.0.lock().unwrap();
        ProbeObservation::of(kind.map_or(Outcome::Healthy, |kind| Outcome::failed(kind, "said so")))
    }
}

fn exact(seconds: u64) -> ProberSettings {
    ProberSettings { interval: Duration::from_secs(seconds), jitter: 0.0, ..settings() }
}

fn gaps(reports: &[ProbeReport]) -> Vec<u128> {
    reports
        .windows(2)
        .map(|pair| pair[1].started_at.since(pair[0].started_at).as_millis())
        .collect()
}

#[test]
fn without_jitter_the_period_is_exact_for_hours() {
    in_virtual_time(async {
        let team = Team::new();
        team.add("proxy", exact(1), Arc::new(Slow(Some(Duration::from_millis(3)))));
        sleep(7_200_000).await;
        let reports = team.reports();
        assert!((7_199..=7_201).contains(&reports.len()), "{}", reports.len());
        let first = reports[1].started_at;
        for (turn, report) in (0..).zip(&reports[1..]) {
            let late = report.started_at.since(first + Duration::from_secs(turn));
            assert!(late <= Duration::from_millis(2), "probe {turn} is {late:?} late");
        }
    });
}

#[test]
fn ten_thousand_probers_are_spread_from_the_start_and_for_ever() {
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
        pages.unwrap_or(0) * 4_096
    };
    const COUNT: usize = 10_000;
    in_virtual_time(async move {
        let team = Team::new();
        let probe = Arc::new(Slow(Some(Duration::from_millis(2))));
        let before = resident();
        for number in 0..COUNT {
            team.add(&format!("component-{number}"), exact(30), probe.clone());
        }
        sleep(30_000).await;
        let tenth = Duration::from_millis(100);
        let starting = team.reports();
        let mut times: Vec<Timestamp> = starting.iter().map(|report| report.started_at).collect();
        let seen: std::collections::HashSet<_> = starting.iter().map(|r| r.id.clone()).collect();
        assert_eq!(seen.len(), COUNT, "all are probed within the first interval");
        // 40 first probes and 33 of those that have begun already.
        let most = most_within(&mut times, tenth);
        assert!(most <= 85, "{most} within a tenth of a second at the start");
        drop(starting);
        let grown = resident().saturating_sub(before) / COUNT;
        assert!(grown < 8 * 1_024, "{grown} bytes for each prober");
        for round in 0..3 {
            team.seen.lock().unwrap().clear();
            sleep(30_000).await;
            let reports = team.reports();
            assert!(reports.len().abs_diff(COUNT) <= 2, "{} in round {round}", reports.len());
            let mut times: Vec<Timestamp> = reports.iter().map(|r| r.started_at).collect();
            let most = most_within(&mut times, tenth);
            assert!(most <= 40, "{most} within a tenth of a second in round {round}");
        }
        assert_eq!(team.metric("falconer_probes_paced_total"), 0, "nobody had to wait");
    });
}

#[test]
fn what_a_pause_of_the_whole_machine_made_due_at_once_is_spread() {
    in_virtual_time(async {
        let team = Team::new();
        let probe = Arc::new(Slow(Some(Duration::from_millis(2))));
        for number in 0..5_000 {
            team.add(&format!("component-{number}"), exact(10), probe.clone());
        }
        sleep(30_000).await;
        team.reports();
        tokio::time::advance(Duration::from_secs(300)).await;
        let resumed = team.clock.now();
        sleep(20_000).await;
        let mut times: Vec<Timestamp> = team.reports().iter().map(|r| r.started_at).collect();
        times.retain(|time| *time >= resumed);
        assert!(times.len() >= 5_000, "{} probes", times.len());
        // 64 at once, and four times the 50 that are due in a tenth of a second anyway.
        let most = most_within(&mut times, Duration::from_millis(100));
        assert!((100..=270).contains(&most), "{most} within a tenth of a second");
        assert!(team.metric("falconer_probes_paced_total") > 1_000);
        team.reports();
        sleep(10_000).await;
        let mut times: Vec<Timestamp> = team.reports().iter().map(|r| r.started_at).collect();
        let most = most_within(&mut times, Duration::from_millis(100));
        assert!(most <= 60, "{most} within a tenth of a second long after the pause");
    });
}

#[test]
fn a_target_that_is_silent_for_long_is_probed_less_often_until_its_first_answer() {
    in_virtual_time(async {
        let team = Team::new();
        let (target, other) = (Arc::new(Switch::default()), Arc::new(Switch::default()));
        team.add("dead", exact(2), target.clone());
        team.add("alive", exact(2), other);
        sleep(20_000).await;
        team.reports();
        target.set(Some(ReasonKind::Refused));
        sleep(120_000).await;
        let (dead, alive): (Vec<_>, Vec<_>) =
            team.reports().into_iter().partition(|report| &*report.id.component == "dead");
        assert!(gaps(&alive).iter().all(|gap| *gap == 2_000), "{:?}", gaps(&alive));
        let intervals: Vec<u128> = gaps(&dead).iter().map(|gap| gap / 2_000).collect();
        assert_eq!(intervals[..9], [1; 9], "ten in a row are as usual");
        assert_eq!(intervals[9..13], [2, 3, 4, 5]);
        assert!(intervals[13..].iter().all(|gap| *gap == 5), "{intervals:?}");
        assert_eq!(team.metric(r#"falconer_open_circuits{party="target"}"#), 1);
        target.set(Some(ReasonKind::Status));
        sleep(10_000).await;
        team.reports();
        assert_eq!(team.metric(r#"falconer_open_circuits{party="target"}"#), 0, "an answer");
        sleep(20_000).await;
        let dead = team.reports().into_iter().filter(|report| &*report.id.component == "dead");
        let dead: Vec<_> = dead.collect();
        assert!(gaps(&dead).iter().all(|gap| *gap == 2_000), "{:?}", gaps(&dead));
    });
}

#[test]
fn a_prober_that_ends_takes_its_open_circuit_along() {
    in_virtual_time(async {
        let team = Team::new();
        let target = Arc::new(Switch(Mutex::new(Some(ReasonKind::Timeout))));
        let prober = team.add("dead", exact(1), target);
        sleep(20_000).await;
        assert_eq!(team.metric(r#"falconer_open_circuits{party="target"}"#), 1);
        prober.do_send(End);
        sleep(100).await;
        assert_eq!(team.metric(r#"falconer_open_circuits{party="target"}"#), 0);
    });
}

/// Ends the prober.
#[derive(Message)]
#[rtype(result = "()")]
struct End;

impl Handler<End> for Prober {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[test]
fn a_time_out_that_is_noticed_far_too_late_is_the_fault_of_falconer_itself() {
    in_virtual_time(async {
        let team = Team::new();
        team.add("proxy", exact(30), Arc::new(Slow(None)));
        sleep(1_000).await;
        tokio::time::advance(Duration::from_secs(300)).await;
        sleep(1_000).await;
        let reports = team.reports();
        assert_eq!(reports.len(), 1);
        assert!(reports[0].observation.outcome.is_inconclusive(), "{:?}", reports[0]);
        sleep(40_000).await;
        let kind = team.reports()[0].observation.outcome.reason().map(|reason| reason.kind);
        assert_eq!(kind, Some(ReasonKind::Timeout));
    });
}
