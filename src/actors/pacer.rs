//! The one pacer that all probers of the process share: a policy behind a lock that is held for a
//! few instructions and never while anything is waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::policy::pacing::{Pace, Place};

/// Shared handle. Cheap to clone; all clones are the same pacer.
#[derive(Debug, Clone, Default)]
pub struct Pacer {
    pace: Arc<Mutex<Pace>>,
}

impl Pacer {
    /// Takes part with a schedule of this interval, until the seat is dropped. `now` is the time
    /// since the shared clock was made.
    pub fn join(&self, interval: Duration, now: Duration) -> (Seat, Place) {
        let place = self.lock().join(interval, now);
        (Seat { pacer: self.clone(), interval }, place)
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One schedule's part in the pace.
#[derive(Debug)]
pub struct Seat {
    pacer: Pacer,
    interval: Duration,
}

impl Seat {
    /// How long the probe that is due must wait for its slot, which is reserved herewith.
    pub fn reserve(&self, now: Duration) -> Duration {
        self.pacer.lock().reserve(now)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.pacer.lock().leave(self.interval);
    }
}
