//! The simulated Kubernetes API: a store of JSON objects, and the HTTP server in front of it.
//!
//! It owns the rules of the API machinery (versions of objects, watches, patches, tables); what
//! the objects make happen is the controllers' business.

pub(super) mod discovery;
pub(super) mod events;
pub(super) mod json;
pub(super) mod metrics;
pub(super) mod patch;
pub(super) mod resource;
pub(super) mod review;
pub(super) mod selector;
pub(super) mod server;
pub(super) mod status;
pub(super) mod store;
pub(super) mod subresource;
pub(super) mod table;
pub(super) mod verbs;
pub(super) mod watch;
