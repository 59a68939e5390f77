//! Commands that must not get lost: they wait beside the actor, not in its mailbox, so that they
//! outlive it. The mailbox carries nothing but a wake-up. Bounded by what the commands are about,
//! never by how often they are sent: the newest command of a key replaces the older one.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::prelude::*;
use tokio::time::Instant;

use super::link::Link;
use crate::clock::Clock;
use crate::metrics::{MailboxCount, Metrics};

/// For so long a key is refused after a command of it has made its actor panic twice.
const QUARANTINE: Duration = Duration::from_secs(300);
/// More keys than this are not remembered as poisonous.
const MAX_POISONED: usize = 1_000;

/// A command that can wait in a [`Post`].
pub trait Command: Clone + Debug + Send + 'static {
    /// What it is about.
    type Key: Ord + Clone + Debug + Send;

    /// What it is about; a newer command about the same replaces an older one.
    fn key(&self) -> Self::Key;
}

/// There are commands in one of the actor's posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct CommandsArrived;

/// A way to hand commands to whichever incarnation of an actor lives now, or to the next one.
/// Cheap to clone; all clones are the same post.
pub struct Post<C: Command> {
    wake: Link<CommandsArrived>,
    queue: Arc<Mutex<Queue<C>>>,
}

struct Waiting<C> {
    command: C,
    /// Whether handling it has made the actor panic before.
    is_suspect: bool,
}

struct Quarantine {
    clock: Clock,
    until: Instant,
}

impl Quarantine {
    fn is_over(&self) -> bool {
        self.until <= self.clock.monotonic()
    }
}

struct Queue<C: Command> {
    waiting: BTreeMap<C::Key, Waiting<C>>,
    /// What the actor is handling, until it asks for the next one.
    in_hand: Option<Waiting<C>>,
    /// Whether a wake-up is on its way.
    is_woken: bool,
    /// Until when commands of a key are refused.
    poisoned: BTreeMap<C::Key, Quarantine>,
    /// Where it is said how many wait, and how many were said to.
    count: MailboxCount,
    counted: usize,
}

impl<C: Command> Post<C> {
    /// A post that nobody empties yet.
    pub fn new() -> Self {
        let queue = Queue {
            waiting: BTreeMap::new(),
            in_hand: None,
            is_woken: false,
            poisoned: BTreeMap::new(),
            count: MailboxCount::default(),
            counted: 0,
        };
        Self { wake: Link::new(), queue: Arc::new(Mutex::new(queue)) }
    }

    /// The same post, whose commands are counted in `count` from now on.
    #[must_use]
    pub fn counted(self, count: MailboxCount) -> Self {
        self.lock().count = count;
        self
    }

    /// From now on `address` is woken.
    pub fn publish<A>(&self, address: &Addr<A>)
    where
        A: Actor + Handler<CommandsArrived>,
        A::Context: ToEnvelope<A, CommandsArrived>,
    {
        self.wake.publish(address);
        let mut queue = self.lock();
        queue.is_woken = !queue.waiting.is_empty() && self.wake.notify(CommandsArrived);
    }

    /// Puts a command in, never blocking. False where its key is in quarantine.
    pub fn send(&self, command: C) -> bool {
        let key = command.key();
        let mut queue = self.lock();
        if queue.is_quarantined(&key) {
            return false;
        }
        let older = queue.waiting.remove(&key);
        let is_suspect = older.is_some_and(|older| older.is_suspect);
        queue.waiting.insert(key, Waiting { command, is_suspect });
        queue.recount();
        if !queue.is_woken {
            queue.is_woken = self.wake.notify(CommandsArrived);
        }
        true
    }

    /// The next command; the one that was taken before it is done with. `None` once all are.
    pub fn next(&self) -> Option<C> {
        let mut queue = self.lock();
        queue.is_woken = false;
        queue.in_hand = queue.waiting.pop_first().map(|(_, waiting)| waiting);
        queue.recount();
        queue.in_hand.as_ref().map(|waiting| waiting.command.clone())
    }

    /// To be called by a new incarnation of `actor` before it takes anything. What the former one
    /// was handling when it ended is tried once more, and given up where it ended there twice.
    pub fn begin_anew(&self, actor: &'static str, clock: Clock, metrics: &Metrics) {
        let mut queue = self.lock();
        queue.is_woken = false;
        let Some(Waiting { command, is_suspect }) = queue.in_hand.take() else {
            return;
        };
        let key = command.key();
        if is_suspect {
            queue.waiting.remove(&key);
            queue.recount();
            queue.quarantine(key.clone(), clock);
            metrics.command_given_up(actor);
            tracing::error!(actor, ?key, ?command, "command given up, it made the actor end twice");
            return;
        }
        // A newer one about the same may wait already.
        let waiting = queue.waiting.entry(key).or_insert(Waiting { command, is_suspect });
        waiting.is_suspect = true;
        queue.recount();
    }

    /// Everything that waits, for whoever takes the tree down.
    pub fn take_all(&self) -> Vec<C> {
        let mut queue = self.lock();
        let waiting = std::mem::take(&mut queue.waiting);
        queue.recount();
        waiting.into_values().map(|waiting| waiting.command).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queue<C>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Command> Queue<C> {
    fn recount(&mut self) {
        let before = std::mem::replace(&mut self.counted, self.waiting.len());
        self.count.changed(self.counted.cast_signed() as i64 - before.cast_signed() as i64);
    }

    fn is_quarantined(&mut self, key: &C::Key) -> bool {
        if self.poisoned.get(key).is_some_and(Quarantine::is_over) {
            self.poisoned.remove(key);
        }
        self.poisoned.contains_key(key)
    }

    fn quarantine(&mut self, key: C::Key, clock: Clock) {
        self.poisoned.retain(|_, quarantine| !quarantine.is_over());
        if self.poisoned.len() < MAX_POISONED {
            let until = clock.monotonic() + QUARANTINE;
            self.poisoned.insert(key, Quarantine { clock, until });
        }
    }
}

impl<C: Command> Clone for Post<C> {
    fn clone(&self) -> Self {
        Self { wake: self.wake.clone(), queue: Arc::clone(&self.queue) }
    }
}

impl<C: Command> Default for Post<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
