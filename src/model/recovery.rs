//! What is kept before something is done to a workload.

use std::sync::Arc;

use super::journal::EvidenceSource;

/// What somebody would want to know of a pod that is gone by then. Bounded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where it comes from.
    pub source: EvidenceSource,
    /// Of what, e.g. `milvus-querynode-5d9f/querynode (previous)`.
    pub object: Arc<str>,
    /// The text; may have several lines.
    pub text: String,
}
