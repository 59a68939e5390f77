//! The children of an actor: how each is made, and what happens when one ends. One for one: the
//! end of one child touches no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::task::AbortHandle;

use super::common::Common;
use super::exit_guard::{ExitNotice, ExitReason};
use super::status::{ActorSnapshot, StatusBoard};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::Timestamp;
use crate::policy::backoff::{IntensityCounter, RespawnSettings};

/// A child that lived this long starts its back-off from the beginning.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Makes a new incarnation and says how to abort it. The notice must be given to its exit guard.
pub type Factory = Box<dyn FnMut(ExitNotice) -> AbortHandle>;

/// An incarnation of a child has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ChildExited {
    /// Which child.
    pub key: Arc<str>,
    /// Which of its incarnations.
    pub incarnation: u64,
    /// Why.
    pub reason: ExitReason,
}

/// A child's back-off is over.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct RespawnDue {
    /// Which child.
    pub key: Arc<str>,
    /// The incarnation that has ended; a back-off of an older one says nothing.
    pub incarnation: u64,
}

/// What a parent must do after a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitDecision {
    /// The notice is about an incarnation that is gone already, or a child that was removed.
    Ignore,
    /// Make it anew after this delay.
    RespawnAfter(Duration, RespawnDue),
    /// Too many respawns: the parent fails.
    Escalate(BeyondHelp),
}

/// A child that ended too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeyondHelp {
    /// The child's name, unique in the process.
    pub actor: String,
    /// How often it ended, and why the last time.
    pub reason: String,
}

/// What the children of one parent share with the outside.
pub struct ChildrenParts {
    /// Told of every end.
    pub parent: Recipient<ChildExited>,
    /// What stands before a child's key in its name, e.g. `milvus-ha/`.
    pub path: String,
    /// Where it is shown which actors have ended.
    pub board: StatusBoard,
    /// Time.
    pub clock: Clock,
    /// Where respawns are counted.
    pub metrics: Metrics,
}

struct Child {
    kind: &'static str,
    factory: Factory,
    respawn: Arc<RespawnSettings>,
    incarnation: u64,
    running: Option<AbortHandle>,
    started_at: Timestamp,
    /// Respawns since the last incarnation that lived long.
    attempt: u32,
    ends: IntensityCounter,
    respawns: u64,
}

/// All children of one parent. Dropping it aborts them.
pub struct Children {
    parts: ChildrenParts,
    /// Boxed, because a map has empty places as well.
    children: BTreeMap<Arc<str>, Box<Child>>,
    respawns: Common<RespawnSettings>,
    next_incarnation: u64,
}

impl Children {
    /// No children yet.
    pub fn new(parts: ChildrenParts) -> Self {
        let (children, respawns) = (BTreeMap::new(), Common::default());
        Self { parts, children, respawns, next_incarnation: 0 }
    }

    /// Starts a child under `key`; one that was there under the same key is aborted.
    pub fn add(
        &mut self,
        key: Arc<str>,
        kind: &'static str,
        respawn: RespawnSettings,
        factory: Factory,
    ) {
        self.remove(&key);
        let child = Box::new(Child {
            kind,
            factory,
            respawn: self.respawns.share(respawn),
            incarnation: 0,
            running: None,
            started_at: self.parts.clock.now(),
            attempt: 0,
            ends: IntensityCounter::default(),
            respawns: 0,
        });
        self.children.insert(Arc::clone(&key), child);
        self.spawn(key);
    }

