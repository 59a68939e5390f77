//! What waits for the journal's thread, and what is known of it. The only thing that the thread
//! shares with the rest of falconer; its lock is held for a few instructions.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::{JournalError, StateError};
use super::health::{JournalTrouble, MovedAside};
use super::ring::{Ring, RingLimits};
use crate::model::{JournalEntry, Timestamp};

/// How long entries may gather before they are written together.
const GATHER: Duration = Duration::from_millis(200);
/// So many entries are written without gathering more.
pub(super) const BATCH: usize = 8_192;

/// How much the file may keep; may change while falconer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLimits {
    /// What happened longer ago is let go.
    pub retention: Duration,
    /// The largest size of the file, in bytes; beyond it the least valuable goes first.
    pub max_bytes: u64,
}

/// Changes of the essential state.
pub(super) type Changes = BTreeMap<String, Option<String>>;
/// The essential state.
pub(super) type State = BTreeMap<String, String>;

/// What waits, and what is known.
pub(super) struct Inner {
    pub(super) ring: Ring,
    /// Changes of the state that are not on the disk yet.
    pub(super) changes: Changes,
    pub(super) flushes: Vec<oneshot::Sender<Result<(), JournalError>>>,
    pub(super) saves: Vec<oneshot::Sender<Result<(), StateError>>>,
    pub(super) loads: Vec<oneshot::Sender<Result<State, StateError>>>,
    pub(super) retain: Option<Timestamp>,
    pub(super) limits: JournalLimits,
    pub(super) closing: bool,
    pub(super) trouble: Option<JournalTrouble>,
    pub(super) moved_aside: Option<MovedAside>,
    pub(super) dropped: u64,
    pub(super) written: u64,
    pub(super) bytes: u64,
}

/// What the thread takes on at once.
pub(super) struct Work {
    pub(super) entries: Vec<JournalEntry>,
    pub(super) changes: Changes,
    pub(super) flushes: Vec<oneshot::Sender<Result<(), JournalError>>>,
    pub(super) saves: Vec<oneshot::Sender<Result<(), StateError>>>,
    pub(super) loads: Vec<oneshot::Sender<Result<State, StateError>>>,
    pub(super) retain: Option<Timestamp>,
    pub(super) limits: JournalLimits,
    /// Nothing follows.
    pub(super) is_last: bool,
}

impl Inner {
    /// Somebody waits.
    fn is_urgent(&self) -> bool {
        let waiting = self.flushes.len() + self.saves.len() + self.loads.len();
        waiting > 0 || self.retain.is_some() || self.closing
    }

    fn is_idle(&self) -> bool {
        self.ring.is_empty() && self.changes.is_empty() && !self.is_urgent()
    }
}

/// The queue.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
}

impl Queue {
    pub(super) fn new(limits: JournalLimits) -> Self {
        let inner = Inner {
            ring: Ring::new(RingLimits::default()),
            changes: Changes::new(),
            flushes: Vec::new(),
            saves: Vec::new(),
            loads: Vec::new(),
            retain: None,
            limits,
            closing: false,
            trouble: None,
            moved_aside: None,
            dropped: 0,
            written: 0,
            bytes: 0,
        };
        Self { inner: Mutex::new(inner), wake: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what waits, and wakes the thread.
    pub(super) fn ask<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let answer = change(&mut self.lock());
        self.wake.notify_one();
        answer
    }

    /// Takes an entry; gives how many gave way to it. Wakes the thread for the first one, and when
    /// there are enough: a wake-up costs more than a push.
    pub(super) fn push(&self, entry: JournalEntry) -> u64 {
        let mut inner = self.lock();
        let was_idle = inner.ring.is_empty();
        let dropped = inner.ring.push(entry);
        inner.dropped += dropped;
        let is_enough = inner.ring.len() == BATCH;
        drop(inner);
        if was_idle || is_enough {
            self.wake.notify_one();
        }
        dropped
    }

    /// Takes what there is.
    pub(super) fn take_now(&self) -> Work {
        take(&mut self.lock())
    }

    /// Waits for something to do, lets more of it gather for a moment, and takes it; without
    /// `wait` what there is now.
    pub(super) fn next(&self, wait: bool) -> Work {
        if !wait {
            return self.take_now();
        }
        let inner = self.lock();
        let inner = self.wake.wait_while(inner, |inner| inner.is_idle());
        let inner = inner.unwrap_or_else(PoisonError::into_inner);
        let gather = self.wake.wait_timeout_while(inner, GATHER, |inner| {
            !inner.is_urgent() && inner.ring.len() < BATCH
        });
        let (mut inner, _) = gather.unwrap_or_else(PoisonError::into_inner);
        take(&mut inner)
    }

    /// Waits for `pause`, or until falconer ends. Gives whether it does.
    pub(super) fn rest(&self, pause: Duration) -> bool {
        let rested = self.wake.wait_timeout_while(self.lock(), pause, |inner| !inner.closing);
        let (inner, _) = rested.unwrap_or_else(PoisonError::into_inner);
        inner.closing
    }
}

fn take(inner: &mut Inner) -> Work {
    // Who waits for everything, or for the end, gets all of it.
    let is_whole = !inner.flushes.is_empty() || inner.closing;
    Work {
        entries: inner.ring.take(if is_whole { usize::MAX } else { BATCH }),
        changes: std::mem::take(&mut inner.changes),
        flushes: std::mem::take(&mut inner.flushes),
        saves: std::mem::take(&mut inner.saves),
        loads: std::mem::take(&mut inner.loads),
        retain: inner.retain.take(),
        limits: inner.limits,
        is_last: inner.closing,
    }
}
