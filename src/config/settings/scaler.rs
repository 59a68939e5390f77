//! `[scaler]`: the bounds and the thresholds between which replicas follow the load.

use serde::{Deserialize, Serialize};

use super::respawn::RespawnLimit;
use crate::config::values::HumanDuration;

/// How the number of replicas is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScalerMode {
    /// One more above a threshold, one fewer below half of both.
    #[default]
    Step,
    /// The algorithm of the Kubernetes HPA.
    Target,
}

/// What the value of a policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyType {
    /// Per cent of the present replicas.
    #[default]
    Percent,
    /// Pods.
    Pods,
}

/// At most `value` per `period`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScalePolicy {
    /// What `value` counts.
    #[serde(rename = "type")]
    pub policy_type: PolicyType,
    /// How much.
    pub value: u32,
    /// In which time.
    pub period: HumanDuration,
}

impl Default for ScalePolicy {
    fn default() -> Self {
        Self { policy_type: PolicyType::Percent, value: 100, period: HumanDuration::from_secs(60) }
    }
}

/// Which of several policies holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicySelect {
    /// The one that allows most.
    #[default]
    Max,
    /// The one that allows least.
    Min,
    /// No change in this direction.
    Disabled,
}

/// How fast replicas are added or removed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ScaleRules {
    /// The window whose most careful recommendation is followed.
    pub stabilization: HumanDuration,
    /// Which of the limits counts.
    pub select: PolicySelect,
    /// The limits.
    pub policies: Vec<ScalePolicy>,
}

/// `[scaler]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScalerSettings {
    /// Whether anything is scaled at all.
    pub enabled: bool,
    /// Whether changes are only shown.
    pub dry_run: bool,
    /// Between two looks at the load.
    pub interval: HumanDuration,
    /// How the number of replicas is found.
    pub mode: ScalerMode,
    /// Which components are scaled.
    pub components: Vec<String>,
    /// Never fewer.
    pub min_replicas: u32,
    /// Never more.
    pub max_replicas: u32,
    /// CPU, per cent of the request.
    pub cpu_threshold: u32,
    /// Memory, per cent of the request.
    pub memory_threshold: u32,
    /// Mode "target": how far the load may be from a threshold, as a share of it.
    pub tolerance: f64,
    /// Mode "target": so long after its start a pod's CPU counts only if it was ready all the time.
    pub cpu_initialization_period: HumanDuration,
    /// Mode "target": a pod that is not ready since so soon after its start was never ready.
    pub initial_readiness_delay: HumanDuration,
    /// How fast replicas are added.
    pub scale_up: ScaleRules,
    /// How fast replicas are removed.
    pub scale_down: ScaleRules,
    /// How often the actor may be made anew.
    pub respawn: RespawnLimit,
}

impl Default for ScalerSettings {
    fn default() -> Self {
        let policy = |value, seconds| ScalePolicy {
            policy_type: PolicyType::Percent,
            value,
            period: HumanDuration::from_secs(seconds),
        };
        Self {
            enabled: true,
            dry_run: false,
            interval: HumanDuration::from_secs(15),
            mode: ScalerMode::default(),
            components: vec!["proxy".into(), "querynode".into()],
            min_replicas: 2,
            max_replicas: 10,
            cpu_threshold: 70,
            memory_threshold: 80,
            tolerance: 0.1,
            cpu_initialization_period: HumanDuration::from_secs(300),
            initial_readiness_delay: HumanDuration::from_secs(30),
            scale_up: ScaleRules {
                stabilization: HumanDuration::from_secs(0),
                select: PolicySelect::Max,
                policies: vec![policy(100, 15)],
            },
            scale_down: ScaleRules {
                stabilization: HumanDuration::from_secs(300),
                select: PolicySelect::Max,
                policies: vec![policy(50, 60)],
            },
            respawn: RespawnLimit::default(),
        }
    }
}
