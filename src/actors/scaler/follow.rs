//! Following a change until its replicas are ready, also one that a former incarnation began.

use actix::prelude::*;

use super::Scaler;
use super::act::direction;
use crate::actors::platform::within;
use crate::actors::registry::ActionHolder;
use crate::effects::{ClusterError, ScaleRequest};
use crate::metrics::ActionOutcome;
use crate::model::{ComponentId, EventType, RolloutStatus};
use crate::policy::scaling::{ChangeUnderWay, DrainUnderWay};

/// How the replicas of a change came along.
enum ChangeEnd {
    Ready,
    RolloutFailed(String),
    TooLate,
}

impl Scaler {
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

    pub(super) fn arm_watch(&mut self, ctx: &mut Context<Self>) {
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
