//! Reads the configuration again while falconer runs: on SIGHUP, when the file's content changes,
//! and when somebody with the admin token asks. One reading at a time; wishes that come meanwhile are
//! met together by the next one. All or nothing: a faulty file changes nothing and is told.

mod admin;
mod at_next_start;
pub mod file;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};

use super::descriptors;
use super::journal::OpenJournal;
use super::parts::Plan;
use crate::actors::tree::Tree;
use crate::clock::Clock;
use crate::config::{self, ConfigErrors, Loaded, Settings};
use crate::effects::secret::SecretFile;
use crate::metrics::Metrics;
use crate::model::journal::ReloadNote;
use crate::model::{
    JournalEntry, JournalRecord, ReloadOutcome, ReloadRecord, ReloadTrigger, Timestamp, Touched,
};
use crate::server::AboutBoard;
use file::{Content, FileWatch};

pub use admin::{Admin, ReloadRequest, ToAlerter, ToRecoverer};

/// Most wishes that wait for a reading.
pub const WAITING_REQUESTS: usize = 64;
/// Most problems of a file that are shown; all are counted.
const SHOWN_PROBLEMS: usize = 100;
/// How long a platform that is not watched any more may take to end.
const RELEASE_WITHIN: Duration = Duration::from_secs(10);

/// The tree and the plan that it follows.
pub struct Following {
    /// The tree.
    pub tree: Tree,
    /// Its plan.
    pub plan: Plan,
}

/// The file that falconer was started with.
#[derive(Debug, Clone)]
pub struct ReloadSource {
    /// Where it is.
    pub path: PathBuf,
    /// What it held just before it was read.
    pub content: Content,
}

impl ReloadSource {
    /// The file at `path`; to be made before the file is read, so that no change is missed.
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_path_buf(), content: Content::of(path) }
    }
}

/// Everything that a reload needs or tells.
pub struct Reloader {
    /// The file, if falconer was started with one.
    pub file: Option<FileWatch>,
    /// The settings that it was started with.
    pub started: Arc<Settings>,
    /// What is changed.
    pub following: Rc<Mutex<Following>>,
    /// How long the end may take.
    pub drain_timeout: Rc<RefCell<Duration>>,
    /// Where the admin token is.
    pub token: watch::Sender<SecretFile>,
    /// What the server shows.
    pub about: AboutBoard,
    /// The time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
    /// What the settings say of it may change, and where each reading is written down.
    pub journal: OpenJournal,
}

impl Reloader {
    /// Reloads for as long as somebody can ask for it.
    pub async fn run(mut self, mut requests: mpsc::Receiver<ReloadRequest>) {
        loop {
            let trigger = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return,
                },
                () = file_changed(&mut self.file) => None,
            };
            let mut wishes: Vec<ReloadRequest> = trigger.into_iter().collect();
            while let Ok(more) = requests.try_recv() {
                wishes.push(more);
            }
            let trigger = wishes.first().map_or(ReloadTrigger::File, |first| first.trigger);
            let record = self.reload(trigger).await;
            for reply in wishes.into_iter().filter_map(|wish| wish.reply) {
                // Who has stopped waiting finds the outcome in the status.
                let _ = reply.send(record.clone());
            }
        }
    }

    async fn reload(&mut self, trigger: ReloadTrigger) -> ReloadRecord {
        let at = self.clock.now();
        let read = match &mut self.file {
            Some(file) => read(file).await,
            None => Err(vec!["falconer was started without a configuration file".to_owned()]),
        };
        let record = match read {
            Ok(loaded) => self.follow(loaded, at, trigger).await,
            Err(problems) => rejected(problems, at, trigger),
        };
        self.tell(&record);
        record
    }

    async fn follow(&self, loaded: Loaded, at: Timestamp, trigger: ReloadTrigger) -> ReloadRecord {
        let mut following = self.following.lock().await;
        let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(descriptors::raise_limit(&loaded.settings));
        for warning in &warnings {
            tracing::warn!(warning, "configuration");
        }
        let settings = Arc::new(loaded.settings);
        let is_same = *settings == *following.plan.settings;
        // Adapters whose settings are the same are the same objects, so this is right for both.
        let plan = match following.plan.following(Arc::clone(&settings), self.clock) {
            Ok(plan) => plan,
            Err(error) => return rejected(vec![format!("{error:#}")], at, trigger),
        };
        let touched =
            if is_same { Touched::default() } else { follow_plan(&mut following, plan).await };
        self.token.send_replace(settings.server.admin_token_file.clone());
        *self.drain_timeout.borrow_mut() = settings.supervisor.drain_timeout.get();
        self.journal.follow(&settings.recorder);
        self.metrics.tell_clusters_apart(settings.clusters.len() > 1);
        let mut at_next_start = at_next_start::at_next_start(&self.started, &settings);
        at_next_start.extend(following.plan.clusters.at_next_start(&settings));
        self.about.update(|about| {
            about.clusters = settings.clusters.keys().map(|name| name.as_str().into()).collect();
            about.configured_at = at;
            about.warnings = warnings;
            about.at_next_start.clone_from(&at_next_start);
        });
        let outcome = if is_same { ReloadOutcome::Unchanged } else { ReloadOutcome::Applied };
        ReloadRecord { at, trigger, outcome, problems: Vec::new(), touched, at_next_start }
    }

    /// One log line (and one for each thing that waits for the next start), the metrics, the
    /// status.
    fn tell(&self, record: &ReloadRecord) {
        let trigger = record.trigger.as_str();
        match record.outcome {
            ReloadOutcome::Applied => tracing::info!(
                trigger,
                added = ?record.touched.added,
                changed = ?record.touched.changed,
                removed = ?record.touched.removed,
                untouched = record.touched.untouched,
                "configuration reloaded"
            ),
            ReloadOutcome::Unchanged => {
                tracing::info!(trigger, "configuration read again, it says what held before");
            }
            ReloadOutcome::Rejected => tracing::error!(
                trigger,
                problem = record.problems.first().map(tracing::field::display),
                problems = record.problems.len(),
                "configuration is faulty, what was read before still holds"
            ),
        }
        for what in &record.at_next_start {
            tracing::warn!(what, "not changed while falconer runs");
        }
        self.metrics.config_reloaded(record.outcome, record.at);
        self.journal.journal.record(written(record));
        self.about.update(|about| about.reload = Some(record.clone()));
    }
}

