//! Many components, and floods of reports, in virtual time and against in-memory probes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::actors::exit_guard::{self, LastWords, Running};
use crate::actors::link::Link;
use crate::actors::pacer::Pacer;
use crate::actors::prober::ProberSettings;
use crate::actors::status::{ComponentSnapshot, StatusBoard};
use crate::actors::supervisor::{
    ComponentPlan, Peers, Planner, ReportOutbox, SupervisorInbox, SupervisorParts,
};
use crate::actors::testing::{CLUSTER, in_virtual_time};
use crate::clock::Clock;
use crate::effects::Probe;
use crate::effects::journal::MemoryJournal;
use crate::metrics::Metrics;
use crate::model::{
    ComponentId, HealthState, Inventory, Outcome, ProbeObservation, ProbeTrigger, Timestamp,
};
use crate::policy::backoff::RespawnSettings;
use crate::policy::health::HealthSettings;

/// Always well, or never answers; counts.
#[derive(Default)]
struct Counted {
    probes: AtomicU32,
    is_silent: bool,
}

#[async_trait]
impl Probe for Counted {
    async fn probe(&self, _: Duration) -> ProbeObservation {
        self.probes.fetch_add(1, Ordering::Relaxed);
        if self.is_silent {
            std::future::pending::<()>().await;
        }
        ProbeObservation::of(Outcome::Healthy)
    }
}

struct Plans {
    probes: BTreeMap<Arc<str>, Arc<Counted>>,
    interval: Duration,
}

impl Planner for Plans {
    fn fixed(&self) -> Vec<ComponentPlan> {
        let plan = |(component, probe): (&Arc<str>, &Arc<Counted>)| ComponentPlan {
            component: Arc::clone(component),
            kind: ProberKind::Http,
            prober: Arc::new(ProberSettings {
                interval: self.interval,
                ..ProberSettings::default()
            }),
            health: HealthSettings::default(),
            probe: Arc::clone(probe) as Arc<dyn Probe>,
        };
        self.probes.iter().map(plan).collect()
    }

    fn discovered(&self, _: &Arc<str>) -> Option<ComponentPlan> {
        None
    }
}

struct Fixture {
    probes: BTreeMap<Arc<str>, Arc<Counted>>,
    reports: ReportOutbox,
    board: StatusBoard,
    metrics: Metrics,
    _running: Running<Supervisor>,
}

impl Fixture {
    fn start(components: usize, interval: Duration, mailbox: usize) -> Self {
        Self::start_after(components, interval, mailbox, |_| {})
    }

    /// A supervisor that begins when some reports wait for it already.
    fn start_after(
        components: usize,
        interval: Duration,
        mailbox: usize,
        before: impl FnOnce(&ReportOutbox),
    ) -> Self {
        let probes: BTreeMap<Arc<str>, Arc<Counted>> = (0..components)
            .map(|index| {
                let probes = AtomicU32::default();
                (name(index), Arc::new(Counted { probes, is_silent: interval == NEVER }))
            })
            .collect();
        let (board, link, metrics) = (StatusBoard::default(), Link::new(), Metrics::default());
        let reports = ReportOutbox::new(link.clone(), metrics.clone());
        before(&reports);
        let parts = SupervisorParts {
            keeper: crate::actors::keeper::StateKeeper::default(),
            cluster: CLUSTER.into(),
            depends_on: std::collections::BTreeSet::new(),
            planner: Arc::new(Plans { probes: probes.clone(), interval }),
            inventory: watch::channel(Arc::new(Inventory::default())).1,
            memory: Arc::default(),
            reports: reports.clone(),
            pacer: Pacer::default(),
            inventory_link: Link::new(),
            inbox: SupervisorInbox::default(),
            respawn: RespawnSettings::default(),
            last_words: LastWords::default(),
            peers: Peers::default(),
            board: board.clone(),
            clock: Clock::starting_at(Timestamp::from_millis(1_000_000)),
            metrics: metrics.clone(),
            journal: Arc::new(MemoryJournal::default()),
        };
        let make = move |ctx: &mut Context<Supervisor>| Supervisor::new(parts, ctx.address());
        let running = exit_guard::start(mailbox, make, Box::new(|_| {}));
        link.publish(&running.address);
        Self { probes, reports, board, metrics, _running: running }
    }

