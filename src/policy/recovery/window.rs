//! When actions began, counted against a budget.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::Budget;
use crate::model::Timestamp;

/// The starts of actions, oldest first, as far back as a budget looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionWindow {
    starts: VecDeque<Timestamp>,
}

impl ActionWindow {
    /// Counts an action that begins now, in the place of its own earlier try if there was one.
    pub fn count(&mut self, earlier_try: Option<Timestamp>, per: Duration, now: Timestamp) {
        if let Some(place) = earlier_try.and_then(|own| self.place_of(own)) {
            self.starts.remove(place);
        }
        self.starts.retain(|at| now.since(*at) < per);
        self.starts.push_back(now);
    }

    /// The action that began at `at` has not begun after all; the earlier try whose place it had
    /// taken counts again.
    pub fn uncount(&mut self, at: Timestamp, earlier_try: Option<Timestamp>) {
        if let Some(place) = self.place_of(at) {
            self.starts.remove(place);
        }
        if let Some(earlier) = earlier_try {
            let place = self.starts.partition_point(|start| *start <= earlier);
            self.starts.insert(place, earlier);
        }
    }

    /// How many actions began in the last `per`.
    pub fn spent(&self, per: Duration, now: Timestamp) -> usize {
        self.starts.iter().filter(|at| now.since(**at) < per).count()
    }

    /// How long until fewer actions than the budget allows are inside its window, not counting
    /// the action's own earlier try; `None` where that is so now.
    pub fn free_in(
        &self,
        earlier_try: Option<Timestamp>,
        budget: Budget,
        now: Timestamp,
    ) -> Option<Duration> {
        let own = earlier_try.and_then(|own| self.place_of(own));
        let mut recent: Vec<Timestamp> = self
            .starts
            .iter()
            .enumerate()
            .filter(|(place, at)| Some(*place) != own && now.since(**at) < budget.per)
            .map(|(_, at)| *at)
            .collect();
        // The clock may have gone back.
        recent.sort_unstable();
        let too_many = recent.len().checked_sub(budget.actions)?;
        // With a budget of nothing there is no instant at which room comes.
        Some(recent.get(too_many).map_or(budget.per, |at| (*at + budget.per).since(now)))
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    fn place_of(&self, start: Timestamp) -> Option<usize> {
        self.starts.iter().position(|at| *at == start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_begun_after_all_gives_its_place_back_to_its_earlier_try() {
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        let per = Duration::from_hours(1);
        let mut window = ActionWindow::default();
        window.count(None, per, at(10));
        window.count(None, per, at(20));
        let before = window.clone();
        window.count(Some(at(10)), per, at(30));
        window.uncount(at(30), Some(at(10)));
        assert_eq!(window, before);
        window.count(None, per, at(40));
        window.uncount(at(40), None);
        assert_eq!(window, before);
    }
}
