//! What is wrong at the moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{ApiFault, Breakage, MilvusFault, Undying};

/// What is wrong at the moment. Cheap to clone; all clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::sim) struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(in crate::sim) struct State {
    pub(in crate::sim) hung_pods: BTreeSet<String>,
    pub(in crate::sim) closed_ports: BTreeSet<String>,
    pub(in crate::sim) undying_pods: BTreeMap<String, Undying>,
    pub(in crate::sim) stalled_pods: BTreeMap<String, Instant>,
    pub(in crate::sim) failing_revisions: BTreeSet<String>,
    pub(in crate::sim) crashing_revisions: BTreeSet<String>,
    pub(in crate::sim) crashing_components: BTreeSet<String>,
    pub(in crate::sim) storms: BTreeMap<String, Duration>,
    pub(in crate::sim) broken_images: BTreeMap<String, Breakage>,
    pub(in crate::sim) lost_nodes: BTreeSet<String>,
    /// And until when.
    pub(in crate::sim) api: Option<(ApiFault, Option<Instant>)>,
    pub(in crate::sim) milvus: Option<MilvusFault>,
    pub(in crate::sim) services: BTreeSet<Service>,
}

/// A service that does not do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim) enum Service {
    /// The API's logs and events never come.
    Evidence,
    /// There is no metrics server.
    Metrics,
    /// The dependency says that it is not healthy.
    Dependency,
    /// etcd does not answer anybody.
    Etcd,
}

/// By what a pod is known to the faults.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct PodFacts<'a> {
    pub(in crate::sim) uid: &'a str,
    pub(in crate::sim) component: &'a str,
    pub(in crate::sim) revision: &'a str,
    pub(in crate::sim) image: &'a str,
    pub(in crate::sim) node: &'a str,
    /// Since when its process has been initialised.
    pub(in crate::sim) up_since: Option<Instant>,
}

/// What a pod's port does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum PodBehaviour {
    /// As it should.
    Normal,
    /// /healthz answers 500.
    Sick,
    /// /healthz answers 500, because etcd does not answer.
    WithoutEtcd,
    /// No answer.
    Silent,
    /// Nobody listens.
    Closed,
}

/// Why a container does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Failing {
    /// The process ends with an error.
    Crash,
    /// It ends because of what its revision brought.
    BadConfiguration,
}

impl Faults {
    pub(in crate::sim) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is wrong.
    pub(in crate::sim) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
    }

    /// From now on this service does not do its work.
    pub(in crate::sim) fn fail(&self, service: Service) {
        self.lock().services.insert(service);
    }

    /// Ends everything that is wrong.
    pub(in crate::sim) fn clear(&self) {
        *self.lock() = State::default();
    }

    /// How a pod behaves now.
    pub(in crate::sim) fn pod(&self, pod: PodFacts<'_>) -> PodBehaviour {
        let state = self.lock();
        let now = Instant::now();
        let stalled = state.stalled_pods.get(pod.uid).is_some_and(|until| now < *until);
        let silent =
            stalled || state.hung_pods.contains(pod.uid) || state.lost_nodes.contains(pod.node);
        let tired = state.storms.get(pod.component).is_some_and(|after| {
            pod.up_since.is_some_and(|since| now.duration_since(since) >= *after)
        });
        let sick = tired
            || state.failing_revisions.contains(pod.revision)
            || state.broken_images.get(pod.image) == Some(&Breakage::NeverReady);
        if state.closed_ports.contains(pod.uid) {
            PodBehaviour::Closed
        } else if silent {
            PodBehaviour::Silent
        } else if state.services.contains(&Service::Etcd) {
            PodBehaviour::WithoutEtcd
        } else if sick {
            PodBehaviour::Sick
        } else {
            PodBehaviour::Normal
        }
    }

    /// Why the pod's container ends soon after it has begun, if it does.
    pub(in crate::sim) fn failing(&self, pod: PodFacts<'_>) -> Option<Failing> {
        let state = self.lock();
        if state.broken_images.get(pod.image) == Some(&Breakage::CrashLoop) {
            return Some(Failing::BadConfiguration);
        }
        let crashing = state.crashing_revisions.contains(pod.revision)
            || state.crashing_components.contains(pod.component);
        crashing.then_some(Failing::Crash)
    }

    /// Whether there is no such image.
    pub(in crate::sim) fn is_image_missing(&self, image: &str) -> bool {
        self.lock().broken_images.get(image) == Some(&Breakage::ImageMissing)
    }

    /// How the pod refuses to end, if it does.
    pub(in crate::sim) fn undying(&self, uid: &str) -> Option<Undying> {
        self.lock().undying_pods.get(uid).copied()
    }

    /// A new run of the pod's container knows nothing of what was wrong with the one before.
    pub(in crate::sim) fn forget_run(&self, uid: &str) {
        let mut state = self.lock();
        state.hung_pods.remove(uid);
        state.closed_ports.remove(uid);
        state.stalled_pods.remove(uid);
    }

    pub(in crate::sim) fn is_node_lost(&self, node: &str) -> bool {
        self.lock().lost_nodes.contains(node)
    }

    pub(in crate::sim) fn api(&self) -> Option<ApiFault> {
        let (fault, until) = self.lock().api?;
        until.is_none_or(|until| Instant::now() < until).then_some(fault)
    }

    pub(in crate::sim) fn evidence_hangs(&self) -> bool {
        self.lock().services.contains(&Service::Evidence)
    }

    pub(in crate::sim) fn metrics_absent(&self) -> bool {
        self.lock().services.contains(&Service::Metrics)
    }

    pub(in crate::sim) fn milvus(&self) -> Option<MilvusFault> {
        let state = self.lock();
        if state.services.contains(&Service::Etcd) && state.milvus.is_none() {
            let reason = "etcdserver: request timed out".to_owned();
            return Some(MilvusFault::NotHealthy(vec![reason]));
        }
        state.milvus.clone()
    }

    pub(in crate::sim) fn dependency_down(&self) -> bool {
        let services = &self.lock().services;
        services.contains(&Service::Dependency) || services.contains(&Service::Etcd)
    }
}
