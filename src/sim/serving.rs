//! What the simulated query nodes hold, and the query coordinator that moves it: each segment and
//! channel of each copy of a collection is on one node, or on its way to one. What is on a node that
//! is gone is served by nobody until it is loaded elsewhere.
//!
//! Simplified: nodes load one thing after the other in a fixed time, a node that is about to end
//! gives away what it has until it is gone, and one that needs more memory than its limit loses all
//! of it for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::controllers::template::is_ready;
use super::kubernetes::json::{is_terminating, name, text, uid};
use super::kubernetes::resource::PODS;
use super::kubernetes::store::Store;
use super::labels::component_of;
use super::settings::{DataSettings, SimSettings};
use crate::model::Role;

/// The data of all query nodes. Cheap to clone; all clones share it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    settings: DataSettings,
    namespace: String,
    limit_bytes: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    nodes: BTreeMap<i64, Node>,
    items: Vec<Item>,
    last_id: i64,
    out_of_memory: u64,
    fullest_bytes: u64,
}

#[derive(Debug)]
struct Node {
    pod: String,
    uid: String,
    ip: String,
    suspended: bool,
    stopping: bool,
    /// Until when it loads what it was given.
    busy_until: Instant,
    /// Until when it is gone, because it needed too much memory.
    down_until: Option<Instant>,
}

/// A segment, or a channel, of one copy.
#[derive(Debug)]
struct Item {
    collection: String,
    copy: u32,
    id: i64,
    is_channel: bool,
    bytes: u64,
    on: Option<i64>,
    /// Where it is being loaded, and when that is done.
    moving: Option<(i64, Instant)>,
    must_go: bool,
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
        self.lock().items.iter().filter(|item| item.moving.is_some() || item.on.is_none()).count()
            as u64
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

/// A pod of the query nodes.
struct Seen {
    pod: String,
    uid: String,
    ip: String,
    is_ready: bool,
    is_ending: bool,
}

impl Seen {
    fn of(pod: &serde_json::Value) -> Self {
        Self {
            pod: name(pod).to_owned(),
            uid: uid(pod).to_owned(),
            ip: text(pod, "/status/podIP").to_owned(),
            is_ready: is_ready(pod),
            is_ending: is_terminating(pod),
        }
    }
}

impl Item {
    fn may_stay(&mut self) {
        self.must_go = false;
        self.moving = None;
    }

    /// Whether its node holds it, or will.
    fn counts_for(&self, id: i64) -> bool {
        self.moving.map_or(self.on, |(target, _)| Some(target)) == Some(id)
    }
}

impl State {
    /// Nodes come with their pods and go with them.
    fn follow(&mut self, seen: &[Seen], now: Instant) {
        for pod in seen.iter().filter(|pod| pod.is_ready) {
            if !self.nodes.values().any(|node| node.uid == pod.uid) {
                self.last_id += 1;
                let node = Node {
                    pod: pod.pod.clone(),
                    uid: pod.uid.clone(),
                    ip: pod.ip.clone(),
                    suspended: false,
                    stopping: false,
                    busy_until: now,
                    down_until: None,
                };
                self.nodes.insert(self.last_id, node);
            }
        }
        let mut gone = Vec::new();
        for (id, node) in &mut self.nodes {
            match seen.iter().find(|pod| pod.uid == node.uid) {
                Some(pod) => node.stopping = pod.is_ending,
                None => gone.push(*id),
            }
        }
        for id in gone {
            self.nodes.remove(&id);
            self.lose(id);
        }
    }

    /// Whatever was on the node is on none, and what was on its way to it is not any more.
    fn lose(&mut self, id: i64) {
        for item in &mut self.items {
            if item.on == Some(id) {
                item.on = None;
                item.must_go = false;
            }
            if item.moving.is_some_and(|(target, _)| target == id) {
                item.moving = None;
            }
        }
    }

    fn end_moves(&mut self, now: Instant) {
        for item in &mut self.items {
            if let Some((target, done_at)) = item.moving
                && done_at <= now
            {
                item.on = Some(target);
                item.may_stay();
            }
        }
    }

    fn run_out_of_memory(&mut self, held: &Held, now: Instant) {
        let ids: Vec<i64> = self.nodes.keys().copied().collect();
        for id in ids {
            let memory = self.memory(id, held.settings.base_bytes);
            self.fullest_bytes = self.fullest_bytes.max(memory);
            if memory > held.limit_bytes {
                self.out_of_memory += 1;
                self.lose(id);
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.down_until = Some(now + held.settings.restart_time);
                    node.busy_until = now;
                }
            }
        }
    }

    /// What the node needs for what it holds and what it is being given.
    fn memory(&self, id: i64, base: u64) -> u64 {
        let is_there = |item: &&Item| {
            item.on == Some(id) || item.moving.is_some_and(|(target, _)| target == id)
        };
        base + self.items.iter().filter(is_there).map(|item| item.bytes).sum::<u64>()
    }

    fn begin_moves(&mut self, load_time: Duration, now: Instant) {
        for at in 0..self.items.len() {
            let item = &self.items[at];
            let is_leaving = item.on.and_then(|id| self.nodes.get(&id)).is_some_and(|n| n.stopping);
            if item.moving.is_none() && (item.on.is_none() || item.must_go || is_leaving) {
                self.send(at, None, load_time, now);
            }
        }
        self.balance(load_time, now);
    }

    /// One move from the fullest to the emptiest node, where nothing else is on its way.
    fn balance(&mut self, load_time: Duration, now: Instant) {
        if self.items.iter().any(|item| item.moving.is_some() || item.on.is_none()) {
            return;
        }
        let counts: BTreeMap<i64, usize> =
            self.takers(now).into_iter().map(|id| (id, self.count(id))).collect();
        let fullest = counts.iter().max_by_key(|(_, count)| **count);
        let emptiest = counts.iter().min_by_key(|(_, count)| **count);
        let (Some((from, most)), Some((to, least))) = (fullest, emptiest) else { return };
        if most - least < 2 {
            return;
        }
        let at = self.items.iter().position(|item| item.on == Some(*from) && !item.is_channel);
        if let Some(at) = at {
            self.send(at, Some(*to), load_time, now);
        }
    }

    /// Nodes that can be given something.
    fn takers(&self, now: Instant) -> Vec<i64> {
        let takes = |node: &Node| {
            !node.suspended && !node.stopping && node.down_until.is_none_or(|until| until <= now)
        };
        self.nodes.iter().filter(|(_, node)| takes(node)).map(|(id, _)| *id).collect()
    }

    fn count(&self, id: i64) -> usize {
        self.items.iter().filter(|item| item.counts_for(id)).count()
    }

    fn send(&mut self, at: usize, to: Option<i64>, load_time: Duration, now: Instant) {
        let from = self.items[at].on;
        let takers = self.takers(now).into_iter().filter(|id| Some(*id) != from);
        let Some(to) = to.or_else(|| takers.min_by_key(|id| self.count(*id))) else { return };
        let Some(node) = self.nodes.get_mut(&to) else { return };
        let done_at = node.busy_until.max(now) + load_time;
        node.busy_until = done_at;
        self.items[at].moving = Some((to, done_at));
    }
}
