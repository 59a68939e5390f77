//! The rules that bear the load: falconer's, by the policies that run live, and the plain one.

use std::time::Duration;

use super::world::{REQUEST_MILLI, SimPod, TARGET, World};
use crate::cli::demo::scaling::plain::wanted;
use crate::model::{
    Balance, ComponentId, HealthState, LoadedCollection, Management, Owner, Pod, PodCondition,
    PodLife, PodUsage, QueryNode, QueryNodeState, Resources, Role, Serving, Timestamp, Workload,
    WorkloadKind, WorkloadRef,
};
use crate::policy::scaling::caution::{CautionDecision, Question};
use crate::policy::scaling::{
    ChangeLimit, ChangeLimitKind, ScalingDecision, ScalingLedger, ScalingMode, ScalingRequest,
    ScalingSettings, caution, judge,
};

/// Every rule keeps to these.
const BOUNDS: (u32, u32) = (2, 12);
/// The data of all query nodes, and what one may hold, in bytes.
const DATA: u64 = 3 << 30;
const MEMORY_LIMIT: u64 = 4 << 30;

/// Something that looks at the load and says how many replicas there should be.
pub(super) trait Rule {
    fn look(&mut self, world: &World) -> u32;
}

/// The formula alone.
pub(super) struct Plain;

impl Rule for Plain {
    fn look(&mut self, world: &World) -> u32 {
        let ready: Vec<&SimPod> = world.pods.iter().filter(|pod| pod.is_ready).collect();
        let used: u64 = ready.iter().map(|pod| pod.cpu_milli).sum();
        let usage = used as f64 / (ready.len().max(1) as u64 * REQUEST_MILLI) as f64;
        let replicas = u32::try_from(ready.len()).unwrap_or(u32::MAX);
        wanted(replicas, usage, f64::from(TARGET) / 100.0, BOUNDS)
    }
}

/// One of falconer's modes.
pub(super) struct Falconer {
    settings: ScalingSettings,
    ledger: ScalingLedger,
}

impl Falconer {
    /// One more or one fewer.
    pub(super) fn step() -> Self {
        Self::with(ScalingSettings::default())
    }

    /// The algorithm of the HPA with the HPA's own defaults.
    pub(super) fn target() -> Self {
        let mut settings =
            ScalingSettings { mode: ScalingMode::Target, ..ScalingSettings::default() };
        let limit = |kind, value| ChangeLimit { kind, value, period: Duration::from_secs(15) };
        let percent = limit(ChangeLimitKind::Percent, 100);
        settings.scale_up.policies = vec![percent, limit(ChangeLimitKind::Pods, 4)];
        settings.scale_down.policies = vec![percent];
        Self::with(settings)
    }

    fn with(settings: ScalingSettings) -> Self {
        let (min_replicas, max_replicas) = BOUNDS;
        let settings = ScalingSettings {
            min_replicas,
            max_replicas,
            cpu_threshold: Some(TARGET),
            memory_threshold: None,
            ..settings
        };
        Self { settings, ledger: ScalingLedger::default() }
    }

    fn judge(&mut self, world: &World, now: Timestamp) -> u32 {
        let request = request(world, now);
        let (id, replicas) = (request.component.clone(), world.replicas());
        if world.pods.iter().all(|pod| pod.is_ready) {
            self.ledger.ended(&id, now);
        }
        self.ledger.observe(&id, replicas, &self.settings, INTERVAL, now);
        let judged = judge(&request, &self.ledger, Some(&self.settings), now);
        if let Some(recommended) = judged.recommended {
            self.ledger.recommend(&id, recommended, now);
        }
        let ScalingDecision::Scale(plan) = judged.decision else { return replicas };
        let serving = serving(world, now);
        let question = Question {
            request: &request,
            plan: &plan,
            serving: Some(Ok(&serving)),
            before: self.ledger.before(&id),
            settings: &self.settings.caution,
        };
        match caution::judge(&question, now) {
            CautionDecision::Refuse { .. } => replicas,
            CautionDecision::Proceed { plan, .. } => {
                self.ledger.begin(&id, &plan, now);
                self.ledger.accepted(&id, now);
                plan.to
            }
        }
    }
}

