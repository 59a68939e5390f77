//! When a component comes and goes so often that this is the trouble. Pure.
//!
//! Flapping is told and not healed: each time that the component is sick counts as any other
//! (threshold, cooldown, budget), and all of them count as one incident, so that a restart after
//! which it was sick again counts as one that did not help. Restarting it more often because it
//! flaps would add to the flapping.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::model::Timestamp;

/// So many changes are remembered at most, and more than the threshold.
const MOST_CHANGES: usize = 100;
/// No threshold is higher, and so many are read of what was kept.
const MOST_KNOWN: usize = 1_001;

/// When it is flapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlapSettings {
    /// The time within which changes are counted.
    pub window: Duration,
    /// More changes than this, from well to sick or back, are flapping; at least 1.
    pub threshold: u32,
}

impl Default for FlapSettings {
    fn default() -> Self {
        Self { window: Duration::from_secs(600), threshold: 6 }
    }
}

impl FlapSettings {
    /// For how long it must be healthy for the flapping to be over: half the window.
    pub fn calm(self) -> Duration {
        self.window / 2
    }

    fn most(self) -> usize {
        usize::try_from(self.threshold).unwrap_or(usize::MAX).saturating_add(1).max(MOST_CHANGES)
    }
}

/// When a component changed of late, from well to sick or back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    at: VecDeque<Timestamp>,
}

impl Changes {
    /// Changes that were known before falconer was started.
    pub fn known(at: impl IntoIterator<Item = Timestamp>) -> Self {
        Self { at: at.into_iter().take(MOST_KNOWN).collect() }
    }

    /// It has changed.
    pub fn note(&mut self, settings: FlapSettings, now: Timestamp) {
        self.at.retain(|at| now.since(*at) < settings.window);
        if self.at.len() >= settings.most() {
            self.at.pop_front();
        }
        self.at.push_back(now);
    }

    /// How often it has changed within the window.
    pub fn count(&self, settings: FlapSettings, now: Timestamp) -> usize {
        self.at.iter().filter(|at| now.since(**at) < settings.window).count()
    }

    /// Whether that is too often.
    pub fn is_flapping(&self, settings: FlapSettings, now: Timestamp) -> bool {
        u32::try_from(self.count(settings, now)).is_ok_and(|count| count > settings.threshold)
    }

    /// When it changed, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Timestamp> {
        self.at.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000 + seconds * 1_000)
    }

    #[test]
    fn more_changes_than_the_threshold_within_the_window_are_flapping() {
        let settings = FlapSettings { window: Duration::from_secs(100), threshold: 3 };
        let mut changes = Changes::default();
        for seconds in [0, 30, 60] {
            changes.note(settings, at(seconds));
            assert!(!changes.is_flapping(settings, at(seconds)), "{seconds}");
        }
        changes.note(settings, at(99));
        assert!(changes.is_flapping(settings, at(99)));
        assert!(!changes.is_flapping(settings, at(100)), "the first is no longer in the window");
        assert_eq!(changes.count(settings, at(100)), 3);
        assert_eq!(settings.calm(), Duration::from_secs(50));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_enough_for_any_threshold() {
        let hour = Duration::from_hours(1);
        for threshold in [1, 6, 1_000] {
            let settings = FlapSettings { window: hour, threshold };
            let mut changes = Changes::default();
            (0..3_000).for_each(|seconds| changes.note(settings, at(seconds)));
            assert!(changes.is_flapping(settings, at(3_000)), "{threshold}");
            assert!(changes.iter().count() <= 1_001);
        }
    }
}
