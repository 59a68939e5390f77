//! The platforms on which a Milvus cluster can run.

pub mod dry_run;
pub mod kube;
mod log_end;
pub mod process;

use crate::model::{Autoscaler, WorkloadRef};

/// Why the platform did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No answer in time.
    #[error("{operation} {object}: no answer within {seconds} s")]
    Timeout {
        /// What was tried, e.g. `restart`.
        operation: &'static str,
        /// On what.
        object: String,
        /// The deadline.
        seconds: u64,
    },
    /// The object does not exist (any more).
    #[error("{operation} {object}: not found")]
    NotFound {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
    },
    /// The platform does not let us.
    #[error("{operation} {object}: forbidden: {message}")]
    Forbidden {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
        /// The platform's words, cut to a line.
        message: String,
    },
    /// The object changed in between.
    #[error("{operation} {object}: changed meanwhile: {message}")]
    Conflict {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
        /// The platform's words, cut to a line.
        message: String,
    },
    /// Something else scales the workload, or that cannot be told.
    #[error("{operation} {workload}: {}", autoscaler.claim(workload))]
    ScaledByOther {
        /// What was tried.
        operation: &'static str,
        /// On what.
        workload: WorkloadRef,
        /// What scales it.
        autoscaler: Autoscaler,
    },
    /// It makes no sense on this platform.
    #[error("{operation} {object}: not supported here: {message}")]
    Unsupported {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
        /// Why.
        message: String,
    },
    /// Everything else: unreachable, throttled, broken.
    #[error("{operation} {object}: {message}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
        /// What went wrong, cut to a line.
        message: String,
    },
}

impl ClusterError {
    /// Whether the platform gave no useful answer at all, so that no other request would fare better.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Failed { .. } => true,
            Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::Conflict { .. }
            | Self::ScaledByOther { .. }
            | Self::Unsupported { .. } => false,
        }
    }

    /// Whether the same request can succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Conflict { .. } | Self::Failed { .. } => true,
            Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::ScaledByOther { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}
