//! Carrying out a change: what has to hold before it, the request to the platform, and the event.

use actix::prelude::*;

use super::Scaler;
use crate::actors::platform::{record, within};
use crate::actors::registry::ActionHolder;
use crate::effects::{Applied, ClusterError, ScaleRequest};
use crate::metrics::{ActionKind, ActionOutcome};
use crate::model::{ClusterEvent, ComponentId, EventType, WorkloadRef};
use crate::policy::scaling::{Observed, PlannedChange, ScalingDecision};

impl Scaler {
    /// Puts the change into the ledger, then asks the platform for it.
    pub(super) fn begin_change(
        &mut self,
        component: ComponentId,
        plan: PlannedChange,
        ctx: &mut Context<Self>,
    ) {
        if self.ledger().was_shown(&component, &plan) {
            return;
        }
        let Some(cluster) = self.around.clusters.get(&component.cluster).cloned() else {
            let words = "not scaled: no platform is configured for this cluster".to_owned();
            self.tell(&component, "no_platform", words);
            return;
        };
        if !self.may_begin(&component, &plan) {
            return;
        }
        let now = self.around.clock.now();
        let deadline = self.around.leadership.deadline(self.settings.request_timeout);
        self.around.circuits.begin(&component.cluster, now);
        self.ledger().begin(&component, &plan, now);
        tracing::info!(
            component = %component,
            workload = %plan.workload,
            from = plan.from,
            to = plan.to,
            reason = %plan.trigger,
            "change of replicas begins"
        );
        self.publish();
        let request =
            ScaleRequest { workload: plan.workload.clone(), from: plan.from, to: plan.to };
        let recorded = self.record();
        let (leadership, clock) = (self.around.leadership.clone(), self.around.clock);
        let answer = async move {
            let withheld = |message: String| ClusterError::Conflict {
                operation: "scale",
                object: request.workload.to_string(),
                message,
            };
            recorded.await.map_err(|error| withheld(error.to_string()))?;
            leadership.covers(clock.now(), deadline).map_err(|why| withheld(why.to_string()))?;
            within(deadline, "scale", &request.workload, cluster.scale(&request)).await
        };
        ctx.spawn(
            answer
                .into_actor(self)
                .map(move |answer, act, ctx| act.on_change_answered(component, plan, answer, ctx)),
        );
    }

    /// Whether a change, or a drain before it, may begin, as far as it is known before it is asked
    /// for. The workload is claimed where it may.
    pub(super) fn may_begin(&mut self, component: &ComponentId, plan: &PlannedChange) -> bool {
        let now = self.around.clock.now();
        let deadline = self.around.leadership.deadline(self.settings.request_timeout);
        if let Some(pause) = self.around.circuits.pause(&component.cluster, now) {
            self.tell(component, "platform_paused", format!("not scaled: {pause}"));
            return false;
        }
        if let Err(reason) = self.around.leadership.covers(now, deadline) {
            // Words that change with the time left are told once too.
            self.tell(component, "not_leader", format!("not scaled here: {reason}"));
            return false;
        }
        let who = ActionHolder::Scaler;
        let claimed = self.around.registry.claim(&component.cluster, &plan.workload, who);
        if claimed.is_err() {
            let words = format!("not scaled: {} is being restarted", plan.workload);
            self.tell(component, "being_restarted", words);
        }
        claimed.is_ok()
    }

    fn on_change_answered(
        &mut self,
        component: ComponentId,
        plan: PlannedChange,
        answer: Result<Applied, ClusterError>,
        ctx: &mut Context<Self>,
    ) {
        let now = self.around.clock.now();
        self.around.answered(&component.cluster, &answer);
        let PlannedChange { workload, from, to, .. } = &plan;
        let mut exact = None;
        let (kind, summary, outcome) = match answer {
            Ok(Applied { applied: true, change }) => {
                exact = Some(change);
                self.ledger().accepted(&component, now);
                let summary =
                    format!("scaling {workload} from {from} to {to} replicas: {}", plan.trigger);
                let reason = if plan.is_up() { "ScaledUp" } else { "ScaledDown" };
                self.write_event(&component, workload, EventType::Normal, reason, &summary, ctx);
                ("started", summary, ActionOutcome::Started)
            }
            Ok(Applied { applied: false, change }) => {
                self.ledger().shown(&component);
                self.release(&component, workload);
                let summary = format!(
                    "dry run: would scale {workload} from {from} to {to} replicas: {}: {change}",
                    plan.trigger
                );
                exact = Some(change);
                ("dry_run", summary, ActionOutcome::DryRun)
            }
            // A watch has not seen it yet.
            Err(ClusterError::ScaledByOther { workload, autoscaler, .. }) => {
                self.ledger().dropped(&component);
                self.release(&component, &workload);
                let would = Box::new(ScalingDecision::Scale(plan));
                self.on_observed(&component, &Observed { workload, autoscaler, would });
                self.publish();
                return;
            }
            Err(error @ ClusterError::Conflict { .. }) => {
                self.ledger().dropped(&component);
                self.release(&component, workload);
                let summary = format!("not scaled: {error}; decided anew with the next report");
                ("changed_meanwhile", summary, ActionOutcome::Error)
            }
            Err(error) => {
                let delay = self.ledger().failed(&component, now);
                self.release(&component, workload);
                let delay = humantime::format_duration(delay);
                let summary = format!("not scaled: {error}; trying again in {delay}");
                ("platform_error", summary, ActionOutcome::Error)
            }
        };
        self.around.metrics.action(&component, direction(*from, *to), outcome);
        self.tell_anew(&component, kind, summary, exact.as_deref());
        // Also where there is nothing new to tell.
        self.publish();
        self.arm_watch(ctx);
    }

    /// Tells what was done, even if the last thing told was of the same kind.
    pub(super) fn tell_anew(
        &mut self,
        component: &ComponentId,
        kind: &'static str,
        summary: String,
        change: Option<&str>,
    ) {
        if !matches!(kind, "platform_error" | "changed_meanwhile") {
            self.told.remove(component);
        }
        self.tell_change(component, kind, summary, change);
    }

    pub(super) fn write_event(
        &self,
        component: &ComponentId,
        workload: &WorkloadRef,
        event_type: EventType,
        reason: &'static str,
        words: &str,
        ctx: &mut Context<Self>,
    ) {
        let Some(cluster) = self.around.clusters.get(&component.cluster).cloned() else { return };
        let deadline = self.around.leadership.deadline(self.settings.event_timeout);
        let now = self.around.clock.now();
        if self.settings.dry_run || self.around.leadership.covers(now, deadline).is_err() {
            return;
        }
        let message = format!("falconer: {words}");
        let event = ClusterEvent { workload: workload.clone(), event_type, reason, message };
        let written = async move { record(cluster.as_ref(), &event, deadline).await };
        ctx.spawn(written.into_actor(self));
    }
}

pub(super) const fn direction(from: u32, to: u32) -> ActionKind {
    if to > from { ActionKind::ScaleUp } else { ActionKind::ScaleDown }
}
