//! What the simulated query nodes hold, and the query coordinator that moves it: each segment and
//! channel of each copy of a collection is on one node, or on its way to one. What is on a node that
//! is gone is served by nobody until it is loaded elsewhere.
//!
//! Simplified: nodes load one thing after the other in a fixed time, a node that is about to end
//! gives away what it has until it is gone, and one that needs more memory than its limit loses all
//! of it for a while.

mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::kubernetes::resource::PODS;
use super::kubernetes::store::Store;
use super::labels::component_of;
use super::settings::{DataSettings, SimSettings};
use crate::model::Role;
use state::{Item, Seen, State};

/// The data of all query nodes. Cheap to clone; all clones share it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    settings: DataSettings,
    namespace: String,
    limit_bytes: u64,
    state: Arc<Mutex<State>>,
}

/// Where one copy of a collection is.
#[derive(Debug, Default)]
pub(super) struct Copy {
    pub(super) nodes: Vec<i64>,
    /// Of each channel: the node and its address.
    pub(super) leaders: Vec<(i64, String)>,
}

/// One query node from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Milvus' number for it.
    pub id: i64,
    /// Its pod.
    pub pod: String,
    /// Its address.
    pub ip: String,
    /// `Normal`, `Suspend` or `Stopping`.
    pub state: &'static str,
    /// Segments and channels on it.
    pub items: usize,
    /// Its memory.
    pub memory_bytes: u64,
}

/// All query nodes from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingView {
    /// The nodes.
    pub nodes: Vec<NodeView>,
    /// How often one ran out of memory so far.
    pub out_of_memory: u64,
    /// The most memory that any has needed so far.
    pub fullest_bytes: u64,
    /// Segments and channels on their way.
    pub moving: u64,
}

