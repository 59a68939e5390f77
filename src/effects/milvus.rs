//! Milvus over its own protocols: gRPC on 19530, metrics pages on 9091. Knows the wire, decides
//! nothing: verdicts are made by the probes.

pub mod client;
pub mod credentials;
pub mod exposition;
pub mod histogram;
pub mod management;
pub mod performance;
pub mod proto;
pub mod query_nodes;
