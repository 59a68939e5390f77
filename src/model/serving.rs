//! What Milvus says of the data that its query nodes serve. Plain data, bounded by whoever reads it;
//! judges nothing.

use serde::Serialize;

use super::time::Timestamp;

/// A collection that is loaded, or is being loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LoadedCollection {
    /// Its database; empty for the default one.
    pub database: String,
    /// Its name.
    pub name: String,
    /// How much of it is loaded, in per cent.
    pub percent: u32,
    /// In how many copies it is held.
    pub replicas: u32,
}

/// How a query node stands in the eyes of the coordinator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryNodeState {
    /// It serves and takes more.
    #[default]
    Normal,
    /// It serves, but is given nothing more.
    Suspended,
    /// It is about to end and gives away what it has.
    Stopping,
}

/// One query node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QueryNode {
    /// Milvus' number for it; another one after each start.
    pub id: i64,
    /// Its host or address, without the port; empty where that is not known.
    pub host: String,
    /// How it stands.
    pub state: QueryNodeState,
    /// Sealed segments that it serves.
    pub segments: u64,
    /// Channels that it serves.
    pub channels: u64,
}

impl QueryNode {
    /// Whether it serves anything at all.
    pub const fn serves(&self) -> bool {
        self.segments > 0 || self.channels > 0
    }
}

/// Whether segments or channels are on their way between query nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "balance", rename_all = "snake_case")]
pub enum Balance {
    /// None are.
    Idle,
    /// Some are.
    Moving {
        /// So many tasks of the coordinator.
        tasks: u64,
    },
    /// Somebody has suspended the balancing of the whole cluster.
    Suspended,
    /// It cannot be told.
    Unknown {
        /// Why.
        why: String,
    },
}

/// Whether Milvus lets its query nodes be managed from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "management", rename_all = "snake_case")]
pub enum Management {
    /// It does.
    Available,
    /// It does not: too old, switched off, or the login is refused.
    Absent {
        /// What it answered.
        why: String,
    },
}

/// Everything that Milvus says of its query nodes at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Serving {
    /// When it was asked.
    pub taken_at: Timestamp,
    /// What is loaded or being loaded.
    pub collections: Vec<LoadedCollection>,
    /// The query nodes by their numbers.
    pub nodes: Vec<QueryNode>,
    /// What is on its way.
    pub balance: Balance,
    /// Whether nodes can be drained.
    pub management: Management,
}

impl Serving {
    /// The node of this number.
    pub fn node(&self, id: i64) -> Option<&QueryNode> {
        self.nodes.iter().find(|node| node.id == id)
    }
}
