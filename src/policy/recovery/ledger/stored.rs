//! The ledger as small JSON texts by key, which survive that falconer is killed, and which of them
//! have changed. Owns the stored form; reads and writes no file.
//!
//! | key | value |
//! |---|---|
//! | `recovery/<cluster>/<component>` | what was done to the component, its ladder, its retry, and as `under_way` its action under way |
//! | `recovery/<cluster>` | the starts of the cluster's actions, oldest first, for its budget |
//! | `recovery` | the starts of all actions, oldest first, for the global budget |
//! | `breaker/<cluster>` | the open circuit breaker: `{"at": …, "why": …}` |
//!
//! A `%` or `/` within a name is written `%25` or `%2F`. Instants are RFC 3339 in UTC. Fields with
//! nothing in them are left out, fields that this version does not know are ignored, so that an
//! older and a newer falconer read each other's state. A key that is not stored means: nothing to
//! remember. Whatever is read comes from outside: it may be anything, and is bounded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::record::ComponentRecord;
use super::{RecoveryLedger, Tripped};
use crate::model::{ComponentId, Timestamp};
use crate::policy::recovery::under_way::ActionUnderWay;
use crate::policy::recovery::window::ActionWindow;

const RECOVERY: &str = "recovery";
const BREAKER: &str = "breaker";

/// Longest value that is read, in bytes: a hundred times of what is ever written.
const VALUE_LIMIT: usize = 1 << 20;

/// What has a key of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StoredKey {
    Everything,
    Cluster(Arc<str>),
    Component(ComponentId),
    Breaker(Arc<str>),
}

impl fmt::Display for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str(RECOVERY),
            Self::Cluster(cluster) => write!(f, "{RECOVERY}/{}", escape(cluster)),
            Self::Component(ComponentId { cluster, component }) => {
                write!(f, "{RECOVERY}/{}/{}", escape(cluster), escape(component))
            }
            Self::Breaker(cluster) => write!(f, "{BREAKER}/{}", escape(cluster)),
        }
    }
}

impl StoredKey {
    /// `Ok(None)` for a key that is somebody else's.
    fn parse(key: &str) -> Result<Option<Self>, &'static str> {
        let mut parts = key.split('/');
        let head = parts.next().unwrap_or_default();
        if head != RECOVERY && head != BREAKER {
            return Ok(None);
        }
        let names: Vec<Arc<str>> = parts
            .map(|part| unescape(part).filter(|name| !name.is_empty()).map(Arc::from))
            .collect::<Option<_>>()
            .ok_or("the key's names cannot be read")?;
        match (head, names.as_slice()) {
            (RECOVERY, []) => Ok(Some(Self::Everything)),
            (RECOVERY, [cluster]) => Ok(Some(Self::Cluster(cluster.clone()))),
            (RECOVERY, [cluster, component]) => {
                Ok(Some(Self::Component(ComponentId::new(cluster.clone(), component.clone()))))
            }
            (BREAKER, [cluster]) => Ok(Some(Self::Breaker(cluster.clone()))),
            _ => Err("the key is of no known form"),
        }
    }
}

fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

/// `None` for what [`escape`] never writes.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("25"), part.strip_prefix("2F")) {
            (Some(rest), _) => ('%', rest),
            (None, Some(rest)) => ('/', rest),
            (None, None) => return None,
        };
        name.push(sign);
        name.push_str(rest);
    }
    Some(name)
}

/// A stored entry that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProblem {
    /// Its key.
    pub key: String,
    /// What is wrong with it, and what is done about that.
    pub problem: String,
}

impl fmt::Display for StoredProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.key, self.problem)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredComponent {
    #[serde(flatten)]
    record: ComponentRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    under_way: Option<ActionUnderWay>,
}

impl RecoveryLedger {
    /// Everything that must survive, by key.
    pub fn export(&self) -> BTreeMap<String, String> {
        let components = self.components.keys().chain(self.under_way.keys());
        let keys = components
            .cloned()
            .map(StoredKey::Component)
            .chain(self.clusters.keys().cloned().map(StoredKey::Cluster))
            .chain(self.breakers.keys().cloned().map(StoredKey::Breaker))
            .chain([StoredKey::Everything]);
        keys.filter_map(|key| Some((key.to_string(), self.value(&key)?))).collect()
    }

