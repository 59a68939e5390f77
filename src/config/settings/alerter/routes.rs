//! `[alerter] routes`, and by what alerts are told together.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::values::{self, HumanDuration};
use crate::model::Severity;
use crate::policy::notification::GroupLabel;

/// What stands for every label.
const EVERY_LABEL: &str = "...";

/// One route: alerts that meet its conditions go to the receivers in `to`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// Which alerts; `None` = all.
    #[serde(deserialize_with = "severity")]
    pub severity: Option<Severity>,
    /// Of which clusters; empty = all.
    pub cluster: Patterns,
    /// Of which components; empty = all.
    pub component: Patterns,
    /// Names of receivers: `email`, `slack`, `alertmanager`, `log`, `oncall` (or `webhook.oncall`,
    /// `pagerduty.oncall`).
    pub to: Vec<String>,
    /// Names of `[alerter.mute.NAME]`, times at which nobody is told on this route.
    pub mute: Vec<String>,
    /// Whether the routes after it are looked at too.
    #[serde(rename = "continue")]
    pub goes_on: bool,
    /// By what its alerts are grouped; `None` = as all others.
    pub group_by: Option<Grouping>,
    /// Its own interval; `None` = that of `[alerter]`.
    pub group_wait: Option<HumanDuration>,
    /// Its own interval.
    pub group_interval: Option<HumanDuration>,
    /// Its own interval.
    pub repeat_interval: Option<HumanDuration>,
}

fn severity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Severity>, D::Error> {
    values::named(deserializer, [Severity::Warning, Severity::Critical], Severity::as_str).map(Some)
}

/// Names with `*` and `?`, one alone or a list of which any fits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Patterns(pub Vec<String>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Patterns;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name such as \"querynode*\", or a list of names")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Patterns, E> {
                Ok(Patterns(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Patterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(one) = all.next_element()? {
                    patterns.push(one);
                }
                Ok(Patterns(patterns))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// By what alerts are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping(pub Vec<GroupLabel>);

impl Default for Grouping {
    fn default() -> Self {
        Self(vec![GroupLabel::Cluster])
    }
}

impl Serialize for Grouping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == GroupLabel::ALL {
            return serializer.collect_seq([EVERY_LABEL]);
        }
        serializer.collect_seq(self.0.iter().map(|label| label.as_str()))
    }
}

impl<'de> Deserialize<'de> for Grouping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        if names == [EVERY_LABEL] {
            return Ok(Self(GroupLabel::ALL.to_vec()));
        }
        let label = |name: &String| {
            GroupLabel::ALL.into_iter().find(|label| label.as_str() == name).ok_or_else(|| {
                let known: Vec<String> =
                    GroupLabel::ALL.iter().map(|label| format!("`{}`", label.as_str())).collect();
                let known = known.join(", ");
                let what = format!("unknown variant `{name}`, expected one of {known}, `...`");
                D::Error::custom(what)
            })
        };
        names.iter().map(label).collect::<Result<Vec<_>, _>>().map(Self)
    }
}

/// How many messages a receiver gets at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimitSettings {
    /// So many.
    pub messages: u32,
    /// In this time.
    pub per: HumanDuration,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        Self { messages: 30, per: HumanDuration::from_secs(600) }
    }
}
