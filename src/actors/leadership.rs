//! What the actors are told of the election: whether this falconer may act, for how long, and
//! whether it tells people. Elects nobody.

use std::time::Duration;

use tokio::sync::watch;

use crate::model::{Leadership, Timestamp};
use crate::policy::leadership::{NotLeader, covers, speaks};

/// The newest leadership. Cheap to clone. The default one is that of a falconer without an election.
#[derive(Debug, Clone)]
pub struct LeadershipHandle {
    newest: watch::Receiver<Leadership>,
    /// No action may have a longer deadline.
    longest_action: Duration,
}

impl Default for LeadershipHandle {
    fn default() -> Self {
        let (_, newest) = watch::channel(Leadership::Standalone);
        Self { newest, longest_action: Duration::MAX }
    }
}

impl LeadershipHandle {
    /// A handle on what an election publishes; `longest_action` is the longest deadline that an
    /// action may have, so that a lease can be valid beyond it.
    pub fn new(newest: watch::Receiver<Leadership>, longest_action: Duration) -> Self {
        Self { newest, longest_action }
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
        covers(&self.newest.borrow(), now, now + within)
    }

    /// Whether people may be told.
    ///
    /// # Errors
    /// Why that must be left to another falconer.
    pub fn speaks(&self) -> Result<(), NotLeader> {
        speaks(&self.newest.borrow())
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

    /// Ends when something else follows from the leadership than before: not at each renewal. Never
    /// ends where nothing can change any more.
    pub async fn changed(&mut self) {
        if self.newest.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
