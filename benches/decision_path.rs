//! From a probe report to the decision about it, on one thread: the real supervisor, reached
//! through the outbox that probers use, with its status board, its metrics and its peers; beside it
//! the least that could do the same, a bounded tokio channel whose receiver applies the same policy.
//! Both get the same reports, at most as many in flight as the supervisor's mailbox holds, and both
//! must judge every one of them. The last line is one JSON object; rates are reports a second of
//! processor time, the median of the rounds, which alternate.
//!
//! Run: `cargo bench --bench decision_path`.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use async_trait::async_trait;
use falconer::actors::alerter::AlerterInbox;
use falconer::actors::exit_guard;
use falconer::actors::link::Link;
use falconer::actors::post::CommandsArrived;
use falconer::actors::prober::ProberSettings;
use falconer::actors::status::StatusBoard;
use falconer::actors::supervisor::{
    ComponentPlan, Peers, Planner, ReportOutbox, Supervisor, SupervisorInbox, SupervisorParts,
};
use falconer::clock::Clock;
use falconer::effects::Probe;
use falconer::effects::journal::MemoryJournal;
use falconer::metrics::{Metrics, MetricsSettings};
use falconer::model::{
    ComponentId, HealthState, Inventory, Outcome, ProbeObservation, ProbeReport, ProbeTrigger,
    ProberKind, ReasonKind, Timestamp,
};
use falconer::policy::health::{HealthSettings, HealthTracker, Transition};
use serde_json::json;

const CLUSTER: &str = "milvus-ha";
const COMPONENTS: usize = 1_000;
/// As in the tree.
const MAILBOX: usize = 1_024;
/// Reports that are put in before the receiver has a turn.
const PIECE: usize = 512;
const REPORTS: usize = 2_000_000;
const ROUNDS: usize = 5;
/// One component in this many fails for good …
const FAILING: usize = 50;
/// … and one flaps: three failures, then three successes.
const FLAPPING: usize = 50;

fn main() {
    let (mixed, healthy) = (compare(&mixed), compare(&all_healthy));
    println!(
        "{}",
        json!({
            "bench": "decision_path",
            "components": COMPONENTS,
            "reports_a_round": REPORTS,
            "rounds": ROUNDS,
            "mix": {
                "failing_share": 1.0 / FAILING as f64,
                "flapping_share": 1.0 / FLAPPING as f64,
                "incidents_a_round": mixed.incidents,
            },
            "supervisor_per_second": mixed.supervisor,
            "channel_per_second": mixed.channel,
            "ratio": mixed.supervisor / mixed.channel,
            "judged": mixed.judged,
            "coalesced": mixed.coalesced,
            "all_healthy": {
                "supervisor_per_second": healthy.supervisor,
                "channel_per_second": healthy.channel,
                "ratio": healthy.supervisor / healthy.channel,
            },
            "messages_to_peers": mixed.messages,
        })
    );
}

/// What the component `index` answers to its probe number `round`.
type Script = dyn Fn(usize, usize) -> bool;

fn mixed(index: usize, round: usize) -> bool {
    // The very first answer is good, so that no start-up grace is left.
    match index {
        _ if round == 0 => true,
        _ if index % FAILING == 7 => false,
        _ if index % FLAPPING == 11 => round % 6 < 3,
        _ => true,
    }
}

fn all_healthy(_: usize, _: usize) -> bool {
    true
}

#[derive(Default)]
struct Figures {
    supervisor: f64,
    channel: f64,
    judged: u64,
    coalesced: u64,
    incidents: u64,
    messages: u64,
}

fn compare(script: &'static Script) -> Figures {
    let mut figures = Figures::default();
    let (mut supervisor, mut channel) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let run = in_system(supervised(script));
        let bare = in_system(bare(script));
        // The same reports must lead to the same states.
        assert_eq!(run.unhealthy, bare.unhealthy);
        assert_eq!(run.judged + run.coalesced, REPORTS as u64);
        assert_eq!((run.coalesced, bare.judged), (0, REPORTS as u64));
        supervisor.push(REPORTS as f64 / run.cpu);
        channel.push(REPORTS as f64 / bare.cpu);
        figures.judged = run.judged;
        figures.coalesced = run.coalesced;
        figures.messages = run.messages;
        figures.incidents = bare.incidents;
    }
    figures.supervisor = median(supervisor);
    figures.channel = median(channel);
    figures
}