/// Between two looks of falconer.
const INTERVAL: Duration = Duration::from_secs(15);

impl Rule for Falconer {
    fn look(&mut self, world: &World) -> u32 {
        self.judge(world, Timestamp::from_millis(1_767_225_600_000) + world.now)
    }
}

fn workload() -> WorkloadRef {
    WorkloadRef {
        kind: WorkloadKind::Deployment,
        namespace: "demo".into(),
        name: "milvus-querynode".into(),
    }
}

fn request(world: &World, now: Timestamp) -> ScalingRequest {
    let workload = Workload {
        reference: workload(),
        desired_replicas: world.replicas(),
        ready_replicas: world.pods.iter().filter(|pod| pod.is_ready).count() as u32,
        paused: false,
        rolling_out: false,
        owner: Owner::None,
        autoscaler: None,
        holds: Vec::new(),
        revision: None,
        gitops: None,
    };
    ScalingRequest {
        component: ComponentId::new("demo", "querynode"),
        role: Role::QueryNode,
        workloads: vec![workload],
        pods: world.pods.iter().map(|one| pod(one, world, now)).collect(),
        usage: world.pods.iter().map(|pod| usage(pod, world, now)).collect(),
        figures: Vec::new(),
        health: HealthState::Healthy,
        being_restarted: Vec::new(),
        sick_below: Vec::new(),
        quiet: None,
    }
}

fn pod(pod: &SimPod, world: &World, now: Timestamp) -> Pod {
    let created = now.minus(world.now.saturating_sub(pod.created));
    Pod {
        name: format!("milvus-querynode-{}", pod.number).into(),
        ip: Some(pod.number.to_string()),
        condition: if pod.is_ready { PodCondition::Ready } else { PodCondition::NotReady },
        requests: Resources {
            cpu_milli: Some(REQUEST_MILLI),
            memory_bytes: Some(MEMORY_LIMIT / 2),
        },
        limits: Resources { cpu_milli: None, memory_bytes: Some(MEMORY_LIMIT) },
        started_at: Some(created),
        workload: Some(workload()),
        life: PodLife {
            taken_on_at: Some(created),
            ready_changed_at: Some(created),
            ..PodLife::default()
        },
    }
}

fn usage(pod: &SimPod, world: &World, now: Timestamp) -> PodUsage {
    let held = if pod.serves { DATA / world.serving().max(1) } else { 0 };
    PodUsage {
        pod: format!("milvus-querynode-{}", pod.number),
        cpu_milli: Some(pod.cpu_milli),
        memory_bytes: Some(held),
        cpu_percent_of_request: u32::try_from(pod.cpu_milli * 100 / REQUEST_MILLI).ok(),
        memory_percent_of_request: Some(0),
        cpu_percent_of_limit: None,
        memory_percent_of_limit: None,
        sampled_at: Some(now),
        window: Duration::ZERO,
    }
}

fn serving(world: &World, now: Timestamp) -> Serving {
    let nodes = world.pods.iter().filter(|pod| pod.is_ready).map(|pod| QueryNode {
        id: pod.number.into(),
        host: pod.number.to_string(),
        state: QueryNodeState::Normal,
        segments: if pod.serves { 4 } else { 0 },
        channels: 0,
    });
    let collection = LoadedCollection {
        name: "products".to_owned(),
        percent: 100,
        replicas: 1,
        ..LoadedCollection::default()
    };
    let is_moving = world.pods.iter().any(|pod| !pod.serves);
    Serving {
        taken_at: now,
        collections: vec![collection],
        nodes: nodes.collect(),
        balance: if is_moving { Balance::Moving { tasks: 1 } } else { Balance::Idle },
        management: Management::Available,
    }
}
