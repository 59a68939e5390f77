//! Figures over all components of a cluster, kept as they change instead of counted at each
//! question: with thousands of sick components each of their reports asks.

use std::sync::Arc;
use std::time::Duration;

use super::ComponentMemory;
use crate::model::Timestamp;

/// The oldest two are looked for again after this time.
const OLDEST_AGE: Duration = Duration::from_millis(10);

/// The two components whose newest probes began first.
#[derive(Debug)]
struct Oldest {
    found_at: Timestamp,
    first: Option<(Timestamp, Arc<str>)>,
    second: Option<Timestamp>,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Totals {
    workloads: usize,
    sick_workloads: usize,
    oldest: Option<Oldest>,
}

impl Totals {
    /// How many components run as workloads.
    pub(super) fn workloads(&self) -> usize {
        self.workloads
    }

    /// How many of them are unhealthy or failing.
    pub(super) fn sick_workloads(&self) -> usize {
        self.sick_workloads
    }

    /// A component is counted from now on.
    pub(super) fn joined(&mut self, memory: &ComponentMemory) {
        if memory.runs {
            self.workloads += 1;
            self.sick_workloads += usize::from(memory.is_unhealthy_or_failing());
        }
        self.oldest = None;
    }

    /// A component is no longer counted.
    pub(super) fn left(&mut self, memory: &ComponentMemory) {
        if memory.runs {
            self.workloads -= 1;
            self.sick_workloads -= usize::from(memory.is_unhealthy_or_failing());
        }
        self.oldest = None;
    }

    /// A component was judged; before that it was unhealthy or failing, or not.
    pub(super) fn moved(&mut self, memory: &ComponentMemory, was_sick: bool) {
        if memory.runs {
            self.sick_workloads += usize::from(memory.is_unhealthy_or_failing());
            self.sick_workloads -= usize::from(was_sick);
        }
    }

    /// The set of components has changed.
    pub(super) fn forget_oldest(&mut self) {
        self.oldest = None;
    }

    /// The earliest of `times`, without that of `component`.
    pub(super) fn oldest_beside<'a, T>(
        &mut self,
        component: &str,
        now: Timestamp,
        times: impl FnOnce() -> T,
    ) -> Option<Timestamp>
    where
        T: Iterator<Item = (Timestamp, &'a Arc<str>)>,
    {
        let fresh = self.oldest.take().filter(|found| now.since(found.found_at) < OLDEST_AGE);
        let found = self.oldest.insert(fresh.unwrap_or_else(|| find(times(), now)));
        match &found.first {
            Some((at, name)) if **name != *component => Some(*at),
            Some(_) | None => found.second,
        }
    }
}

fn find<'a>(times: impl Iterator<Item = (Timestamp, &'a Arc<str>)>, now: Timestamp) -> Oldest {
    let (mut first, mut second): (Option<(Timestamp, &Arc<str>)>, Option<Timestamp>) = (None, None);
    for (at, name) in times {
        if first.is_none_or(|(earliest, _)| at < earliest) {
            second = first.map(|(earliest, _)| earliest);
            first = Some((at, name));
        } else if second.is_none_or(|earliest| at < earliest) {
            second = Some(at);
        }
    }
    Oldest { found_at: now, first: first.map(|(at, name)| (at, Arc::clone(name))), second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_looked_for_beside_the_one_that_asks_and_not_at_every_question() {
        let names: Vec<Arc<str>> = ["proxy", "querynode", "datanode"].map(Arc::from).into();
        let at = Timestamp::from_millis;
        let mut totals = Totals::default();
        let mut ask = |component: &str, now: u64, times: [u64; 3]| {
            totals.oldest_beside(component, at(now), || times.map(at).into_iter().zip(&names))
        };
        assert_eq!(ask("querynode", 100, [30, 10, 20]), Some(at(20)));
        assert_eq!(ask("proxy", 105, [30, 90, 20]), Some(at(10)), "lags, never leads");
        assert_eq!(ask("proxy", 110, [30, 90, 20]), Some(at(20)));
        assert_eq!(ask("datanode", 111, [30, 90, 20]), Some(at(30)));
    }
}
