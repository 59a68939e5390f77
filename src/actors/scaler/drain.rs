//! Empties a query node before it is taken away: suspends it, has its channels and segments moved,
//! and only when nothing is left on it marks its pod and lowers the number of replicas. Whatever goes
//! wrong on the way, the node is given back: it never stays suspended.

mod giving_back;
mod watching;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::Scaler;
use crate::actors::platform::within;
use crate::effects::{Applied, ClusterError, ManagementError, QueryNodes, RemovalPreference};
use crate::model::{ComponentId, EventType, HealthState, Reason, ReasonKind, WorkloadKind};
use crate::policy::scaling::caution::Drained;
use crate::policy::scaling::{DrainPhase, DrainUnderWay, PlannedChange, ScalingRequest, asked_for};

/// What this incarnation does about drains; what must outlive it is in the ledger.
#[derive(Default)]
pub(super) struct Drains {
    /// The changes that follow.
    plans: HashMap<ComponentId, PlannedChange>,
    /// Components about whose node Milvus or the platform is being asked right now.
    asking: HashSet<ComponentId>,
    watch_armed: bool,
}

impl Scaler {
    /// Suspends the node and has it emptied.
    pub(super) fn begin_drain(
        &mut self,
        component: ComponentId,
        plan: PlannedChange,
        drained: Drained,
        ctx: &mut Context<Self>,
    ) {
        let Some(milvus) = self.query_nodes.get(&component.cluster).cloned() else { return };
        if self.ledger().was_shown(&component, &plan) || !self.may_begin(&component, &plan) {
            return;
        }
        let now = self.around.clock.now();
        let drain = DrainUnderWay {
            component: component.clone(),
            workload: plan.workload.clone(),
            from: plan.from,
            to: plan.to,
            node: drained.node,
            pod: drained.pod,
            uid: drained.uid,
            marks: plan.workload.kind == WorkloadKind::Deployment,
            began_at: now,
            phase: DrainPhase::Emptying,
            phase_since: now,
        };
        self.ledger().begin_drain(drain.clone());
        self.drains.plans.insert(component.clone(), plan);
        self.drains.asking.insert(component);
        self.publish();
        let (recorded, budget) = (self.record(), self.settings.milvus_timeout);
        let (component, node) = (drain.component, drain.node);
        let begun = async move {
            if let Err(error) = recorded.await {
                return Err(not_done(ReasonKind::PlatformUnavailable, &error.to_string()));
            }
            suspend_and_empty(milvus, node, budget).await
        };
        ctx.spawn(
            begun
                .into_actor(self)
                .map(move |answer, act, ctx| act.on_drain_begun(&component, answer, ctx)),
        );
    }

    fn on_drain_begun(
        &mut self,
        component: &ComponentId,
        answer: Result<Applied, ManagementError>,
        ctx: &mut Context<Self>,
    ) {
        self.drains.asking.remove(component);
        let drain = self.ledger().drain_of(component).cloned();
        let Some(drain) = drain.filter(|drain| drain.phase == DrainPhase::Emptying) else { return };
        match answer {
            Ok(Applied { applied: true, .. }) => {
                let DrainUnderWay { workload, node, pod, from, to, .. } = &drain;
                let summary = format!(
                    "draining query node {node} (pod {pod}) before {workload} goes from {from} to \
                     {to} replicas"
                );
                let normal = EventType::Normal;
                self.write_event(component, workload, normal, "Draining", &summary, ctx);
                self.tell_anew(component, "draining", summary, None);
                self.arm_drain_watch(ctx);
            }
            Ok(Applied { applied: false, change }) => {
                let summary = format!("dry run: would drain pod {} first: {change}", drain.pod);
                self.tell_anew(component, "dry_run_drain", summary, None);
                self.change_after(component, ctx);
                self.ledger().end_drain(component);
            }
            // Nothing was suspended, so there is nothing to be given back.
            Err(ManagementError::Absent { why }) => {
                let plan = self.forget_drain(component);
                if let Some(plan) = plan {
                    self.begin_undrained(component.clone(), plan, &why, ctx);
                }
            }
            Err(ManagementError::Failed { reason }) => {
                let why = format!("it could not be suspended and emptied: {reason}");
                self.give_back(component, why, ctx);
            }
        }
    }

    /// Ends the drain without a word and gives the workload free. Gives the change that was to follow.
    fn forget_drain(&mut self, component: &ComponentId) -> Option<PlannedChange> {
        let drain = self.ledger().end_drain(component);
        if let Some(drain) = drain {
            self.release(component, &drain.workload);
        }
        self.publish();
        self.drains.plans.remove(component)
    }

