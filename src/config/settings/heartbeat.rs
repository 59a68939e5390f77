//! `[heartbeat]`: the sign of life to a watchdog outside.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::alerter::receivers::without_path;
use crate::config::values::HumanDuration;
use crate::effects::secret::SecretFile;

/// How the watchdog is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeartbeatMethod {
    /// GET.
    #[default]
    Get,
    /// POST, with falconer's condition as text.
    Post,
}

/// `[heartbeat]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeartbeatSettings {
    /// The URL; empty where it is in `url_file`, and for none. Shown without what may be a secret.
    #[serde(serialize_with = "without_path")]
    pub url: String,
    /// The file with the URL, where that is a secret.
    pub url_file: SecretFile,
    /// Between two signs of life.
    pub interval: HumanDuration,
    /// The deadline of one.
    pub timeout: HumanDuration,
    /// How the URL is asked.
    pub method: HeartbeatMethod,
    /// Added to the URL's path when falconer is not well; empty: it falls silent then.
    pub fail_suffix: String,
    /// The certificate authority that signed the server's certificate (PEM); empty = the system's.
    pub ca_file: PathBuf,
}

impl Default for HeartbeatSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            url_file: SecretFile::default(),
            interval: HumanDuration::from_secs(60),
            timeout: HumanDuration::from_secs(10),
            method: HeartbeatMethod::default(),
            fail_suffix: String::new(),
            ca_file: PathBuf::new(),
        }
    }
}

impl HeartbeatSettings {
    /// Whether there is a watchdog.
    pub fn is_set(&self) -> bool {
        !self.url.is_empty() || self.url_file.is_set()
    }
}
