//! From a probe report to the decision about it: what did not fit into the mailbox is taken as well,
//! and a flood leaves others their turn. Every report costs one look-up; it costs more only where
//! something is new, or where somebody is to be reminded.

use std::time::Duration;

use actix::prelude::*;

use super::Supervisor;
use super::memory::{IncidentChange, Judged, OpenIncident};
use crate::model::{PodUsage, ProbeReport, ProberKind};
use crate::policy::health::Transition;

/// After so many reports the other actors on the thread, and its own timers, have a turn.
const REPORTS_IN_A_ROW: usize = 256;

/// How long reports that did not fit into the mailbox wait at first: it is emptied meanwhile.
const OVERFLOW_PAUSE: Duration = Duration::from_millis(1);

impl Supervisor {
    pub(super) fn on_report(&mut self, report: ProbeReport, ctx: &mut Context<Self>) {
        self.parts.reports.taken();
        self.judge(report);
        self.arm_overflow(ctx);
        self.in_a_row += 1;
        if self.in_a_row >= REPORTS_IN_A_ROW {
            // A mailbox is read until it is empty: a flood would keep everybody else waiting.
            self.in_a_row = 0;
            ctx.wait(tokio::task::yield_now().into_actor(self));
        }
    }

    /// Sets the timer for what did not fit into the mailbox, if there is such.
    pub(super) fn arm_overflow(&mut self, ctx: &mut Context<Self>) {
        if self.is_overflow_due || !self.parts.reports.is_overflowing() {
            return;
        }
        self.is_overflow_due = true;
        ctx.run_later(OVERFLOW_PAUSE, |supervisor, ctx| {
            supervisor.is_overflow_due = false;
            supervisor.on_overflow_due(ctx);
        });
    }

    fn on_overflow_due(&mut self, ctx: &mut Context<Self>) {
        self.take_overflow();
        self.arm_overflow(ctx);
    }

    /// Takes some of what did not fit into the mailbox.
    pub(super) fn take_overflow(&mut self) {
        for report in self.parts.reports.take_overflow(REPORTS_IN_A_ROW) {
            self.judge(report);
        }
    }

    fn judge(&mut self, report: ProbeReport) {
        if let Some(usage) = self.fold(report) {
            self.on_usage(usage);
        }
    }

    /// Folds a report into the memory and tells who must know. Gives the usage that it brought.
    fn fold(&self, report: ProbeReport) -> Option<Vec<PodUsage>> {
        self.note_probe(&report);
        let now = self.parts.clock.now();
        let weight = self.weight(&report, now);
        let mut memory = self.memory();
        if memory.is_stopped() {
            return None;
        }
        let Some(judged) = memory.observe(&report, weight, now) else {
            drop(memory);
            self.note_unjudged(report);
            return None;
        };
        let Judged { known, transition, change, tell } = judged;
        // First of all: nothing that follows may keep people from hearing of the end.
        if let IncidentChange::Resolved(incident) = change {
            self.resolve(incident);
        }
        self.count(&report, transition, known.incident.as_deref());
        let raised = known.incident.as_deref().filter(|_| tell.raise);
        let raised = raised.map(|open| self.alert(&report, open, known));
        let healthy_since = tell.healthy.then(|| (report.id.clone(), known.tracker.since()));
        let ask = tell.recover.then(|| known.ask(&report.id)).flatten();
        let usage = report.kind == ProberKind::Resources && !report.observation.outcome.is_failed();
        let usage = usage.then(|| report.observation.usage.clone());
        known.show(report);
        if let Some(alert) = raised {
            self.raise(alert, &memory);
        }
        if let Some((id, since)) = healthy_since {
            self.tell_healthy(&id, since, &memory);
        }
        if let Some(ask) = ask {
            self.ask_for_recovery(ask, &mut memory, now);
        }
        self.keep(&mut memory);
        self.settle_orphans(&mut memory);
        usage
    }

    fn count(&self, report: &ProbeReport, transition: Transition, open: Option<&OpenIncident>) {
        let metrics = &self.parts.metrics;
        if let Transition::Moved { to, .. } = transition {
            metrics.state_changed(&report.id, to);
            let incident = open.map(|open| &open.id);
            let reason = report.observation.outcome.reason();
            self.note_transition(&report.id, transition, reason, incident);
        }
        for canary in report.observation.milvus.iter().flat_map(|milvus| &milvus.canaries) {
            metrics.query_completed(&report.id, canary);
        }
        metrics.targets_scraped(&report.id, &report.observation.targets);
    }
}

#[cfg(test)]
mod tests;
