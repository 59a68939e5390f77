//! A sign of life of the actor system that other threads can read without asking an actor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::model::Timestamp;

/// How often the heart beats.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// The actors' thread counts as blocked when its newest beat is older. With the interval of a beat
/// and a look every other second it is seen well within ten seconds.
pub const LIMIT: Duration = Duration::from_secs(6);

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

    /// The time since the newest beat, and when it was; `None` while it is not too long ago.
    pub fn late(&self) -> Option<(Duration, Timestamp)> {
        let age = self.age();
        (age > LIMIT).then(|| (age, self.clock.now().minus(age)))
    }

    /// Beats on the thread that calls this, for as long as its runtime lives.
    pub async fn keep_beating(self) {
        loop {
            self.beat();
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn uptime_millis(&self) -> u64 {
        millis(self.clock.uptime())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_heart_that_stops_grows_old_until_it_beats_again() {
        let heartbeat = Heartbeat::new(Clock::starting_at(Timestamp::default()));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(heartbeat.age(), Duration::from_secs(11));
        assert_eq!(heartbeat.late(), Some((Duration::from_secs(11), Timestamp::default())));
        heartbeat.clone().beat();
        assert_eq!(heartbeat.age(), Duration::ZERO);
    }
}
