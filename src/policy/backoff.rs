//! Exponential back-off with jitter, and restart intensity.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::model::Timestamp;

/// How long to wait between tries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BackoffSettings {
    /// The first delay.
    pub initial: Duration,
    /// Each next delay is this many times longer.
    pub factor: f64,
    /// No delay is longer, before jitter.
    pub max: Duration,
    /// A delay is changed by up to this share of itself, up or down; 0 to 1.
    pub jitter: f64,
}

impl Default for BackoffSettings {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(300),
            jitter: 0.2,
        }
    }
}

impl BackoffSettings {
    /// The delay before try number `attempt` (0 = the first retry). `random` is uniform in 0..1.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let exponent = i32::try_from(attempt).unwrap_or(i32::MAX).min(1_000);
        let grown = self.initial.as_secs_f64() * self.factor.powi(exponent);
        let bounded = grown.min(self.max.as_secs_f64());
        let spread = 1.0 + self.jitter * (2.0 * random - 1.0);
        Duration::try_from_secs_f64(bounded * spread).unwrap_or(self.max)
    }
}

/// How often something may happen: `burst` times in any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Intensity {
    /// How many times.
    pub burst: usize,
    /// In this time.
    pub window: Duration,
}

impl Default for Intensity {
    fn default() -> Self {
        Self { burst: 10, window: Duration::from_secs(600) }
    }
}

/// How an actor is made anew after it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct RespawnSettings {
    /// The time between its end and its next incarnation.
    pub backoff: BackoffSettings,
    /// An actor that ends more often than this is beyond help: its parent fails with it.
    pub intensity: Intensity,
}

/// Counts events against an [`Intensity`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntensityCounter {
    /// Instants of the events still inside the window, oldest first.
    recent: VecDeque<Timestamp>,
}

impl IntensityCounter {
    /// Counts one event at `now`; true while the intensity is not exceeded.
    pub fn record(&mut self, limit: Intensity, now: Timestamp) -> bool {
        self.recent.retain(|at| now.since(*at) < limit.window);
        self.recent.push_back(now);
        self.recent.len() <= limit.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum() {
        let settings = BackoffSettings { jitter: 0.0, ..BackoffSettings::default() };
        let seconds: Vec<u64> = (0..10).map(|n| settings.delay(n, 0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(settings.delay(u32::MAX, 0.5).as_secs(), 300);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let settings = BackoffSettings::default();
        assert_eq!(settings.delay(0, 0.0), Duration::from_millis(800));
        assert!(settings.delay(0, 0.999_999) <= Duration::from_millis(1_200));
    }

    #[test]
    fn intensity_forgets_what_left_the_window() {
        let limit = Intensity { burst: 2, window: Duration::from_secs(10) };
        let at = |s: u64| Timestamp::from_millis(s * 1_000);
        let mut counter = IntensityCounter::default();
        assert!(counter.record(limit, at(0)));
        assert!(counter.record(limit, at(1)));
        assert!(!counter.record(limit, at(2)));
        assert!(counter.record(limit, at(11)));
    }
}
