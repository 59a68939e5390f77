//! The children of an actor: how each is made, and what happens when one ends. One for one: the
//! end of one child touches no other.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use tokio::task::AbortHandle;

use super::exit_guard::{ExitNotice, ExitReason};
use crate::metrics::Metrics;
use crate::model::Timestamp;
use crate::policy::backoff::{BackoffSettings, Intensity, IntensityCounter};

/// A child with this many respawns in this time is beyond help: its failure escalates.
pub const RESPAWN_INTENSITY: Intensity = Intensity { burst: 10, window: Duration::from_secs(600) };

/// A child that lived this long starts its back-off from the beginning.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Makes a new incarnation and says how to abort it. The notice must be given to its exit guard.
pub type Factory = Box<dyn FnMut(ExitNotice) -> AbortHandle>;

/// An incarnation of a child has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ChildExited {
    /// Which child.
    pub key: String,
    /// Which of its incarnations.
    pub incarnation: u64,
    /// Why.
    pub reason: ExitReason,
}

/// A child's back-off is over.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RespawnDue {
    /// Which child.
    pub key: String,
}

/// What a parent must do after a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitDecision {
    /// The notice is about an incarnation that is gone already, or a child that was removed.
    Ignore,
    /// Make it anew after this delay.
    RespawnAfter(Duration),
    /// Too many respawns: the parent fails.
    Escalate,
}

struct Child {
    kind: &'static str,
    factory: Factory,
    backoff: BackoffSettings,
    incarnation: u64,
    running: Option<AbortHandle>,
    started_at: Timestamp,
    attempt: u32,
    respawns: IntensityCounter,
}

/// All children of one parent. Dropping it aborts them.
pub struct Children {
    children: BTreeMap<String, Child>,
    parent: Recipient<ChildExited>,
    next_incarnation: u64,
}

impl Children {
    /// No children yet; their ends will be told to `parent`.
    pub fn new(parent: Recipient<ChildExited>) -> Self {
        Self { children: BTreeMap::new(), parent, next_incarnation: 0 }
    }

    /// Starts a child under `key`; one that was there under the same key is aborted.
    pub fn add(
        &mut self,
        key: String,
        kind: &'static str,
        backoff: BackoffSettings,
        factory: Factory,
        now: Timestamp,
    ) {
        self.remove(&key);
        let child = Child {
            kind,
            factory,
            backoff,
            incarnation: 0,
            running: None,
            started_at: now,
            attempt: 0,
            respawns: IntensityCounter::default(),
        };
        self.children.insert(key.clone(), child);
        self.spawn(&key, now);
    }

    /// Ends a child for good. False where there was none.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some(child) = self.children.remove(key) else {
            return false;
        };
        if let Some(running) = child.running {
            running.abort();
        }
        true
    }

    /// Ends all children for good.
    pub fn clear(&mut self) {
        for child in std::mem::take(&mut self.children).into_values() {
            if let Some(running) = child.running {
                running.abort();
            }
        }
    }

    /// Whether there is a child under `key`, alive or backing off.
    pub fn contains(&self, key: &str) -> bool {
        self.children.contains_key(key)
    }

    /// Judges an exit, logs and counts it. `random` is uniform in 0..1.
    pub fn on_exit(
        &mut self,
        exit: &ChildExited,
        now: Timestamp,
        random: f64,
        metrics: &Metrics,
    ) -> ExitDecision {
        let Some(child) = self.children.get_mut(&exit.key) else {
            return ExitDecision::Ignore;
        };
        if child.incarnation != exit.incarnation {
            return ExitDecision::Ignore;
        }
        child.running = None;
        if now.since(child.started_at) >= STABLE_AFTER {
            child.attempt = 0;
        }
        if !child.respawns.record(RESPAWN_INTENSITY, now) {
            tracing::error!(actor = exit.key, reason = ?exit.reason, "actor ends too often");
            return ExitDecision::Escalate;
        }
        let delay = child.backoff.delay(child.attempt, random);
        child.attempt = child.attempt.saturating_add(1);
        metrics.respawned(child.kind);
        let respawn_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(actor = exit.key, reason = ?exit.reason, respawn_in_ms, "actor ended");
        ExitDecision::RespawnAfter(delay)
    }

    /// Makes a new incarnation, if the child is still wanted and not running.
    pub fn respawn(&mut self, key: &str, now: Timestamp) -> bool {
        let waiting = self.children.get(key).is_some_and(|child| child.running.is_none());
        if waiting {
            self.spawn(key, now);
        }
        waiting
    }

    fn spawn(&mut self, key: &str, now: Timestamp) {
        let Some(child) = self.children.get_mut(key) else {
            return;
        };
        self.next_incarnation += 1;
        let incarnation = self.next_incarnation;
        child.incarnation = incarnation;
        child.started_at = now;
        let parent = self.parent.clone();
        let key = key.to_owned();
        let notice: ExitNotice =
            Box::new(move |reason| parent.do_send(ChildExited { key, incarnation, reason }));
        child.running = Some((child.factory)(notice));
    }
}

/// Sends [`RespawnDue`] to `parent` after `delay`. Not a timer of the parent itself: many of them
/// would slow each of its wake-ups.
pub fn respawn_later(parent: Recipient<RespawnDue>, key: String, delay: Duration) {
    actix::spawn(async move {
        tokio::time::sleep(delay).await;
        parent.do_send(RespawnDue { key });
    });
}

impl Drop for Children {
    fn drop(&mut self) {
        self.clear();
    }
}