impl Held {
    /// `None` where no data is simulated.
    pub(super) fn new(settings: &SimSettings) -> Option<Self> {
        let data = settings.data.clone()?;
        let nodes = settings.components.iter().find(|one| one.role == Role::QueryNode)?;
        let mut items: Vec<Item> = Vec::new();
        let mut ids = 450_000..;
        for collection in &settings.collections {
            for copy in 0..data.replicas.max(1) {
                for number in 0..=data.segments {
                    let is_channel = number == 0;
                    items.push(Item {
                        collection: collection.name.clone(),
                        copy,
                        id: ids.next().unwrap_or_default(),
                        is_channel,
                        bytes: if is_channel { 0 } else { data.segment_bytes },
                        on: None,
                        moving: None,
                        must_go: false,
                    });
                }
            }
        }
        let state =
            State { nodes: BTreeMap::new(), items, last_id: 0, out_of_memory: 0, fullest_bytes: 0 };
        Some(Self {
            settings: data,
            namespace: settings.namespace.clone(),
            limit_bytes: nodes.memory_limit_bytes,
            state: Arc::new(Mutex::new(state)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn management_status(&self) -> Option<u16> {
        self.settings.management_status
    }

    /// Moves everything one step on.
    pub(super) fn reconcile(&self, store: &Store) {
        let (_, pods) = store.list(PODS, Some(&self.namespace));
        let pods = pods.iter().filter(|pod| component_of(pod) == Some("querynode"));
        let seen: Vec<Seen> = pods.map(|pod| Seen::of(pod)).collect();
        let now = Instant::now();
        let mut state = self.lock();
        state.follow(&seen, now);
        state.end_moves(now);
        state.run_out_of_memory(self, now);
        state.begin_moves(self.settings.load_time, now);
    }

    /// The memory of a pod; `None` for one that is no query node.
    pub(super) fn memory_of(&self, uid: &str) -> Option<u64> {
        let state = self.lock();
        let (id, _) = state.nodes.iter().find(|(_, node)| node.uid == uid)?;
        Some(state.memory(*id, self.settings.base_bytes))
    }

    /// Whether one copy of the collection is there as a whole.
    pub(super) fn is_queryable(&self, collection: &str) -> bool {
        let state = self.lock();
        let is_there = |copy: u32| {
            let mut items = state.items.iter();
            items
                .all(|item| item.collection != collection || item.copy != copy || item.on.is_some())
        };
        (0..self.settings.replicas.max(1)).any(is_there)
    }

    pub(super) fn tasks(&self) -> u64 {
        self.lock()
            .items
            .iter()
            .filter(|item| item.moving.is_some() || item.on.is_none() || item.must_go)
            .count() as u64
    }

    pub(super) fn copies(&self, collection: &str) -> Vec<Copy> {
        let state = self.lock();
        let mut copies: BTreeMap<u32, Copy> = BTreeMap::new();
        for item in state.items.iter().filter(|item| item.collection == collection) {
            let copy = copies.entry(item.copy).or_default();
            let Some((id, node)) = item.on.and_then(|id| Some((id, state.nodes.get(&id)?))) else {
                continue;
            };
            if !copy.nodes.contains(&id) {
                copy.nodes.push(id);
            }
            if item.is_channel {
                copy.leaders.push((id, node.ip.clone()));
            }
        }
        copies.into_values().collect()
    }

    /// Each sealed segment and the nodes that hold it.
    pub(super) fn segments(&self, collection: &str) -> Vec<(i64, Vec<i64>)> {
        let state = self.lock();
        let ours = state.items.iter().filter(|item| item.collection == collection);
        let segments = ours.filter(|item| !item.is_channel);
        segments.map(|item| (item.id, item.on.into_iter().collect())).collect()
    }

    /// Channels and segments of a node; `None` where there is none of this number.
    pub(super) fn distribution(&self, id: i64) -> Option<(Vec<String>, Vec<i64>)> {
        let state = self.lock();
        state.nodes.get(&id)?;
        let on_it = || state.items.iter().filter(|item| item.on == Some(id));
        let channels = on_it().filter(|item| item.is_channel);
        let channels = channels.map(|item| format!("{}_{}", item.collection, item.copy));
        let segments = on_it().filter(|item| !item.is_channel).map(|item| item.id);
        Some((channels.collect(), segments.collect()))
    }

    /// Whether there is such a node; it is given nothing more from now on, or takes part again.
    pub(super) fn suspend(&self, id: i64, suspended: bool) -> bool {
        let mut state = self.lock();
        let Some(node) = state.nodes.get_mut(&id) else { return false };
        node.suspended = suspended;
        if !suspended {
            state.items.iter_mut().filter(|item| item.on == Some(id)).for_each(Item::may_stay);
        }
        true
    }

    /// Whether there is such a node; its channels or its segments move away from now on.
    pub(super) fn empty(&self, id: i64, channels: bool) -> bool {
        let mut state = self.lock();
        if !state.nodes.contains_key(&id) {
            return false;
        }
        let on_it = state.items.iter_mut().filter(|item| item.on == Some(id));
        on_it.filter(|item| item.is_channel == channels).for_each(|item| item.must_go = true);
        true
    }

    pub(super) fn view(&self) -> ServingView {
        let state = self.lock();
        let nodes = state.nodes.iter().map(|(id, node)| NodeView {
            id: *id,
            pod: node.pod.clone(),
            ip: node.ip.clone(),
            state: match (node.stopping, node.suspended) {
                (true, _) => "Stopping",
                (false, true) => "Suspend",
                (false, false) => "Normal",
            },
            items: state.items.iter().filter(|item| item.on == Some(*id)).count(),
            memory_bytes: state.memory(*id, self.settings.base_bytes),
        });
        ServingView {
            nodes: nodes.collect(),
            out_of_memory: state.out_of_memory,
            fullest_bytes: state.fullest_bytes,
            moving: state.items.iter().filter(|item| item.moving.is_some()).count() as u64,
        }
    }
}
