//! How many messages a receiver gets: a token bucket, written as the generic cell rate algorithm
//! (ITU-T I.371), which needs a single instant. Knows no messages.

use std::time::Duration;

use serde::Serialize;

use crate::model::Timestamp;

/// A receiver gets at most so many messages in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// That many at once, where none was sent for long; at least 1.
    pub messages: u32,
    /// In this time.
    pub per: Duration,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { messages: 30, per: Duration::from_secs(600) }
    }
}

impl RateLimit {
    /// The time in which one more message becomes possible.
    fn step(&self) -> Duration {
        self.per / self.messages.max(1)
    }

    /// Until when the next message has to wait; `None` = it need not. `spent` is what
    /// [`Self::spend`] gave for the newest one.
    pub fn wait(&self, spent: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let free_at = spent.minus(self.per.saturating_sub(self.step()));
        (free_at > now).then_some(free_at)
    }

    /// A message is sent now.
    pub fn spend(&self, spent: Timestamp, now: Timestamp) -> Timestamp {
        spent.max(now) + self.step()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
    }

    #[test]
    fn so_many_at_once_then_one_at_a_time_and_all_again_after_a_rest() {
        let limit = RateLimit { messages: 3, per: Duration::from_secs(60) };
        let mut spent = Timestamp::default();
        for _ in 0..3 {
            assert_eq!(limit.wait(spent, at(0)), None);
            spent = limit.spend(spent, at(0));
        }
        assert_eq!(limit.wait(spent, at(0)), Some(at(20)));
        assert_eq!(limit.wait(spent, at(20)), None);
        spent = limit.spend(spent, at(20));
        assert_eq!(limit.wait(spent, at(20)), Some(at(40)));
        for _ in 0..3 {
            assert_eq!(limit.wait(spent, at(100)), None);
            spent = limit.spend(spent, at(100));
        }
        assert_eq!(limit.wait(spent, at(100)), Some(at(120)));
    }
}
