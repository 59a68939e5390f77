//! What keeps falconer quiet about something, as plain data: what it is about, what it holds, and for
//! how long. Whether it is about a component says `policy/quiet`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alert::Severity;
use super::time::Timestamp;

/// What can be held; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// People are not told, and not reminded.
    Alerts,
    /// Nothing is restarted.
    Recovery,
    /// Replicas are left as they are.
    Scaling,
}

impl Held {
    /// Everything that can be held.
    pub const ALL: [Self; 3] = [Self::Alerts, Self::Recovery, Self::Scaling];

    /// The name as it stands in `actors.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Recovery => "recovery",
            Self::Scaling => "scaling",
        }
    }
}

/// What something is about: all that is given must match. In names `*` stands for any letters and `?`
/// for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matchers {
    /// The cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Arc<str>>,
    /// The component's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<Arc<str>>,
    /// The severity of the incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

impl Matchers {
    /// Whether nothing is given, so that they match everything.
    pub fn is_empty(&self) -> bool {
        self.cluster.is_none() && self.component.is_none() && self.severity.is_none()
    }
}

/// `cluster=milvus-ha component=query* severity=warning`
impl std::fmt::Display for Matchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = self.severity.map(Severity::as_str);
        let given = [
            ("cluster", self.cluster.as_deref()),
            ("component", self.component.as_deref()),
            ("severity", severity),
        ];
        let mut separator = "";
        for (name, value) in given {
            if let Some(value) = value {
                write!(f, "{separator}{name}={value}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSilence {
    /// What it is about.
    pub matchers: Matchers,
    /// What is held besides alerts.
    pub holds: BTreeSet<Held>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Who wants it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Somebody wants falconer to be quiet about something for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Short, and unique among those that are known.
    pub id: Arc<str>,
    /// What it is about.
    pub matchers: Matchers,
    /// What is held; alerts always.
    pub holds: BTreeSet<Held>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends or ended.
    pub ends_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Who ended it before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_by: Option<String>,
}

/// Where a silence stands; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilencePhase {
    /// It has not begun.
    Pending,
    /// It is in force.
    Active,
    /// It is over.
    Expired,
}

impl SilencePhase {
    /// As it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    /// Where it stands at `now`.
    pub fn phase(&self, now: Timestamp) -> SilencePhase {
        if now >= self.ends_at {
            SilencePhase::Expired
        } else if now >= self.starts_at {
            SilencePhase::Active
        } else {
            SilencePhase::Pending
        }
    }
}

/// A silence as falconer shows it to whoever asks over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceShown {
    /// It.
    #[serde(flatten)]
    pub silence: Silence,
    /// Where it stands.
    pub phase: SilencePhase,
}

/// The silences as falconer shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilencesShown {
    /// Those that end first come first.
    pub silences: Vec<SilenceShown>,
}
