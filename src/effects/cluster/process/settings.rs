//! What a user says about the processes of one machine. Plain data; reads and starts nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

/// What becomes of an owned process when falconer itself ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExit {
    /// It is stopped.
    #[default]
    Stop,
    /// It goes on, and the next falconer adopts it.
    Leave,
}

/// One process of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSettings {
    /// The component's name, e.g. `standalone`.
    pub name: Arc<str>,
    /// The command that starts it; falconer then owns the process. It must stay in the foreground,
    /// or at least in its process group. Wins over `restart`.
    pub start: Option<Vec<String>>,
    /// The command that makes somebody else restart it.
    pub restart: Option<Vec<String>>,
    /// Environment variables on top of falconer's own.
    pub env: BTreeMap<String, String>,
    /// Where the command runs; `None` is falconer's own working directory.
    pub working_dir: Option<PathBuf>,
    /// Where its output goes. Beside it lie the rotated ones (`….1` is the newest) and the pid file.
    pub log_file: PathBuf,
    /// Size in bytes above which the log file is rotated; 0 = never.
    pub log_max_bytes: u64,
    /// How many rotated log files are kept.
    pub log_files: u32,
    /// From the first SIGTERM to the second.
    pub stop_grace: Duration,
    /// From the second SIGTERM to SIGKILL.
    pub kill_grace: Duration,
    /// How long the restart command may take.
    pub command_timeout: Duration,
    /// What happens to it when falconer ends.
    pub on_exit: OnExit,
}

impl ProcessSettings {
    /// Everything at its default, and nothing to start.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        Self {
            log_file: PathBuf::from(format!("{name}.log")),
            name,
            start: None,
            restart: None,
            env: BTreeMap::new(),
            working_dir: None,
            log_max_bytes: 10 * 1024 * 1024,
            log_files: 3,
            stop_grace: Duration::from_secs(20),
            kill_grace: Duration::from_secs(5),
            command_timeout: Duration::from_secs(60),
            on_exit: OnExit::default(),
        }
    }
}

/// All processes of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessClusterSettings {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// Its processes.
    pub processes: Vec<ProcessSettings>,
}