/// Changes the tree, then ends what it does not need any more.
async fn follow_plan(following: &mut Following, plan: Plan) -> Touched {
    let touched = following.tree.reconfigure(plan.for_tree()).await;
    let given_up = following.plan.clusters.given_up_by(&plan.clusters);
    following.plan = plan;
    following.plan.clusters.forget_unused_probes();
    for platform in given_up {
        actix::spawn(async move { platform.shutdown(RELEASE_WITHIN).await });
    }
    touched
}

async fn file_changed(file: &mut Option<FileWatch>) {
    match file {
        Some(file) => file.changed().await,
        None => std::future::pending().await,
    }
}

/// Reads and checks the file; what is wrong with it as lines.
async fn read(file: &mut FileWatch) -> Result<Loaded, Vec<String>> {
    // Before it is read: what is written meanwhile is seen as a change.
    let content = Content::of_file(file.path()).await;
    file.read_as(content);
    let path = file.path().to_path_buf();
    let load = move || {
        let loaded = config::load(Some(&path))?;
        loaded.require_clusters()?;
        Ok(loaded)
    };
    let read = tokio::task::spawn_blocking(load).await;
    let read = read.map_err(|error| vec![format!("the configuration was not read: {error}")])?;
    let problems =
        |errors: ConfigErrors| errors.problems().iter().map(ToString::to_string).collect();
    read.map_err(problems)
}

/// A reading as the journal has it.
fn written(record: &ReloadRecord) -> JournalEntry {
    let ReloadRecord { at, trigger, outcome, problems, touched, .. } = record;
    let words = match outcome {
        ReloadOutcome::Applied => format!(
            "{} added, {} changed, {} removed, {} untouched",
            touched.added.count, touched.changed.count, touched.removed.count, touched.untouched
        ),
        ReloadOutcome::Unchanged => "it says what held before".to_owned(),
        ReloadOutcome::Rejected => problems.join("; "),
    };
    let note = ReloadNote { trigger: *trigger, outcome: *outcome, words: words.into() };
    JournalEntry::general(*at, JournalRecord::Reload(Box::new(note)))
}

fn rejected(mut problems: Vec<String>, at: Timestamp, trigger: ReloadTrigger) -> ReloadRecord {
    if problems.len() > SHOWN_PROBLEMS {
        let more = problems.len() - SHOWN_PROBLEMS;
        problems.truncate(SHOWN_PROBLEMS);
        problems.push(format!("… and {more} more"));
    }
    let outcome = ReloadOutcome::Rejected;
    let (touched, at_next_start) = (Touched::default(), Vec::new());
    ReloadRecord { at, trigger, outcome, problems, touched, at_next_start }
}
