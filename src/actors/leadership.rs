//! What the actors are told of the election: whether this falconer may act, for how long, and
//! whether it tells people. A falconer that does not know yet what was done before it does neither.
//! Elects nobody.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::model::{Leadership, Timestamp};
use crate::policy::leadership::{NotLeader, covers, speaks};

/// How many of the longest actions fit into the time for which nobody may have led before this
/// falconer does.
const LONGEST_GAP: u32 = 4;

/// Whether it is known what was done before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateGate {
    /// It is.
    Open,
    /// It is not: nothing may be done.
    Closed {
        /// One line.
        why: Arc<str>,
        /// Whether people are told all the same: told twice is better than not told for long.
        speaks: bool,
    },
}

/// The newest leadership. Cheap to clone. The default one is that of a falconer without an election.
#[derive(Debug, Clone)]
pub struct LeadershipHandle {
    newest: watch::Receiver<Leadership>,
    /// No action may have a longer deadline.
    longest_action: Duration,
    gate: watch::Receiver<StateGate>,
}

impl Default for LeadershipHandle {
    fn default() -> Self {
        let (_, newest) = watch::channel(Leadership::Standalone);
        Self::new(newest, Duration::MAX)
    }
}

impl LeadershipHandle {
    /// A handle on what an election publishes; `longest_action` is the longest deadline that an
    /// action may have, so that a lease can be valid beyond it.
    pub fn new(newest: watch::Receiver<Leadership>, longest_action: Duration) -> Self {
        let (_, gate) = watch::channel(StateGate::Open);
        Self { newest, longest_action, gate }
    }

    /// The same leadership, of which nothing follows while `gate` is closed.
    #[must_use]
    pub fn behind(&self, gate: watch::Receiver<StateGate>) -> Self {
        Self { gate, ..self.clone() }
    }

    /// For how long at most nobody led before this falconer does.
    pub fn longest_gap(&self) -> Duration {
        self.longest_action.saturating_mul(LONGEST_GAP)
    }

    /// The newest state.
    pub fn current(&self) -> Leadership {
        self.newest.borrow().clone()
    }

    /// The deadline of an action that may take `wanted`: not longer than a lease can cover.
    pub fn deadline(&self, wanted: Duration) -> Duration {
        wanted.min(self.longest_action)
    }

    /// Whether an action that begins `now` and takes `within` at most may begin.
    ///
    /// # Errors
    /// Why it must be left to another falconer.
    pub fn covers(&self, now: Timestamp, within: Duration) -> Result<(), NotLeader> {
        covers(&self.newest.borrow(), now, now + within)?;
        match &*self.gate.borrow() {
            StateGate::Open => Ok(()),
            StateGate::Closed { why, .. } => Err(NotLeader::Unread { why: Arc::clone(why) }),
        }
    }

    /// Whether people may be told.
    ///
    /// # Errors
    /// Why that must be left to another falconer.
    pub fn speaks(&self) -> Result<(), NotLeader> {
        speaks(&self.newest.borrow())?;
        match &*self.gate.borrow() {
            StateGate::Open | StateGate::Closed { speaks: true, .. } => Ok(()),
            StateGate::Closed { why, speaks: false } => {
                Err(NotLeader::Unread { why: Arc::clone(why) })
            }
        }
    }

    /// Whether this falconer tells people because it cannot be known who leads.
    pub fn speaks_of_itself(&self) -> bool {
        matches!(&*self.newest.borrow(), Leadership::Unknown { speaks: true, .. })
    }

    /// The death of a leader is noticed within this time at the latest.
    pub fn noticed_within(&self) -> Duration {
        // The policy's tests hold that this is longer than any lease.
        self.longest_action.saturating_mul(4)
    }

    /// Whether another falconer is known to be the leader.
    pub fn is_led_by_another(&self) -> bool {
        match &*self.newest.borrow() {
            Leadership::Follower { leader, .. } => leader.is_some(),
            Leadership::Standalone | Leadership::Leader { .. } | Leadership::Unknown { .. } => {
                false
            }
        }
    }

    /// Lets the actor `resume` whenever this falconer begins to lead, for as long as it lives.
    pub fn follow<A: Actor<Context = Context<A>>>(
        mut self,
        clock: Clock,
        ctx: &mut Context<A>,
        resume: fn(&mut A, &mut Context<A>),
    ) {
        let changed = async move {
            self.changed().await;
            // Given back: a copy of the first one would see the same change again and again.
            self
        };
        ctx.spawn(fut::wrap_future::<_, A>(changed).map(move |leadership, act, ctx| {
            if leadership.covers(clock.now(), Duration::ZERO).is_ok() {
                resume(act, ctx);
            }
            leadership.follow(clock, ctx, resume);
        }));
    }

    /// Ends when something else follows from the leadership than before: not at each renewal. Never
    /// ends where nothing can change any more.
    pub async fn changed(&mut self) {
        tokio::select! {
            () = next(&mut self.newest) => {}
            () = next(&mut self.gate) => {}
        }
    }
}

/// Ends with the next change; never where there will be none.
async fn next<T>(channel: &mut watch::Receiver<T>) {
    if channel.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
