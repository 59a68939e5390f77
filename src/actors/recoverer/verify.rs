//! Watching an action until it is known whether it helped: the rollout is asked for, the health is
//! told by the supervisor, and a deadline of our own ends it (the platform's may be 30 days).

use actix::prelude::*;

use super::deed::Deed;
use super::lookup::Unanswered;
use super::replaced::progress_of;
use super::written::Subject;
use super::{ComponentHealthy, News, Recoverer, RecoveryPhase};
use crate::actors::platform::within;
use crate::actors::registry::ActionHolder;
use crate::effects::ClusterError;
use crate::metrics::ActionOutcome;
use crate::model::journal::ActionPhase;
use crate::model::{ComponentId, EventType};
use crate::policy::recovery::refusal::words;
use crate::policy::recovery::verification::VerificationFailure;
use crate::policy::recovery::{
    ActionUnderWay, RecoveryRequest, RolloutProgress, Verification, verify,
};

impl Recoverer {
    /// A new incarnation, or a new process, goes on where the previous one ended; it repeats nothing.
    pub(super) fn resume(&mut self, ctx: &mut Context<Self>) {
        let (lost, held) = {
            let now = self.around.clock.now();
            let mut ledger = self.ledger();
            let lost = ledger.resume(now);
            let held: Vec<_> = ledger
                .all_in_flight()
                .map(|action| (action.component.cluster.clone(), action.workload.clone()))
                .collect();
            (lost, held)
        };
        if !held.is_empty() {
            tracing::warn!(
                actions = held.len(),
                lost = lost.len(),
                "recoverer resumes verification"
            );
        }
        self.around.registry.reclaim(ActionHolder::Recoverer, held);
        // Of what this incarnation has asked for itself the answer is still to come.
        for action in
            lost.into_iter().filter(|one| !self.asking.contains(&one.component)).collect::<Vec<_>>()
        {
            self.look_up(&action, Unanswered::Ended, ctx);
        }
        self.show_breakers(&[]);
        self.publish();
        self.arm_verification(ctx);
    }

    pub(super) fn on_component_healthy(
        &mut self,
        report: &ComponentHealthy,
        ctx: &mut Context<Self>,
    ) {
        let component = &report.component;
        if let Some(preparation) = self.preparing.get_mut(component) {
            preparation.is_well = true;
        }
        let waits_for_milvus =
            self.ledger().in_flight(component).is_some_and(|action| action.waits_for_milvus);
        if waits_for_milvus && report.milvus_failing {
            return;
        }
        self.ledger().saw_healthy(component, report.since);
        self.judge(component, ctx);
    }

    /// A report says which pods of a component are sick while an action on it is under way.
    pub(super) fn watch_pods(&mut self, request: &RecoveryRequest, ctx: &mut Context<Self>) {
        let sick: Vec<_> = request.sick_pods().collect();
        self.ledger().saw_sick_pods(&request.component, &sick);
        self.judge(&request.component, ctx);
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
        let key = action.idempotency_key.clone();
        let action = ActionUnderWay { component: component.clone(), ..action };
        let deadline = self.settings.status_timeout;
        let asked = async move {
            let asked = cluster.rollout_status(&action.workload);
            let answer = within(deadline, "rollout status of", &action.workload, asked).await;
            let inventory = cluster.inventory().borrow().clone();
            answer.map(|status| progress_of(&action, status.into(), &inventory))
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
        answer: Result<RolloutProgress, ClusterError>,
        ctx: &mut Context<Self>,
    ) {
        self.around.answered(&component.cluster, &answer);
        let unreadable =
            |error: ClusterError| RolloutProgress::Unreadable { message: error.to_string() };
        let progress = answer.unwrap_or_else(unreadable);
        self.ledger().saw_rollout(component, key, progress);
        self.judge(component, ctx);
    }

    /// Ends the action under way on `component` if it can be told how it went.
    pub(super) fn judge(&mut self, component: &ComponentId, ctx: &mut Context<Self>) {
        let now = self.around.clock.now();
        let settings = self.settings.for_component(component);
        let verdict = match self.ledger().in_flight(component) {
            Some(action) => verify(action, settings, now),
            None => return,
        };
        let (ended, phase, kind, how) = match verdict {
            Verification::Pending => return,
            Verification::Recovered { took } => {
                let how = format!(", and the component is healthy after {}", words(took));
                let ended = self.ledger().recovered(component, now);
                (ended, RecoveryPhase::Recovered, "verified", how)
            }
            Verification::PodReplaced { took } => {
                let ended = self.ledger().pod_replaced(component);
                let how = format!(" and replaced after {}; others are sick still", words(took));
                (ended, RecoveryPhase::Recovered, "pod_replaced", how)
            }
            Verification::NotRecovered { reason } => {
                let ended = self.ledger().not_recovered(component, now);
                let kind = match reason {
                    VerificationFailure::RolloutFailed { .. } => "rollout_failed",
                    VerificationFailure::NotRolledOut { .. } => "not_rolled_out",
                    VerificationFailure::NotHealthy { .. } => "not_healthy",
                };
                (ended, RecoveryPhase::NotRecovered, kind, format!(": {reason}"))
            }
        };
        if let Some(action) = ended {
            let past = Deed::from(&action).past();
            self.end(action, phase, kind, format!("{past}{how}"), ctx);
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
        let deed = Deed::from(&action);
        let ActionUnderWay { component, incident, workload, step, .. } = action;
        self.release(&component, &workload);
        let (event_type, reason, outcome, written) = if phase == RecoveryPhase::Recovered {
            (EventType::Normal, "Recovered", ActionOutcome::Succeeded, ActionPhase::Succeeded)
        } else {
            (EventType::Warning, "NotRecovered", ActionOutcome::Failed, ActionPhase::Failed)
        };
        let subject = Subject { incident: &incident, component: &component };
        self.write_action(&subject, &deed, written, summary.clone());
        let event = self.event(&workload, event_type, reason, summary.clone());
        self.write_event(&component, event, ctx);
        let (outcome, step) = (Some(outcome), Some(step));
        self.tell(News { incident, component, phase, kind, summary, outcome, step });
    }
}
