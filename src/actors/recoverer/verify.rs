//! Watching an action until it is known whether it helped: the rollout is asked for, the health is
//! told by the supervisor, and a deadline of our own ends it (the platform's may be 30 days).

use actix::prelude::*;

use super::{ComponentHealthy, News, Recoverer, RecoveryPhase};
use crate::actors::platform::within;
use crate::actors::registry::ActionHolder;
use crate::effects::ClusterError;
use crate::metrics::ActionOutcome;
use crate::model::{ComponentId, EventType, RolloutStatus};
use crate::policy::recovery::refusal::words;
use crate::policy::recovery::verification::VerificationFailure;
use crate::policy::recovery::{ActionUnderWay, RolloutProgress, Verification, verify};

impl Recoverer {
    /// A new incarnation goes on where the previous one ended; it repeats nothing.
    pub(super) fn resume(&mut self, ctx: &mut Context<Self>) {
        let now = self.around.clock.now();
        let held: Vec<_> = {
            let mut ledger = self.ledger();
            ledger.resume(now);
            ledger
                .all_in_flight()
                .map(|action| (action.component.cluster.clone(), action.workload.clone()))
                .collect()
        };
        if !held.is_empty() {
            tracing::warn!(actions = held.len(), "recoverer resumes verification");
        }
        self.around.registry.reclaim(ActionHolder::Recoverer, held);
        self.publish();
        self.arm_verification(ctx);
    }

    pub(super) fn on_component_healthy(
        &mut self,
        report: &ComponentHealthy,
        ctx: &mut Context<Self>,
    ) {
        self.ledger().saw_healthy(&report.component, report.since);
        self.judge(&report.component, ctx);
    }

    /// Sets the timer, if something is under way and it is not set.
    pub(super) fn arm_verification(&mut self, ctx: &mut Context<Self>) {
        if self.verification_armed || self.ledger().all_in_flight().next().is_none() {
            return;
        }
        self.verification_armed = true;
        ctx.run_later(self.settings.poll_interval, |act, ctx| {
            act.verification_armed = false;
            act.on_verification_due(ctx);
        });
    }

    fn on_verification_due(&mut self, ctx: &mut Context<Self>) {
        let under_way: Vec<ActionUnderWay> = self.ledger().all_in_flight().cloned().collect();
        for action in under_way {
            self.judge(&action.component, ctx);
            if action.accepted_at.is_some() {
                self.begin_poll(action, ctx);
            }
        }
        self.arm_verification(ctx);
    }

    fn begin_poll(&mut self, action: ActionUnderWay, ctx: &mut Context<Self>) {
        let component = action.component;
        if self.ledger().in_flight(&component).is_none() {
            return;
        }
        let Some(cluster) = self.around.clusters.get(&component.cluster).cloned() else { return };
        if !self.polling.insert(component.clone()) {
            return;
        }
        let (workload, key) = (action.workload, action.idempotency_key);
        let deadline = self.settings.status_timeout;
        let asked = async move {
            let asked = cluster.rollout_status(&workload);
            within(deadline, "rollout status of", &workload, asked).await
        };
        ctx.spawn(asked.into_actor(self).map(move |answer, act, ctx| {
            act.polling.remove(&component);
            act.on_rollout_status(&component, &key, answer, ctx);
        }));
    }

    fn on_rollout_status(
        &mut self,
        component: &ComponentId,
        key: &str,
        answer: Result<RolloutStatus, ClusterError>,
        ctx: &mut Context<Self>,
    ) {
        self.around.answered(&component.cluster, &answer);
        let progress = match answer {
            Ok(status) => status.into(),
            Err(error) => RolloutProgress::Unreadable { message: error.to_string() },
        };
        self.ledger().saw_rollout(component, key, progress);
        self.judge(component, ctx);
    }

    /// Ends the action under way on `component` if it can be told how it went.
    fn judge(&mut self, component: &ComponentId, ctx: &mut Context<Self>) {
        let now = self.around.clock.now();
        let settings = self.settings.for_component(component);
        let verdict = match self.ledger().in_flight(component) {
            Some(action) => verify(action, settings, now),
            None => return,
        };
        match verdict {
            Verification::Pending => {}
            Verification::Recovered { took } => {
                let ended = self.ledger().recovered(component, now);
                if let Some(action) = ended {
                    let summary = format!(
                        "{} was restarted and is healthy after {}",
                        action.workload,
                        words(took)
                    );
                    self.end(action, RecoveryPhase::Recovered, "verified", summary, ctx);
                }
            }
            Verification::PodReplaced { took } => {
                let ended = self.ledger().pod_replaced(component);
                if let Some(action) = ended {
                    let pod = action.pod.as_ref().map_or("", |pod| &pod.name);
                    let summary = format!(
                        "pod {pod} was replaced after {}; others are sick still",
                        words(took)
                    );
                    self.end(action, RecoveryPhase::Recovered, "pod_replaced", summary, ctx);
                }
            }
            Verification::NotRecovered { reason } => {
                let ended = self.ledger().not_recovered(component, now);
                if let Some(action) = ended {
                    let summary = format!("{} was restarted: {reason}", action.workload);
                    let kind = match reason {
                        VerificationFailure::RolloutFailed { .. } => "rollout_failed",
                        VerificationFailure::NotRolledOut { .. } => "not_rolled_out",
                        VerificationFailure::NotHealthy { .. } => "not_healthy",
                    };
                    self.end(action, RecoveryPhase::NotRecovered, kind, summary, ctx);
                }
            }
        }
    }

    fn end(
        &mut self,
        action: ActionUnderWay,
        phase: RecoveryPhase,
        kind: &'static str,
        summary: String,
        ctx: &mut Context<Self>,
    ) {
        let ActionUnderWay { component, incident, workload, .. } = action;
        self.release(&component, &workload);
        let (event_type, reason, outcome) = if phase == RecoveryPhase::Recovered {
            (EventType::Normal, "Recovered", ActionOutcome::Succeeded)
        } else {
            (EventType::Warning, "NotRecovered", ActionOutcome::Failed)
        };
        let event = self.event(&workload, event_type, reason, summary.clone());
        self.write_event(&component, event, ctx);
        self.tell(News { incident, component, phase, kind, summary, outcome: Some(outcome) });
    }
}
