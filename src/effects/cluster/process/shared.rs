//! What the cluster and the keeper of one process share: its settings, where it stands, and the
//! place where changes are published. Holds the lock for short looks only.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::log_file::LogFile;
use super::settings::ProcessSettings;
use super::stage::{Stage, View};
use crate::clock::Clock;
use crate::model::Inventory;

/// The operating system's error for a program that is not there, in people's words.
const NOT_FOUND: &str = "command not found or not executable";

/// One process, as its keeper and the cluster see it.
#[derive(Debug)]
pub(super) struct Shared {
    /// What the user said.
    pub settings: ProcessSettings,
    /// The cluster's name, for logs.
    pub cluster: Arc<str>,
    /// The time.
    pub clock: Clock,
    /// Its output.
    pub log: LogFile,
    view: Mutex<View>,
    inventory: Arc<watch::Sender<Arc<Inventory>>>,
}

impl Shared {
    /// Publishes the process for the first time.
    pub(super) fn new(
        settings: ProcessSettings,
        cluster: Arc<str>,
        clock: Clock,
        inventory: Arc<watch::Sender<Arc<Inventory>>>,
    ) -> Arc<Self> {
        let log = LogFile::new(&settings.log_file, settings.log_max_bytes, settings.log_files);
        let stage = if settings.start.is_some() { Stage::Beginning } else { Stage::Unwatched };
        let view = Mutex::new(View::new(stage));
        let shared = Arc::new(Self { settings, cluster, clock, log, view, inventory });
        shared.publish(&shared.look());
        shared
    }

    /// A look at where it stands.
    pub(super) fn look(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes where it stands, and publishes that where it shows.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        let mut view = self.look();
        let result = change(&mut view);
        self.publish(&view);
        result
    }

    /// It stands here now.
    pub(super) fn enter(&self, stage: Stage) {
        self.change(|view| view.stage = stage);
    }

    /// Looks whether `program` can be started at all, so that no healthy process is stopped for a
    /// successor that cannot be.
    ///
    /// # Errors
    /// Why not, for people.
    pub(super) fn find_program(&self, program: &str) -> Result<(), String> {
        let found = if program.contains('/') {
            is_executable(&self.in_working_dir(Path::new(program)))
        } else {
            let path = match self.settings.env.get("PATH") {
                Some(path) => Some(path.into()),
                None => std::env::var_os("PATH"),
            };
            path.is_some_and(|path| {
                std::env::split_paths(&path).any(|dir| is_executable(&dir.join(program)))
            })
        };
        if found { Ok(()) } else { Err(format!("{program}: {NOT_FOUND}")) }
    }

    fn in_working_dir(&self, path: &Path) -> PathBuf {
        match &self.settings.working_dir {
            Some(dir) => dir.join(path),
            None => path.to_owned(),
        }
    }

    fn publish(&self, view: &View) {
        let owned = self.settings.start.is_some();
        let log_file = owned.then_some(&*self.settings.log_file);
        let component = view.component(&self.settings.name, log_file);
        self.inventory.send_if_modified(|inventory| {
            if inventory.components.get(&self.settings.name) == Some(&component) {
                return false;
            }
            let inventory = Arc::make_mut(inventory);
            inventory.components.insert(Arc::clone(&self.settings.name), component);
            true
        });
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