    /// What [`RecoveryLedger::export`] gave, and what of it was not understood. Keys of others are
    /// passed over. An entry that cannot be read is left out, but for a breaker's: something had
    /// stopped there, so it stays stopped.
    pub fn import(stored: &BTreeMap<String, String>) -> (Self, Vec<StoredProblem>) {
        let mut ledger = Self::default();
        let mut problems = Vec::new();
        for (key, value) in stored {
            let parsed = match StoredKey::parse(key) {
                Ok(Some(parsed)) => parsed,
                Ok(None) => continue,
                Err(problem) => {
                    let (key, problem) = (key.clone(), format!("{problem}: left out"));
                    problems.push(StoredProblem { key, problem });
                    continue;
                }
            };
            if let Err(problem) = ledger.take_in(parsed, value) {
                problems.push(StoredProblem { key: key.clone(), problem });
            }
        }
        (ledger, problems)
    }

    /// What changed since this was last called, in the form in which it is to be saved; `None` for
    /// what is to be removed.
    pub fn take_changes(&mut self) -> BTreeMap<String, Option<String>> {
        let changed = std::mem::take(&mut self.changed);
        changed.iter().map(|key| (key.to_string(), self.value(key))).collect()
    }

    /// Whether there is something to save.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What [`RecoveryLedger::take_changes`] gave could not be saved: it is given again, as it is
    /// then.
    pub fn not_saved(&mut self, changes: &BTreeMap<String, Option<String>>) {
        let keys = changes.keys().filter_map(|key| StoredKey::parse(key).ok().flatten());
        self.changed.extend(keys);
    }

    fn value(&self, key: &StoredKey) -> Option<String> {
        match key {
            StoredKey::Everything => write(Some(&self.actions).filter(|all| !all.is_empty())),
            StoredKey::Cluster(name) => {
                write(self.clusters.get(name).filter(|actions| !actions.is_empty()))
            }
            StoredKey::Breaker(name) => write(self.breakers.get(name)),
            StoredKey::Component(id) => {
                let record = self.components.get(id).filter(|record| !record.is_vacuous());
                let under_way = self.under_way.get(id).cloned();
                let stored = (record.is_some() || under_way.is_some()).then(|| {
                    let record = record.cloned().unwrap_or_default();
                    StoredComponent { record, under_way }
                });
                write(stored.as_ref())
            }
        }
    }

    fn take_in(&mut self, key: StoredKey, value: &str) -> Result<(), String> {
        let left_out = |problem: String| format!("{problem}: left out");
        match key {
            StoredKey::Everything => self.actions = read(value).map_err(left_out)?,
            StoredKey::Cluster(name) => {
                let actions: ActionWindow = read(value).map_err(left_out)?;
                self.clusters.insert(name, actions);
            }
            StoredKey::Breaker(name) => match read::<Tripped>(value) {
                Ok(tripped) => {
                    self.breakers.insert(name, tripped);
                }
                Err(problem) => {
                    let at = Timestamp::default();
                    let why = "what was stored of it cannot be read".to_owned();
                    self.breakers.insert(name, Tripped { at, why });
                    return Err(format!("{problem}: the breaker stays open"));
                }
            },
            StoredKey::Component(id) => {
                let stored: StoredComponent = read(value).map_err(left_out)?;
                if stored.under_way.as_ref().is_some_and(|action| action.component != id) {
                    return Err(left_out("its action is another component's".to_owned()));
                }
                if let Some(action) = stored.under_way {
                    self.under_way.insert(id.clone(), action);
                }
                self.components.insert(id, stored.record);
            }
        }
        Ok(())
    }
}

fn write<T: Serialize>(value: Option<&T>) -> Option<String> {
    // Plain data with text for keys: there is nothing in it that JSON cannot say.
    value.and_then(|value| serde_json::to_string(value).ok())
}

fn read<T: DeserializeOwned>(value: &str) -> Result<T, String> {
    if value.len() > VALUE_LIMIT {
        return Err(format!("{} bytes are too many", value.len()));
    }
    serde_json::from_str(value).map_err(|error| error.to_string())
}
