//! The simulated Kubernetes API: a store of JSON objects, and the HTTP server in front of it.
//!
//! It owns the rules of the API machinery (versions of objects, watches, patches, tables); what
//! the objects make happen is the controllers' business.

pub(super) mod authorization;
pub(super) mod deletion;
pub(super) mod discovery;
pub(super) mod events;
pub(super) mod eviction;
pub(super) mod gate;
pub(super) mod json;
pub(super) mod metrics;
pub(super) mod paging;
pub(super) mod patch;
pub(super) mod pod_log;
pub(super) mod request;
pub(super) mod requests;
pub(super) mod resource;
pub(super) mod scale;
pub(super) mod selector;
pub(super) mod server;
pub(super) mod status;
pub(super) mod store;
pub(super) mod table;
pub(super) mod validation;
pub(super) mod verbs;
pub(super) mod watch;