fn in_system<T: 'static>(work: impl Future<Output = T> + 'static) -> T {
    System::new().block_on(work)
}

/// Reports in the order in which probers would send them.
fn reports(script: &'static Script) -> impl Iterator<Item = ProbeReport> {
    let cluster: Arc<str> = CLUSTER.into();
    let names: Vec<Arc<str>> = names().collect();
    (0..REPORTS).map(move |number| {
        let (index, round) = (number % COMPONENTS, number / COMPONENTS);
        let outcome = if script(index, round) {
            Outcome::Healthy
        } else {
            Outcome::failed(ReasonKind::Timeout, "timeout after 5s")
        };
        ProbeReport {
            id: ComponentId::new(Arc::clone(&cluster), Arc::clone(&names[index])),
            kind: ProberKind::Http,
            trigger: ProbeTrigger::Schedule,
            started_at: Timestamp::from_millis(round as u64),
            duration: Duration::from_micros(700),
            observation: ProbeObservation::of(outcome),
        }
    })
}

fn names() -> impl Iterator<Item = Arc<str>> {
    (0..COMPONENTS).map(|index| format!("component-{index}").into())
}

struct Run {
    cpu: f64,
    judged: u64,
    coalesced: u64,
    unhealthy: usize,
    incidents: u64,
    messages: u64,
}

// ---- the supervisor

/// Never probed while the bench runs: reports come from the bench.
struct Silent;

#[async_trait]
impl Probe for Silent {
    async fn probe(&self, _: Duration) -> ProbeObservation {
        std::future::pending().await
    }
}

struct Plans;

impl Planner for Plans {
    fn fixed(&self) -> Vec<ComponentPlan> {
        let silent: Arc<dyn Probe> = Arc::new(Silent);
        let day = Duration::from_secs(86_400);
        let prober =
            Arc::new(ProberSettings { interval: day, timeout: day, ..ProberSettings::default() });
        names()
            .map(|component| ComponentPlan {
                component,
                kind: ProberKind::Http,
                prober: Arc::clone(&prober),
                health: HealthSettings::default(),
                probe: Arc::clone(&silent),
            })
            .collect()
    }

    fn discovered(&self, _: &Arc<str>) -> Option<ComponentPlan> {
        None
    }
}

/// Takes the messages for the other actors and counts them.
struct Counter {
    inbox: AlerterInbox,
    messages: Rc<Cell<u64>>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

macro_rules! counted {
    ($($message:ty),*) => {$(
        impl Handler<$message> for Counter {
            type Result = ();

            fn handle(&mut self, _: $message, _: &mut Self::Context) {
                self.messages.set(self.messages.get() + 1);
            }
        }
    )*};
}

counted!(falconer::actors::recoverer::Recover, falconer::actors::recoverer::ComponentHealthy);

impl Handler<CommandsArrived> for Counter {
    type Result = ();

