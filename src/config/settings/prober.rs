//! `[probers]` and `[probers.COMPONENT]`: how often and how components are probed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::respawn::{BackoffSettings, RespawnLimit};
use crate::config::values::{self, HumanDuration};
use crate::model::ProberKind;

/// `[probers]` itself and, by component, the result of laying `[probers.COMPONENT]` over it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Probers {
    /// The keys of `[probers]`.
    pub defaults: ProberDefaults,
    /// The components that have a table of their own, each with the defaults already filled in.
    pub components: BTreeMap<String, Box<ProberSettings>>,
}

impl Probers {
    /// How the prober of `component` works, whether it has a table of its own or not.
    pub fn component(&self, component: &str) -> ProberSettings {
        match self.components.get(component) {
            Some(settings) => settings.as_ref().clone(),
            None => ProberSettings::from(&self.defaults),
        }
    }
}

/// In the shape of the file: the defaults' keys beside the components' tables.
impl Serialize for Probers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            defaults: &'a ProberDefaults,
            #[serde(flatten)]
            components: &'a BTreeMap<String, Box<ProberSettings>>,
        }
        Flat { defaults: &self.defaults, components: &self.components }.serialize(serializer)
    }
}

/// Whether each probe opens a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionMode {
    /// A new connection for each probe: what a new client would see.
    #[default]
    Fresh,
    /// The connection of the last probe is used again.
    Reuse,
}

/// The keys of `[probers]`: what every prober has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProberDefaults {
    /// Between the beginnings of two probes.
    pub interval: HumanDuration,
    /// The deadline of one probe as a whole.
    pub timeout: HumanDuration,
    /// The interval varies by up to this share of itself; 0 to 1.
    pub jitter: f64,
    /// Failures in a row before a component is unhealthy.
    pub failure_threshold: u32,
    /// Successes in a row before it is healthy again.
    pub success_threshold: u32,
    /// Messages that wait for the prober at most.
    pub mailbox: usize,
    /// Whether each probe opens a new connection.
    pub connection: ConnectionMode,
    /// Between respawns of the actor.
    pub backoff: BackoffSettings,
    /// How often it may be made anew.
    pub respawn: RespawnLimit,
}

impl Default for ProberDefaults {
    fn default() -> Self {
        Self {
            interval: HumanDuration::from_secs(30),
            timeout: HumanDuration::from_secs(5),
            jitter: 0.1,
            failure_threshold: 3,
            success_threshold: 2,
            mailbox: 16,
            connection: ConnectionMode::default(),
            backoff: BackoffSettings::default(),
            respawn: RespawnLimit::default(),
        }
    }
}

/// One prober, everything resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProberSettings {
    /// How it asks; `None` = by the component: a Milvus role is asked through its pods or its
    /// process.
    #[serde(deserialize_with = "kind")]
    pub kind: Option<ProberKind>,
    /// What an `http` prober gets; empty otherwise.
    pub url: String,
    /// `host:port` of a `tcp` or `grpc` prober; empty otherwise.
    pub address: String,
    /// Which cluster the dependency belongs to; empty = every one that depends on it.
    pub cluster: String,
    /// Collections on which a `milvus` prober runs a real query.
    pub canary_collections: Vec<String>,
    /// Between the beginnings of two probes.
    pub interval: HumanDuration,
    /// The deadline of one probe as a whole.
    pub timeout: HumanDuration,
    /// The interval varies by up to this share of itself; 0 to 1.
    pub jitter: f64,
    /// Failures in a row before the component is unhealthy.
    pub failure_threshold: u32,
    /// Successes in a row before it is healthy again.
    pub success_threshold: u32,
    /// Messages that wait for the prober at most.
    pub mailbox: usize,
    /// Whether each probe opens a new connection.
    pub connection: ConnectionMode,
    /// Between respawns of the actor.
    pub backoff: BackoffSettings,
    /// How often it may be made anew.
    pub respawn: RespawnLimit,
    /// What an `http` prober wants to see.
    pub expect: ExpectSettings,
}

impl From<&ProberDefaults> for ProberSettings {
    fn from(defaults: &ProberDefaults) -> Self {
        Self {
            kind: None,
            url: String::new(),
            address: String::new(),
            cluster: String::new(),
            canary_collections: Vec::new(),
            interval: defaults.interval,
            timeout: defaults.timeout,
            jitter: defaults.jitter,
            failure_threshold: defaults.failure_threshold,
            success_threshold: defaults.success_threshold,
            mailbox: defaults.mailbox,
            connection: defaults.connection,
            backoff: defaults.backoff,
            respawn: defaults.respawn,
            expect: ExpectSettings::default(),
        }
    }
}

impl Default for ProberSettings {
    fn default() -> Self {
        Self::from(&ProberDefaults::default())
    }
}

impl ProberSettings {
    /// The interval as a plain duration.
    pub fn interval(&self) -> Duration {
        self.interval.get()
    }

    /// The deadline of one probe as a plain duration.
    pub fn timeout(&self) -> Duration {
        self.timeout.get()
    }
}

/// What the answer to an `http` probe must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExpectSettings {
    /// Its status.
    pub status: u16,
    /// What its body must contain; empty = anything.
    pub body_contains: String,
}

impl Default for ExpectSettings {
    fn default() -> Self {
        Self { status: 200, body_contains: String::new() }
    }
}

/// The kinds that can be asked for; the others follow from the platform.
const WRITABLE_KINDS: [ProberKind; 5] =
    [ProberKind::Milvus, ProberKind::Pods, ProberKind::Http, ProberKind::Tcp, ProberKind::Grpc];

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ProberKind>, D::Error> {
    values::named(deserializer, WRITABLE_KINDS, ProberKind::as_str).map(Some)
}
