//! What was seen of a component since it was last well: a few distinct reasons with their times. For
//! people; nothing is decided by it.

use crate::model::{ProbeReport, Reason, Sighting, Timestamp};

/// So many distinct reasons are kept.
const MOST: usize = 5;

/// The newest last.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sightings(Vec<Sighting>);

impl Sightings {
    /// Takes what one report says; nothing where it gives no reason.
    pub(super) fn note(&mut self, report: &ProbeReport) {
        let Some(reason) = report.observation.outcome.reason() else { return };
        let latency_ms = u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX);
        self.take(reason, report.started_at, latency_ms);
    }

    fn take(&mut self, reason: &Reason, at: Timestamp, latency_ms: u64) {
        if let Some(newest) = self.0.last_mut().filter(|newest| newest.reason == *reason) {
            newest.times = newest.times.saturating_add(1);
            (newest.last_at, newest.latency_ms) = (at, latency_ms);
            return;
        }
        let known = self.0.iter().position(|one| one.reason == *reason);
        if known.is_none() && self.0.len() >= MOST {
            self.0.remove(0);
        }
        let fresh =
            || Sighting { reason: reason.clone(), first_at: at, last_at: at, times: 0, latency_ms };
        let mut newest = known.map_or_else(fresh, |place| self.0.remove(place));
        newest.times = newest.times.saturating_add(1);
        (newest.last_at, newest.latency_ms) = (at, latency_ms);
        self.0.push(newest);
    }

    /// It is well again.
    pub(super) fn clear(&mut self) {
        if !self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    /// What was kept from before falconer was started.
    pub(super) fn known(mut seen: Vec<Sighting>) -> Self {
        seen.drain(..seen.len().saturating_sub(MOST));
        Self(seen)
    }

    /// All of them.
    pub(super) fn to_vec(&self) -> Vec<Sighting> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReasonKind;

    fn take(seen: &mut Sightings, text: &str, second: u64) {
        let reason = Reason::new(ReasonKind::Status, text);
        seen.take(&reason, Timestamp::from_millis(second * 1_000), second);
    }

    fn shown(seen: &Sightings) -> Vec<(String, u32, u64)> {
        seen.0.iter().map(|one| (one.reason.text.clone(), one.times, one.latency_ms)).collect()
    }

    #[test]
    fn each_reason_is_kept_once_with_its_times_the_newest_last() {
        let mut seen = Sightings::default();
        for (second, text) in ["a", "a", "b", "a", "c"].into_iter().enumerate() {
            take(&mut seen, text, second as u64);
        }
        let expected = [("b", 1, 2), ("a", 3, 3), ("c", 1, 4)];
        assert_eq!(shown(&seen), expected.map(|(text, times, ms)| (text.to_owned(), times, ms)));
        assert_eq!((seen.0[1].first_at, seen.0[1].last_at).0, Timestamp::from_millis(0));
        seen.clear();
        assert_eq!(seen, Sightings::default());
    }

    #[test]
    fn however_many_reasons_there_are_a_few_are_kept() {
        let mut seen = Sightings::default();
        (0..1_000).for_each(|second| take(&mut seen, &second.to_string(), second));
        assert_eq!(seen.0.len(), MOST);
        assert_eq!(seen.0[MOST - 1].reason.text, "999");
        let kept = Sightings::known((0..9).flat_map(|_| seen.to_vec()).collect());
        assert_eq!(kept, seen);
    }
}
