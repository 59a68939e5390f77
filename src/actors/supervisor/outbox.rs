//! The way of a report from a prober to its supervisor: bounded, never blocking, newest wins.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ProbeCompleted;
use crate::actors::link::Link;
use crate::metrics::{MailboxCount, Metrics};
use crate::model::ProbeReport;

/// The kind of actor that the reports go to; a metric label.
const SUPERVISOR: &str = "supervisor";

/// Sends reports into the supervisor's mailbox; what does not fit waits here, one per component.
/// Cheap to clone.
#[derive(Clone)]
pub struct ReportOutbox {
    shared: Arc<Shared>,
}

struct Shared {
    link: Link<ProbeCompleted>,
    /// Reports in the mailbox of the present incarnation.
    in_mailbox: AtomicI64,
    overflow: Mutex<Overflow>,
    /// As many as are in the overflow, to be looked at without its lock.
    overflowing: AtomicUsize,
    count: MailboxCount,
}

/// The newest report of each component that has one here; who came first is taken first.
#[derive(Default)]
struct Overflow {
    newest: HashMap<Arc<str>, ProbeReport>,
    order: VecDeque<Arc<str>>,
}

impl ReportOutbox {
    /// An outbox in front of `link`.
    pub fn new(link: Link<ProbeCompleted>, metrics: Metrics) -> Self {
        let shared = Shared {
            link,
            in_mailbox: AtomicI64::new(0),
            overflow: Mutex::default(),
            overflowing: AtomicUsize::new(0),
            count: metrics.mailbox(SUPERVISOR),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Hands over one report. Where the mailbox is full it replaces the component's older one.
    pub fn report(&self, report: ProbeReport) {
        let Some(report) = self.replace(report) else { return };
        match self.shared.link.try_send(ProbeCompleted(report)) {
            Ok(()) => {
                self.shared.in_mailbox.fetch_add(1, Ordering::Relaxed);
                self.shared.count.put();
            }
            Err((_, ProbeCompleted(report))) => self.keep(report),
        }
    }

    /// Replaces the component's report in the overflow, if it has one there: a newer one must not
    /// overtake it. Gives the report back otherwise.
    fn replace(&self, report: ProbeReport) -> Option<ProbeReport> {
        if !self.is_overflowing() {
            return Some(report);
        }
        match self.overflow().newest.get_mut(&report.id.component) {
            Some(older) => {
                *older = report;
                self.shared.count.dropped();
                None
            }
            None => Some(report),
        }
    }

    fn keep(&self, report: ProbeReport) {
        let mut overflow = self.overflow();
        let component = Arc::clone(&report.id.component);
        if overflow.newest.insert(Arc::clone(&component), report).is_some() {
            self.shared.count.dropped();
        } else {
            overflow.order.push_back(component);
            self.shared.overflowing.store(overflow.order.len(), Ordering::Relaxed);
        }
    }

    /// One report was taken out of the mailbox.
    pub fn taken(&self) {
        self.shared.in_mailbox.fetch_sub(1, Ordering::Relaxed);
        self.shared.count.taken(1);
    }

    /// The mailbox is a new and empty one: what waited in the old one is gone with it.
    pub fn begin_anew(&self) {
        let lost = self.shared.in_mailbox.swap(0, Ordering::Relaxed);
        self.shared.count.taken(lost);
    }

    /// How many reports wait, in the mailbox and beside it.
    pub fn waiting(&self) -> usize {
        let in_mailbox = self.shared.in_mailbox.load(Ordering::Relaxed);
        usize::try_from(in_mailbox).unwrap_or(0) + self.shared.overflowing.load(Ordering::Relaxed)
    }

    /// Whether a report did not fit into the mailbox and was not taken yet.
    pub fn is_overflowing(&self) -> bool {
        self.shared.overflowing.load(Ordering::Relaxed) > 0
    }

    /// Takes up to `most` of what did not fit, for the supervisor to handle now.
    pub fn take_overflow(&self, most: usize) -> Vec<ProbeReport> {
        let mut overflow = self.overflow();
        let count = most.min(overflow.order.len());
        let first: Vec<Arc<str>> = overflow.order.drain(..count).collect();
        self.shared.overflowing.store(overflow.order.len(), Ordering::Relaxed);
        first.iter().filter_map(|component| overflow.newest.remove(component)).collect()
    }

    fn overflow(&self) -> MutexGuard<'_, Overflow> {
        self.shared.overflow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        ComponentId, Outcome, ProbeObservation, ProbeTrigger, ProberKind, Timestamp,
    };
    use std::time::Duration;

    fn report(component: &str, started_at: u64) -> ProbeReport {
        ProbeReport {
            id: ComponentId::new("milvus-ha", component),
            kind: ProberKind::Http,
            trigger: ProbeTrigger::Schedule,
            started_at: Timestamp::from_millis(started_at),
            duration: Duration::ZERO,
            observation: ProbeObservation::of(Outcome::Healthy),
        }
    }

    #[test]
    fn without_room_the_newest_report_of_each_component_is_kept_in_turn_and_the_rest_counted() {
        let metrics = Metrics::default();
        // Nobody lives behind this link, which is as good as a full mailbox.
        let outbox = ReportOutbox::new(Link::new(), metrics.clone());
        outbox.report(report("proxy", 1));
        (2..1_000).for_each(|at| outbox.report(report("flood", at)));
        outbox.report(report("querynode", 5));
        outbox.report(report("proxy", 1_000));
        assert_eq!(outbox.waiting(), 3);
        let mut kept = Vec::new();
        while outbox.is_overflowing() {
            kept.extend(outbox.take_overflow(2));
        }
        assert_eq!(kept, [report("proxy", 1_000), report("flood", 999), report("querynode", 5)]);
        let mailbox = metrics.mailbox(SUPERVISOR);
        assert_eq!((mailbox.so_far_dropped(), mailbox.waiting()), (998, 0));
    }
}
