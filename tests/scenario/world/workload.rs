//! What runs a component: replicas, rollouts, what people do to it; and how the platform shows it.

use std::sync::Arc;
use std::time::Duration;

use falconer::model::{
    Autoscaler, ComponentInventory, Owner, Pod, PodCondition, PodLife, Resources, Role,
    RolloutStatus, Timestamp, Workload, WorkloadKind, WorkloadRef,
};

use crate::plan::Runs;

/// A rollout that makes no progress for this long has failed, says the platform.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);

/// What a rollout does to a sick component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It is well afterwards, if a restart is what it needs.
    Cures,
    /// It comes back sick.
    ComesBackSick,
}

/// New pods replace the old ones.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` where it never ends by itself.
    pub until: Option<Timestamp>,
    /// What it does.
    pub remedy: Remedy,
    /// Whether it has done that.
    pub remedied: bool,
    /// Which of falconer's actions it is.
    pub action: Option<usize>,
}

/// More pods are on their way.
#[derive(Debug, Clone)]
pub struct Growth {
    /// Until when; `None` where it never ends by itself.
    pub until: Option<Timestamp>,
    /// How many there were before.
    pub before: u32,
    /// Which of falconer's actions it is.
    pub action: Option<usize>,
}

/// One workload, or the two of milvus-operator.
#[derive(Debug, Clone)]
pub struct Run {
    /// The role.
    pub role: Role,
    /// Who wrote it.
    pub owner: Owner,
    /// What else scales it.
    pub autoscaler: Option<Autoscaler>,
    /// The workload.
    pub reference: WorkloadRef,
    /// Its twin and the twin's replicas.
    pub twin: Option<(WorkloadRef, u32)>,
    /// Replicas asked for.
    pub desired: u32,
    /// Whether its rollout is paused.
    pub paused: bool,
    /// What rolls.
    pub rollout: Option<Rollout>,
    /// What grows.
    pub growth: Option<Growth>,
    /// The key of the newest restart.
    pub restart_key: Option<String>,
    /// When its pods were started.
    pub started_at: Timestamp,
    /// Counts the pods' generations.
    pub generation: u32,
    /// Load of all replicas together, in per cent of one replica's request.
    pub demand: f64,
}

impl Run {
    /// What is there at the start.
    pub fn new(runs: &Runs, cluster: &str, now: Timestamp) -> Self {
        let named = |suffix: &str| WorkloadRef {
            kind: WorkloadKind::Deployment,
            namespace: cluster.into(),
            name: format!("milvus-{}{suffix}", runs.role.as_str()).into(),
        };
        Self {
            role: runs.role,
            owner: runs.owner.clone(),
            autoscaler: runs.autoscaler.clone(),
            reference: named(if runs.pair { "-0" } else { "" }),
            twin: runs.pair.then(|| (named("-1"), 0)),
            desired: runs.replicas,
            paused: false,
            rollout: None,
            growth: None,
            restart_key: None,
            started_at: now,
            generation: 0,
            demand: f64::from(runs.replicas) * 50.0,
        }
    }

    /// Whether `workload` is it, or its twin.
    pub fn is_called(&self, workload: &WorkloadRef) -> bool {
        self.reference == *workload || self.twin.as_ref().is_some_and(|(twin, _)| twin == workload)
    }

    /// Load of each replica, in per cent of its request.
    pub fn load(&self) -> u32 {
        (self.demand / f64::from(self.desired.max(1))).clamp(0.0, 400.0) as u32
    }

    /// How many pods are not there yet, or are being replaced right now.
    fn missing(&self) -> u32 {
        let growing = self.growth.as_ref().map_or(0, |g| self.desired.saturating_sub(g.before));
        let rolling = u32::from(self.rollout.is_some());
        (growing + rolling).min(self.desired)
    }

    /// How the platform shows it; `all_unready` where it sees that no pod is ready.
    pub fn shown(&self, all_unready: bool) -> ComponentInventory {
        let missing = self.missing();
        let ready = if all_unready { 0 } else { self.desired - missing };
        let pod = |number: u32| {
            let condition = if number >= self.desired - missing {
                PodCondition::Pending { message: "ContainerCreating".to_owned() }
            } else if all_unready {
                PodCondition::NotReady
            } else {
                PodCondition::Ready
            };
            Pod {
                name: self.pod_name(number),
                ip: None,
                condition,
                requests: Resources { cpu_milli: Some(1_000), memory_bytes: Some(1 << 30) },
                limits: Resources { cpu_milli: Some(2_000), memory_bytes: Some(1 << 32) },
                started_at: Some(self.started_at),
                workload: Some(self.reference.clone()),
                life: PodLife::default(),
            }
        };
        let workload = |reference: &WorkloadRef, desired, ready| Workload {
            reference: reference.clone(),
            desired_replicas: desired,
            ready_replicas: ready,
            paused: self.paused,
            rolling_out: self.rollout.is_some(),
            owner: self.owner.clone(),
            autoscaler: self.autoscaler.clone(),
            gitops: None,
            holds: Vec::new(),
            revision: None,
        };
        let mut workloads = vec![workload(&self.reference, self.desired, ready)];
        if let Some((twin, replicas)) = &self.twin {
            workloads.push(workload(twin, *replicas, *replicas));
        }
        ComponentInventory {
            role: Some(self.role),
            workloads,
            pods: (0..self.desired).map(pod).collect(),
        }
    }

    /// The name of a pod.
    pub fn pod_name(&self, number: u32) -> Arc<str> {
        format!("{}-{}-{number}", self.reference.name, self.generation).into()
    }

    /// How far the newest rollout has come, as `kubectl rollout status` would say.
    pub fn status(&self, all_unready: bool, now: Timestamp) -> RolloutStatus {
        if let Some(rollout) = &self.rollout {
            if now.since(rollout.since) >= PROGRESS_DEADLINE {
                let message = "exceeded its progress deadline".to_owned();
                return RolloutStatus::Failed { message };
            }
            let message = format!("0 of {} new replicas have been updated", self.desired);
            return RolloutStatus::InProgress { message };
        }
        if self.growth.is_some() || all_unready {
            let message = format!("not all of {} updated replicas are available", self.desired);
            return RolloutStatus::InProgress { message };
        }
        RolloutStatus::Complete
    }
}
