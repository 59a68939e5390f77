//! Carrying out a step: written down first, then the event, the request, and what comes back.

use std::sync::Arc;

use actix::prelude::*;

use super::deed::Deed;
use super::gate::{Gate, Withheld};
use super::lookup::Unanswered;
use super::prepare::Prepared;
use super::written::Subject;
use super::{News, Recover, Recoverer, RecoveryPhase};
use crate::actors::platform::record;
use crate::effects::{Applied, Cluster, ClusterError};
use crate::metrics::ActionOutcome;
use crate::model::journal::ActionPhase;
use crate::model::{ClusterEvent, ComponentId, EventType, WorkloadRef};
use crate::policy::recovery::refusal::words;
use crate::policy::recovery::{
    EscalationReason, Limits, PlannedAction, RecoveryRequest, RefusalReason,
};

/// What is needed when the answer arrives.
struct Sent {
    request: RecoveryRequest,
    deed: Deed,
}

/// What came of an action that had begun.
enum Answer {
    /// The platform's own.
    Platform(Result<Applied, ClusterError>),
    /// It was not asked.
    Withheld(Withheld),
}

impl Recoverer {
    /// Puts the action into the ledger and the journal, then asks the platform for it.
    pub(super) fn begin_action(
        &mut self,
        report: Recover,
        plan: PlannedAction,
        prepared: Option<&Prepared>,
        ctx: &mut Context<Self>,
    ) {
        let component = report.request.component.clone();
        let Some(cluster) = self.around.clusters.get(&component.cluster).cloned() else {
            self.refuse(&report.request, &RefusalReason::NoPlatform);
            return;
        };
        if !self.claim(&report.request, &plan.workload) {
            return;
        }
        self.enter(&report, &plan);
        let deed = Deed::from(&plan);
        let kept = self.write_begin(&report, &deed, prepared);
        let Recover { request, reason, .. } = report;
        tracing::info!(
            component = %component,
            incident = %request.incident,
            workload = %plan.workload,
            step = plan.step.as_str(),
            key = plan.idempotency_key,
            %reason,
            kept,
            "recovery step begins"
        );
        self.publish();
        let event = self.event(
            &plan.workload,
            EventType::Warning,
            deed.event_reason(),
            format!(
                "falconer begins to {}: {} is unhealthy since {}: {}",
                deed.infinitive(),
                component,
                request.unhealthy_since,
                reason
            ),
        );
        let answer = carry_out(self.gate(&component), cluster, event, deed.clone(), plan);
        let sent = Sent { request, deed };
        self.asking.insert(component);
        ctx.spawn(
            answer
                .into_actor(self)
                .map(move |answer, act, ctx| act.on_action_answered(sent, answer, ctx)),
        );
    }

    /// From here on the action counts.
    fn enter(&mut self, report: &Recover, plan: &PlannedAction) {
        let Recover { request, milvus_failing, .. } = report;
        let (now, component) = (self.around.clock.now(), &request.component);
        self.around.circuits.begin(&component.cluster, now);
        let settings = self.settings.for_component(component);
        let limits = Limits { settings, global: &self.settings.global };
        let mut ledger = self.ledger();
        ledger.begin(request, plan, limits, now);
        if *milvus_failing {
            ledger.wait_for_milvus(component);
        }
    }

    /// Writes the evidence down, and that the action begins. Gives a sentence about the evidence.
    fn write_begin(&self, report: &Recover, deed: &Deed, prepared: Option<&Prepared>) -> String {
        let Recover { request, reason, .. } = report;
        let subject = Subject { incident: &request.incident, component: &request.component };
        let kept = prepared.map_or_else(
            || "no evidence gathered".to_owned(),
            |prepared| self.write_evidence(&subject, report, prepared),
        );
        let words = format!("unhealthy since {}: {reason}; {kept}", request.unhealthy_since);
        self.write_action(&subject, deed, ActionPhase::Begun, words);
        kept
    }

    fn on_action_answered(&mut self, sent: Sent, answer: Answer, ctx: &mut Context<Self>) {
        let component = sent.request.component.clone();
        self.asking.remove(&component);
        match answer {
            Answer::Withheld(why) => self.withhold(&sent, &why),
            Answer::Platform(answer) => {
                self.around.answered(&component.cluster, &answer);
                match answer {
                    Ok(Applied { applied: true, change }) => self.accept(&sent, &change),
                    Ok(Applied { applied: false, change }) => self.show(&sent, &change),
                    Err(error) => self.fail(&sent, &error, ctx),
                }
            }
        }
        // Also where there is nothing new to tell.
        self.publish();
        self.arm_verification(ctx);
    }

    fn accept(&mut self, sent: &Sent, change: &str) {
        let (now, component) = (self.around.clock.now(), &sent.request.component);
        self.ledger().accepted(component, now);
        tracing::info!(%component, change, "platform accepted the change");
        let settings = self.settings.for_component(component);
        let budget = settings.budget;
        let used = self.ledger().component_actions(component, budget.per, now);
        let summary = format!(
            "{} ({} of {} actions per {}); to be healthy within {}",
            sent.deed.participle(),
            used,
            budget.actions,
            words(budget.per),
            words(settings.verify_timeout)
        );
        let step = sent.deed.step.as_str();
        self.answered(sent, ActionPhase::Accepted, RecoveryPhase::Started, step, summary);
    }

