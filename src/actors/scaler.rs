//! Changes the number of replicas with the load, within its bounds. Owns the changes under way;
//! decides nothing itself (see `policy::scaling`) and keeps what it did in a ledger that outlives
//! it.

mod act;
mod caution;
mod drain;
mod follow;
mod keeping;
mod observe;
mod reconfigure;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::prelude::*;

pub use self::reconfigure::Reconfigure;
pub use self::settings::ScalerSettings;
pub use self::snapshot::{ObservedScaling, ScalerSnapshot, ScalingRecord, ScalingWarning};

use super::post::{Command, Post};
use super::registry::{ActionHolder, Surroundings};
use crate::effects::QueryNodes;
use crate::model::{ComponentId, Held, JournalEntry, JournalRecord, Timestamp, WorkloadRef};
use crate::policy::scaling::{
    ChangeUnderWay, HoldReason, ScalingDecision, ScalingLedger, ScalingRequest, judge,
};
use crate::policy::workload_choice::choose;

/// How many of the newest decisions the snapshot shows.
const RECENT_LIMIT: usize = 50;

/// The load of one component as just measured. Sent at every resources report. Which of its
/// workloads are being restarted is for the scaler to find out.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct LoadObserved(pub ScalingRequest);

/// What the scaler tells the supervisor; only when its decision changed or an action ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingProgressed {
    /// The component.
    pub component: ComponentId,
    /// A sentence for people: what was decided and why, with its numbers.
    pub summary: String,
}

impl Command for ScalingProgressed {
    type Key = ComponentId;

    fn key(&self) -> ComponentId {
        self.component.clone()
    }
}

/// falconer ends: decide nothing more. Answers with what is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Vec<ChangeUnderWay>")]
pub struct Drain;

/// The actor.
pub struct Scaler {
    settings: ScalerSettings,
    ledger: Arc<Mutex<ScalingLedger>>,
    progress: HashMap<Arc<str>, Post<ScalingProgressed>>,
    around: Surroundings,
    /// The kind of what was told last about a component, so that nothing is told twice.
    told: HashMap<ComponentId, &'static str>,
    recent: VecDeque<ScalingRecord>,
    /// What would be done about workloads that something else scales.
    observed: BTreeMap<ComponentId, ObservedScaling>,
    /// Components whose rollout status is being asked right now.
    polling: HashSet<ComponentId>,
    watch_armed: bool,
    draining: bool,
    /// What Milvus says of its query nodes, by the cluster's name.
    query_nodes: HashMap<Arc<str>, Arc<dyn QueryNodes>>,
    /// Components about whose data Milvus is being asked right now.
    inquiring: HashSet<ComponentId>,
    /// What this incarnation does about the nodes that it drains.
    drains: drain::Drains,
}

impl Scaler {
    /// A scaler. `ledger` and `around.registry` must be the same for every incarnation;
    /// `progress` leads from a cluster's name to its supervisor.
    pub fn new(
        settings: ScalerSettings,
        ledger: Arc<Mutex<ScalingLedger>>,
        progress: HashMap<Arc<str>, Post<ScalingProgressed>>,
        around: Surroundings,
    ) -> Self {
        Self {
            settings,
            ledger,
            progress,
            around,
            told: HashMap::new(),
            recent: VecDeque::new(),
            observed: BTreeMap::new(),
            polling: HashSet::new(),
            watch_armed: false,
            draining: false,
            query_nodes: HashMap::new(),
            inquiring: HashSet::new(),
            drains: drain::Drains::default(),
        }
    }

    /// The same with what Milvus says of its query nodes, by the cluster's name. Without it none is
    /// taken away.
    #[must_use]
    pub fn with_query_nodes(self, query_nodes: HashMap<Arc<str>, Arc<dyn QueryNodes>>) -> Self {
        Self { query_nodes, ..self }
    }

