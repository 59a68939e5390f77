//! What is known of the load of one workload's pods, as the algorithm of the HPA looks at it. Plain
//! data, and which pods count for what; never decides how many there should be.
//!
//! Source: `groupPods` of the Kubernetes controller (`pkg/controller/podautoscaler/
//! replica_calculator.go`), as the page on horizontal pod autoscaling describes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::ScalingRequest;
use super::figures::{Figure, Figures, PodFigures};
use crate::model::{Pod, PodCondition, PodUsage, Resources, Timestamp, Workload};

/// A pod's phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodPhase {
    /// Waits to be scheduled or for its containers to start.
    Pending,
    /// Its containers run.
    Running,
    /// All its containers ended well.
    Succeeded,
    /// A container of it ended badly for good.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// What a pod used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Of which resources how much; `None` = no sample of that one.
    pub used: Resources,
    /// The end of the time it was averaged over.
    pub sampled_at: Timestamp,
    /// That time.
    pub window: Duration,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLoad {
    /// Its name.
    pub name: Arc<str>,
    /// Its phase.
    pub phase: PodPhase,
    /// Its condition `Ready`; `None` = it has none.
    pub ready: Option<bool>,
    /// When that changed last; `None` = long ago.
    pub ready_since: Option<Timestamp>,
    /// When a kubelet took it on; `None` = not yet.
    pub started_at: Option<Timestamp>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Sum of its containers' requests; `None` where any container lacks that one.
    pub requests: Resources,
    /// What it used; `None` = no sample at all.
    pub usage: Option<Sample>,
    /// What Milvus says of it.
    pub figures: Figures,
}

/// Figures that are older say nothing about the load of now.
const FIGURES_MAX_AGE: Duration = Duration::from_mins(5);

/// A resource that pods request; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// In thousandths of a core.
    Cpu,
    /// In bytes.
    Memory,
}

impl Resource {
    /// Lower case, as in reasons.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    const fn of(self, resources: Resources) -> Option<u64> {
        match self {
            Self::Cpu => resources.cpu_milli,
            Self::Memory => resources.memory_bytes,
        }
    }

    /// What `pod` requests of it.
    pub const fn request(self, pod: &PodLoad) -> Option<u64> {
        self.of(pod.requests)
    }
}

/// How long a pod that begins is not taken at its word about CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartRules {
    /// So long after its start a sample counts only if the pod was ready for the sample's whole time
    /// (`--horizontal-pod-autoscaler-cpu-initialization-period`).
    pub cpu_initialization: Duration,
    /// A pod that is not ready since so soon after its start was never ready
    /// (`--horizontal-pod-autoscaler-initial-readiness-delay`).
    pub readiness_delay: Duration,
}

/// What a pod counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is on its way out: it does not count at all.
    Ignored,
    /// It carries no load yet.
    Unready,
    /// It carries load that nobody has measured.
    Missing,
    /// It uses this much.
    Measured(u64),
}

/// What `pod` counts for where `resource` is looked at.
pub fn standing(pod: &PodLoad, resource: Resource, rules: &StartRules, now: Timestamp) -> Standing {
    if pod.terminating || pod.phase == PodPhase::Failed {
        return Standing::Ignored;
    }
    if pod.phase == PodPhase::Pending {
        return Standing::Unready;
    }
    let sample = pod.usage.and_then(|sample| Some((sample, resource.of(sample.used)?)));
    let Some((sample, used)) = sample else { return Standing::Missing };
    match resource {
        Resource::Cpu if is_starting(pod, &sample, rules, now) => Standing::Unready,
        Resource::Cpu | Resource::Memory => Standing::Measured(used),
    }
}

/// What `pod` counts for where `figure` is looked at. As with all metrics but CPU, whether it is
/// ready does not matter.
pub fn figure_standing(pod: &PodLoad, figure: Figure) -> Standing {
    if pod.terminating || pod.phase == PodPhase::Failed {
        return Standing::Ignored;
    }
    if pod.phase == PodPhase::Pending {
        return Standing::Unready;
    }
    pod.figures.get(figure).map_or(Standing::Missing, Standing::Measured)
}

/// Whether what the pod uses says nothing about the load that it will carry.
fn is_starting(pod: &PodLoad, sample: &Sample, rules: &StartRules, now: Timestamp) -> bool {
    let (Some(ready), Some(started_at)) = (pod.ready, pod.started_at) else { return true };
    let ready_since = pod.ready_since.unwrap_or_default();
    if started_at + rules.cpu_initialization > now {
        !ready || sample.sampled_at < ready_since + sample.window
    } else {
        !ready && started_at + rules.readiness_delay > ready_since
    }
}

/// The pods of `workload` as the platform shows them.
pub fn of_workload(request: &ScalingRequest, workload: &Workload, now: Timestamp) -> Vec<PodLoad> {
    let samples: BTreeMap<&str, &PodUsage> =
        request.usage.iter().map(|usage| (usage.pod.as_str(), usage)).collect();
    let is_fresh = |one: &&PodFigures| now.since(one.sampled_at) <= FIGURES_MAX_AGE;
    let figures: BTreeMap<&str, Figures> =
        request.figures.iter().filter(is_fresh).map(|one| (&*one.pod, one.figures)).collect();
    let ours = |pod: &&Pod| pod.workload.as_ref().is_none_or(|own| *own == workload.reference);
    let load = |pod: &Pod| PodLoad {
        figures: figures.get(&*pod.name).copied().unwrap_or_default(),
        ..of_pod(pod, samples.get(&*pod.name).copied())
    };
    request.pods.iter().filter(ours).map(load).collect()
}

fn of_pod(pod: &Pod, usage: Option<&PodUsage>) -> PodLoad {
    let (phase, ready) = match pod.condition {
        PodCondition::Pending { .. } => (PodPhase::Pending, Some(false)),
        PodCondition::Ready => (PodPhase::Running, Some(true)),
        PodCondition::NotReady | PodCondition::CrashLoop { .. } | PodCondition::Terminating => {
            (PodPhase::Running, Some(false))
        }
        PodCondition::Ended { .. } => (PodPhase::Failed, Some(false)),
    };
    let sample = |usage: &PodUsage| {
        Some(Sample {
            used: Resources { cpu_milli: usage.cpu_milli, memory_bytes: usage.memory_bytes },
            sampled_at: usage.sampled_at?,
            window: usage.window,
        })
    };
    PodLoad {
        name: Arc::clone(&pod.name),
        phase,
        ready,
        ready_since: pod.life.ready_changed_at,
        started_at: pod.life.taken_on_at.or(pod.started_at),
        terminating: matches!(pod.condition, PodCondition::Terminating),
        requests: pod.requests,
        usage: usage.and_then(sample),
        figures: Figures::default(),
    }
}
