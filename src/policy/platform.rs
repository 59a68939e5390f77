//! What the platform's own word on a component's pods means, before any of them is asked. Owns
//! which changes matter and what explains them; asks nobody and decides about no action.
//!
//! Kubernetes has thresholds of its own: a pod is not ready after several failed readiness checks,
//! and crash-looping after several crashes. So its word can be shown at once. What it says of a
//! workload that is being changed on purpose (a rollout, scaling to zero) is explained, not held
//! against the component.

use std::time::Duration;

use crate::model::{
    ComponentInventory, Pod, PodCondition, Reason, ReasonKind, Timestamp, Workload,
};

/// Most pods that a reason names.
const NAMED_PODS: usize = 3;

/// What is new about a component's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodsNews {
    /// Nothing that matters.
    Nothing,
    /// Something got better or was settled: its pods should be asked soon.
    Ask,
    /// Fewer pods serve than should, because somebody changes the workload.
    Explained {
        /// What is going on.
        reason: Reason,
        /// Whether no pod is ready, so that probes fail until the new ones are up.
        coming_up: bool,
    },
    /// Fewer pods serve than did, and nothing explains it; its pods should be asked soon.
    Short {
        /// Which pods, and why.
        reason: Reason,
        /// Whether no pod is ready, but the platform is making new ones or starting them again.
        coming_up: bool,
    },
}

/// How a component's pods stand.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// As many as ever serve.
    Sound { ready: usize },
    /// Scaled to zero by its owner.
    Off,
    /// A rollout or a scaling is in progress; `missing` says which pods are not ready.
    Changing { missing: Option<Reason> },
    /// Fewer serve than did.
    Short { reason: Reason },
}

/// Follows the pods of one component from inventory to inventory.
#[derive(Debug, Clone, Default)]
pub struct PodsWatch {
    /// `None` until the first look: what was wrong before is for the probes to find.
    standing: Option<Standing>,
    /// The most pods that were ready together, within what is asked for. Replicas that are only
    /// being added were never ready, so nobody misses them.
    peak: usize,
    /// See [`PodsWatch::is_down_at`].
    down_from: Option<Timestamp>,
}

impl PodsWatch {
    /// Looks at the component's newest inventory. `startup_grace` is how long a container may take
    /// to come up.
    pub fn look(
        &mut self,
        component: &ComponentInventory,
        startup_grace: Duration,
        now: Timestamp,
    ) -> PodsNews {
        let figures = Figures::of(component);
        let standing = self.judge(component, &figures);
        self.down_from = match &standing {
            Standing::Short { .. } => down_from(component, &figures, startup_grace),
            Standing::Sound { .. } | Standing::Off | Standing::Changing { .. } => None,
        };
        let coming_up = figures.ready == 0 && !self.is_down_at(now);
        let Some(before) = self.standing.replace(standing.clone()) else {
            return PodsNews::Nothing;
        };
        if before == standing {
            return PodsNews::Nothing;
        }
        match (before, standing) {
            (_, Standing::Short { reason }) => PodsNews::Short { reason, coming_up },
            (_, Standing::Changing { missing: Some(reason) }) => {
                PodsNews::Explained { reason, coming_up }
            }
            (_, Standing::Changing { missing: None }) => PodsNews::Nothing,
            (Standing::Sound { ready: before }, Standing::Sound { ready }) if ready < before => {
                PodsNews::Nothing
            }
            (_, Standing::Sound { .. } | Standing::Off) => PodsNews::Ask,
        }
    }

    /// Whether the platform says that no pod serves and none is coming up: all are crash-looping,
    /// or are not ready although their containers have run for longer than the startup grace. A
    /// failed probe then only confirms what is known.
    pub fn is_down_at(&self, now: Timestamp) -> bool {
        self.down_from.is_some_and(|from| now >= from)
    }

    /// Whether fewer pods serve than did, and nothing explains it.
    pub fn is_short(&self) -> bool {
        matches!(self.standing, Some(Standing::Short { .. }))
    }

