//! What was done before: read when falconer starts, and when it becomes the leader, before anything is
//! done or told. Owns the gate that keeps the actors still until then, and how what was stored and
//! what this falconer has seen itself become one. Saves nothing: each actor saves what it changes.

mod adoption;
mod alert;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::branches::Lasting;
use crate::actors::keeper::{Loaded, Patience, StateKeeper};
use crate::actors::leadership::{LeadershipHandle, StateGate};
use crate::actors::status::StatusBoard;
use crate::actors::supervisor::ClusterMemory;
use crate::clock::Clock;
use crate::model::{Leadership, Timestamp};

pub(super) use alert::StateAlert;

/// While the state cannot be read, people are told all the same after this time.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// A store that need not be waited for is done without after this time.
const PATIENT_FOR: Duration = Duration::from_secs(30);
/// Between two attempts to read the state.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked how the keeper fares.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A falconer without an election whose state another one took over does nothing for this time.
const STEP_BACK: Duration = Duration::from_secs(60);

/// What the supervisors know, by cluster.
pub(super) type Memories = Arc<Mutex<BTreeMap<Arc<str>, Arc<Mutex<ClusterMemory>>>>>;

/// See the module's description.
pub(super) struct Custody {
    pub(super) keeper: StateKeeper,
    /// As the election says, whatever the gate says.
    pub(super) leadership: LeadershipHandle,
    pub(super) gate: watch::Sender<StateGate>,
    pub(super) lasting: Lasting,
    pub(super) board: StatusBoard,
    pub(super) clock: Clock,
}

/// In which term of office this falconer may act; `Some(None)` without an election.
type Term = Option<Option<Timestamp>>;

impl Custody {
    /// A closed gate, and the leadership as the actors see it behind that.
    pub(super) fn gate(
        leadership: &LeadershipHandle,
    ) -> (watch::Sender<StateGate>, LeadershipHandle) {
        let (gate, seen) = watch::channel(closed("it is being read", false));
        (gate, leadership.behind(seen))
    }

    /// Follows the leadership, for ever.
    pub(super) async fn run(self) {
        tokio::join!(self.follow(), self.watch_the_keeper());
    }

    async fn follow(&self) {
        let mut leadership = self.leadership.clone();
        // Whether what is in memory goes on with what was stored.
        let mut has_adopted = false;
        loop {
            let term = self.term();
            if term.is_none() {
                self.rest(&mut leadership, has_adopted).await;
                continue;
            }
            tokio::select! {
                loaded = self.read() => {
                    self.take_over(&loaded, &mut has_adopted);
                }
                () = self.end_of(term, &mut leadership) => continue,
            }
            tokio::select! {
                () = self.end_of(term, &mut leadership) => {}
                error = self.keeper.fenced() => {
                    tracing::error!(%error, "this falconer does nothing, another one does");
                    self.shut(&error.to_string(), false);
                    tokio::select! {
                        () = self.end_of(term, &mut leadership) => {}
                        () = sleep(STEP_BACK) => {}
                    }
                }
            }
        }
    }

    fn term(&self) -> Term {
        match self.leadership.current() {
            Leadership::Standalone => Some(None),
            Leadership::Leader { since, .. } => Some(Some(since)),
            Leadership::Follower { .. } | Leadership::Unknown { .. } => None,
        }
    }

    /// Ends when this falconer leads no longer, or anew.
    async fn end_of(&self, term: Term, leadership: &mut LeadershipHandle) {
        while self.term() == term {
            leadership.changed().await;
        }
    }

    /// While this falconer does not lead. What another one writes counts then; while nobody knows who
    /// leads, what is in memory is as good as any, if this one has led.
    async fn rest(&self, leadership: &mut LeadershipHandle, has_adopted: bool) {
        match self.leadership.current() {
            Leadership::Follower { .. } => {
                self.keeper.close();
                self.shut("it is read when this falconer becomes the leader", false);
            }
            Leadership::Unknown { .. } => {
                let silence = if has_adopted { Duration::ZERO } else { SILENT_FOR };
                tokio::select! {
                    () = leadership.changed() => return,
                    () = sleep(silence) => self.let_speak(),
                }
            }
            Leadership::Standalone | Leadership::Leader { .. } => return,
        }
        leadership.changed().await;
    }

    /// A gate that is closed lets words through.
    fn let_speak(&self) {
        let is_open = *self.gate.borrow() == StateGate::Open;
        if !is_open {
            self.shut("it cannot be read", true);
        }
    }

    fn shut(&self, why: &str, speaks: bool) {
        self.gate.send_if_modified(|gate| {
            let shut = closed(why, speaks);
            let is_news = *gate != shut;
            *gate = shut;
            is_news
        });
    }

    /// What is stored, however long it takes.
    async fn read(&self) -> Loaded {
        self.shut("it is being read", false);
        tokio::select! {
            loaded = self.read_patiently() => loaded,
            never = self.lose_patience() => never,
        }
    }

    async fn read_patiently(&self) -> Loaded {
        let begun = self.clock.monotonic();
        let mut is_logged = false;
        loop {
            let is_patient = self.clock.monotonic() < begun + PATIENT_FOR;
            let patience =
                if is_patient { Patience::WaitForAll } else { Patience::WaitForDecisive };
            match self.keeper.load(patience).await {
                Ok(loaded) => return loaded,
                Err(error) => {
                    if !is_logged {
                        tracing::warn!(%error, "what was done before cannot be read, nothing is done");
                        is_logged = true;
                    }
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn lose_patience(&self) -> Loaded {
        sleep(SILENT_FOR).await;
        self.let_speak();
        std::future::pending().await
    }

    fn take_over(&self, loaded: &Loaded, has_adopted: &mut bool) {
        let now = self.clock.now();
        if !(*has_adopted && loaded.is_own) {
            let found = self.lasting.adopt(&loaded.state, now);
            found.log(loaded);
        }
        *has_adopted = true;
        self.keeper.open(loaded, self.lasting.export());
        self.gate.send_replace(StateGate::Open);
    }

    /// Shows how the keeper fares, and tells people where nothing can be saved for long.
    async fn watch_the_keeper(&self) {
        let mut shown = None;
        loop {
            let snapshot = self.keeper.snapshot();
            self.lasting.state_alert.look(&snapshot, &self.lasting.inbox, self.clock.now());
            if shown.as_ref() != Some(&snapshot) {
                self.board.update(|status| status.state = snapshot.clone());
                shown = Some(snapshot);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

fn closed(why: &str, speaks: bool) -> StateGate {
    StateGate::Closed { why: why.into(), speaks }
}
