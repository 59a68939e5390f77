//! What one probe saw.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::component::{ComponentId, ProberKind};
use super::time::Timestamp;

/// Why a probe was not simply healthy; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// No answer within the deadline.
    Timeout,
    /// The connection was refused.
    Refused,
    /// The connection could not be made or was cut: reset, unreachable, name not found, TLS.
    Connection,
    /// The answer's status is not the expected one.
    Status,
    /// The answer is not of the protocol, too large, a redirect, or lacks the expected content.
    BadAnswer,
    /// The far side wants other credentials.
    Unauthorized,
    /// The far side says of itself that it is not healthy.
    ReportedUnhealthy,
    /// Part of the service answers late or is limited (quota, slow health check).
    Limited,
    /// A canary query failed or returned nothing.
    CanaryFailed,
    /// The component has no pods.
    NoPods,
    /// The component has no pods because its owner wants none.
    ScaledToZero,
    /// Pods exist, none is ready.
    NoneReady,
    /// Pods wait to be scheduled or started.
    Pending,
    /// Pods are being deleted.
    Terminating,
    /// A container restarts again and again.
    CrashLoop,
    /// Some pods are sick, others healthy.
    SomePods,
    /// The supervised process is not running.
    NotRunning,
    /// The Kubernetes API cannot be asked (unreachable, unauthorised, throttled).
    PlatformUnavailable,
    /// An optional source of data (metrics.k8s.io) does not exist here.
    Unsupported,
    /// falconer itself could not ask: it is out of descriptors or memory, or stood still. Says
    /// nothing of the component.
    OwnLimit,
}

impl ReasonKind {
    /// The value of the metric label, e.g. `crash_loop`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Connection => "connection",
            Self::Status => "status",
            Self::BadAnswer => "bad_answer",
            Self::Unauthorized => "unauthorized",
            Self::ReportedUnhealthy => "reported_unhealthy",
            Self::Limited => "limited",
            Self::CanaryFailed => "canary_failed",
            Self::NoPods => "no_pods",
            Self::ScaledToZero => "scaled_to_zero",
            Self::NoneReady => "none_ready",
            Self::Pending => "pending",
            Self::Terminating => "terminating",
            Self::CrashLoop => "crash_loop",
            Self::SomePods => "some_pods",
            Self::NotRunning => "not_running",
            Self::PlatformUnavailable => "platform_unavailable",
            Self::Unsupported => "unsupported",
            Self::OwnLimit => "own_limit",
        }
    }

    /// Whether the far side gave no sign of life at all, as opposed to an answer that is not good.
    pub const fn is_silence(self) -> bool {
        match self {
            Self::Timeout | Self::Refused | Self::Connection => true,
            Self::Status
            | Self::BadAnswer
            | Self::Unauthorized
            | Self::ReportedUnhealthy
            | Self::Limited
            | Self::CanaryFailed
            | Self::NoPods
            | Self::ScaledToZero
            | Self::NoneReady
            | Self::Pending
            | Self::Terminating
            | Self::CrashLoop
            | Self::SomePods
            | Self::NotRunning
            | Self::PlatformUnavailable
            | Self::Unsupported
            | Self::OwnLimit => false,
        }
    }
}

/// Longest reason text that is kept, in bytes; what a hostile server says is cut there.
const REASON_TEXT_LIMIT: usize = 400;

/// A kind for machines and a text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RawReason")]
pub struct Reason {
    /// The closed-set kind.
    pub kind: ReasonKind,
    /// One line for people, without control characters, cut to a bounded length.
    pub text: String,
}

/// A reason that comes from outside: its text is not trusted.
#[derive(Deserialize)]
struct RawReason {
    kind: ReasonKind,
    text: String,
}

impl From<RawReason> for Reason {
    fn from(raw: RawReason) -> Self {
        Self::new(raw.kind, raw.text)
    }
}

impl Reason {
    /// A reason whose text is made safe to print: one line, bounded, no control characters.
    pub fn new(kind: ReasonKind, text: impl AsRef<str>) -> Self {
        let mut clean = String::new();
        for word in text.as_ref().split(|c: char| c.is_whitespace() || c.is_control()) {
            if word.is_empty() {
                continue;
            }
            if !clean.is_empty() {
                clean.push(' ');
            }
            clean.push_str(word);
            if clean.len() > REASON_TEXT_LIMIT {
                break;
            }
        }
        if clean.len() > REASON_TEXT_LIMIT {
            clean.truncate(clean.floor_char_boundary(REASON_TEXT_LIMIT));
            clean.push('…');
        }
        Self { kind, text: clean }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The verdict of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything asked for was answered as expected.
    Healthy,
    /// It serves, but something about it is not right. Never a reason to restart.
    Degraded {
        /// What is not right.
        reason: Reason,
    },
    /// It does not do its work.
    Failed {
        /// What failed.
        reason: Reason,
    },
}

impl Outcome {
    /// `Degraded` with this reason.
    pub fn degraded(kind: ReasonKind, text: impl AsRef<str>) -> Self {
        Self::Degraded { reason: Reason::new(kind, text) }
    }

    /// `Failed` with this reason.
    pub fn failed(kind: ReasonKind, text: impl AsRef<str>) -> Self {
        Self::Failed { reason: Reason::new(kind, text) }
    }

