//! What can be made to go wrong, and what is wrong at the moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use tokio::time::Instant;

use super::kubernetes::status::Failure;

/// How the Kubernetes API misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiFault {
    /// Every request is answered with 503; watches are cut.
    Unavailable,
    /// Every request is answered with 401; watches are cut.
    Unauthorized,
    /// Every request is answered with 429; watches are cut.
    TooManyRequests,
    /// No request is answered; watches are cut.
    Hang,
}

impl ApiFault {
    /// The answer to any request; `None` when there is none at all.
    pub(super) fn answer(self) -> Option<Response> {
        let failure = match self {
            Self::Unavailable => {
                Failure::new(503, "ServiceUnavailable", "apiserver is shutting down")
            }
            Self::Unauthorized => Failure::unauthorized(),
            Self::TooManyRequests => {
                Failure::new(429, "TooManyRequests", "too many requests, please try again later")
            }
            Self::Hang => return None,
        };
        let mut response = failure.response();
        if self == Self::TooManyRequests {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Some(response)
    }
}

/// How the Milvus service misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MilvusFault {
    /// `CheckHealth` is never answered; everything else works.
    CheckHealthHangs,
    /// `CheckHealth` says no, with these reasons.
    NotHealthy(Vec<String>),
    /// No call is answered.
    Hang,
    /// Queries fail inside an answer that is fine for gRPC.
    QueriesFail(String),
}

/// Something that goes wrong from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The pod of this name accepts connections and never answers, until it is replaced.
    HangPod {
        /// Its name.
        pod: String,
    },
    /// All pods of the component's present revision answer /healthz with 500, and so do pods made
    /// of the same revision: only a new revision (a rollout restart) heals it.
    Component500 {
        /// The component.
        component: String,
    },
    /// All present pods of the component accept and do not answer for a while; then they do again,
    /// without anybody's help.
    StallComponent {
        /// The component.
        component: String,
        /// How long.
        lasts: Duration,
    },
    /// Pods of the component's present revision start, end and start again.
    CrashLoop {
        /// The component.
        component: String,
    },
    /// The component needs this much CPU in all.
    SetLoad {
        /// The component.
        component: String,
        /// Thousandths of a core, shared among its pods.
        cpu_milli: u64,
    },
    /// The Kubernetes API as a whole.
    KubernetesApi(ApiFault),
    /// The Kubernetes API forgets its history: every watch that is behind is answered with 410.
    ForgetHistory,
    /// There is no metrics server.
    MetricsApiAbsent,
    /// The Milvus service.
    Milvus(MilvusFault),
    /// The dependency's /health says no.
    DependencyDown,
}

/// What is wrong at the moment. Cheap to clone; all clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    hung_pods: BTreeSet<String>,
    failing_revisions: BTreeSet<String>,
    crashing_revisions: BTreeSet<String>,
    stalled_pods: BTreeMap<String, Instant>,
    api: Option<ApiFault>,
    metrics_absent: bool,
    milvus: Option<MilvusFault>,
    dependency_down: bool,
}

/// What a pod's port does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PodBehaviour {
    /// As it should.
    Normal,
    /// /healthz answers 500.
    Sick,
    /// No answer.
    Silent,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hang_pod(&self, uid: &str) {
        self.lock().hung_pods.insert(uid.to_owned());
    }

    pub(super) fn fail_revision(&self, revision: &str) {
        self.lock().failing_revisions.insert(revision.to_owned());
    }

    pub(super) fn crash_revision(&self, revision: &str) {
        self.lock().crashing_revisions.insert(revision.to_owned());
    }

    pub(super) fn stall_pod(&self, uid: &str, until: Instant) {
        self.lock().stalled_pods.insert(uid.to_owned(), until);
    }

    pub(super) fn set_api(&self, fault: Option<ApiFault>) {
        self.lock().api = fault;
    }

    pub(super) fn set_metrics_absent(&self, absent: bool) {
        self.lock().metrics_absent = absent;
    }

    pub(super) fn set_milvus(&self, fault: Option<MilvusFault>) {
        self.lock().milvus = fault;
    }

    pub(super) fn set_dependency_down(&self, down: bool) {
        self.lock().dependency_down = down;
    }

    /// Ends everything that is wrong.
    pub(super) fn clear(&self) {
        *self.lock() = State::default();
    }

    /// How a pod behaves now, by its uid and its revision.
    pub(super) fn pod(&self, uid: &str, revision: &str) -> PodBehaviour {
        let state = self.lock();
        let stalled = state.stalled_pods.get(uid).is_some_and(|until| Instant::now() < *until);
        if stalled || state.hung_pods.contains(uid) {
            PodBehaviour::Silent
        } else if state.failing_revisions.contains(revision) {
            PodBehaviour::Sick
        } else {
            PodBehaviour::Normal
        }
    }

    pub(super) fn is_crashing(&self, revision: &str) -> bool {
        self.lock().crashing_revisions.contains(revision)
    }

    pub(super) fn api(&self) -> Option<ApiFault> {
        self.lock().api
    }

    pub(super) fn metrics_absent(&self) -> bool {
        self.lock().metrics_absent
    }

    pub(super) fn milvus(&self) -> Option<MilvusFault> {
        self.lock().milvus.clone()
    }

    pub(super) fn dependency_down(&self) -> bool {
        self.lock().dependency_down
    }
}
