//! Carrying out a change: the request to the platform, the event, and watching until the replicas
//! are ready.

use actix::prelude::*;

use super::Scaler;
use crate::actors::platform::{record, within};
use crate::actors::registry::ActionHolder;
use crate::effects::{Applied, ClusterError, ScaleRequest};
use crate::metrics::{ActionKind, ActionOutcome};
use crate::model::{ClusterEvent, ComponentId, EventType, RolloutStatus, WorkloadRef};
use crate::policy::scaling::{
    ChangeUnderWay, DrainUnderWay, Observed, PlannedChange, ScalingDecision,
};

/// How the replicas of a change came along.
enum ChangeEnd {
    Ready,
    RolloutFailed(String),
    TooLate,
}

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

    /// A new incarnation goes on where the previous one ended; it repeats nothing.
    pub(super) fn resume(&mut self, ctx: &mut Context<Self>) {
        let now = self.around.clock.now();
        let held: Vec<_> = {
            let mut ledger = self.ledger();
            ledger.resume(now);
            ledger
                .all_in_flight()
                .map(|change| (change.component.cluster.clone(), change.workload.clone()))
                .chain(ledger.all_drains().map(DrainUnderWay::held))
                .collect()
        };
        if !held.is_empty() {
            tracing::warn!(changes = held.len(), "scaler resumes watching its changes");
        }
        self.around.registry.reclaim(ActionHolder::Scaler, held);
        self.resume_drains(ctx);
        self.publish();
        self.arm_watch(ctx);
    }

    fn arm_watch(&mut self, ctx: &mut Context<Self>) {
        if self.watch_armed || self.ledger().all_in_flight().next().is_none() {
            return;
        }
        self.watch_armed = true;
        ctx.run_later(self.settings.poll_interval, |act, ctx| {
            act.watch_armed = false;
            act.on_watch_due(ctx);
        });
    }

    fn on_watch_due(&mut self, ctx: &mut Context<Self>) {
        let now = self.around.clock.now();
        let under_way: Vec<ChangeUnderWay> = self.ledger().all_in_flight().cloned().collect();
        for change in under_way {
            let Some(accepted_at) = change.accepted_at else { continue };
            if now.since(accepted_at) >= self.settings.ready_timeout {
                self.end(&change.component, ChangeEnd::TooLate, ctx);
            } else {
                self.begin_poll(change, ctx);
            }
        }
        self.arm_watch(ctx);
    }

    fn begin_poll(&mut self, change: ChangeUnderWay, ctx: &mut Context<Self>) {
        let ChangeUnderWay { component, workload, from, to, requested_at, .. } = change;
        let Some(cluster) = self.around.clusters.get(&component.cluster).cloned() else { return };
        if !self.polling.insert(component.clone()) {
            return;
        }
        let deadline = self.settings.status_timeout;
        let asked = async move {
            let request = ScaleRequest { workload, from, to };
            let asked = cluster.scaling_status(&request);
            within(deadline, "scaling status of", &request.workload, asked).await
        };
        ctx.spawn(asked.into_actor(self).map(move |answer, act, ctx| {
            act.polling.remove(&component);
            act.around.answered(&component.cluster, &answer);
            let still = act.ledger().in_flight(&component).map(|change| change.requested_at);
            if still == Some(requested_at) {
                act.on_rollout_status(&component, answer, ctx);
            }
        }));
    }

    fn on_rollout_status(
        &mut self,
        component: &ComponentId,
        answer: Result<RolloutStatus, ClusterError>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok(RolloutStatus::Complete) => self.end(component, ChangeEnd::Ready, ctx),
            Ok(RolloutStatus::Failed { message }) => {
                self.end(component, ChangeEnd::RolloutFailed(message), ctx);
            }
            Ok(RolloutStatus::InProgress { message }) => self.ledger().heard(component, message),
            Err(error) => self.ledger().heard(component, error.to_string()),
        }
    }

    fn end(&mut self, component: &ComponentId, end: ChangeEnd, ctx: &mut Context<Self>) {
        let ended = self.ledger().ended(component, self.around.clock.now());
        let Some(ChangeUnderWay { workload, from, to, progress, .. }) = ended else { return };
        self.release(component, &workload);
        let ready = matches!(end, ChangeEnd::Ready);
        let (kind, summary) = match end {
            ChangeEnd::Ready => (
                "finished",
                format!("{workload} was scaled from {from} to {to} replicas, all ready"),
            ),
            ChangeEnd::RolloutFailed(message) => {
                ("rollout_failed", format!("{workload} was scaled from {from} to {to}: {message}"))
            }
            ChangeEnd::TooLate => {
                let limit = humantime::format_duration(self.settings.ready_timeout);
                let words =
                    format!("{workload} was scaled from {from} to {to}, not ready within {limit}");
                ("not_ready", format!("{words}: {progress}"))
            }
        };
        let outcome = if ready { ActionOutcome::Succeeded } else { ActionOutcome::Failed };
        if !ready {
            let warning = EventType::Warning;
            self.write_event(component, &workload, warning, "ScalingNotReady", &summary, ctx);
        }
        self.around.metrics.action(component, direction(from, to), outcome);
        self.tell_anew(component, kind, summary, None);
    }
}

const fn direction(from: u32, to: u32) -> ActionKind {
    if to > from { ActionKind::ScaleUp } else { ActionKind::ScaleDown }
}