    /// Whether this is `Healthy`.
    pub fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy)
    }

    /// Whether this is `Failed`.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// Whether the probe says nothing of the component, because falconer itself could not make it.
    /// Such an outcome counts neither as a failure nor as a success.
    pub fn is_inconclusive(&self) -> bool {
        self.reason().is_some_and(|reason| reason.kind == ReasonKind::OwnLimit)
    }

    /// The reason, where there is one.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Healthy => None,
            Self::Degraded { reason } | Self::Failed { reason } => Some(reason),
        }
    }

    /// The value of the metric label: `healthy`, `degraded` or `failed`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded { .. } => "degraded",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A share in per cent, rounded down as the HPA does (90.9 % is 90).
pub type Percent = u32;

/// CPU and memory of one pod (or process), from metrics.k8s.io or the operating system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PodUsage {
    /// The pod's name.
    pub pod: String,
    /// CPU in use, in thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Memory in use (working set), in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU as a share of the pod's request; `None` where a container has no request.
    pub cpu_percent_of_request: Option<Percent>,
    /// Memory as a share of the pod's request.
    pub memory_percent_of_request: Option<Percent>,
    /// CPU as a share of the pod's limit.
    pub cpu_percent_of_limit: Option<Percent>,
    /// Memory as a share of the pod's limit.
    pub memory_percent_of_limit: Option<Percent>,
    /// When the sample was taken.
    pub sampled_at: Option<Timestamp>,
    /// The time that it was averaged over, which ended then; zero where that is not known.
    pub window: Duration,
}

/// One target of a probe: a pod, a process, a URL.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetReport {
    /// The pod's name, or the address where there is no pod.
    pub name: Arc<str>,
    /// What was asked, e.g. `http://10.1.2.3:9091/healthz`; empty where nothing could be.
    pub address: Arc<str>,
    /// The verdict for this target alone.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// From the start of the connection to the whole answer, in seconds in JSON.
    #[serde(serialize_with = "as_millis", rename = "latency_ms")]
    pub latency: Duration,
    /// What the target's own `/metrics` say, where they were read.
    pub performance: Option<Box<PerformanceReport>>,
}

/// Rates and quantiles of one pod over the time since its previous scrape.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PerformanceReport {
    /// Searches, queries, inserts, upserts and deletes a second, all outcomes.
    pub qps: Option<f64>,
    /// Share of those that failed, 0 to 1.
    pub error_rate: Option<f64>,
    /// Median search and query latency in milliseconds, interpolated within histogram buckets.
    pub latency_p50_ms: Option<f64>,
    /// 99th percentile of the same.
    pub latency_p99_ms: Option<f64>,
    /// Resident memory of the process in bytes.
    pub resident_memory_bytes: Option<u64>,
    /// CPU used by the process, in cores.
    pub cpu_cores: Option<f64>,
    /// Requests waiting to be executed (query nodes).
    pub read_queue_length: Option<f64>,
    /// Why the figures are missing, where the page could not be read.
    pub error: Option<String>,
}

/// What the gRPC prober learnt of the service beyond its verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MilvusReport {
    /// The server's version, e.g. `v2.3.5-lite`.
    pub version: Option<String>,
    /// What CheckHealth said; `None` where it did not answer in time.
    pub is_healthy: Option<bool>,
    /// CheckHealth's reasons, each cut to a line.
    pub reasons: Vec<String>,
    /// Quota states in force, e.g. `DenyToWrite`.
    pub quota_states: Vec<String>,
    /// The collections of the database.
    pub collections: Vec<String>,
    /// One entry per probed collection.
    pub canaries: Vec<CollectionProbe>,
}

/// One collection, asked for its size and with one real query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollectionProbe {
    /// The collection's name.
    pub collection: String,
    /// Rows, by `count(*)`; `None` where the query failed.
    pub rows: Option<u64>,
    /// How long the query took.
    #[serde(serialize_with = "as_millis", rename = "latency_ms")]
    pub latency: Duration,
    /// Why the query failed.
    pub error: Option<String>,
}

/// What a probe returns to its prober.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeObservation {
    /// The verdict for the whole component.
    pub outcome: Outcome,
    /// Its parts, where it has any.
    pub targets: Vec<TargetReport>,
    /// CPU and memory per pod (kind `resources`).
    pub usage: Vec<PodUsage>,
    /// Details of the Milvus service (kind `milvus`).
    pub milvus: Option<Box<MilvusReport>>,
}

impl ProbeObservation {
    /// A verdict without parts.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, targets: Vec::new(), usage: Vec::new(), milvus: None }
    }
}

/// Why a probe was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeTrigger {
    /// Its time had come.
    #[default]
    Schedule,
    /// Something has changed, and the next scheduled one was too far away.
    Change,
}

/// What a prober tells its supervisor.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeReport {
    /// What was probed.
    pub id: ComponentId,
    /// How.
    pub kind: ProberKind,
    /// Why the probe was made.
    pub trigger: ProbeTrigger,
    /// When the probe began.
    pub started_at: Timestamp,
    /// How long it took as a whole.
    pub duration: Duration,
    /// What it saw.
    pub observation: ProbeObservation,
}

fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_bounded_line_whatever_a_server_says() {
        let reason = Reason::new(ReasonKind::BadAnswer, "a\r\nSubject: b\u{7}\tc");
        assert_eq!(reason.text, "a Subject: b c");
        let long = Reason::new(ReasonKind::BadAnswer, "é".repeat(100_000));
        assert!(long.text.len() <= REASON_TEXT_LIMIT + '…'.len_utf8());
    }
}
