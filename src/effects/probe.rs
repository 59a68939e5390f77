//! The kinds of probes. Each asks one component how it is, within one budget, with bounded memory.

pub mod grpc;
pub mod healthz;
pub mod http;
pub mod milvus;
mod pages;
pub mod platform;
pub mod pods;
pub mod process;
pub mod resources;
pub mod scrape;
pub mod tcp;

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Outcome, ProbeObservation, TargetReport};

pub use crate::effects::http::Connection;
pub use grpc::{GrpcProbe, GrpcProbeSettings};
pub use http::{HttpProbe, HttpProbeSettings};
pub use milvus::{MilvusProbe, MilvusProbeSettings};
pub use pods::{PodsProbe, PodsProbeSettings};
pub use process::{ProcessProbe, ProcessProbeSettings};
pub use tcp::{TcpProbe, TcpProbeSettings};

/// The observation of a probe that has one target, named by its address.
fn target(address: impl Into<Arc<str>>, outcome: Outcome, latency: Duration) -> ProbeObservation {
    let address = address.into();
    let report = TargetReport {
        name: Arc::clone(&address),
        address,
        outcome: outcome.clone(),
        latency,
        performance: None,
    };
    ProbeObservation { targets: vec![report], ..ProbeObservation::of(outcome) }
}
