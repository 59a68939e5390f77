//! `[clusters.NAME]`: where a Milvus cluster runs and how it is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::{SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::secret::Secret;
use crate::config::values::{ByteSize, HumanDuration};
use crate::effects::secret::SecretFile;

/// What runs the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Pods of a Kubernetes cluster.
    #[default]
    Kubernetes,
    /// Processes of this machine.
    Process,
}

/// How the cluster's workloads are labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Found out.
    #[default]
    Auto,
    /// The Helm chart.
    Helm,
    /// milvus-operator.
    Operator,
    /// `app=milvus-<component>`.
    Reference,
}

/// Which components are watched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Components {
    /// Those that are there; written `"auto"`.
    #[default]
    Auto,
    /// Exactly these.
    List(Vec<String>),
}

/// `[clusters.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterSettings {
    /// What runs it.
    pub platform: Platform,
    /// The Kubernetes namespace; the cluster's name where nothing is set.
    pub namespace: String,
    /// The value of `app.kubernetes.io/instance`; empty = the only one in the namespace.
    pub instance: String,
    /// How its workloads are labelled.
    pub layout: Layout,
    /// Which components are watched.
    pub components: Components,
    /// The URL of the Milvus service; derived from the platform where nothing is set.
    pub milvus: String,
    /// The Milvus database; empty = the default one.
    pub database: String,
    /// The port of `/healthz` and `/metrics` on every pod.
    pub metrics_port: u16,
    /// Probers of what is not part of Milvus but needed by it.
    pub depends_on: Vec<String>,
    /// The kubeconfig file; empty = in-cluster, or the default kubeconfig.
    pub kubeconfig: PathBuf,
    /// The context of the kubeconfig; empty = its current one.
    pub context: String,
    /// How falconer logs in to Milvus.
    pub auth: AuthSettings,
    /// The processes by name (`platform = "process"`).
    pub processes: BTreeMap<String, ProcessSettings>,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            platform: Platform::default(),
            namespace: String::new(),
            instance: String::new(),
            layout: Layout::default(),
            components: Components::default(),
            milvus: String::new(),
            database: String::new(),
            metrics_port: 9091,
            depends_on: Vec::new(),
            kubeconfig: PathBuf::new(),
            context: String::new(),
            auth: AuthSettings::default(),
            processes: BTreeMap::new(),
        }
    }
}

impl ClusterSettings {
    /// Fills in the defaults that depend on the cluster's name and on other keys.
    pub(crate) fn complete(&mut self, name: &str) {
        if self.namespace.is_empty() && self.platform == Platform::Kubernetes {
            name.clone_into(&mut self.namespace);
        }
        if self.milvus.is_empty() {
            self.milvus = match self.platform {
                Platform::Kubernetes => {
                    format!("http://milvus-proxy.{}.svc.cluster.local:19530", self.namespace)
                }
                Platform::Process => "http://127.0.0.1:19530".into(),
            };
        }
        for (name, process) in &mut self.processes {
            if process.health.is_empty() {
                process.health = format!("http://127.0.0.1:{}/healthz", self.metrics_port);
            }
            if process.log_file.as_os_str().is_empty() {
                process.log_file = format!("{name}.log").into();
            }
        }
    }
}

/// `[clusters.NAME.auth]`: credentials and TLS for the Milvus service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthSettings {
    /// The user; empty = no login.
    pub username: String,
    /// The file with the user's password.
    pub password_file: SecretFile,
    /// The file with a token, instead of user and password.
    pub token_file: SecretFile,
    /// The certificate authority that signed the server's certificate (PEM); empty = the system's.
    pub tls_ca_file: PathBuf,
    /// The name in the server's certificate where it is not that of the URL.
    pub tls_server_name: String,
}

/// What becomes of a process when falconer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExit {
    /// It is stopped.
    #[default]
    Stop,
    /// It goes on.
    Leave,
}

/// `[clusters.NAME.processes.NAME]`: one process, its owner being falconer (`start`) or something
/// else that is told to restart it (`restart`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessSettings {
    /// The command, with arguments, that falconer starts and owns.
    pub start: Vec<String>,
    /// The command, with arguments, that makes the process's owner restart it.
    pub restart: Vec<String>,
    /// The URL that answers 200 while the process is healthy.
    pub health: String,
    /// Variables added to the process's environment.
    pub env: BTreeMap<String, Secret>,
    /// Where the process runs; empty = where falconer runs.
    pub working_dir: PathBuf,
    /// Where its output goes; the process's name with `.log` where nothing is set.
    pub log_file: PathBuf,
    /// How long that file grows before it is rotated.
    pub log_max_bytes: ByteSize,
    /// How many rotated files are kept.
    pub log_files: u32,
    /// Between SIGTERM and the second SIGTERM.
    pub stop_grace: HumanDuration,
    /// Between the second SIGTERM and SIGKILL.
    pub kill_grace: HumanDuration,
    /// What becomes of it when falconer ends.
    pub on_exit: OnExit,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self {
            start: Vec::new(),
            restart: Vec::new(),
            health: String::new(),
            env: BTreeMap::new(),
            working_dir: PathBuf::new(),
            log_file: PathBuf::new(),
            log_max_bytes: ByteSize::from_bytes(10 << 20),
            log_files: 3,
            stop_grace: HumanDuration::from_secs(20),
            kill_grace: HumanDuration::from_secs(5),
            on_exit: OnExit::default(),
        }
    }
}

impl Serialize for Components {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::List(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Components {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AutoOrList;
        impl<'de> Visitor<'de> for AutoOrList {
            type Value = Components;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\" or a list of component names")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Components, E> {
                if text == "auto" {
                    return Ok(Components::Auto);
                }
                Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Components, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(seq)).map(Components::List)
            }
        }
        deserializer.deserialize_any(AutoOrList)
    }
}
