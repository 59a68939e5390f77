//! What is watched: a component of one Milvus cluster, or something that cluster depends on.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One component of one cluster, e.g. `milvus-ha/querynode`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ComponentId {
    /// The cluster's name: the key of its table in `actors.toml`.
    pub cluster: Arc<str>,
    /// The component's name: a Milvus role (`querynode`), or the key of a prober (`etcd`).
    pub component: Arc<str>,
}

impl ComponentId {
    /// The component `component` of the cluster `cluster`.
    pub fn new(cluster: impl Into<Arc<str>>, component: impl Into<Arc<str>>) -> Self {
        Self { cluster: cluster.into(), component: component.into() }
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.component)
    }
}

/// The roles a Milvus process can have, from 2.3 to 3.x, as they stand in the `component` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Stateless front door; serves gRPC on 19530.
    Proxy,
    /// All coordinators in one process (2.3 and later; the only coordinator since 2.6).
    MixCoord,
    /// Data definition and time stamps.
    RootCoord,
    /// Segments and flushes.
    DataCoord,
    /// Loading and balancing of query nodes.
    QueryCoord,
    /// Index building tasks (inside datacoord since 2.3).
    IndexCoord,
    /// Persists the log; builds indexes since 2.6.
    DataNode,
    /// Serves searches from memory.
    QueryNode,
    /// Builds indexes (up to 2.5).
    IndexNode,
    /// Write-ahead log (2.5 and later).
    StreamingNode,
    /// Everything in one process.
    Standalone,
    /// Change data capture; always one replica.
    Cdc,
}

impl Role {
    /// Every role, in the order in which a table shows them.
    pub const ALL: [Self; 12] = [
        Self::Proxy,
        Self::MixCoord,
        Self::RootCoord,
        Self::DataCoord,
        Self::QueryCoord,
        Self::IndexCoord,
        Self::DataNode,
        Self::QueryNode,
        Self::IndexNode,
        Self::StreamingNode,
        Self::Standalone,
        Self::Cdc,
    ];

    /// The value of the `component` label, e.g. `querynode`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::MixCoord => "mixcoord",
            Self::RootCoord => "rootcoord",
            Self::DataCoord => "datacoord",
            Self::QueryCoord => "querycoord",
            Self::IndexCoord => "indexcoord",
            Self::DataNode => "datanode",
            Self::QueryNode => "querynode",
            Self::IndexNode => "indexnode",
            Self::StreamingNode => "streamingnode",
            Self::Standalone => "standalone",
            Self::Cdc => "cdc",
        }
    }

    /// The role whose label value is `name`, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a component is probed; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProberKind {
    /// The Milvus service over gRPC, as its clients see it.
    Milvus,
    /// Every pod of the component, over HTTP.
    Pods,
    /// The one process of a component on a single machine, over HTTP.
    Process,
    /// A URL.
    Http,
    /// A TCP connect.
    Tcp,
    /// The standard `grpc.health.v1` service.
    Grpc,
    /// CPU and memory of all pods, from metrics.k8s.io.
    Resources,
    /// Whether the platform itself (the Kubernetes API) can be asked.
    Platform,
}

impl ProberKind {
    /// The name as it stands in `actors.toml` and in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Milvus => "milvus",
            Self::Pods => "pods",
            Self::Process => "process",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Grpc => "grpc",
            Self::Resources => "resources",
            Self::Platform => "platform",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_found_by_its_label_value() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("attu"), None);
    }
}
