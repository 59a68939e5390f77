//! Everything `actors.toml` can say, typed, with its defaults. Owns the shape and the defaults;
//! never reads a file and never judges a value (see `rules`).

pub mod alerter;
pub mod cluster;
pub mod heartbeat;
pub mod prober;
pub mod recoverer;
pub mod respawn;
pub mod scaler;
pub mod window;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::values::{ByteSize, HumanDuration};
use crate::effects::secret::SecretFile;
use crate::model::Role;

pub use alerter::{
    AlerterSettings, AlertmanagerSettings, EmailSettings, EscalationSettings, Grouping,
    LogReceiverSettings, MailSecurity, PagerDutySettings, Patterns, RateLimitSettings, Route,
    SlackSettings, WebhookFormat, WebhookMethod, WebhookSettings,
};
pub use cluster::{
    AuthSettings, ClusterSettings, Components, Layout, OnExit, Platform, ProcessSettings,
};
pub use heartbeat::{HeartbeatMethod, HeartbeatSettings};
pub use prober::{ConnectionMode, ExpectSettings, ProberDefaults, ProberSettings, Probers};
pub use recoverer::{Budget, LadderStep, RecovererDefaults, RecovererSettings, RecoverySettings};
pub use respawn::{BackoffSettings, RespawnLimit};
pub use scaler::{
    CautionSettings, PolicySelect, PolicyType, ScalePolicy, ScaleRules, ScalerDefaults, ScalerMode,
    ScalerSettings, ScalingSettings,
};
pub use window::{MaintenanceWindow, MatcherSettings, TimeSettings, WindowSettings};

/// The whole of `actors.toml`, with every default filled in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `[clusters.NAME]`: the Milvus clusters by name.
    pub clusters: BTreeMap<String, ClusterSettings>,
    /// `[probers]` and `[probers.COMPONENT]`.
    pub probers: Probers,
    /// `[supervisor]`.
    pub supervisor: SupervisorSettings,
    /// `[anomaly]`.
    pub anomaly: AnomalySettings,
    /// `[alerter]` and its receivers.
    pub alerter: AlerterSettings,
    /// `[[maintenance]]`: times in which falconer is quiet.
    pub maintenance: Vec<WindowSettings>,
    /// `[heartbeat]`.
    pub heartbeat: HeartbeatSettings,
    /// `[recoverer]` and `[recoverer.COMPONENT]`.
    pub recoverer: RecovererSettings,
    /// `[scaler]` and `[scaler.COMPONENT]`.
    pub scaler: ScalerSettings,
    /// `[recorder]`.
    pub recorder: RecorderSettings,
    /// `[leader_election]`.
    pub leader_election: LeaderElectionSettings,
    /// `[server]`.
    pub server: ServerSettings,
    /// `[telemetry]`.
    pub telemetry: TelemetrySettings,
}

impl Settings {
    /// How the prober of `component` works: its own keys over those of `[probers]`.
    pub fn prober(&self, component: &str) -> ProberSettings {
        self.probers.component(component)
    }

    /// How `component` is restarted: its own keys over those of `[recoverer]`.
    pub fn recovery(&self, component: &str) -> RecoverySettings {
        self.recoverer.component(component)
    }

    /// The probers, by name, of what `cluster` depends on.
    pub fn dependencies(&self, cluster: &str) -> Vec<&str> {
        let names = self.probers.components.keys().map(String::as_str);
        names.filter(|name| self.depends(cluster, name)).collect()
    }

    /// Whether `cluster` depends on the prober `name`: it lists it, or the prober names the
    /// cluster, or there is no other cluster that a prober with a target of its own could serve.
    pub(crate) fn depends(&self, cluster: &str, name: &str) -> bool {
        let Some(prober) = self.probers.components.get(name) else { return false };
        let listed = |settings: &ClusterSettings| settings.depends_on.iter().any(|on| on == name);
        let has_own_target = !prober.url.is_empty() || !prober.address.is_empty();
        let is_part_of_milvus = Role::parse(name).is_some() || name == "milvus";
        let is_only_cluster = self.clusters.len() == 1 && self.clusters.contains_key(cluster);
        let serves_the_only_one = is_only_cluster && has_own_target && !is_part_of_milvus;
        self.clusters.get(cluster).is_some_and(listed)
            || prober.cluster == cluster
            || (serves_the_only_one && prober.cluster.is_empty())
    }
}