    fn handle(&mut self, _: CommandsArrived, _: &mut Self::Context) {
        let inbox = &self.inbox;
        let raised = std::iter::from_fn(|| inbox.raise.next()).count();
        let resolved = std::iter::from_fn(|| inbox.resolve.next()).count();
        self.messages.set(self.messages.get() + (raised + resolved) as u64);
    }
}

async fn supervised(script: &'static Script) -> Run {
    let (metrics, _registry) = Metrics::new(&MetricsSettings::default()).expect("no endpoint");
    let messages = Rc::new(Cell::new(0));
    let inbox = AlerterInbox::counted(&metrics);
    let counter = Counter { inbox: inbox.clone(), messages: Rc::clone(&messages) }.start();
    let peers = Peers::counted(&metrics, &inbox);
    peers.raise.publish(&counter);
    peers.resolve.publish(&counter);
    peers.recover.publish(&counter);
    peers.healthy.publish(&counter);
    let (board, clock, link) = (StatusBoard::default(), Clock::system(), Link::new());
    let outbox = ReportOutbox::new(link.clone(), metrics.clone());
    let parts = SupervisorParts {
        keeper: falconer::actors::keeper::StateKeeper::default(),
        cluster: CLUSTER.into(),
        depends_on: std::collections::BTreeSet::new(),
        planner: Arc::new(Plans),
        inventory: tokio::sync::watch::channel(Arc::new(Inventory::default())).1,
        memory: Arc::default(),
        reports: outbox.clone(),
        pacer: falconer::actors::pacer::Pacer::default(),
        inventory_link: Link::new(),
        inbox: SupervisorInbox::default(),
        respawn: falconer::policy::backoff::RespawnSettings::default(),
        last_words: exit_guard::LastWords::default(),
        peers,
        board: board.clone(),
        clock,
        metrics: metrics.clone(),
        journal: Arc::new(MemoryJournal::default()),
    };
    let make = move |ctx: &mut Context<Supervisor>| Supervisor::new(parts, ctx.address());
    let running = exit_guard::start(MAILBOX, make, Box::new(|_| {}));
    link.publish(&running.address);
    // Everything starts, and every first probe is under way.
    tokio::time::sleep(Duration::from_millis(1_200)).await;

    let began = cpu_seconds();
    for (report, number) in reports(script).zip(1..) {
        outbox.report(report);
        if number % PIECE == 0 {
            while outbox.waiting() > MAILBOX - PIECE {
                tokio::task::yield_now().await;
            }
        }
    }
    while outbox.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    let cpu = cpu_seconds() - began;

    let cluster = board.snapshot().clusters.remove(CLUSTER).expect("it is shown");
    let judged = |health: &falconer::model::ComponentHealth| {
        u64::from(health.consecutive_failures + health.consecutive_successes)
    };
    let components = cluster.components.values();
    let last = REPORTS / COMPONENTS - 1;
    // Counters of a component that never changes its mind tell how many reports it was judged by;
    // for the others the newest report must be the last one.
    for (component, index) in names().zip(0..) {
        let shown = &cluster.components[&component];
        assert_eq!(shown.probed_at, Some(Timestamp::from_millis(last as u64)));
        if (0..=last).all(|round| script(index, round)) {
            assert_eq!(judged(&shown.health), last as u64 + 1, "{component}");
        }
    }
    let unhealthy = components.filter(|one| one.health.state == HealthState::Unhealthy).count();
    let coalesced = metrics.mailbox("supervisor").so_far_dropped();
    running.abort.abort();
    let judged = REPORTS as u64 - coalesced;
    Run { cpu, judged, coalesced, unhealthy, incidents: 0, messages: messages.get() }
}

// ---- the least

async fn bare(script: &'static Script) -> Run {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<ProbeReport>(MAILBOX);
    let clock = Clock::system();
    let settings = HealthSettings::default();
    let receiving = tokio::task::spawn_local(async move {
        let now = clock.now();
        let mut trackers: HashMap<Arc<str>, HealthTracker> =
            names().map(|name| (name, HealthTracker::new(settings, now))).collect();
        let (mut judged, mut incidents) = (0, 0);
        while let Some(report) = receiver.recv().await {
            let Some(tracker) = trackers.get_mut(&report.id.component) else { continue };
            let transition = tracker.observe(&report.observation.outcome, settings, clock.now());
            if let Transition::Moved { to: HealthState::Unhealthy, .. } = transition {
                incidents += 1;
            }
            judged += 1;
        }
        let sick = |tracker: &&HealthTracker| tracker.state() == HealthState::Unhealthy;
        (judged, incidents, trackers.values().filter(sick).count())
    });
    let began = cpu_seconds();
    for report in reports(script) {
        sender.send(report).await.expect("the receiver lives");
    }
    drop(sender);
    let (judged, incidents, unhealthy) = receiving.await.expect("no panic");
    let cpu = cpu_seconds() - began;
    Run { cpu, judged, coalesced: 0, unhealthy, incidents, messages: 0 }
}

/// Processor time of this thread so far.
fn cpu_seconds() -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("this is Linux");
    let nanoseconds = times.split_whitespace().next().and_then(|first| first.parse::<u64>().ok());
    Duration::from_nanos(nanoseconds.expect("times are counted")).as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
