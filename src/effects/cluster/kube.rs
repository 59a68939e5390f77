//! The Kubernetes adapter.
