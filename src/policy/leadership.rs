//! Which of several falconers acts: the election by a Lease as a state machine. Owns what one
//! candidate has seen and promised; sends nothing and reads no clock.
//!
//! The rules are those of client-go's leader election. No two wall clocks are ever compared: a
//! candidate takes the Lease of another one only after it has seen it unchanged, by its own
//! monotonic clock, for as long as the holder has promised to be silent at most. The holder counts
//! its own time from the *beginning* of its last successful request, and stops a tenth earlier, so
//! that it believes to be the leader for less time than anybody waits, as long as the clocks run at
//! rates that differ by less than a tenth.

mod election;
mod gate;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use election::{Election, ElectionStep};
pub use gate::{NotLeader, covers, speaks};

/// No holder is waited for longer than this, whatever stands in the Lease.
const LONGEST_PROMISE: Duration = Duration::from_mins(10);

/// How long a falconer that cannot know who is the leader is silent, in lease durations.
const SILENT_FOR: u32 = 3;

/// How one candidate takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionSettings {
    /// Its name; no other living candidate has it.
    pub identity: Arc<str>,
    /// Within this time after a leader's death another one leads.
    pub lease_duration: Duration,
}

impl ElectionSettings {
    /// Between two renewals, and between two looks at another one's Lease.
    pub fn retry_period(&self) -> Duration {
        self.lease_duration.mul_f64(2.0 / 15.0)
    }

    /// The deadline of one request. Three of them that hang still leave time for a fourth.
    pub fn request_timeout(&self) -> Duration {
        self.lease_duration / 5
    }

    /// What this candidate writes into the Lease: how long it may be silent. Shorter than the
    /// lease's duration by the time in which the others notice its last renewal, in whole seconds
    /// as the Lease has it.
    pub fn promise(&self) -> Duration {
        let noticed = self.retry_period().mul_f64(1.1);
        let whole = self.lease_duration.saturating_sub(noticed).as_secs();
        Duration::from_secs(whole.max(1))
    }

    /// How long after the beginning of a successful request this candidate may act.
    pub fn validity(&self) -> Duration {
        self.promise().mul_f64(0.9)
    }

    /// The longest deadline that an action may have: with it the loss of a few renewals in a row
    /// still leaves a valid lease.
    pub fn longest_action(&self) -> Duration {
        self.validity() / 2
    }

    /// Between two requests of one candidate; `random` is uniform in 0..1.
    fn pause(&self, random: f64) -> Duration {
        self.retry_period().mul_f64(0.9 + 0.2 * random.clamp(0.0, 1.0))
    }

    /// How long the holder of a Lease in which `promised` stands is waited for.
    fn patience(&self, promised: Duration) -> Duration {
        if promised < Duration::from_secs(1) {
            self.promise()
        } else {
            promised.min(LONGEST_PROMISE)
        }
    }
}