    fn ledger(&self) -> MutexGuard<'_, ScalingLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_load(&mut self, mut load: ScalingRequest, ctx: &mut Context<Self>) {
        let now = self.around.clock.now();
        self.look_at_drain(&load, ctx);
        let due = self.ledger().is_due(&load.component, self.settings.interval, now);
        if self.draining || !due {
            return;
        }
        let cluster = &load.component.cluster;
        load.being_restarted =
            self.around.registry.held_by(ActionHolder::Recoverer, cluster, &load.workloads);
        load.quiet = self.around.quiet(&self.settings.maintenance, Held::Scaling, &load.component);
        let (decision, is_ours) = self.decide(&load, now);
        if is_ours {
            self.warn_of_gitops(&load);
        }
        let component = load.component.clone();
        if !matches!(decision, ScalingDecision::Observe(_)) {
            self.on_unobserved(&component);
        }
        match decision {
            ScalingDecision::Scale(plan) => self.begin_cautiously(load, plan, ctx),
            ScalingDecision::Observe(observed) => self.on_observed(&component, &observed),
            // Told when it began or failed, and told again when it ends.
            ScalingDecision::Hold {
                reason: HoldReason::ChangeUnderWay { .. } | HoldReason::AfterError { .. },
            } => {}
            ScalingDecision::Hold { reason } => {
                self.ledger().forget_shown(&component);
                self.tell(&component, reason.as_str(), reason.to_string());
            }
            ScalingDecision::Keep { reason } => {
                self.ledger().forget_shown(&component);
                self.tell(&component, reason.as_str(), reason.to_string());
            }
        }
    }

    /// The decision, and whether falconer might ever scale the component.
    fn decide(&self, load: &ScalingRequest, now: Timestamp) -> (ScalingDecision, bool) {
        let component = &load.component;
        let settings = self.settings.for_component(component);
        let mut ledger = self.ledger();
        let running = choose(&load.workloads).ok();
        if let (Some(settings), Some(workload)) = (settings, running) {
            let (current, interval) = (workload.desired_replicas, self.settings.interval);
            ledger.observe(component, current, settings, interval, now);
        }
        let judged = judge(load, &ledger, settings, now);
        if let Some(replicas) = judged.recommended {
            ledger.recommend(component, replicas, now);
        }
        (judged.decision, judged.recommended.is_some())
    }

    /// Logs, remembers and sends on, unless it is what was told last.
    fn tell(&mut self, component: &ComponentId, kind: &'static str, summary: String) {
        self.tell_change(component, kind, summary, None);
    }

    /// The same with the exact change that was made or shown.
    fn tell_change(
        &mut self,
        component: &ComponentId,
        kind: &'static str,
        summary: String,
        change: Option<&str>,
    ) {
        if self.told.insert(component.clone(), kind) == Some(kind) {
            return;
        }
        tracing::info!(component = %component, kind, summary, change, "scaling progressed");
        self.remember(component, kind, &summary, change);
        let words = match change {
            Some(change) if !summary.ends_with(change) => format!("{summary}: {change}"),
            Some(_) | None => summary.clone(),
        };
        let (decision, words) = (kind.to_owned(), words.as_str().into());
        let record = JournalRecord::Scaling { decision, words };
        let entry = JournalEntry::of(self.around.clock.now(), component, record);
        self.around.journal.record(entry);
        if let Some(post) = self.progress.get(&component.cluster) {
            let component = component.clone();
            post.send(ScalingProgressed { component, summary });
        }
    }

    fn release(&self, component: &ComponentId, workload: &WorkloadRef) {
        self.around.registry.release(&component.cluster, workload, ActionHolder::Scaler);
    }

    fn on_drain(&mut self, ctx: &mut Context<Self>) -> Vec<ChangeUnderWay> {
        self.draining = true;
        self.give_all_back(ctx);
        self.publish();
        self.ledger().all_in_flight().cloned().collect()
    }
}

impl Actor for Scaler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        #[cfg(any(test, feature = "fault-injection"))]
        super::fault_injection::arm("scaler", &ctx.address());
        self.around.leadership.clone().follow(self.around.clock, ctx, Self::resume);
        self.resume(ctx);
    }
}

impl Handler<LoadObserved> for Scaler {
    type Result = ();

    fn handle(&mut self, load: LoadObserved, ctx: &mut Self::Context) {
        self.on_load(load.0, ctx);
    }
}

impl Handler<Drain> for Scaler {
    type Result = Vec<ChangeUnderWay>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        self.on_drain(ctx)
    }
}
