//! The world that falconer watches, in memory: clusters whose components fall sick, a platform that
//! does not always answer, people's receivers. It sees every call, and what it holds against
//! falconer rests on that alone.

pub mod action;
pub mod cluster;
pub mod death;
pub mod planner;
pub mod platform;
pub mod probe;
pub mod receiver;
pub mod target;
pub mod workload;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use falconer::clock::Clock;
use falconer::model::{IncidentId, Timestamp, WorkloadRef};

use crate::dice::Dice;
use crate::plan::Plan;
use crate::trace::{Trace, clock_time};
use action::Decision;
use cluster::Cluster;
use death::Deaths;
use receiver::Receiver;
use target::Target;

/// Where a target is: which cluster, which of its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The cluster's index.
    pub cluster: usize,
    /// The target's index in it.
    pub target: usize,
}

/// What was counted in a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Faults that began, and calls that went wrong by themselves.
    pub faults: u64,
    /// Probes that ended.
    pub probes: u64,
    /// Restarts that the platform carried out for falconer.
    pub restarts: u64,
    /// The same of changes of replicas.
    pub scalings: u64,
    /// How often falconer stopped acting in a cluster until a person had looked.
    pub stops: u64,
    /// Messages that a receiver took.
    pub messages: u64,
    /// Panics inside actors.
    pub panics: u64,
}

/// A promise that falconer did not keep.
#[derive(Debug, Clone)]
pub struct Violation {
    /// When.
    pub at: Timestamp,
    /// Which, in words.
    pub words: String,
    /// The newest lines of the trace.
    pub trace: Vec<String>,
}

/// Everything there is.
pub struct State {
    /// The time.
    pub clock: Clock,
    /// When the run began.
    pub started: Timestamp,
    /// What the seed stands for.
    pub plan: Arc<Plan>,
    /// Chance.
    pub dice: Dice,
    /// What happened.
    pub trace: Trace,
    /// How much.
    pub counts: Counts,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// The clusters.
    pub clusters: Vec<Cluster>,
    /// The receivers.
    pub receivers: Vec<Receiver>,
    /// Which actors died when.
    pub deaths: Deaths,
    /// Every restart that falconer decided, by its key.
    pub decisions: Vec<Decision>,
    /// When a person last let falconer go on: what it did before counts no more for all clusters.
    pub resumed_at: Timestamp,
    /// Whether anything goes wrong any more.
    pub calm: bool,
    /// Since when falconer ends.
    pub ending_since: Option<Timestamp>,
}

/// A shared handle to it.
pub type World = Arc<SharedWorld>;

/// The state behind its lock.
pub struct SharedWorld {
    state: Mutex<State>,
    clock: Clock,
}

impl SharedWorld {
    /// The world at its beginning.
    pub fn new(plan: Arc<Plan>, clock: Clock) -> World {
        let started = clock.now();
        let mut dice = Dice::new(plan.seed ^ 0x00c0_ffee);
        let clusters = plan.clusters.iter().map(|c| Cluster::new(c, started, &mut dice)).collect();
        let receivers = plan.receivers.iter().map(|name| Receiver::new(name, started)).collect();
        let state = State {
            clock,
            started,
            dice,
            trace: Trace::new(started),
            counts: Counts::default(),
            violation: None,
            clusters,
            receivers,
            deaths: Deaths::default(),
            decisions: Vec::new(),
            resumed_at: started,
            calm: false,
            ending_since: None,
            plan,
        };
        Arc::new(Self { state: Mutex::new(state), clock })
    }

    /// The state. Never held over an await.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl State {
    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Notes what happens.
    pub fn say(&mut self, text: impl std::fmt::Display) {
        let now = self.now();
        self.trace.line(now, text);
    }

    /// Notes what happens to a target.
    pub fn say_of(&mut self, at: At, text: impl std::fmt::Display) {
        let id = self.target(at).id.clone();
        self.say(format_args!("{id} {text}"));
    }

    /// A promise was broken. The first one counts.
    pub fn violate(&mut self, words: String) {
        let now = self.now();
        self.trace.line(now, format_args!("VIOLATION {words}"));
        if self.violation.is_none() {
            self.violation = Some(Violation { at: now, words, trace: self.trace.tail() });
        }
    }

    /// An instant as the trace writes it.
    pub fn time(&self, at: Timestamp) -> String {
        clock_time(at.since(self.started))
    }

    /// One target.
    pub fn target(&self, at: At) -> &Target {
        &self.clusters[at.cluster].targets[at.target]
    }

    /// One target, to change it.
    pub fn target_mut(&mut self, at: At) -> &mut Target {
        &mut self.clusters[at.cluster].targets[at.target]
    }

    /// Every target of a cluster.
    pub fn places(&self, cluster: usize) -> impl Iterator<Item = At> + use<> {
        (0..self.clusters[cluster].targets.len()).map(move |target| At { cluster, target })
    }

    /// Every target.
    pub fn all_places(&self) -> Vec<At> {
        (0..self.clusters.len()).flat_map(|cluster| self.places(cluster)).collect()
    }

    /// What a workload runs.
    pub fn place_of(&self, cluster: usize, workload: &WorkloadRef) -> Option<At> {
        self.places(cluster).find(|at| {
            let run = self.target(*at).run.as_ref();
            run.is_some_and(|run| run.is_called(workload))
        })
    }

    /// Which target an incident is about.
    pub fn place_of_incident(&self, incident: &IncidentId) -> Option<At> {
        let (component, _) = incident.as_str().split_once('@')?;
        self.all_places().into_iter().find(|at| self.target(*at).id.to_string() == component)
    }

    /// The platform shows something new, sooner or later.
    pub fn changed(&mut self, cluster: usize) {
        let lag = match self.dice.number(0, 9) {
            0..=5 => self.dice.millis(0, 300),
            6..=8 => self.dice.millis(300, 3_000),
            _ => self.dice.seconds(3, 12),
        };
        let now = self.now();
        self.clusters[cluster].changed(now + lag);
    }
}