    fn show(&mut self, sent: &Sent, change: &str) {
        let component = &sent.request.component;
        self.ledger().shown(component, self.around.clock.now());
        self.release(component, &sent.deed.workload);
        let summary = format!("dry run: would {}: {change}", sent.deed.infinitive());
        let step = sent.deed.step.as_str();
        self.answered(sent, ActionPhase::DryRun, RecoveryPhase::DryRun, step, summary);
    }

    fn fail(&mut self, sent: &Sent, error: &ClusterError, ctx: &mut Context<Self>) {
        let (now, component) = (self.around.clock.now(), &sent.request.component);
        if error.is_outage() {
            // It may have arrived all the same.
            let lost = self.ledger().in_flight(component).cloned();
            if let Some(action) = lost {
                self.look_up(&action, Unanswered::Platform(error.to_string()), ctx);
            }
            return;
        }
        self.release(component, &sent.deed.workload);
        let what = sent.deed.infinitive();
        let (kind, summary) = if error.is_retryable() {
            let settings = self.settings.for_component(component);
            let delay = self.ledger().postponed(component, settings, now);
            let again = now + delay;
            ("platform_retry", format!("could not {what}: {error}; trying again at {again}"))
        } else {
            self.ledger().not_recovered(component, now);
            ("platform_refused", format!("could not {what}: {error}"))
        };
        self.answered(sent, ActionPhase::Error, RecoveryPhase::NotRecovered, kind, summary);
    }

    /// It was not asked for: as if it had not been decided.
    fn withhold(&mut self, sent: &Sent, why: &Withheld) {
        let component = &sent.request.component;
        self.ledger().withdrawn(component);
        self.release(component, &sent.deed.workload);
        let summary = format!("not asked to {}: {why}", sent.deed.infinitive());
        let request = &sent.request;
        let subject = Subject { incident: &request.incident, component };
        self.write_action(&subject, &sent.deed, ActionPhase::Error, summary.clone());
        self.refused(request, why.as_str(), summary);
    }

    fn answered(
        &mut self,
        sent: &Sent,
        written: ActionPhase,
        phase: RecoveryPhase,
        kind: &'static str,
        summary: String,
    ) {
        let (incident, component) = (sent.request.incident.clone(), sent.request.component.clone());
        let subject = Subject { incident: &incident, component: &component };
        self.write_action(&subject, &sent.deed, written, summary.clone());
        let outcome = match phase {
            RecoveryPhase::Started => ActionOutcome::Started,
            RecoveryPhase::DryRun => ActionOutcome::DryRun,
            RecoveryPhase::Recovered => ActionOutcome::Succeeded,
            RecoveryPhase::Refused | RecoveryPhase::Stopped => ActionOutcome::Refused,
            RecoveryPhase::NotRecovered | RecoveryPhase::Escalated => ActionOutcome::Error,
        };
        let (outcome, step) = (Some(outcome), Some(sent.deed.step));
        self.tell(News { incident, component, phase, kind, summary, outcome, step });
    }

    /// Says once that the incident is left to a person.
    pub(super) fn escalate(
        &mut self,
        request: &RecoveryRequest,
        reason: &EscalationReason,
        ctx: &mut Context<Self>,
    ) {
        let now = self.around.clock.now();
        self.ledger().escalated(&request.component, &request.incident, now);
        let running = request.workloads.iter().find(|workload| workload.desired_replicas > 0);
        if let Some(workload) = running {
            let message = format!("{}: {reason}", request.component);
            let event = self.event(&workload.reference, EventType::Warning, "Escalated", message);
            self.write_event(&request.component, event, ctx);
        }
        self.tell(News {
            incident: request.incident.clone(),
            component: request.component.clone(),
            phase: RecoveryPhase::Escalated,
            kind: "escalated",
            summary: reason.to_string(),
            outcome: None,
            step: None,
        });
    }

    /// An event to write; none in dry-run, which must leave no trace.
    pub(super) fn event(
        &self,
        workload: &WorkloadRef,
        event_type: EventType,
        reason: &'static str,
        message: String,
    ) -> Option<ClusterEvent> {
        let workload = workload.clone();
        (!self.settings.dry_run).then_some(ClusterEvent { workload, event_type, reason, message })
    }

    /// Writes an event in the background, at best.
    pub(super) fn write_event(
        &self,
        component: &ComponentId,
        event: Option<ClusterEvent>,
        ctx: &mut Context<Self>,
    ) {
        let cluster = self.around.clusters.get(&component.cluster).cloned();
        if let (Some(cluster), Some(event)) = (cluster, event) {
            let deadline = self.settings.event_timeout;
            let written = async move { record(cluster.as_ref(), &event, deadline).await };
            ctx.spawn(written.into_actor(self));
        }
    }
}

async fn carry_out(
    mut gate: Gate,
    cluster: Arc<dyn Cluster>,
    event: Option<ClusterEvent>,
    deed: Deed,
    plan: PlannedAction,
) -> Answer {
    if let Err(why) = gate.before_acting(&plan).await {
        return Answer::Withheld(why);
    }
    if let Some(event) = event {
        record(cluster.as_ref(), &event, gate.event_deadline()).await;
    }
    if let Err(why) = gate.may_request().await {
        return Answer::Withheld(why);
    }
    Answer::Platform(deed.carry_out(cluster.as_ref(), gate.request_deadline()).await)
}
