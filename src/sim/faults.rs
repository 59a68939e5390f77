//! What can be made to go wrong.

pub(super) mod state;

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;

use super::kubernetes::gate::Link;
use super::kubernetes::status::Failure;

/// How the Kubernetes API misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiFault {
    /// Every request is answered with 503; watches are cut.
    Unavailable,
    /// Every request is answered with 500, as when the API's own etcd does not answer; watches
    /// are cut.
    InternalError,
    /// Every request is answered with 401; watches are cut.
    Unauthorized,
    /// Every request is answered with 429; watches are cut.
    TooManyRequests,
    /// No request is answered; watches are cut.
    Hang,
    /// Connections break and new ones are refused.
    Refused,
}

impl ApiFault {
    /// The answer to any request; `None` when there is none at all.
    pub(super) fn answer(self) -> Option<Response> {
        let failure = match self {
            Self::Unavailable => {
                Failure::new(503, "ServiceUnavailable", "apiserver is shutting down")
            }
            Self::InternalError => Failure::new(
                500,
                "InternalError",
                "Internal error occurred: etcdserver: request timed out",
            ),
            Self::Unauthorized => Failure::unauthorized(),
            Self::TooManyRequests => {
                Failure::new(429, "TooManyRequests", "too many requests, please try again later")
            }
            Self::Hang | Self::Refused => return None,
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

/// What is wrong with a new revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// Its containers end soon after they have begun, over and over.
    CrashLoop,
    /// Its containers run, and never become ready.
    NeverReady,
    /// There is no such image.
    ImageMissing,
}

/// How a pod that is to end does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undying {
    /// It ignores the signal and is killed only at the end of its grace period.
    UntilGraceEnds,
    /// It cannot be killed at all; only a forced deletion removes it from the API.
    Forever,
}

/// What people or milvus-operator have set on the Milvus resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorTrait {
    /// `spec.components.paused`.
    Paused,
    /// `paused` of one component.
    ComponentPaused(String),
    /// `spec.components.enableManualMode`.
    ManualMode,
    /// The condition `MilvusUpdated` is False.
    NotUpdated,
    /// The label `milvus.io/<component>-rolling-id` is there.
    RollingOut(String),
}

/// Something that goes wrong from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The pod of this name accepts connections and never answers, until it is replaced or its
    /// container is started again.
    HangPod {
        /// Its name.
        pod: String,
    },
    /// The pod's process does not listen any more, until its container is started again: what
    /// the kubelet's liveness probe notices.
    ClosePort {
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
    /// Pods of the component start, end and start again, whatever is done about it.
    CrashLoopForever {
        /// The component.
        component: String,
    },
    /// Every pod of the component answers /healthz with 500 from `after` its start on: a restart
    /// helps for that long, again and again.
    RestartStorm {
        /// The component.
        component: String,
        /// How long a pod is well.
        after: Duration,
    },
    /// Somebody changes the component's image to a broken one, and the rollout begins. With
    /// milvus-operator it is changed in the Milvus resource.
    BadRollout {
        /// The component.
        component: String,
        /// What is wrong with it.
        breakage: Breakage,
    },
    /// The pod does not end when it is deleted.
    StuckTermination {
        /// Its name.
        pod: String,
        /// How.
        undying: Undying,
    },
    /// The node is not heard of any more: its pods keep silent, are not ready, and never end.
    NodeLost {
        /// Its name; see [`Simulation::pods`](super::Simulation::pods) for where a pod is.
        node: String,
    },
    /// etcd does not answer: its /health says no, no component is healthy, and Milvus says so.
    EtcdOutage,
    /// The component needs this much CPU in all.
    SetLoad {
        /// The component.
        component: String,
        /// Thousandths of a core, shared among its pods.
        cpu_milli: u64,
    },
    /// The Kubernetes API as a whole.
    KubernetesApi(ApiFault),
    /// The Kubernetes API as a whole, for a while.
    ApiOutage {
        /// What it does meanwhile.
        fault: ApiFault,
        /// How long.
        lasts: Duration,
    },
    /// The network between one port of the Kubernetes API and its clients.
    ApiLink {
        /// Which, counted from zero; see [`Simulation::api_urls`](super::Simulation::api_urls).
        door: usize,
        /// How it is from now on.
        link: Link,
    },
    /// The Kubernetes API never answers when asked for logs or events of others' making.
    EvidenceHangs,
    /// The Kubernetes API forgets its history: every watch that is behind is answered with 410.
    ForgetHistory,
    /// There is no metrics server.
    MetricsApiAbsent,
    /// The Milvus resource says so.
    Operator(OperatorTrait),
    /// The Milvus service.
    Milvus(MilvusFault),
    /// The dependency's /health says no.
    DependencyDown,
}
