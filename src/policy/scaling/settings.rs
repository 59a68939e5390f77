//! Thresholds, bounds and limits, as in `[scaler]` and `[scaler.<component>]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::caution::CautionSettings;
use super::figures::Figures;
use super::target::Tolerance;
use crate::model::Percent;

/// How the wanted number of replicas is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScalingMode {
    /// One more above a threshold, one less below half of all.
    #[default]
    Step,
    /// The algorithm of the Kubernetes HPA.
    Target,
}

/// In what a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeLimitKind {
    /// Replicas.
    Pods,
    /// Per cent of the replicas at the start of the period.
    Percent,
}

/// At most this much change in any period (`policies`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLimit {
    /// In what `value` counts.
    #[serde(rename = "type")]
    pub kind: ChangeLimitKind,
    /// How much; a percentage may exceed 100.
    pub value: u32,
    /// In which time.
    pub period: Duration,
}

/// Which of several limits holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitSelect {
    /// The one that allows most.
    #[default]
    Max,
    /// The one that allows least.
    Min,
    /// No change in this direction at all.
    Disabled,
}

/// How one direction behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScalingBehavior {
    /// The change must have been recommended for this long.
    pub stabilization: Duration,
    /// Which limit holds.
    pub select: LimitSelect,
    /// The limits; none = no limit.
    pub policies: Vec<ChangeLimit>,
}

/// What holds for one component.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScalingSettings {
    /// Whether anything is done at all.
    pub enabled: bool,
    /// How the wanted number is found.
    pub mode: ScalingMode,
    /// Never fewer replicas.
    pub min_replicas: u32,
    /// Never more replicas.
    pub max_replicas: u32,
    /// Per cent of the CPU request; `None` = CPU is not looked at.
    pub cpu_threshold: Option<Percent>,
    /// Per cent of the memory request; `None` = memory is not looked at.
    pub memory_threshold: Option<Percent>,
    /// Mode "target": what each of Milvus's own figures should be; `None` = it is not looked at.
    pub figure_thresholds: Figures,
    /// How far the load may be from a threshold in mode "target" without anything being done.
    pub tolerance: Tolerance,
    /// So long after its start what a pod uses of CPU counts only if it was ready all the time.
    pub cpu_initialization_period: Duration,
    /// A pod that is not ready since so soon after its start was never ready.
    pub initial_readiness_delay: Duration,
    /// Upwards.
    pub scale_up: ScalingBehavior,
    /// Downwards.
    pub scale_down: ScalingBehavior,
    /// How much care is taken of what holds data.
    pub caution: CautionSettings,
}

impl Default for ScalingSettings {
    fn default() -> Self {
        let limit = |value, seconds| ChangeLimit {
            kind: ChangeLimitKind::Percent,
            value,
            period: Duration::from_secs(seconds),
        };
        Self {
            enabled: true,
            mode: ScalingMode::Step,
            min_replicas: 2,
            max_replicas: 10,
            cpu_threshold: Some(70),
            memory_threshold: Some(80),
            figure_thresholds: Figures::default(),
            tolerance: Tolerance::default(),
            cpu_initialization_period: Duration::from_mins(5),
            initial_readiness_delay: Duration::from_secs(30),
            scale_up: ScalingBehavior {
                stabilization: Duration::ZERO,
                select: LimitSelect::Max,
                policies: vec![limit(100, 15)],
            },
            scale_down: ScalingBehavior {
                stabilization: Duration::from_secs(300),
                select: LimitSelect::Max,
                policies: vec![limit(50, 60)],
            },
            caution: CautionSettings::default(),
        }
    }
}

impl ScalingSettings {
    /// The longer one of the two stabilization windows.
    pub fn longest_window(&self) -> Duration {
        self.scale_up.stabilization.max(self.scale_down.stabilization)
    }
}
