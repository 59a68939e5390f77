//! Asking a platform within a deadline, for the actors that change workloads, and knowing which
//! platforms answer. Decides nothing and tries nothing again.
//!
//! Each cluster's platform has a circuit of its own, which the actors share. It keeps them from
//! asking for changes while the platform does not answer. Questions about an action under way are
//! asked all the same (there are no more of them than actions), and their answers close the circuit.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::effects::{Cluster, ClusterError};
use crate::metrics::{CircuitParty, Metrics};
use crate::model::{ClusterEvent, Reason, ReasonKind, Timestamp, WorkloadRef};
use crate::policy::backoff::BackoffSettings;
use crate::policy::circuit::{Circuit, CircuitChange, CircuitDecision, CircuitSettings};

/// Three failures in a row are no accident. The back-off is short: each component's own retries are
/// what spares a platform in the long run, this one spares it the crowd.
const CIRCUIT: CircuitSettings = CircuitSettings {
    threshold: 3,
    backoff: BackoffSettings {
        initial: Duration::from_secs(2),
        factor: 2.0,
        max: Duration::from_secs(30),
        jitter: 0.2,
    },
    // Longer than any request with its event may take.
    trial_timeout: Duration::from_secs(60),
};

/// The circuits of all platforms, by the cluster's name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PlatformCircuits {
    circuits: Arc<Mutex<HashMap<Arc<str>, Circuit>>>,
}

impl PlatformCircuits {
    /// Why no change may be asked for now; `None` where it may.
    pub fn pause(&self, cluster: &Arc<str>, now: Timestamp) -> Option<Reason> {
        let circuit = self.lock().get(cluster).copied().unwrap_or_default();
        match circuit.decide(&CIRCUIT, now) {
            CircuitDecision::Ask { .. } => None,
            CircuitDecision::Wait { until, .. } => {
                let failures = circuit.failures();
                let text = format!("{failures} requests in a row failed, not asked before {until}");
                Some(Reason::new(ReasonKind::PlatformUnavailable, text))
            }
        }
    }

    /// A change is being asked for.
    pub fn begin(&self, cluster: &Arc<str>, now: Timestamp) {
        self.lock().entry(Arc::clone(cluster)).or_default().begin(now);
    }

    /// A request has ended.
    pub fn ended<T>(
        &self,
        cluster: &Arc<str>,
        answer: &Result<T, ClusterError>,
        metrics: &Metrics,
        now: Timestamp,
    ) {
        let mut circuits = self.lock();
        let circuit = circuits.entry(Arc::clone(cluster)).or_default();
        let change = match answer {
            Err(error) if error.is_outage() => circuit.unanswered(&CIRCUIT, fastrand::f64(), now),
            Ok(_) | Err(_) => circuit.answered(),
        };
        drop(circuits);
        match change {
            CircuitChange::Stayed | CircuitChange::Reopened { .. } => {}
            CircuitChange::Opened { until } => {
                metrics.circuit_opened(CircuitParty::Platform);
                tracing::warn!(%cluster, %until, "platform does not answer, changes wait");
            }
            CircuitChange::Closed { failures } => {
                metrics.circuit_closed(CircuitParty::Platform);
                tracing::info!(%cluster, failures, "platform answers again");
            }
        }
    }

    /// The platform of `cluster` is another one now, or none.
    pub fn forget(&self, cluster: &Arc<str>, metrics: &Metrics) {
        let forgotten = self.lock().remove(cluster);
        if forgotten.is_some_and(|circuit| !circuit.is_closed()) {
            metrics.circuit_closed(CircuitParty::Platform);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Circuit>> {
        self.circuits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to `asked`, which is `operation` on `workload`.
///
/// # Errors
/// Those of `asked`, and a timeout where nothing came within `deadline`.
pub async fn within<T>(
    deadline: Duration,
    operation: &'static str,
    workload: &WorkloadRef,
    asked: impl Future<Output = Result<T, ClusterError>>,
) -> Result<T, ClusterError> {
    tokio::time::timeout(deadline, asked).await.unwrap_or_else(|_| {
        let (object, seconds) = (workload.to_string(), deadline.as_secs());
        Err(ClusterError::Timeout { operation, object, seconds })
    })
}

/// Writes `event`, at best: an action is never given up for the want of a line in a log.
pub async fn record(cluster: &dyn Cluster, event: &ClusterEvent, deadline: Duration) {
    match tokio::time::timeout(deadline, cluster.record_event(event)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(workload = %event.workload, %error, "event was not written");
        }
        Err(_) => {
            tracing::debug!(workload = %event.workload, "event was not written in time");
        }
    }
}
