//! Which receivers are told of an alert, and with which others together. Reads the settings only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::group::Timing;
use super::own;
use super::route::{NotificationSettings, Route};
use crate::model::{ComponentId, Severity};
use crate::policy::quiet::glob;

/// A longer name of a group is cut, and told from others by a number: it is part of the keys of what is
/// stored, which have an end.
const LONGEST_NAME: usize = 120;
/// What a byte takes there that is neither a letter nor a digit nor `-`.
const ODD_BYTE: usize = 3;

/// A label by which alerts are grouped; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupLabel {
    /// The Milvus cluster.
    Cluster,
    /// The component.
    Component,
    /// How bad it was when it was first told.
    Severity,
}

impl GroupLabel {
    /// All of them, as `"..."` stands for.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::Component, Self::Severity];

    /// Lower case, as in `actors.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Component => "component",
            Self::Severity => "severity",
        }
    }

    fn of(self, component: &ComponentId, severity: Severity) -> String {
        match self {
            Self::Cluster => component.cluster.to_string(),
            Self::Component => component.component.to_string(),
            Self::Severity => severity.as_str().to_owned(),
        }
    }
}

/// Where an alert belongs at a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The group's name: the route's conditions and the labels' values.
    pub(super) key: Arc<str>,
    /// The labels by which it is grouped.
    pub(super) labels: BTreeMap<String, String>,
    /// The group's intervals.
    pub(super) timing: Timing,
}

impl Route {
    fn matches(&self, component: &ComponentId, severity: Severity) -> bool {
        let any = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| glob(pattern, text))
        };
        self.severity.is_none_or(|only| only == severity)
            && any(&self.cluster, &component.cluster)
            && any(&self.component, &component.component)
    }

    /// Its conditions as a text, the same as long as they are the same.
    fn conditions(&self) -> String {
        let severity = self.severity.map(|only| format!("severity={}|", only.as_str()));
        let list = |name: &str, patterns: &[String]| {
            (!patterns.is_empty()).then(|| format!("{name}~{}|", patterns.join(",")))
        };
        let lists = [list("cluster", &self.cluster), list("component", &self.component)];
        severity.into_iter().chain(lists.into_iter().flatten()).collect()
    }
}

/// The same text, or one that is short and all the same no other one's.
fn bounded(text: String) -> String {
    let cost = |one: char| {
        if one.is_ascii_alphanumeric() || one == '-' { 1 } else { ODD_BYTE * one.len_utf8() }
    };
    if text.chars().map(cost).sum::<usize>() <= LONGEST_NAME {
        return text;
    }
    let number = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        // FNV-1a.
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let number = format!("~{number:016x}");
    let mut room = LONGEST_NAME - number.len() - ODD_BYTE;
    let fits = |one: &char| {
        let left = room.checked_sub(cost(*one));
        room = left.unwrap_or_default();
        left.is_some()
    };
    text.chars().take_while(fits).collect::<String>() + &number
}

impl NotificationSettings {
    /// The receivers that are told about this alert, each once.
    pub fn receivers_for(&self, component: &ComponentId, severity: Severity) -> BTreeSet<Arc<str>> {
        self.routed(component, severity).into_keys().collect()
    }

    /// Where the alert belongs at each receiver that is told about it.
    pub(super) fn places(
        &self,
        component: &ComponentId,
        severity: Severity,
    ) -> BTreeMap<Arc<str>, Place> {
        let routed = self.routed(component, severity).into_iter();
        routed.map(|(receiver, route)| (receiver, self.place(route, component, severity))).collect()
    }

    /// Where the alert belongs at a receiver, whether routes lead there or it is called otherwise.
    pub(super) fn place_at(
        &self,
        receiver: &str,
        component: &ComponentId,
        severity: Severity,
    ) -> Place {
        let route = self.routed(component, severity).remove(receiver).flatten();
        self.place(route, component, severity)
    }

    /// The names of the mute times that hold for `alert` at `receiver`: those of its route. Who is
    /// called because nobody acknowledges is called at any time.
    pub fn mutes_of(&self, alert: &Alert, receiver: &str) -> &[String] {
        let route = self.routed(&alert.component, alert.severity).remove(receiver).flatten();
        route.map_or(&[], |route| &route.mute)
    }

    /// The first matching route that names each receiver. Where none matches, or those that match
    /// name nobody who is there, everybody is told: nothing is lost silently.
    fn routed(
        &self,
        component: &ComponentId,
        severity: Severity,
    ) -> BTreeMap<Arc<str>, Option<&Route>> {
        if let Some(told) = self.told_of_own(component) {
            return told.into_iter().map(|receiver| (receiver, None)).collect();
        }
        let mut found: BTreeMap<Arc<str>, Option<&Route>> = BTreeMap::new();
        for route in self.routes.iter().filter(|route| route.matches(component, severity)) {
            for receiver in route.to.iter().filter_map(|name| self.receiver_named(name)) {
                found.entry(receiver).or_insert(Some(route));
            }
            if !route.goes_on {
                break;
            }
        }
        if found.is_empty() {
            found.extend(self.receivers.iter().map(|receiver| (Arc::clone(receiver), None)));
        }
        found
    }

    fn place(&self, route: Option<&Route>, component: &ComponentId, severity: Severity) -> Place {
        let always_fires = own::is_watchdog(component);
        let by = match route.and_then(|route| route.group_by.as_ref()) {
            // It must be missed when it does not come: alone, and as often as ever.
            _ if always_fires => &vec![GroupLabel::Component],
            own => own.unwrap_or(&self.group_by),
        };
        let labels: BTreeMap<String, String> = by
            .iter()
            .map(|label| (label.as_str().to_owned(), label.of(component, severity)))
            .collect();
        let values: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let values = if values.is_empty() { "all".to_owned() } else { values.join(",") };
        let conditions = route.map(Route::conditions).unwrap_or_default();
        let own = |of: fn(&Route) -> Option<Duration>| route.and_then(of);
        let timing = Timing {
            group_wait: own(|route| route.group_wait).unwrap_or(self.group_wait),
            group_interval: own(|route| route.group_interval).unwrap_or(self.group_interval),
            repeat_interval: own(|route| route.repeat_interval).unwrap_or(self.repeat_interval),
            repeat_max: if always_fires { Duration::ZERO } else { self.repeat_max },
        };
        Place { key: bounded(format!("{conditions}{values}")).into(), labels, timing }
    }

    /// The intervals of what no route knows any more.
    pub(super) fn timing(&self) -> Timing {
        Timing {
            group_wait: self.group_wait,
            group_interval: self.group_interval,
            repeat_interval: self.repeat_interval,
            repeat_max: self.repeat_max,
        }
    }
}

#[cfg(test)]
mod tests;
