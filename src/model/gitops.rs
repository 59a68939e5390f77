//! Who declares an object from outside the cluster: a GitOps tool, as far as the object itself tells.

use std::fmt;

use serde::Serialize;

/// A tool that makes the cluster what a repository says; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GitOpsTool {
    /// Argo CD.
    ArgoCd,
    /// Flux: its kustomize-controller or its helm-controller.
    Flux,
}

impl GitOpsTool {
    /// As people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ArgoCd => "Argo CD",
            Self::Flux => "Flux",
        }
    }
}

/// A GitOps tool looks after an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GitOps {
    /// Which.
    pub tool: GitOpsTool,
    /// What on the object says so, e.g. `label kustomize.toolkit.fluxcd.io/name`.
    pub evidence: String,
    /// Whether the managed fields say that it sets the number of replicas itself.
    pub sets_replicas: bool,
}

impl fmt::Display for GitOps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.tool.as_str(), self.evidence)
    }
}
