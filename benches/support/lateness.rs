//! How late requests come, as their targets see it. Owns the arithmetic only.
//!
//! A target is due at `phase + k × interval`. Nobody outside knows the phase, so it is taken from the
//! arrivals themselves: it is the one of them, on the circle of one interval, behind which all others
//! come soonest on the whole. So the most punctual request of each target counts as punctual, lateness
//! below a whole interval is measured right, and what is later than that counts as not made.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};

use super::report::{percentile, rounded};
use super::targets::Arrival;

/// So small a share of the interval counts as shortly before.
const EARLY: u64 = 50;

/// When a target is due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    phase: u64,
    interval: u64,
}

impl Schedule {
    /// The schedule that explains arrivals of one target; `None` where there are none.
    fn fitted(arrivals: &[u64], interval: u64) -> Option<Self> {
        let mut on_circle: Vec<u64> = arrivals.iter().map(|at| at % interval).collect();
        on_circle.sort_unstable();
        let count = i128::try_from(on_circle.len()).ok()?;
        let first = *on_circle.first()?;
        // The sum of all ways from a candidate forward to each arrival; from one candidate to the
        // next every way becomes shorter by their distance, but for the former one's own.
        let mut sum: i128 = on_circle.iter().map(|at| i128::from(at - first)).sum();
        let mut best = (sum, 0);
        for (index, pair) in on_circle.windows(2).enumerate() {
            sum += i128::from(interval) - count * i128::from(pair[1] - pair[0]);
            best = best.min((sum, index + 1));
        }
        Some(Self { phase: earliest(&on_circle, best.1, interval), interval })
    }

    /// Which due time an arrival belongs to, and how late it is.
    fn place(self, at: u64) -> (u64, u64) {
        // One interval is added so that nothing is before the first due time.
        let since = at + self.interval - self.phase;
        (since / self.interval, since % self.interval)
    }

    /// The due times within a window.
    fn due(self, window: &Range<u64>) -> Range<u64> {
        let at_or_after = |instant: u64| {
            let (number, over) = self.place(instant);
            if over == 0 { number } else { number + 1 }
        };
        at_or_after(window.start)..at_or_after(window.end)
    }
}

/// Where one arrival of thousands is a little more punctual than the rest, it still is not late: the
/// earliest arrival on the circle shortly before the one at `index`.
fn earliest(on_circle: &[u64], index: usize, interval: u64) -> u64 {
    let chosen = on_circle[index];
    let before = on_circle[index..].iter().chain(&on_circle[..index]).rev();
    let way = |at: u64| (chosen + interval - at) % interval;
    before.copied().take_while(|at| way(*at) <= interval / EARLY).last().unwrap_or(chosen)
}

/// What the requests of some targets were like within a window.
#[derive(Debug, Clone, Default)]
pub struct Lateness {
    /// Lateness of each request in milliseconds, in ascending order.
    pub millis: Vec<f64>,
    /// Due times in the window.
    pub due: u64,
    /// Due times for which a request came.
    pub made: u64,
    /// Requests beyond one for each due time.
    pub extra: u64,
    /// The largest lateness and when that request came, in nanoseconds since the window's start.
    worst: (u64, u64),
}

impl Lateness {
    /// The figures for people and for the bench's line.
    pub fn summary(&self) -> Value {
        let at = |quantile| rounded(percentile(&self.millis, quantile), 3);
        json!({
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "max_ms": at(1.0),
            "max_at_s": rounded(self.worst.1 as f64 / 1e9, 1),
            "due": self.due,
            "made": self.made,
            "made_share": rounded(self.made as f64 / self.due as f64, 6),
            "extra": self.extra,
        })
    }

    /// The 99th percentile in milliseconds.
    pub fn p99(&self) -> f64 {
        percentile(&self.millis, 0.99)
    }
}

/// The arrivals of each target.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(BTreeMap<u32, Vec<u64>>);

impl Arrivals {
    /// Adds what the targets have seen.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Arrival>) {
        for arrival in more {
            self.0.entry(arrival.target).or_default().push(arrival.at);
        }
    }

    /// How many there are of these targets within a window.
    pub fn count(&self, targets: Range<u32>, window: &Range<u64>) -> u64 {
        let of = self.0.range(targets).flat_map(|(_, arrivals)| arrivals);
        of.filter(|at| window.contains(at)).count() as u64
    }

    /// The lateness of these targets' requests within a window. The schedules are fitted to all
    /// arrivals, so that windows can be compared: a shift of all due times counts as lateness.
    /// Arrivals of one interval beyond the window should be there. A target that was never asked
    /// counts with its due times.
    pub fn lateness(
        &self,
        targets: Range<u32>,
        interval: Duration,
        window: &Range<u64>,
    ) -> Lateness {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mut all = Lateness::default();
        for target in targets {
            let arrivals = self.0.get(&target).map(Vec::as_slice).unwrap_or_default();
            let Some(schedule) = Schedule::fitted(arrivals, interval) else {
                all.due += (window.end - window.start) / interval;
                continue;
            };
            let due = schedule.due(window);
            let mut met = BTreeSet::new();
            for at in arrivals {
                let (number, late) = schedule.place(*at);
                if due.contains(&number) {
                    all.millis.push(late as f64 / 1e6);
                    all.worst = all.worst.max((late, at.saturating_sub(window.start)));
                    all.extra += u64::from(!met.insert(number));
                }
            }
            all.due += due.end - due.start;
            all.made += met.len() as u64;
        }
        all.millis.sort_by(f64::total_cmp);
        all
    }
}