    fn judge(&mut self, component: &ComponentInventory, figures: &Figures) -> Standing {
        if figures.is_off {
            self.peak = 0;
            return Standing::Off;
        }
        if figures.is_changing {
            let missing = (figures.ready < figures.desired).then(|| {
                let text = format!("a rollout is in progress: {}", figures.text(component));
                Reason::new(figures.kind(component), text)
            });
            return Standing::Changing { missing };
        }
        self.peak = self.peak.max(figures.ready);
        if !component.workloads.is_empty() {
            self.peak = self.peak.min(figures.desired);
        }
        let crashes = component.pods.iter().any(is_crash_looping);
        if figures.ready < self.peak || crashes {
            let text = figures.text(component);
            return Standing::Short { reason: Reason::new(figures.kind(component), text) };
        }
        Standing::Sound { ready: figures.ready }
    }
}

/// A component's pods in numbers.
struct Figures {
    desired: usize,
    ready: usize,
    /// Pods that neither ended nor are being deleted.
    counted: usize,
    is_off: bool,
    is_changing: bool,
}

impl Figures {
    fn of(component: &ComponentInventory) -> Self {
        let desired: u64 = component.workloads.iter().map(|w| u64::from(w.desired_replicas)).sum();
        let counted = component.pods.iter().filter(|pod| counts(pod)).count();
        Self {
            desired: usize::try_from(desired).unwrap_or(usize::MAX),
            ready: component.pods.iter().filter(|pod| pod.condition == PodCondition::Ready).count(),
            counted,
            is_off: desired == 0 && !component.workloads.is_empty() && counted == 0,
            // Replicas on their way to zero are a change like any other.
            is_changing: component.workloads.iter().any(Workload::is_rolling_out)
                || (desired == 0 && !component.workloads.is_empty()),
        }
    }

    /// `2 of 3 pods are ready: querynode-abc is not ready`.
    fn text(&self, component: &ComponentInventory) -> String {
        let of = self.desired.max(self.counted);
        let head = format!("{} of {of} pods are ready", self.ready);
        let mut complaints = component.pods.iter().filter_map(complaint);
        let named: Vec<String> = complaints.by_ref().take(NAMED_PODS).collect();
        match (named.is_empty(), complaints.count()) {
            (true, _) => head,
            (false, 0) => format!("{head}: {}", named.join("; ")),
            (false, others) => format!("{head}: {}; and {others} more", named.join("; ")),
        }
    }

    fn kind(&self, component: &ComponentInventory) -> ReasonKind {
        let any = |what: fn(&Pod) -> bool| component.pods.iter().any(what);
        if self.ready > 0 {
            ReasonKind::SomePods
        } else if any(is_crash_looping) {
            ReasonKind::CrashLoop
        } else if any(|pod| pod.condition == PodCondition::NotReady) {
            ReasonKind::NoneReady
        } else if self.counted > 0 {
            ReasonKind::Pending
        } else if any(|pod| pod.condition == PodCondition::Terminating) {
            ReasonKind::Terminating
        } else {
            ReasonKind::NoPods
        }
    }
}

fn complaint(pod: &Pod) -> Option<String> {
    let name = &pod.name;
    match &pod.condition {
        PodCondition::Ready => None,
        PodCondition::NotReady => Some(format!("{name} is not ready")),
        PodCondition::Terminating => Some(format!("{name} is being deleted")),
        PodCondition::CrashLoop { message } => Some(format!("{name} {message}")),
        PodCondition::Pending { message } => Some(format!("{name} pending: {message}")),
        PodCondition::Ended { message } => Some(format!("{name} ended: {message}")),
    }
}

fn counts(pod: &Pod) -> bool {
    match pod.condition {
        PodCondition::Terminating | PodCondition::Ended { .. } => false,
        PodCondition::Pending { .. }
        | PodCondition::Ready
        | PodCondition::NotReady
        | PodCondition::CrashLoop { .. } => true,
    }
}

fn is_crash_looping(pod: &Pod) -> bool {
    matches!(pod.condition, PodCondition::CrashLoop { .. })
}

/// Since when, or from when on, nothing serves and nothing is coming up.
fn down_from(
    component: &ComponentInventory,
    figures: &Figures,
    startup_grace: Duration,
) -> Option<Timestamp> {
    if figures.ready > 0 || figures.counted == 0 {
        return None;
    }
    let mut latest = Timestamp::default();
    for pod in component.pods.iter().filter(|pod| counts(pod)) {
        if matches!(pod.condition, PodCondition::Pending { .. }) {
            return None;
        }
        latest = latest.max(pod.started_at? + startup_grace);
    }
    Some(latest)
}

#[cfg(test)]
mod tests;
