//! The arguments by which a command finds the falconer that runs, and its admin token. Owns where both
//! are looked for, and the words where one is missing or wrong.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use reqwest::StatusCode;

use super::instance::{self, Instance, Known, Refused, harmless};
use crate::effects::secret::SecretFile;

/// Where Linux tells the machine's name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// Where the falconer is that is asked, and what it wants to see before it changes anything.
#[derive(Debug, Clone, Default, Args)]
pub struct RunningArgs {
    /// The file with the admin token [default: admin_token_file of the configuration]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The falconer that runs here [default: where the configuration says that it listens]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The configuration file [default: actors.toml in the working directory, if there is one]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A falconer that runs, and where its token is.
#[derive(Debug)]
pub struct Running {
    /// The falconer.
    pub instance: Instance,
    token_file: Option<SecretFile>,
}

impl RunningArgs {
    /// Finds it; `changes` says whether the token will be needed.
    ///
    /// # Errors
    /// When the URL is none, or the configuration cannot be used and is needed.
    #[allow(clippy::print_stderr, reason = "a note that is not the answer")]
    pub fn find(&self, changes: bool) -> anyhow::Result<Running> {
        // Where both are given, nothing else of the configuration matters.
        let known = if self.url.is_some() && (self.token_file.is_some() || !changes) {
            None
        } else {
            let known = instance::known(self.config.as_deref())?;
            if let Known { trouble: Some(trouble), .. } = &known {
                eprintln!("note: {trouble}");
            }
            Some(known.settings.server)
        };
        let listen = known.as_ref().map(|server| instance::reachable_at(server.listen));
        let url = self.url.clone().or(listen).unwrap_or_default();
        let configured = known.map(|server| server.admin_token_file).filter(SecretFile::is_set);
        let token_file = self.token_file.clone().map(SecretFile::new).or(configured);
        Ok(Running { instance: Instance::at(&url)?, token_file })
    }
}

impl Running {
    /// The admin token.
    ///
    /// # Errors
    /// When no file with it is known, or it cannot be read.
    #[allow(clippy::print_stderr, reason = "a note that is not the answer")]
    pub async fn token(&self) -> anyhow::Result<String> {
        let Some(token_file) = &self.token_file else {
            bail!(
                "this needs the admin token of the running falconer: name its file with --token-file, or \
                 set [server] admin_token_file in the configuration"
            );
        };
        if !self.instance.is_private() {
            eprintln!("note: the token goes to {} without encryption", self.instance.url());
        }
        token_file.read().await.context("cannot read the admin token")
    }

    /// What to do about a refusal.
    pub fn in_words(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(Refused { status, words }) = error.downcast_ref() else { return error };
        match (*status, &self.token_file) {
            (StatusCode::UNAUTHORIZED, Some(token_file)) => anyhow!(
                "the token in {} is not the running falconer's; it reads its own from the file that \
                 [server] admin_token_file of its configuration names",
                token_file.path().display()
            ),
            (StatusCode::FORBIDDEN, _) => anyhow!("{words}, and reload the configuration"),
            _ => error,
        }
    }
}

/// Ends when `work` does; for commands that ask a running falconer.
///
/// # Errors
/// As `work`, or when there is no runtime to be had.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a runtime")?.block_on(work)
}

/// Who sits here, as far as the environment says: `ada@laptop`.
pub fn who() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    let host = std::fs::read_to_string(HOST_NAME_FILE).ok();
    let host = host.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let who = match (user, host) {
        (Some(user), Some(host)) => format!("{user}@{host}"),
        (Some(user), None) => user,
        (None, Some(host)) => format!("somebody@{host}"),
        (None, None) => "somebody".to_owned(),
    };
    harmless(who)
}