/// `[supervisor]`: when a component counts as flapping, and how falconer starts and ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SupervisorSettings {
    /// The window in which transitions are counted.
    pub flap_window: HumanDuration,
    /// More transitions than this in the window = flapping.
    pub flap_threshold: u32,
    /// How long after its start a component may fail without consequence.
    pub startup_grace: HumanDuration,
    /// A pod that takes this long to end hangs, which is told.
    pub hung_pod_after: HumanDuration,
    /// How long the drain at the end may take.
    pub drain_timeout: HumanDuration,
    /// Between respawns of every actor that is no prober.
    pub backoff: BackoffSettings,
    /// How often a supervisor, or its discovery, may be made anew.
    pub respawn: RespawnLimit,
}

impl Default for SupervisorSettings {
    fn default() -> Self {
        Self {
            flap_window: HumanDuration::from_secs(600),
            flap_threshold: 6,
            startup_grace: HumanDuration::from_secs(60),
            hung_pod_after: HumanDuration::from_secs(600),
            drain_timeout: HumanDuration::from_secs(25),
            backoff: BackoffSettings::default(),
            respawn: RespawnLimit::default(),
        }
    }
}

/// A figure in which anomalies are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalySignal {
    /// How long requests take.
    Latency,
    /// Requests a second.
    Qps,
    /// Share of requests that fail.
    ErrorRate,
    /// CPU of the pods.
    Cpu,
    /// Memory of the pods.
    Memory,
}

/// How small a deviation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// Only large deviations.
    Low,
    /// The default.
    Normal,
    /// Small ones too.
    High,
}

/// `[anomaly]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnomalySettings {
    /// Whether anomalies are looked for.
    pub enabled: bool,
    /// In which figures.
    pub signals: Vec<AnomalySignal>,
    /// How sensitively.
    pub sensitivity: Sensitivity,
}

impl Default for AnomalySettings {
    fn default() -> Self {
        use AnomalySignal::{Cpu, ErrorRate, Latency, Memory, Qps};
        Self {
            enabled: true,
            signals: vec![Latency, Qps, ErrorRate, Cpu, Memory],
            sensitivity: Sensitivity::Normal,
        }
    }
}

/// `[recorder]`: the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecorderSettings {
    /// The `SQLite` file; empty = memory only.
    pub path: PathBuf,
    /// How long entries are kept.
    pub retention: HumanDuration,
    /// How large the file may become.
    pub max_size: ByteSize,
}

impl Default for RecorderSettings {
    fn default() -> Self {
        Self {
            path: "falconer.db".into(),
            retention: HumanDuration::from_secs(30 * 86_400),
            max_size: ByteSize::from_bytes(1 << 30),
        }
    }
}

/// `[leader_election]`: Kubernetes only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaderElectionSettings {
    /// Whether several replicas of falconer elect one that acts.
    pub enabled: bool,
    /// The name of the Lease.
    pub lease_name: String,
    /// How long a leader that says nothing stays leader.
    pub lease_duration: HumanDuration,
}

impl Default for LeaderElectionSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            lease_name: "falconer".into(),
            lease_duration: HumanDuration::from_secs(15),
        }
    }
}

/// `[server]`: metrics, health and status over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The token for anything that changes state; none = read-only.
    pub admin_token_file: SecretFile,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8000)),
            admin_token_file: SecretFile::default(),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[telemetry]`: what falconer tells about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetrySettings {
    /// How log lines look.
    pub log_format: LogFormat,
    /// The least important level that is logged, or directives such as `info,falconer=debug`.
    pub log_level: String,
    /// Where metrics are pushed over OTLP; empty = nowhere.
    pub otlp_endpoint: String,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { log_format: LogFormat::Text, log_level: "info".into(), otlp_endpoint: String::new() }
    }
}
