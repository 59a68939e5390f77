//! Looks after the nodes that are being drained: whether they are empty, whether they are gone, and
//! whether every collection answers queries without them.

use actix::prelude::*;

use super::in_time;
use crate::actors::scaler::Scaler;
use crate::effects::ManagementError;
use crate::metrics::{ActionKind, ActionOutcome};
use crate::model::{ComponentId, EventType, QueryNode, QueryNodeState, Reason};
use crate::policy::scaling::drain::{EmptyingStep, emptying};
use crate::policy::scaling::{DrainPhase, DrainUnderWay};

impl Scaler {
    pub(super) fn arm_drain_watch(&mut self, ctx: &mut Context<Self>) {
        if self.drains.watch_armed || self.ledger().all_drains().next().is_none() {
            return;
        }
        self.drains.watch_armed = true;
        ctx.run_later(self.settings.poll_interval, |act, ctx| {
            act.drains.watch_armed = false;
            act.on_drain_watch_due(ctx);
        });
    }

    fn on_drain_watch_due(&mut self, ctx: &mut Context<Self>) {
        let drains: Vec<DrainUnderWay> = self.ledger().all_drains().cloned().collect();
        for drain in drains {
            if self.drains.asking.contains(&drain.component) {
                continue;
            }
            match drain.phase {
                DrainPhase::Emptying => self.ask_holdings(drain, ctx),
                DrainPhase::Removing if self.ledger().in_flight(&drain.component).is_none() => {
                    self.ask_holdings(drain, ctx);
                }
                // The change of replicas is under way.
                DrainPhase::Removing => {}
                DrainPhase::Verifying => self.ask_queries(drain, ctx),
                DrainPhase::GivingBack { .. } => self.begin_giving_back(&drain.component, ctx),
            }
        }
        self.arm_drain_watch(ctx);
    }

    fn ask_holdings(&mut self, drain: DrainUnderWay, ctx: &mut Context<Self>) {
        let Some(milvus) = self.query_nodes.get(&drain.component.cluster).cloned() else { return };
        self.drains.asking.insert(drain.component.clone());
        let (budget, node) = (self.settings.milvus_timeout, drain.node);
        let asked = async move { in_time(budget, milvus.holdings(node, budget)).await };
        ctx.spawn(asked.into_actor(self).map(move |answer, act, ctx| {
            act.drains.asking.remove(&drain.component);
            let now = act.ledger().drain_of(&drain.component).cloned();
            if now.as_ref() != Some(&drain) {
                return;
            }
            match drain.phase {
                DrainPhase::Emptying => act.on_emptying(&drain, answer, ctx),
                DrainPhase::Removing => act.on_removing(&drain, answer, ctx),
                DrainPhase::Verifying | DrainPhase::GivingBack { .. } => {}
            }
        }));
    }

    fn on_emptying(
        &mut self,
        drain: &DrainUnderWay,
        answer: Result<Option<QueryNode>, ManagementError>,
        ctx: &mut Context<Self>,
    ) {
        let (component, now) = (&drain.component, self.around.clock.now());
        let timeout = self.caution_of(component).drain_timeout;
        let seen = match answer {
            Ok(seen) => seen,
            Err(error) if now.since(drain.began_at) >= timeout => {
                let why = format!("whether it is empty could not be told: {error}");
                return self.give_back(component, why, ctx);
            }
            Err(error) => {
                tracing::debug!(component = %component, %error, "node is not seen");
                return;
            }
        };
        match emptying(drain, seen.as_ref(), timeout, now) {
            EmptyingStep::Wait { segments, channels } => {
                tracing::debug!(component = %component, segments, channels, "node is not empty");
            }
            EmptyingStep::Remove => self.remove_drained(drain, ctx),
            EmptyingStep::GiveBack { why } => self.give_back(component, why, ctx),
            EmptyingStep::Gone => {
                self.give_back(component, "its pod ended by itself".to_owned(), ctx);
            }
        }
    }

    /// The change of replicas is over; whether it was made shows in the node.
    fn on_removing(
        &mut self,
        drain: &DrainUnderWay,
        answer: Result<Option<QueryNode>, ManagementError>,
        ctx: &mut Context<Self>,
    ) {
        let (component, now) = (&drain.component, self.around.clock.now());
        let removed_at = self.ledger().before(component).removed_at;
        let was_made = removed_at.is_some_and(|at| at >= drain.phase_since);
        let is_late = now.since(drain.phase_since) >= self.settings.ready_timeout;
        match answer {
            Ok(None) => {
                self.ledger().drain_goes_on(component, DrainPhase::Verifying, now);
                self.publish();
            }
            Ok(Some(node)) if node.state == QueryNodeState::Stopping && !is_late => {}
            Ok(Some(_)) if was_made && !is_late => {}
            Ok(Some(_)) if was_made => {
                let why = "another pod than its own was taken away".to_owned();
                self.give_back(component, why, ctx);
            }
            Ok(Some(_)) => {
                let why = "the platform did not lower the number of replicas".to_owned();
                self.give_back(component, why, ctx);
            }
            Err(error) if is_late => {
                let why = format!("whether it is gone could not be told: {error}");
                self.give_back(component, why, ctx);
            }
            Err(_) => {}
        }
    }

    fn ask_queries(&mut self, drain: DrainUnderWay, ctx: &mut Context<Self>) {
        let Some(milvus) = self.query_nodes.get(&drain.component.cluster).cloned() else { return };
        self.drains.asking.insert(drain.component.clone());
        let budget = self.settings.milvus_timeout;
        let asked = async move {
            let asked = tokio::time::timeout(budget * 2, milvus.query_all(budget)).await;
            asked.unwrap_or_else(|_| {
                let text = "Milvus did not answer in time";
                Err(Reason::new(crate::model::ReasonKind::Timeout, text))
            })
        };
        ctx.spawn(asked.into_actor(self).map(move |answer, act, ctx| {
            act.drains.asking.remove(&drain.component);
            act.on_queried(&drain.component, answer, ctx);
        }));
    }

    fn on_queried(
        &mut self,
        component: &ComponentId,
        answer: Result<usize, Reason>,
        ctx: &mut Context<Self>,
    ) {
        let Some(drain) = self.ledger().drain_of(component).cloned() else { return };
        let now = self.around.clock.now();
        let is_late = now.since(drain.phase_since) >= self.settings.verify_within;
        let DrainUnderWay { workload, node, pod, .. } = &drain;
        let gone = format!("query node {node} (pod {pod}) was emptied and is gone");
        match answer {
            Ok(count) => {
                let summary = format!("{gone}; {count} collections answer queries without it");
                self.forget_drain(component);
                self.tell_anew(component, "drained", summary, None);
            }
            Err(reason) if is_late => {
                let summary = format!("{gone}, but not everything answers: {reason}");
                let warning = EventType::Warning;
                self.write_event(component, workload, warning, "DrainNotVerified", &summary, ctx);
                let (kind, outcome) = (ActionKind::ScaleDown, ActionOutcome::Failed);
                self.around.metrics.action(component, kind, outcome);
                self.forget_drain(component);
                self.tell_anew(component, "drain_not_verified", summary, None);
            }
            Err(reason) => tracing::debug!(component = %component, %reason, "not verified yet"),
        }
    }
}