    /// The node is empty: marks its pod, and lowers the number of replicas.
    fn remove_drained(&mut self, drain: &DrainUnderWay, ctx: &mut Context<Self>) {
        let component = drain.component.clone();
        let Some(cluster) = self.around.clusters.get(&component.cluster).cloned() else { return };
        let now = self.around.clock.now();
        let deadline = self.around.leadership.deadline(self.settings.request_timeout);
        if self.around.leadership.covers(now, deadline).is_err() {
            return;
        }
        self.drains.asking.insert(component.clone());
        let preference = removal_preference(drain, true);
        let marks = drain.marks;
        let marked = async move {
            if !marks {
                return Ok(());
            }
            let marked = cluster.prefer_removal(&preference);
            within(deadline, "mark", &preference.workload, marked).await.map(drop)
        };
        ctx.spawn(marked.into_actor(self).map(move |answer, act, ctx| {
            act.on_marked(&component, answer, ctx);
        }));
    }

    fn on_marked(
        &mut self,
        component: &ComponentId,
        answer: Result<(), ClusterError>,
        ctx: &mut Context<Self>,
    ) {
        self.drains.asking.remove(component);
        self.around.answered(&component.cluster, &answer);
        let is_emptying =
            self.ledger().drain_of(component).is_some_and(|one| one.phase == DrainPhase::Emptying);
        if !is_emptying {
            return;
        }
        if let Err(error) = answer {
            // Unmarked, any other node might be taken instead.
            let why = format!("its pod could not be marked to go first: {error}");
            return self.give_back(component, why, ctx);
        }
        let now = self.around.clock.now();
        self.ledger().drain_goes_on(component, DrainPhase::Removing, now);
        self.change_after(component, ctx);
    }

    /// The change that was to follow the drain.
    fn change_after(&mut self, component: &ComponentId, ctx: &mut Context<Self>) {
        match self.drains.plans.remove(component) {
            Some(plan) => {
                self.begin_change(component.clone(), plan, ctx);
                if self.ledger().in_flight(component).is_none() {
                    let why = "the number of replicas could not be lowered".to_owned();
                    self.give_back(component, why, ctx);
                }
            }
            None => self.give_back(component, "its change is not known any more".to_owned(), ctx),
        }
    }

    /// Looks whether a drain of the component has still to be gone on with.
    pub(super) fn look_at_drain(&mut self, load: &ScalingRequest, ctx: &mut Context<Self>) {
        let component = &load.component;
        let drain = self.ledger().drain_of(component).cloned();
        let Some(drain) = drain.filter(|drain| drain.phase == DrainPhase::Emptying) else { return };
        if load.health == HealthState::Unhealthy {
            self.give_back(component, "the component became unhealthy".to_owned(), ctx);
        } else if let Some(cause) = load.sick_below.first() {
            let why = format!("{} became unhealthy, on which it depends", cause.component);
            self.give_back(component, why, ctx);
        } else if let Some(wanted) = self.asked_for(load).filter(|wanted| *wanted > drain.from) {
            let why = format!("the load has risen meanwhile, and asks for {wanted} replicas");
            self.give_back(component, why, ctx);
        }
    }

    fn asked_for(&self, load: &ScalingRequest) -> Option<u32> {
        let settings = self.settings.for_component(&load.component);
        asked_for(load, &self.ledger(), settings, self.around.clock.now())
    }
}

fn removal_preference(drain: &DrainUnderWay, preferred: bool) -> RemovalPreference {
    RemovalPreference {
        workload: drain.workload.clone(),
        pod: Arc::clone(&drain.pod),
        uid: drain.uid.clone(),
        preferred,
    }
}

/// Suspends first, so that nothing new comes while what is there goes.
async fn suspend_and_empty(
    milvus: Arc<dyn QueryNodes>,
    node: i64,
    budget: Duration,
) -> Result<Applied, ManagementError> {
    let suspended = in_time(budget, milvus.suspend(node, budget)).await?;
    if !suspended.applied {
        return Ok(suspended);
    }
    match in_time(budget, milvus.empty(node, budget)).await {
        // It is suspended by now, and has to be given back.
        Err(error @ ManagementError::Absent { .. }) => {
            Err(not_done(ReasonKind::Unsupported, &error.to_string()))
        }
        other => other,
    }
}

/// Within a deadline, however the adapter keeps its own.
async fn in_time<T>(
    budget: Duration,
    asked: impl Future<Output = Result<T, ManagementError>>,
) -> Result<T, ManagementError> {
    match tokio::time::timeout(budget * 2, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(not_done(ReasonKind::Timeout, "Milvus did not answer in time")),
    }
}

fn not_done(kind: ReasonKind, text: &str) -> ManagementError {
    ManagementError::Failed { reason: Reason::new(kind, text) }
}
