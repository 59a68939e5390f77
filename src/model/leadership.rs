//! Who of several falconers acts, as plain data. Decides nothing: see `policy/leadership.rs`.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Timestamp;

/// Whether this falconer acts and tells people, as it knows itself at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Leadership {
    /// There is no election: this falconer is the only one.
    Standalone,
    /// This falconer is the leader.
    Leader {
        /// Since when without a gap. Another value is another term of office.
        since: Timestamp,
        /// Until when nobody else takes over, whatever happens. Each renewal moves it.
        until: Timestamp,
    },
    /// Another one is the leader, or nobody yet.
    Follower {
        /// Who, where somebody is.
        leader: Option<Arc<str>>,
        /// Since when.
        since: Timestamp,
    },
    /// It cannot be told who is the leader.
    Unknown {
        /// One line.
        why: Arc<str>,
        /// Since when.
        since: Timestamp,
        /// Whether this falconer tells people all the same: it was the leader, or nobody could be
        /// known to be the leader for so long that people told twice is better than nobody told.
        /// It never acts.
        speaks: bool,
    },
}

impl Leadership {
    /// A name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Leader { .. } => "leader",
            Self::Follower { .. } => "follower",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// What stands in the Lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseRecord {
    /// Who holds it; empty = nobody.
    pub holder: String,
    /// How long the holder may be silent before another one takes it. Whatever somebody has written
    /// there: not to be trusted.
    pub duration: Duration,
    /// When the holder took it, by the holder's clock: for people only.
    pub acquired_at: Option<Timestamp>,
    /// When the holder renewed it, by the holder's clock: only whether it changes counts.
    pub renewed_at: Option<Timestamp>,
    /// How often it went from one holder to another.
    pub transitions: u32,
}

/// A Lease as it was read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLease {
    /// What stands in it.
    pub record: LeaseRecord,
    /// Of this state of the object; an update of any other state is refused.
    pub version: String,
}
