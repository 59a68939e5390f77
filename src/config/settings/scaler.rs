//! `[scaler]` and `[scaler.COMPONENT]`: the bounds and the thresholds between which replicas follow
//! the load, and how much care is taken of what holds data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

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

/// How much care is taken of what holds data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CautionSettings {
    /// Whether Milvus is asked before a query node goes.
    pub enabled: bool,
    /// The forecast memory of each query node that remains, in per cent of its limit.
    pub memory_limit: u32,
    /// Nothing older is believed.
    pub evidence_age: HumanDuration,
    /// Whether a query node is emptied before it goes.
    pub drain: bool,
    /// How long that may take.
    pub drain_timeout: HumanDuration,
    /// After one went that was not emptied, no other one does for so long.
    pub undrained_wait: HumanDuration,
    /// How long new query nodes are waited for until they serve.
    pub serving_timeout: HumanDuration,
    /// A load that is so many times its threshold waits for nothing.
    pub urgent_pressure: f64,
}

impl Default for CautionSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            memory_limit: 80,
            evidence_age: HumanDuration::from_secs(60),
            drain: true,
            drain_timeout: HumanDuration::from_secs(1_800),
            undrained_wait: HumanDuration::from_secs(600),
            serving_timeout: HumanDuration::from_secs(600),
            urgent_pressure: 1.3,
        }
    }
}

/// `[scaler]` itself and, by component, the result of laying `[scaler.COMPONENT]` over it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct ScalerSettings {
    /// The keys of `[scaler]`.
    pub defaults: ScalerDefaults,
    /// The components that have a table of their own, each with the defaults already filled in.
    pub components: BTreeMap<String, ScalingSettings>,
}

/// In the shape of the file: the defaults' keys beside the components' tables.
impl Serialize for ScalerSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            defaults: &'a ScalerDefaults,
            #[serde(flatten)]
            components: &'a BTreeMap<String, ScalingSettings>,
        }
        Flat { defaults: &self.defaults, components: &self.components }.serialize(serializer)
    }
}

/// How one component is scaled, everything resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScalingSettings {
    /// Whether it is scaled at all.
    pub enabled: bool,
    /// How the number of replicas is found.
    pub mode: ScalerMode,
    /// Never fewer.
    pub min_replicas: u32,
    /// Never more.
    pub max_replicas: u32,
    /// CPU, per cent of the request.
    pub cpu_threshold: u32,
    /// Memory, per cent of the request.
    pub memory_threshold: u32,
    /// Mode "target": requests a second for each replica; 0 = not looked at.
    pub qps_threshold: u32,
    /// Mode "target": the 99th percentile of the latency of searches; 0 = not looked at.
    pub latency_p99_threshold: HumanDuration,
    /// Mode "target": requests that wait in each query node; 0 = not looked at.
    pub read_queue_threshold: u32,
    /// As in `[scaler]`.
    pub tolerance: f64,
    /// As in `[scaler]`.
    pub cpu_initialization_period: HumanDuration,
    /// As in `[scaler]`.
    pub initial_readiness_delay: HumanDuration,
    /// How fast replicas are added.
    pub scale_up: ScaleRules,
    /// How fast replicas are removed.
    pub scale_down: ScaleRules,
    /// How much care is taken of what it holds.
    pub caution: CautionSettings,
}

impl From<&ScalerDefaults> for ScalingSettings {
    fn from(defaults: &ScalerDefaults) -> Self {
        Self {
            enabled: defaults.enabled,
            mode: defaults.mode,
            min_replicas: defaults.min_replicas,
            max_replicas: defaults.max_replicas,
            cpu_threshold: defaults.cpu_threshold,
            memory_threshold: defaults.memory_threshold,
            qps_threshold: defaults.qps_threshold,
            latency_p99_threshold: defaults.latency_p99_threshold,
            read_queue_threshold: defaults.read_queue_threshold,
            tolerance: defaults.tolerance,
            cpu_initialization_period: defaults.cpu_initialization_period,
            initial_readiness_delay: defaults.initial_readiness_delay,
            scale_up: defaults.scale_up.clone(),
            scale_down: defaults.scale_down.clone(),
            caution: defaults.caution.clone(),
        }
    }
}

impl Default for ScalingSettings {
    fn default() -> Self {
        Self::from(&ScalerDefaults::default())
    }
}

/// The keys of `[scaler]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScalerDefaults {
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
    /// Mode "target": requests a second for each replica; 0 = not looked at.
    pub qps_threshold: u32,
    /// Mode "target": the 99th percentile of the latency of searches; 0 = not looked at.
    pub latency_p99_threshold: HumanDuration,
    /// Mode "target": requests that wait in each query node; 0 = not looked at.
    pub read_queue_threshold: u32,
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
    /// How much care is taken of what holds data.
    pub caution: CautionSettings,
    /// How often the actor may be made anew.
    pub respawn: RespawnLimit,
}

impl Default for ScalerDefaults {
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
            qps_threshold: 0,
            latency_p99_threshold: HumanDuration::default(),
            read_queue_threshold: 0,
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
            caution: CautionSettings::default(),
            respawn: RespawnLimit::default(),
        }
    }
}
