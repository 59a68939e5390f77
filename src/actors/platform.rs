//! Asking a platform within a deadline, for the actors that change workloads. Decides nothing and
//! tries nothing again.

use std::future::Future;
use std::time::Duration;

use crate::effects::{Cluster, ClusterError};
use crate::model::{ClusterEvent, WorkloadRef};

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