    fn components(&self) -> BTreeMap<Arc<str>, ComponentSnapshot> {
        self.board.snapshot().clusters.remove(CLUSTER).expect("it is shown").components
    }

    fn report(&self, index: usize, started_at: u64) {
        self.reports.report(report(index, started_at));
    }

    fn dropped(&self) -> u64 {
        self.metrics.mailbox("supervisor").so_far_dropped()
    }
}

fn report(index: usize, started_at: u64) -> ProbeReport {
    ProbeReport {
        id: ComponentId::new(CLUSTER, name(index)),
        kind: ProberKind::Http,
        trigger: ProbeTrigger::Schedule,
        started_at: Timestamp::from_millis(started_at),
        duration: Duration::ZERO,
        observation: ProbeObservation::of(Outcome::Healthy),
    }
}

fn name(index: usize) -> Arc<str> {
    format!("component-{index}").into()
}

/// Reports come from the test alone.
const NEVER: Duration = Duration::from_secs(86_400);

async fn millis(count: u64) {
    tokio::time::sleep(Duration::from_millis(count)).await;
}

#[test]
fn ten_thousand_components_are_all_judged_by_every_report() {
    in_virtual_time(async {
        let fixture = Fixture::start(10_000, Duration::from_secs(10), 1_024);
        millis(35_000).await;
        let shown = fixture.components();
        assert_eq!((shown.len(), fixture.dropped()), (10_000, 0));
        for (name, component) in &shown {
            let probes = fixture.probes[name].probes.load(Ordering::Relaxed);
            assert!((2..=5).contains(&probes), "{name}: {probes} probes");
            assert_eq!(component.health.state, HealthState::Healthy, "{name}");
            assert_eq!(component.health.consecutive_successes, probes, "{name}");
        }
    });
}

#[test]
fn a_flood_of_one_component_loses_the_newest_report_of_no_other() {
    in_virtual_time(async {
        const FLOOD: usize = 0;
        const OTHERS: usize = 300;
        let fixture = Fixture::start(OTHERS + 1, NEVER, 64);
        millis(1).await;
        // Nobody takes anything meanwhile.
        for number in 0..3_000 {
            fixture.report(FLOOD, number);
            if number % 10 == 9 {
                fixture.report(1 + (number / 10) as usize, number);
            }
        }
        millis(50).await;
        assert_eq!(fixture.reports.waiting(), 0);
        let shown = fixture.components();
        let newest = |index| shown[&name(index)].probed_at.map(Timestamp::as_millis);
        assert_eq!(newest(FLOOD), Some(2_999));
        for index in 1..=OTHERS {
            assert_eq!(newest(index), Some(index as u64 * 10 - 1));
        }
        let judged = u64::from(shown[&name(FLOOD)].health.consecutive_successes);
        assert_eq!(judged + fixture.dropped(), 3_000, "what was not judged was counted");
        assert!(fixture.dropped() > 2_000);
    });
}

#[test]
fn a_flood_leaves_everybody_else_on_the_thread_a_turn() {
    in_virtual_time(async {
        let fixture = Fixture::start(1, NEVER, 1_024);
        millis(1).await;
        (0..1_024).for_each(|number| fixture.report(0, number));
        let mut turns = 0;
        while fixture.reports.waiting() > 0 {
            tokio::task::yield_now().await;
            turns += 1;
        }
        assert!(turns >= 1_024 / REPORTS_IN_A_ROW, "{turns} turns");
    });
}

#[test]
fn reports_that_waited_while_there_was_no_supervisor_are_taken_by_the_next_one() {
    in_virtual_time(async {
        let fixture = Fixture::start_after(2, NEVER, 16, |reports| reports.report(report(1, 5)));
        millis(10).await;
        let shown = fixture.components();
        assert_eq!(shown[&name(1)].probed_at, Some(Timestamp::from_millis(5)));
    });
}
