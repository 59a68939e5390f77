//! Asks Milvus about its data before a change that the load asks for is made, where that data moves
//! with it. What follows from the answer is decided in `policy::scaling::caution`.

use std::sync::Arc;

use actix::prelude::*;

use super::Scaler;
use crate::effects::QueryNodes;
use crate::model::{ComponentId, Reason, ReasonKind, Serving};
use crate::policy::scaling::caution::{
    CautionDecision, CautionReason, CautionSettings, Question, Removal, judge, needs_evidence,
};
use crate::policy::scaling::{PlannedChange, ScalingRequest};

impl Scaler {
    /// Begins the change, or asks Milvus first.
    pub(super) fn begin_cautiously(
        &mut self,
        load: ScalingRequest,
        plan: PlannedChange,
        ctx: &mut Context<Self>,
    ) {
        let component = load.component.clone();
        let settings = self.caution_of(&component);
        let before = self.ledger().before(&component);
        let now = self.around.clock.now();
        if !needs_evidence(load.role, &plan, before, &settings, now) {
            return self.follow_caution(&load, &plan, None, ctx);
        }
        let Some(asked) = self.query_nodes.get(&component.cluster).cloned() else {
            let text = "nobody is configured who could be asked";
            let unknown = Err(Reason::new(ReasonKind::Unsupported, text));
            return self.follow_caution(&load, &plan, Some(unknown), ctx);
        };
        if !self.inquiring.insert(component.clone()) {
            return;
        }
        let budget = self.settings.milvus_timeout;
        let answer = async move { survey(asked, budget).await };
        ctx.spawn(answer.into_actor(self).map(move |answer, act, ctx| {
            act.inquiring.remove(&component);
            if !act.ledger().is_busy(&component) && !act.draining {
                act.follow_caution(&load, &plan, Some(answer), ctx);
            }
        }));
    }

    pub(super) fn caution_of(&self, component: &ComponentId) -> CautionSettings {
        let settings = self.settings.for_component(component);
        settings.unwrap_or(&self.settings.default).caution.clone()
    }

    fn follow_caution(
        &mut self,
        load: &ScalingRequest,
        plan: &PlannedChange,
        serving: Option<Result<Serving, Reason>>,
        ctx: &mut Context<Self>,
    ) {
        let (settings, now) = (self.caution_of(&load.component), self.around.clock.now());
        let error = serving.as_ref().and_then(|answer| answer.as_ref().err());
        let error = error.map(ToString::to_string).unwrap_or_default();
        let question = Question {
            request: load,
            plan,
            serving: serving.as_ref().map(|answer| answer.as_ref().map_err(|_| error.as_str())),
            before: self.ledger().before(&load.component),
            settings: &settings,
        };
        let component = load.component.clone();
        match judge(&question, now) {
            CautionDecision::Refuse { reason } => self.refuse(&component, plan, &reason),
            CautionDecision::Proceed { plan, removal } => match removal {
                Removal::Plain => self.begin_change(component, plan, ctx),
                Removal::Undrained { why } => self.begin_undrained(component, plan, &why, ctx),
                Removal::Drain(drained) => self.begin_drain(component, plan, drained, ctx),
            },
        }
    }

    /// Says what the load asks for and why it is not done.
    fn refuse(&mut self, component: &ComponentId, plan: &PlannedChange, reason: &CautionReason) {
        self.ledger().forget_shown(component);
        let PlannedChange { workload, from, to, trigger } = plan;
        let words = format!(
            "not scaled: {workload} stays at {from} replicas, though the load asks for {to} \
             ({trigger}): {reason}"
        );
        self.tell(component, reason.as_str(), words);
    }

    /// One less without emptying the node first, and says so.
    pub(super) fn begin_undrained(
        &mut self,
        component: ComponentId,
        plan: PlannedChange,
        why: &str,
        ctx: &mut Context<Self>,
    ) {
        if !self.ledger().was_shown(&component, &plan) {
            let words = format!(
                "the query node that goes is not emptied first: {why}; one at a time, with a pause \
                 after each"
            );
            self.tell(&component, "not_drained", words);
        }
        self.begin_change(component, plan, ctx);
    }
}

/// Within a deadline, however the adapter keeps its own.
async fn survey(
    asked: Arc<dyn QueryNodes>,
    budget: std::time::Duration,
) -> Result<Serving, Reason> {
    match tokio::time::timeout(budget * 2, asked.survey(budget)).await {
        Ok(answer) => answer,
        Err(_) => Err(Reason::new(ReasonKind::Timeout, "Milvus did not answer in time")),
    }
}
