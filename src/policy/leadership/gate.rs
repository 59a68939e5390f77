//! What a leadership allows, with the reason where it does not. The only place that draws this
//! conclusion.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Leadership, Timestamp};

/// Why this falconer must leave something to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLeader {
    /// Another one leads, or nobody yet.
    Follower {
        /// Who.
        leader: Option<Arc<str>>,
    },
    /// Its lease might end before the action does.
    LeaseEnds {
        /// How long it is valid.
        left: Duration,
        /// How long the action may take.
        needed: Duration,
    },
    /// It cannot be told who leads.
    Unknown {
        /// One line.
        why: Arc<str>,
    },
    /// What falconer did before it was started, or what the leader before it did, is not known yet.
    Unread {
        /// One line.
        why: Arc<str>,
    },
}

impl NotLeader {
    /// A name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Follower { .. } => "not_leader",
            Self::LeaseEnds { .. } => "lease_ends",
            Self::Unknown { .. } => "leader_unknown",
            Self::Unread { .. } => "state_unread",
        }
    }
}

impl fmt::Display for NotLeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Follower { leader: Some(leader) } => write!(f, "{leader} is the leader"),
            Self::Follower { leader: None } => f.write_str("there is no leader yet"),
            Self::LeaseEnds { left, needed } => {
                let (left, needed) = (left.as_secs_f64(), needed.as_secs_f64());
                write!(f, "the lease is valid for {left:.1} s, and it may take {needed:.1} s")
            }
            Self::Unknown { why } => write!(f, "it is not known who is the leader: {why}"),
            Self::Unread { why } => write!(f, "it is not known what was done before: {why}"),
        }
    }
}

/// Whether an action that ends by `deadline` at the latest may begin at `now`.
///
/// # Errors
/// Why not.
pub fn covers(
    leadership: &Leadership,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<(), NotLeader> {
    match leadership {
        Leadership::Standalone => Ok(()),
        Leadership::Leader { until, .. } => {
            if now < *until && deadline <= *until {
                return Ok(());
            }
            Err(NotLeader::LeaseEnds { left: until.since(now), needed: deadline.since(now) })
        }
        Leadership::Follower { leader, .. } => Err(NotLeader::Follower { leader: leader.clone() }),
        Leadership::Unknown { why, .. } => Err(NotLeader::Unknown { why: Arc::clone(why) }),
    }
}

/// Whether people may be told. A leader whose lease has just ended still tells: a message that
/// comes twice is better than one that never comes.
///
/// # Errors
/// Why not.
pub fn speaks(leadership: &Leadership) -> Result<(), NotLeader> {
    match leadership {
        Leadership::Standalone
        | Leadership::Leader { .. }
        | Leadership::Unknown { speaks: true, .. } => Ok(()),
        Leadership::Follower { leader, .. } => Err(NotLeader::Follower { leader: leader.clone() }),
        Leadership::Unknown { why, speaks: false, .. } => {
            Err(NotLeader::Unknown { why: Arc::clone(why) })
        }
    }
}
