//! Gives a node back that was to go: it takes part again, and its pod is one of many. Tried until it
//! is done; whoever finds such a node in the ledger goes on with it.

use actix::prelude::*;

use super::{in_time, removal_preference};
use crate::actors::platform::within;
use crate::actors::scaler::Scaler;
use crate::effects::{Applied, ManagementError};
use crate::model::{ComponentId, EventType};
use crate::policy::scaling::{DrainPhase, DrainUnderWay};

impl Scaler {
    /// From now on the node is to be given back.
    pub(super) fn give_back(
        &mut self,
        component: &ComponentId,
        why: String,
        ctx: &mut Context<Self>,
    ) {
        let now = self.around.clock.now();
        self.drains.plans.remove(component);
        self.ledger().drain_goes_on(component, DrainPhase::GivingBack { why }, now);
        self.publish();
        self.begin_giving_back(component, ctx);
        self.arm_drain_watch(ctx);
    }

    /// Gives back every node that is being emptied: falconer ends. What is not done in time is found
    /// in the ledger by the next one.
    pub(in crate::actors::scaler) fn give_all_back(&mut self, ctx: &mut Context<Self>) {
        let is_emptying = |drain: &&DrainUnderWay| drain.phase == DrainPhase::Emptying;
        let all: Vec<ComponentId> = {
            let ledger = self.ledger();
            ledger.all_drains().filter(is_emptying).map(|one| one.component.clone()).collect()
        };
        for component in all {
            self.give_back(&component, "falconer ends".to_owned(), ctx);
        }
    }

    /// A new incarnation, or a new leader: what was being emptied is given back, since nobody knows
    /// how long it was alone; what was being removed is watched.
    pub(in crate::actors::scaler) fn resume_drains(&mut self, ctx: &mut Context<Self>) {
        let is_alone = |drain: &&DrainUnderWay| {
            drain.phase == DrainPhase::Emptying && !self.drains.plans.contains_key(&drain.component)
        };
        let alone: Vec<ComponentId> = {
            let ledger = self.ledger();
            ledger.all_drains().filter(is_alone).map(|one| one.component.clone()).collect()
        };
        for component in alone {
            self.give_back(&component, "it was begun by a falconer that ended".to_owned(), ctx);
        }
        self.arm_drain_watch(ctx);
    }

    pub(super) fn begin_giving_back(&mut self, component: &ComponentId, ctx: &mut Context<Self>) {
        let Some(drain) = self.ledger().drain_of(component).cloned() else { return };
        let milvus = self.query_nodes.get(&component.cluster).cloned();
        let cluster = self.around.clusters.get(&component.cluster).cloned();
        let (Some(milvus), Some(cluster)) = (milvus, cluster) else { return };
        let now = self.around.clock.now();
        let budget = self.around.leadership.deadline(self.settings.milvus_timeout);
        if self.around.leadership.covers(now, budget).is_err()
            || !self.drains.asking.insert(component.clone())
        {
            return;
        }
        let (node, preference) = (drain.node, removal_preference(&drain, false));
        let asked = async move {
            let resumed = in_time(budget, milvus.resume(node, budget)).await;
            if drain.marks {
                // A mark that stays does no harm but to the next removal.
                let unmarked = cluster.prefer_removal(&preference);
                if let Err(error) = within(budget, "mark", &preference.workload, unmarked).await {
                    tracing::debug!(%error, pod = %preference.pod, "pod keeps its mark");
                }
            }
            resumed
        };
        let component = component.clone();
        ctx.spawn(asked.into_actor(self).map(move |answer, act, ctx| {
            act.drains.asking.remove(&component);
            act.on_given_back(&component, answer, ctx);
        }));
    }

    fn on_given_back(
        &mut self,
        component: &ComponentId,
        answer: Result<Applied, ManagementError>,
        ctx: &mut Context<Self>,
    ) {
        let Some(drain) = self.ledger().drain_of(component).cloned() else { return };
        let DrainPhase::GivingBack { why } = &drain.phase else { return };
        let (node, pod) = (drain.node, &drain.pod);
        match answer {
            Ok(Applied { change, .. }) => {
                let summary = format!("query node {node} (pod {pod}) does not go: {why}; {change}");
                let warning = EventType::Warning;
                let workload = drain.workload.clone();
                self.write_event(component, &workload, warning, "DrainAborted", &summary, ctx);
                let delay = self.ledger().failed(component, self.around.clock.now());
                tracing::debug!(delay = ?delay, "drained no more for a while");
                self.forget_drain(component);
                self.tell_anew(component, "drain_aborted", summary, None);
            }
            Err(error) => {
                let summary = format!(
                    "query node {node} (pod {pod}) is to take part again ({why}), but could not be \
                     resumed: {error}; trying until it is"
                );
                self.tell(component, "drain_stuck", summary);
            }
        }
    }
}
