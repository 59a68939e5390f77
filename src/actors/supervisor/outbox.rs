//! The way of a report from a prober to its supervisor: bounded, never blocking, newest wins.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::ProbeCompleted;
use crate::actors::link::Link;
use crate::metrics::Metrics;
use crate::model::ProbeReport;

/// The kind of actor that the reports go to; a metric label.
const SUPERVISOR: &str = "supervisor";

/// Sends reports into the supervisor's mailbox; what does not fit waits here, one per component.
#[derive(Clone)]
pub struct ReportOutbox {
    link: Link<ProbeCompleted>,
    waiting: Arc<Mutex<BTreeMap<Arc<str>, ProbeReport>>>,
    /// Reports in the mailbox of the present incarnation.
    depth: Arc<AtomicI64>,
    metrics: Metrics,
}

impl ReportOutbox {
    /// An outbox in front of `link`.
    pub fn new(link: Link<ProbeCompleted>, metrics: Metrics) -> Self {
        Self { link, waiting: Arc::default(), depth: Arc::default(), metrics }
    }

    /// Hands over one report. Where the mailbox is full it replaces the component's older one.
    pub fn report(&self, report: ProbeReport) {
        let Err((_, ProbeCompleted(report))) = self.link.try_send(ProbeCompleted(report)) else {
            self.depth.fetch_add(1, Ordering::Relaxed);
            self.metrics.mailbox_depth_changed(SUPERVISOR, 1);
            return;
        };
        let component = Arc::clone(&report.id.component);
        let replaced = self.lock().insert(component, report).is_some();
        if replaced {
            self.metrics.mailbox_dropped(SUPERVISOR);
        }
    }

    /// One report was taken out of the mailbox.
    pub fn taken(&self) {
        self.depth.fetch_sub(1, Ordering::Relaxed);
        self.metrics.mailbox_depth_changed(SUPERVISOR, -1);
    }

    /// The mailbox is a new and empty one: what waited in the old one is gone with it.
    pub fn begin_anew(&self) {
        let lost = self.depth.swap(0, Ordering::Relaxed);
        self.metrics.mailbox_depth_changed(SUPERVISOR, -lost);
    }

    /// Takes what did not fit, for the supervisor to handle now.
    pub fn take_waiting(&self) -> BTreeMap<Arc<str>, ProbeReport> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, ProbeReport>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
