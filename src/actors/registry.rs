//! What the actors that change workloads share: who holds which workload right now, and the
//! handles both need. Owns no decision.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::keeper::StateKeeper;
use super::leadership::LeadershipHandle;
use super::platform::PlatformCircuits;
use super::status::StatusBoard;
use crate::clock::Clock;
use crate::effects::{Cluster, ClusterError, Journal};
use crate::metrics::Metrics;
use crate::model::{ComponentId, Held, Workload, WorkloadRef};
use crate::policy::maintenance::MaintenanceWindow;
use crate::policy::quiet::{Quiet, quiet};
use crate::policy::silence::SilenceBook;

/// Handles that the recoverer and the scaler both need. Cheap to clone.
#[derive(Clone)]
pub struct Surroundings {
    /// The platforms by the cluster's name. In dry-run they must be wrapped so that they change
    /// nothing: the actors ask them all the same.
    pub clusters: HashMap<Arc<str>, Arc<dyn Cluster>>,
    /// Who holds which workload; the same one for both actors and for all their incarnations.
    pub registry: ActionRegistry,
    /// Which platforms answer; the same ones for both actors and for all their incarnations.
    pub circuits: PlatformCircuits,
    /// Whether this falconer may act, and for how long.
    pub leadership: LeadershipHandle,
    /// Where the ledgers are kept.
    pub keeper: StateKeeper,
    /// The silences that people made.
    pub silences: Arc<Mutex<SilenceBook>>,
    /// Where the snapshot goes.
    pub board: StatusBoard,
    /// The time.
    pub clock: Clock,
    /// Where actions are counted.
    pub metrics: Metrics,
    /// Where decisions and actions are written down.
    pub journal: Arc<dyn Journal>,
}

impl Surroundings {
    /// What keeps this from being done about `component`: one of `windows`, or a silence.
    pub fn quiet(
        &self,
        windows: &[MaintenanceWindow],
        held: Held,
        component: &ComponentId,
    ) -> Option<Quiet> {
        let silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
        quiet(windows, &silences, held, component, self.clock.now())
    }

    /// A request to the platform of `cluster` has ended.
    pub fn answered<T>(&self, cluster: &Arc<str>, answer: &Result<T, ClusterError>) {
        self.circuits.ended(cluster, answer, &self.metrics, self.clock.now());
    }
}

/// An actor that changes workloads; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionHolder {
    /// Restarts it.
    Recoverer,
    /// Changes its replicas.
    Scaler,
}

type Holders = BTreeMap<(Arc<str>, WorkloadRef), ActionHolder>;

/// At most one actor has an action under way on a workload. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ActionRegistry {
    held: Arc<Mutex<Holders>>,
}

impl ActionRegistry {
    /// Takes `workload` of `cluster` for `who`; again by the same holder is fine.
    ///
    /// # Errors
    /// Gives the other holder.
    pub fn claim(
        &self,
        cluster: &Arc<str>,
        workload: &WorkloadRef,
        who: ActionHolder,
    ) -> Result<(), ActionHolder> {
        let mut held = self.lock();
        let holder = *held.entry((Arc::clone(cluster), workload.clone())).or_insert(who);
        if holder == who { Ok(()) } else { Err(holder) }
    }

    /// Gives `workload` back, if `who` holds it.
    pub fn release(&self, cluster: &Arc<str>, workload: &WorkloadRef, who: ActionHolder) {
        let key = (Arc::clone(cluster), workload.clone());
        let mut held = self.lock();
        if held.get(&key) == Some(&who) {
            held.remove(&key);
        }
    }

    /// Who holds `workload` of `cluster`.
    pub fn holder(&self, cluster: &Arc<str>, workload: &WorkloadRef) -> Option<ActionHolder> {
        self.lock().get(&(Arc::clone(cluster), workload.clone())).copied()
    }

    /// Those of `workloads` of `cluster` that `who` holds.
    pub fn held_by(
        &self,
        who: ActionHolder,
        cluster: &Arc<str>,
        workloads: &[Workload],
    ) -> Vec<WorkloadRef> {
        let references = workloads.iter().map(|workload| &workload.reference);
        references.filter(|one| self.holder(cluster, one) == Some(who)).cloned().collect()
    }

    /// Gives back everything `who` holds and takes `workloads` instead: for a new incarnation,
    /// which knows from its ledger what is under way.
    pub fn reclaim(
        &self,
        who: ActionHolder,
        workloads: impl IntoIterator<Item = (Arc<str>, WorkloadRef)>,
    ) {
        let mut held = self.lock();
        held.retain(|_, holder| *holder != who);
        for key in workloads {
            held.entry(key).or_insert(who);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Holders> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WorkloadKind;

    #[test]
    fn a_workload_has_one_holder_and_only_that_one_gives_it_back() {
        let registry = ActionRegistry::default();
        let cluster: Arc<str> = "a".into();
        let workload = WorkloadRef {
            kind: WorkloadKind::Deployment,
            namespace: "n".into(),
            name: "milvus-proxy".into(),
        };
        registry.claim(&cluster, &workload, ActionHolder::Scaler).unwrap();
        assert_eq!(
            registry.claim(&cluster, &workload, ActionHolder::Recoverer),
            Err(ActionHolder::Scaler)
        );
        registry.claim(&"b".into(), &workload, ActionHolder::Recoverer).unwrap();
        registry.release(&cluster, &workload, ActionHolder::Recoverer);
        assert_eq!(registry.holder(&cluster, &workload), Some(ActionHolder::Scaler));
        registry.reclaim(ActionHolder::Scaler, []);
        assert_eq!(registry.holder(&cluster, &workload), None);
        assert_eq!(registry.holder(&"b".into(), &workload), Some(ActionHolder::Recoverer));
    }
}
