//! The query coordinator of the simulation: which node holds what, and what it moves where.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Held;
use crate::sim::controllers::template::is_ready;
use crate::sim::kubernetes::json::{is_terminating, name, text, uid};

#[derive(Debug)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<i64, Node>,
    pub(super) items: Vec<Item>,
    pub(super) last_id: i64,
    pub(super) out_of_memory: u64,
    pub(super) fullest_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) ip: String,
    pub(super) suspended: bool,
    pub(super) stopping: bool,
    /// Until when it loads what it was given.
    pub(super) busy_until: Instant,
    /// Until when it is gone, because it needed too much memory.
    pub(super) down_until: Option<Instant>,
}

/// A segment, or a channel, of one copy.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) collection: String,
    pub(super) copy: u32,
    pub(super) id: i64,
    pub(super) is_channel: bool,
    pub(super) bytes: u64,
    pub(super) on: Option<i64>,
    /// Where it is being loaded, and when that is done.
    pub(super) moving: Option<(i64, Instant)>,
    pub(super) must_go: bool,
}

/// A pod of the query nodes.
pub(super) struct Seen {
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) ip: String,
    pub(super) is_ready: bool,
    pub(super) is_ending: bool,
}

impl Seen {
    pub(super) fn of(pod: &serde_json::Value) -> Self {
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
    pub(super) fn may_stay(&mut self) {
        self.must_go = false;
        self.moving = None;
    }

    /// Whether its node holds it, or will.
    pub(super) fn counts_for(&self, id: i64) -> bool {
        self.moving.map_or(self.on, |(target, _)| Some(target)) == Some(id)
    }
}

impl State {
    /// Nodes come with their pods and go with them.
    pub(super) fn follow(&mut self, seen: &[Seen], now: Instant) {
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
    pub(super) fn lose(&mut self, id: i64) {
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

    pub(super) fn end_moves(&mut self, now: Instant) {
        for item in &mut self.items {
            if let Some((target, done_at)) = item.moving
                && done_at <= now
            {
                item.on = Some(target);
                item.may_stay();
            }
        }
    }

    pub(super) fn run_out_of_memory(&mut self, held: &Held, now: Instant) {
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
    pub(super) fn memory(&self, id: i64, base: u64) -> u64 {
        let is_there = |item: &&Item| {
            item.on == Some(id) || item.moving.is_some_and(|(target, _)| target == id)
        };
        base + self.items.iter().filter(is_there).map(|item| item.bytes).sum::<u64>()
    }

    pub(super) fn begin_moves(&mut self, load_time: Duration, now: Instant) {
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
    pub(super) fn balance(&mut self, load_time: Duration, now: Instant) {
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
    pub(super) fn takers(&self, now: Instant) -> Vec<i64> {
        let takes = |node: &Node| {
            !node.suspended && !node.stopping && node.down_until.is_none_or(|until| until <= now)
        };
        self.nodes.iter().filter(|(_, node)| takes(node)).map(|(id, _)| *id).collect()
    }

    pub(super) fn count(&self, id: i64) -> usize {
        self.items.iter().filter(|item| item.counts_for(id)).count()
    }

    pub(super) fn send(&mut self, at: usize, to: Option<i64>, load_time: Duration, now: Instant) {
        let from = self.items[at].on;
        let takers = self.takers(now).into_iter().filter(|id| Some(*id) != from);
        let Some(to) = to.or_else(|| takers.min_by_key(|id| self.count(*id))) else { return };
        let Some(node) = self.nodes.get_mut(&to) else { return };
        let done_at = node.busy_until.max(now) + load_time;
        node.busy_until = done_at;
        self.items[at].moving = Some((to, done_at));
    }
}
