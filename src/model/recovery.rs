//! What is kept before something is done to a workload.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a piece of evidence comes from; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceSource {
    /// The end of a container's log.
    Log,
    /// What the platform says of a pod or workload.
    Event,
    /// What a prober saw.
    Probe,
}

impl EvidenceSource {
    /// The name in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Event => "event",
            Self::Probe => "probe",
        }
    }
}

/// What somebody would want to know of a pod that is gone by then. Bounded text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Where it comes from.
    pub source: EvidenceSource,
    /// Of what, e.g. `milvus-querynode-5d9f/querynode (previous)`.
    pub object: Arc<str>,
    /// The text; may have several lines.
    pub text: String,
}
