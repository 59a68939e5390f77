//! The only file that reads time. Everything else is handed `now`.
//!
//! The clock advances with tokio's clock, so a test that pauses tokio's time controls this one too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::Timestamp;

/// A wall clock that never jumps: read once at its making, then advanced by the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    wall_at_start: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that shows the machine's present wall time.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn system() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp::default() + since_epoch)
    }

    /// A clock that shows `wall` now; for tests and simulations.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall_at_start: wall, started: Instant::now() }
    }

    /// The present wall time.
    pub fn now(&self) -> Timestamp {
        self.wall_at_start + self.started.elapsed()
    }

    /// The present monotonic instant, for measuring durations and for deadlines.
    pub fn monotonic(&self) -> Instant {
        Instant::now()
    }

    /// The time since this clock was made.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
