//! What the containers of the simulated pods have written: bounded, by the run of the container.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::model::Timestamp;

/// How many lines of each run are kept.
const KEPT_LINES: usize = 1_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) text: String,
}

/// One of the runs of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// The newest that has begun.
    Current,
    /// The one before.
    Previous,
}

/// The level of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// The logs of all pods, by uid. Cheap to clone; all clones share them.
#[derive(Debug, Clone)]
pub(super) struct PodLogs {
    pods: Arc<Mutex<BTreeMap<String, Runs>>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Runs {
    current: VecDeque<Line>,
    previous: VecDeque<Line>,
}

impl PodLogs {
    pub(super) fn new(clock: Clock) -> Self {
        Self { pods: Arc::default(), clock }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Runs>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new run of the pod's container begins.
    pub(super) fn begin(&self, uid: &str) {
        let mut pods = self.lock();
        let runs = pods.entry(uid.to_owned()).or_default();
        runs.previous = std::mem::take(&mut runs.current);
    }

    /// Writes a line as Milvus does: time, level, place, message.
    pub(super) fn write(&self, uid: &str, level: Level, place: &str, message: &str) {
        let millis = i64::try_from(self.clock.now().as_millis()).unwrap_or_default();
        let now = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
        let time = now.strftime("%Y/%m/%d %H:%M:%S%.3f +00:00");
        self.raw(uid, format!("[{time}] [{}] [{place}] {message}", level.as_str()));
    }

    /// Writes a line as it is.
    pub(super) fn raw(&self, uid: &str, text: String) {
        let at = self.clock.now();
        let mut pods = self.lock();
        let lines = &mut pods.entry(uid.to_owned()).or_default().current;
        lines.push_back(Line { at, text });
        while lines.len() > KEPT_LINES {
            lines.pop_front();
        }
    }

    /// The lines of a run, oldest first.
    pub(super) fn read(&self, uid: &str, which: Which) -> Vec<Line> {
        let pods = self.lock();
        let lines = pods.get(uid).map(|runs| match which {
            Which::Current => &runs.current,
            Which::Previous => &runs.previous,
        });
        lines.into_iter().flatten().cloned().collect()
    }

    /// Forgets the logs of all pods that `is_known` does not know.
    pub(super) fn retain(&self, is_known: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| is_known(uid));
    }
}
