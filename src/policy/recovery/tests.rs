//! What the tests of recovery have in common: a sick component, and a desk that decides about it.

mod boundaries;
mod history;
mod ladder;
mod limits;
mod pods;
mod rollback;
mod stored;
mod table;
mod verifying;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::model::{
    ComponentId, IncidentId, Owner, Pod, PodCondition, PodLife, Reason, ReasonKind, Resources,
    Revision, Terminating, Workload, WorkloadKind, WorkloadRef,
};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

fn reference(name: &str) -> WorkloadRef {
    WorkloadRef { kind: WorkloadKind::Deployment, namespace: "n".into(), name: name.into() }
}

fn workload(name: &str, replicas: u32) -> Workload {
    Workload {
        reference: reference(name),
        desired_replicas: replicas,
        ready_replicas: 0,
        paused: false,
        rolling_out: false,
        owner: Owner::None,
        autoscaler: None,
        gitops: None,
        holds: Vec::new(),
        revision: None,
    }
}

/// A pod that serves, of the revision with the mark `old`, up for a day.
fn well(name: &str) -> PodState {
    let life = PodLife {
        uid: Some(format!("uid-{name}").into()),
        created_at: Some(START.minus(minutes(1440))),
        template: Some("old".into()),
        ..PodLife::default()
    };
    let pod = Pod {
        name: name.into(),
        ip: None,
        condition: PodCondition::Ready,
        requests: Resources::default(),
        limits: Resources::default(),
        started_at: Some(START.minus(minutes(1440))),
        workload: None,
        life,
    };
    PodState { pod, sick: None }
}

/// A pod that is ready, but does not do its work.
fn sick(name: &str, kind: ReasonKind) -> PodState {
    PodState { sick: Some(Reason::new(kind, "does not answer")), ..well(name) }
}

/// A pod that the platform has in this condition.
fn pod_in(name: &str, condition: PodCondition) -> PodState {
    let mut one = well(name);
    one.pod.condition = condition;
    one
}

/// A pod whose deletion was asked for at `since`, with the grace period of milvus-operator.
fn ending(name: &str, since: Timestamp) -> PodState {
    let mut one = pod_in(name, PodCondition::Terminating);
    let grace = Duration::from_hours(30 * 24);
    one.pod.life.terminating = Some(Terminating { since, grace });
    one
}

/// The newest revision, number 7, with the mark `new`; the one before has the number 6.
fn revision(since: Timestamp) -> Revision {
    Revision { number: 7, templates: vec!["new".into()], since, previous: Some(6) }
}

/// A sick pod of the newest revision.
fn newest(name: &str) -> PodState {
    let mut one = sick(name, ReasonKind::CrashLoop);
    let message = "container: CrashLoopBackOff, 7 restarts".to_owned();
    one.pod.condition = PodCondition::CrashLoop { message };
    one.pod.life.template = Some("new".into());
    one
}

fn request(component: &str, since: Timestamp) -> RecoveryRequest {
    let component = ComponentId::new("a", component);
    RecoveryRequest {
        incident: IncidentId::new(&component, since),
        workloads: vec![workload(&format!("milvus-{}", component.component), 2)],
        component,
        role: None,
        pods: Vec::new(),
        serves: false,
        trouble: Trouble::Silent,
        unhealthy_since: since,
        failures: 3,
        failure_threshold: 3,
        grace_until: None,
        sick_others: Vec::new(),
        milvus_version: None,
        not_leader: None,
        quiet: None,
        sick_components: 1,
        watched_components: 4,
        sick_dependencies: Vec::new(),
        cluster_seen_at: None,
        platform_error: None,
        being_scaled: Vec::new(),
    }
}

/// The policy with its ledger, as the actor uses it.
struct Desk {
    ledger: RecoveryLedger,
    settings: RecoverySettings,
    global: GlobalSettings,
}

impl Desk {
    fn new() -> Self {
        Self {
            ledger: RecoveryLedger::default(),
            settings: RecoverySettings {
                ladder: vec![LadderStep::RolloutRestart, LadderStep::Escalate],
                ..RecoverySettings::default()
            },
            global: GlobalSettings::default(),
        }
    }

    fn decide(&mut self, request: &RecoveryRequest, now: Timestamp) -> RecoveryDecision {
        let memory = self.settings.ladder_memory;
        self.ledger.saw_sick(request, memory, now);
        decide(request, &self.ledger, &self.settings, &self.global, now)
    }

    fn begin(&mut self, request: &RecoveryRequest, plan: &PlannedAction, now: Timestamp) {
        let limits = Limits { settings: &self.settings, global: &self.global };
        self.ledger.begin(request, plan, limits, now);
    }

    /// Decides, expects an action and lets the platform accept it.
    fn act(&mut self, request: &RecoveryRequest, now: Timestamp) -> PlannedAction {
        match self.decide(request, now) {
            RecoveryDecision::Act(plan) => {
                self.begin(request, &plan, now);
                self.ledger.accepted(&request.component, now);
                plan
            }
            other => panic!("expected an action, not {other:?}"),
        }
    }

    fn refusal(&mut self, request: &RecoveryRequest, now: Timestamp) -> RefusalReason {
        match self.decide(request, now) {
            RecoveryDecision::Refuse { reason } => reason,
            other => panic!("expected a refusal, not {other:?}"),
        }
    }
}
