//! What the watches share: the objects, the state of each watch, and the inventory that is made of
//! them. Owns the publishing; opens no connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::model::{Inventory, Reason, ReasonKind, WorkloadKind, WorkloadRef};

use super::client::ClientHandle;
use super::inventory::build;
use super::objects::Objects;
use super::settings::KubeSettings;
use super::workloads::Gaps;

/// One watch; the order is that in which their troubles are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchKind {
    /// Pods.
    Pods,
    /// Deployments.
    Deployments,
    /// `StatefulSets`.
    StatefulSets,
    /// `DaemonSets`.
    DaemonSets,
    /// `ReplicaSets`.
    ReplicaSets,
    /// `HorizontalPodAutoscalers`.
    Autoscalers,
    /// Milvus custom resources.
    Milvuses,
    /// KEDA `ScaledObjects`.
    ScaledObjects,
}

impl WatchKind {
    /// The resource's plural.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Deployments => "deployments",
            Self::StatefulSets => "statefulsets",
            Self::DaemonSets => "daemonsets",
            Self::ReplicaSets => "replicasets",
            Self::Autoscalers => "horizontalpodautoscalers",
            Self::Milvuses => "milvuses",
            Self::ScaledObjects => "scaledobjects",
        }
    }

    /// Whether there is no inventory without it.
    const fn is_required(self) -> bool {
        match self {
            Self::Pods
            | Self::Deployments
            | Self::StatefulSets
            | Self::DaemonSets
            | Self::ReplicaSets => true,
            Self::Autoscalers | Self::Milvuses | Self::ScaledObjects => false,
        }
    }

    /// Whether the API server may well not know such a resource.
    pub const fn may_be_absent(self) -> bool {
        matches!(self, Self::Milvuses | Self::ScaledObjects)
    }
}

/// Why a watch does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such API here.
    Absent,
    /// It failed.
    Failed(Reason),
}

/// How a watch is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchHealth {
    /// Whether everything has been listed once.
    pub synced: bool,
    /// What is wrong now.
    pub trouble: Option<Trouble>,
}

/// What changes.
#[derive(Debug, Default)]
pub struct State {
    /// The objects as last seen.
    pub objects: Objects,
    /// The watches that were started.
    pub health: BTreeMap<WatchKind, WatchHealth>,
    /// The instance that was chosen.
    pub instance: Option<String>,
}

/// What all tasks of one adapter share.
pub struct Shared {
    /// How it was set up.
    pub settings: KubeSettings,
    /// The client.
    pub client: ClientHandle,
    state: Mutex<State>,
    changed: Notify,
    inventory: watch::Sender<Arc<Inventory>>,
}

impl Shared {
    /// Nothing is known yet.
    pub fn new(settings: KubeSettings) -> Self {
        let client = ClientHandle::new(settings.source.clone(), settings.timing);
        let inventory = watch::Sender::new(Arc::default());
        Self { settings, client, state: Mutex::default(), changed: Notify::new(), inventory }
    }

    /// The inventory and its changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Inventory>> {
        self.inventory.subscribe()
    }

    /// Looks at what is known.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known; the inventory follows soon.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.notify_one();
        result
    }

    /// Sets what is wrong with a watch, and logs it where that is news.
    pub fn set_trouble(&self, kind: WatchKind, trouble: Option<Trouble>) {
        let is_news = self.change(|state| {
            let health = state.health.entry(kind).or_default();
            let is_news = health.trouble != trouble;
            health.trouble.clone_from(&trouble);
            is_news
        });
        if !is_news {
            return;
        }
        let (cluster, resource) = (&*self.settings.cluster, kind.as_str());
        match trouble {
            Some(Trouble::Failed(reason)) => {
                tracing::warn!(cluster, resource, %reason, "kubernetes watch failed");
            }
            Some(Trouble::Absent) => {
                tracing::debug!(cluster, resource, "kubernetes api does not have the resource");
            }
            None => tracing::info!(cluster, resource, "kubernetes watch recovered"),
        }
    }

    /// Makes the inventory anew whenever something has changed, for ever.
    pub async fn publish(&self) {
        loop {
            self.changed.notified().await;
            // Many objects change together in a rollout.
            sleep(self.settings.timing.debounce).await;
            let inventory = self.rebuild();
            self.inventory.send_if_modified(|current| {
                let is_new = **current != inventory;
                if is_new {
                    *current = Arc::new(inventory);
                }
                is_new
            });
        }
    }

    /// The inventory could not be made; another try follows even if nothing changes.
    pub fn publishing_failed(&self, reason: Reason) {
        self.inventory.send_modify(|current| Arc::make_mut(current).error = Some(reason));
        self.changed.notify_one();
    }

    fn rebuild(&self) -> Inventory {
        let mut state = self.state();
        let gaps = Gaps {
            autoscalers: state
                .gap(WatchKind::Autoscalers, true)
                .or_else(|| state.gap(WatchKind::ScaledObjects, false)),
            milvuses: state.gap(WatchKind::Milvuses, false),
        };
        let built = build(
            &state.objects,
            &self.settings.namespace,
            &self.settings.selection,
            &gaps,
            state.instance.as_deref(),
        );
        state.instance = built.instance;
        let ambiguous = built.error.map(|text| Reason::new(ReasonKind::PlatformUnavailable, text));
        Inventory {
            synced: state.is_synced(),
            error: state.error().or(ambiguous),
            components: built.components,
        }
    }
}

impl State {
    /// Required lists are there; of the others it is at least known that they are not.
    fn is_synced(&self) -> bool {
        !self.health.is_empty()
            && self.health.iter().all(|(kind, health)| {
                health.synced || (!kind.is_required() && health.trouble.is_some())
            })
    }

    fn error(&self) -> Option<Reason> {
        self.health.iter().filter(|(kind, _)| kind.is_required()).find_map(|(_, health)| {
            match &health.trouble {
                Some(Trouble::Failed(reason)) => Some(reason.clone()),
                Some(Trouble::Absent) | None => None,
            }
        })
    }

    /// Why the objects of `kind` cannot be told; `absence` says whether a missing API is a gap.
    fn gap(&self, kind: WatchKind, absence: bool) -> Option<String> {
        let health = self.health.get(&kind)?;
        match &health.trouble {
            Some(Trouble::Failed(reason)) => Some(reason.text.clone()),
            Some(Trouble::Absent) => {
                absence.then(|| format!("there is no API for {}", kind.as_str()))
            }
            None => (!health.synced).then(|| format!("{} are not listed yet", kind.as_str())),
        }
    }

    /// The workload's unique identifier, as far as it has been seen.
    pub fn uid(&self, workload: &WorkloadRef) -> Option<String> {
        let name = &*workload.name;
        let objects = &self.objects;
        let meta = match workload.kind {
            WorkloadKind::Deployment => objects.deployments.get(name).map(|found| &found.metadata),
            WorkloadKind::StatefulSet => {
                objects.stateful_sets.get(name).map(|found| &found.metadata)
            }
            WorkloadKind::DaemonSet => objects.daemon_sets.get(name).map(|found| &found.metadata),
            WorkloadKind::Process => None,
        };
        meta.and_then(|meta| meta.uid.clone())
    }
}