    /// Ends a child for good. False where there was none.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some(child) = self.children.remove(key) else {
            return false;
        };
        if child.respawns > 0 || child.running.is_none() {
            let name = self.name(key);
            self.parts.board.update(|status| drop(status.actors.remove(&name)));
        }
        if let Some(running) = child.running {
            running.abort();
        }
        true
    }

    /// Ends all children for good.
    pub fn clear(&mut self) {
        let keys: Vec<Arc<str>> = self.children.keys().cloned().collect();
        for key in keys {
            self.remove(&key);
        }
    }

    /// From now on the child under `key` is made anew like this.
    pub fn set_respawn(&mut self, key: &str, respawn: RespawnSettings) {
        if let Some(child) = self.children.get_mut(key) {
            child.respawn = self.respawns.share(respawn);
        }
    }

    /// Whether there is a child under `key`, alive or backing off.
    pub fn contains(&self, key: &str) -> bool {
        self.children.contains_key(key)
    }

    /// Judges an exit, logs, counts and shows it. `random` is uniform in 0..1.
    pub fn on_exit(&mut self, exit: &ChildExited, random: f64) -> ExitDecision {
        let now = self.parts.clock.now();
        let actor = self.name(&exit.key);
        let Some(child) = self.children.get_mut(&exit.key) else {
            return ExitDecision::Ignore;
        };
        if child.incarnation != exit.incarnation {
            return ExitDecision::Ignore;
        }
        child.running = None;
        let lived = now.since(child.started_at);
        if lived >= STABLE_AFTER {
            child.attempt = 0;
        }
        let reason = exit.reason.to_string();
        let intensity = child.respawn.intensity;
        if !child.ends.record(intensity, now) {
            let window = humantime::format_duration(intensity.window);
            let reason = format!("ended more than {} times in {window}: {reason}", intensity.burst);
            tracing::error!(actor, reason, "actor ends too often");
            let snapshot = ActorSnapshot {
                kind: child.kind,
                respawns: child.respawns,
                ended_at: now,
                reason: reason.clone(),
                respawn_at: None,
                beyond_help: true,
            };
            let name = actor.clone();
            self.parts.board.update(|status| drop(status.actors.insert(name, snapshot)));
            return ExitDecision::Escalate(BeyondHelp { actor, reason });
        }
        let delay = child.respawn.backoff.delay(child.attempt, random);
        child.attempt = child.attempt.saturating_add(1);
        let respawn_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(actor, reason, respawn_in_ms, "actor ended");
        let snapshot = ActorSnapshot {
            kind: child.kind,
            respawns: child.respawns,
            ended_at: now,
            reason,
            respawn_at: Some(now + delay),
            beyond_help: false,
        };
        self.parts.board.update(|status| drop(status.actors.insert(actor, snapshot)));
        let due = RespawnDue { key: Arc::clone(&exit.key), incarnation: exit.incarnation };
        ExitDecision::RespawnAfter(delay, due)
    }

    /// Makes a new incarnation, if the child is still wanted and nothing else has made one.
    pub fn respawn(&mut self, due: &RespawnDue) -> bool {
        let name = self.name(&due.key);
        let Some(child) = self.children.get_mut(&due.key) else {
            return false;
        };
        if child.running.is_some() || child.incarnation != due.incarnation {
            return false;
        }
        child.respawns += 1;
        let respawns = child.respawns;
        self.parts.metrics.respawned(child.kind);
        self.parts.board.update(|status| {
            if let Some(snapshot) = status.actors.get_mut(&name) {
                snapshot.respawns = respawns;
                snapshot.respawn_at = None;
            }
        });
        self.spawn(Arc::clone(&due.key));
        true
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.parts.path)
    }

    fn spawn(&mut self, key: Arc<str>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        self.next_incarnation += 1;
        let incarnation = self.next_incarnation;
        child.incarnation = incarnation;
        child.started_at = self.parts.clock.now();
        let parent = self.parts.parent.clone();
        let notice: ExitNotice =
            Box::new(move |reason| parent.do_send(ChildExited { key, incarnation, reason }));
        child.running = Some((child.factory)(notice));
    }
}

/// Sends `due` to `parent` after `delay`. Not a timer of the parent itself: many of them would slow
/// each of its wake-ups.
pub fn respawn_later(parent: Recipient<RespawnDue>, delay: Duration, due: RespawnDue) {
    actix::spawn(async move {
        tokio::time::sleep(delay).await;
        parent.do_send(due);
    });
}

impl Drop for Children {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests;
