//! Entries in memory, bounded in bytes: on their way to the disk, while the disk is in trouble, and
//! where there is none. Probe reports have a bound of their own, so that a flood of them never costs
//! anything else its place. Beyond its bound the oldest give way, and are counted.

use std::collections::VecDeque;

use crate::model::{JournalEntry, JournalQuery};

/// How much memory the entries may take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RingLimits {
    /// All probe reports.
    pub(super) reports: usize,
    /// Everything else.
    pub(super) others: usize,
}

impl Default for RingLimits {
    /// About 60,000 reports, and what thousands of incidents bring.
    fn default() -> Self {
        Self { reports: 8 << 20, others: 32 << 20 }
    }
}

/// Entries of one class, the oldest first.
#[derive(Debug, Default)]
struct Lane {
    entries: VecDeque<JournalEntry>,
    bytes: usize,
}

impl Lane {
    fn pop(&mut self) -> Option<JournalEntry> {
        let entry = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        Some(entry)
    }

    /// How many gave way.
    fn shrink_to(&mut self, limit: usize) -> u64 {
        let mut dropped = 0;
        while self.bytes > limit && self.pop().is_some() {
            dropped += 1;
        }
        dropped
    }
}

/// The entries.
#[derive(Debug)]
pub(super) struct Ring {
    limits: RingLimits,
    reports: Lane,
    others: Lane,
}

impl Ring {
    pub(super) fn new(limits: RingLimits) -> Self {
        Self { limits, reports: Lane::default(), others: Lane::default() }
    }

    /// Takes an entry. Gives how many older ones gave way to it.
    pub(super) fn push(&mut self, entry: JournalEntry) -> u64 {
        let (lane, limit) = self.lane(&entry);
        lane.bytes += entry.bytes();
        lane.entries.push_back(entry);
        lane.shrink_to(limit)
    }

    /// Takes entries back that were taken out, the oldest first. Gives how many were lost.
    pub(super) fn put_back(&mut self, entries: Vec<JournalEntry>) -> u64 {
        for entry in entries.into_iter().rev() {
            let (lane, _) = self.lane(&entry);
            lane.bytes += entry.bytes();
            lane.entries.push_front(entry);
        }
        let RingLimits { reports, others } = self.limits;
        self.reports.shrink_to(reports) + self.others.shrink_to(others)
    }

    fn lane(&mut self, entry: &JournalEntry) -> (&mut Lane, usize) {
        if entry.record.kind().may_be_lost() {
            (&mut self.reports, self.limits.reports)
        } else {
            (&mut self.others, self.limits.others)
        }
    }

    /// Takes out at most `most`, what must not be lost first.
    pub(super) fn take(&mut self, most: usize) -> Vec<JournalEntry> {
        let mut taken = Vec::with_capacity(most.min(self.len()));
        while taken.len() < most
            && let Some(entry) = self.others.pop().or_else(|| self.reports.pop())
        {
            taken.push(entry);
        }
        taken
    }

    pub(super) fn len(&self) -> usize {
        self.reports.entries.len() + self.others.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.reports.bytes + self.others.bytes
    }

    /// Copies of the newest entries that `query` wants, the newest first.
    pub(super) fn recent(&self, query: &JournalQuery) -> Vec<JournalEntry> {
        let newest = |lane: &Lane| -> Vec<JournalEntry> {
            let wanted = lane.entries.iter().rev().filter(|entry| query.wants(entry));
            wanted.take(query.bounded_limit()).cloned().collect()
        };
        let mut found = newest(&self.others);
        found.extend(newest(&self.reports));
        newest_first(found, query.bounded_limit())
    }

    /// Lets go of what happened before `cutoff`.
    pub(super) fn forget_before(&mut self, cutoff: crate::model::Timestamp) {
        for lane in [&mut self.reports, &mut self.others] {
            while lane.entries.front().is_some_and(|entry| entry.at < cutoff) {
                lane.pop();
            }
        }
    }
}

/// The newest `limit` of `entries`, the newest first; those of one instant keep their order.
pub(super) fn newest_first(mut entries: Vec<JournalEntry>, limit: usize) -> Vec<JournalEntry> {
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    entries.truncate(limit);
    entries
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::journal::BreakerChange;
    use crate::model::{ComponentId, JournalRecord, Outcome, Timestamp};

    fn report(at: u64) -> JournalEntry {
        let record =
            JournalRecord::Probe { outcome: Outcome::Healthy, latency: Duration::from_millis(1) };
        JournalEntry::of(Timestamp::from_millis(at), &ComponentId::new("a", "proxy"), record)
    }

    fn breaker(at: u64) -> JournalEntry {
        let record =
            JournalRecord::Breaker { change: BreakerChange::Tripped, words: "10 actions".into() };
        JournalEntry::of_cluster(Timestamp::from_millis(at), &"a".into(), record)
    }

    #[test]
    fn a_flood_of_reports_costs_the_oldest_reports_and_nothing_else() {
        let limits = RingLimits { reports: 10 * report(0).bytes(), others: 1 << 20 };
        let mut ring = Ring::new(limits);
        (0..5).for_each(|at| assert_eq!(ring.push(breaker(at)), 0));
        let dropped: u64 = (0..100).map(|at| ring.push(report(at))).sum();
        assert_eq!((dropped, ring.len()), (90, 15));
        let taken = ring.take(usize::MAX);
        assert_eq!(taken.iter().filter(|entry| !entry.record.kind().may_be_lost()).count(), 5);
        assert_eq!(taken.last().map(|entry| entry.at.as_millis()), Some(99));
        assert_eq!((ring.len(), ring.bytes()), (0, 0));
        assert_eq!(ring.put_back(taken.clone()), 0);
        assert_eq!(ring.take(usize::MAX), taken);
    }
}
