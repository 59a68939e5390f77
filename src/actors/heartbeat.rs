//! A sign of life of the actor system that other threads can read without asking an actor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// Beaten once a second from the actors' thread; read by the server's. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    clock: Clock,
    /// Milliseconds of the clock's uptime at the newest beat.
    beaten_at: Arc<AtomicU64>,
}

impl Heartbeat {
    /// A heart that has just beaten.
    pub fn new(clock: Clock) -> Self {
        let heartbeat = Self { clock, beaten_at: Arc::default() };
        heartbeat.beat();
        heartbeat
    }

    /// Says that the calling thread still makes progress.
    pub fn beat(&self) {
        self.beaten_at.store(self.uptime_millis(), Ordering::Release);
    }

    /// The time since the newest beat.
    pub fn age(&self) -> Duration {
        let beaten_at = self.beaten_at.load(Ordering::Acquire);
        Duration::from_millis(self.uptime_millis().saturating_sub(beaten_at))
    }

    fn uptime_millis(&self) -> u64 {
        u64::try_from(self.clock.uptime().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[tokio::test(start_paused = true)]
    async fn a_heart_that_stops_grows_old_until_it_beats_again() {
        let heartbeat = Heartbeat::new(Clock::starting_at(Timestamp::default()));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(heartbeat.age(), Duration::from_secs(11));
        heartbeat.clone().beat();
        assert_eq!(heartbeat.age(), Duration::ZERO);
    }
}
