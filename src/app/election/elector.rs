//! Carries out what the policy of the election says, one request at a time, each with a deadline,
//! and publishes what follows. Decides nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Told;
use crate::actors::status::LeadershipSnapshot;
use crate::effects::{ClusterError, LeaseStore};
use crate::model::{Leadership, StoredLease, Timestamp};
use crate::policy::leadership::{Election, ElectionSettings, ElectionStep};

/// The shortest wait, so that rounding never makes the task spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// How often an attempt to give the Lease up is made again after a conflict.
const RESIGNATIONS: usize = 2;

/// The driver of one candidate.
pub struct Elector {
    store: Arc<dyn LeaseStore>,
    settings: ElectionSettings,
    told: Told,
    resigns: watch::Receiver<bool>,
    newest: watch::Sender<Leadership>,
    /// The words of the last line in the log, so that nothing is said twice.
    logged: Mutex<String>,
}

/// What came of a request.
enum Answer {
    Read(Result<Option<StoredLease>, ClusterError>),
    Written(Result<StoredLease, ClusterError>),
}

impl Elector {
    /// A candidate that takes part until `resigns` says so.
    pub fn new(
        store: Arc<dyn LeaseStore>,
        settings: ElectionSettings,
        told: Told,
        resigns: watch::Receiver<bool>,
    ) -> Self {
        let first = Election::new(settings.clone(), told.clock.now()).leadership(told.clock.now());
        told.metrics.leads(false, true);
        let (newest, _) = watch::channel(first);
        Self { store, settings, told, resigns, newest, logged: Mutex::default() }
    }

    /// What is published. A change of what follows is notified; a renewal is not.
    pub fn subscribe(&self) -> watch::Receiver<Leadership> {
        self.newest.subscribe()
    }

    /// Takes part until this falconer resigns.
    pub async fn run(&self) {
        let mut election = Election::new(self.settings.clone(), self.now());
        let mut resigns = self.resigns.clone();
        loop {
            self.publish(&election);
            let step = election.step(self.now());
            tokio::select! {
                biased;
                _ = resigns.wait_for(|resigns| *resigns) => break,
                () = self.carry_out(step, &mut election) => {}
            }
        }
        self.give_up(&mut election).await;
        self.publish(&election);
    }

    async fn carry_out(&self, step: ElectionStep, election: &mut Election) {
        let began = self.now();
        let answer = match step {
            ElectionStep::WaitUntil(at) => return self.wait_until(at, election).await,
            ElectionStep::Read => {
                let request = async { Answer::Read(self.store.read().await) };
                self.within_deadline(request, election).await
            }
            ElectionStep::Create(record) => {
                let request = async { Answer::Written(self.store.create(&record).await) };
                self.within_deadline(request, election).await
            }
            ElectionStep::Update { version, record } => {
                let request = async { Answer::Written(self.store.update(&version, &record).await) };
                self.within_deadline(request, election).await
            }
        };
        let (random, now) = (fastrand::f64(), self.now());
        match answer {
            Some(Answer::Read(Ok(found))) => election.on_read(found, random, now),
            Some(Answer::Written(Ok(written))) => election.on_written(written, began, random, now),
            Some(Answer::Written(Err(ClusterError::Conflict { .. }))) => {
                election.on_conflict(random, now);
            }
            // A lease that was deleted is read as none; then it is made again.
            Some(Answer::Written(Err(ClusterError::NotFound { .. }))) if election.is_mine() => {
                election.on_conflict(random, now);
            }
            Some(Answer::Read(Err(error)) | Answer::Written(Err(error))) => {
                election.on_failed(&error.to_string(), random, now);
            }
            None => {
                let seconds = self.settings.request_timeout().as_secs_f64();
                let why = format!("the Kubernetes API did not answer within {seconds} s");
                election.on_failed(&why, random, now);
            }
        }
    }

    /// Waits, and says when the lease has ended meanwhile.
    async fn wait_until(&self, at: Timestamp, election: &Election) {
        while self.now() < at {
            let next = self.next_change(election).map_or(at, |change| change.min(at));
            sleep(next.since(self.now()).max(SHORTEST_WAIT)).await;
            self.publish(election);
        }
    }

    /// The answer, if it comes in time; says when the lease has ended meanwhile.
    async fn within_deadline(
        &self,
        request: impl Future<Output = Answer>,
        election: &Election,
    ) -> Option<Answer> {
        tokio::select! {
            answer = timeout(self.settings.request_timeout(), request) => answer.ok(),
            never = self.publish_the_end(election) => never,
        }
    }

    /// Publishes what ends by itself; never returns.
    async fn publish_the_end(&self, election: &Election) -> Option<Answer> {
        while let Some(at) = self.next_change(election) {
            sleep(at.since(self.now()).max(SHORTEST_WAIT)).await;
            self.publish(election);
        }
        std::future::pending().await
    }

    /// When the state that is published ends by itself.
    fn next_change(&self, election: &Election) -> Option<Timestamp> {
        match election.leadership(self.now()) {
            Leadership::Leader { until, .. } => Some(until),
            Leadership::Standalone | Leadership::Follower { .. } | Leadership::Unknown { .. } => {
                None
            }
        }
    }

    async fn give_up(&self, election: &mut Election) {
        let limit = self.settings.request_timeout();
        for _ in 0..RESIGNATIONS {
            if let Some((version, record)) = election.resignation(self.now()) {
                let given_up = timeout(limit, self.store.update(&version, &record)).await;
                if let Ok(Ok(_)) = given_up {
                    tracing::info!("lease given up");
                    break;
                }
            }
            // A renewal was on its way, or somebody else has changed it.
            match timeout(limit, self.store.read()).await {
                Ok(Ok(found)) => election.on_read(found, 0.0, self.now()),
                Ok(Err(_)) | Err(_) => break,
            }
            if !election.is_mine() {
                break;
            }
        }
        election.resign(self.now());
    }

    fn publish(&self, election: &Election) {
        let leadership = election.leadership(self.now());
        let leads = |one: &Leadership| matches!(one, Leadership::Leader { .. });
        let identity = Some(Arc::clone(&self.settings.identity));
        let snapshot = LeadershipSnapshot { identity, leadership: leadership.clone() };
        self.told.board.update(|status| status.leadership = snapshot);
        let (mut began, mut ended) = (false, false);
        self.newest.send_if_modified(|former| {
            began = leads(&leadership) && !leads(former);
            ended = !leads(&leadership) && leads(former);
            let is_news = is_news(former, &leadership);
            former.clone_from(&leadership);
            is_news
        });
        if began || ended {
            self.told.metrics.leads(began, false);
        }
        self.log(&leadership);
    }

    fn log(&self, leadership: &Leadership) {
        let words = match leadership {
            Leadership::Standalone | Leadership::Leader { .. } => String::new(),
            Leadership::Follower { leader, .. } => leader.as_deref().unwrap_or_default().to_owned(),
            Leadership::Unknown { why, .. } => why.to_string(),
        };
        let line = format!("{} {words}", leadership.as_str());
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if *logged == line {
            return;
        }
        *logged = line;
        drop(logged);
        let identity = &*self.settings.identity;
        match leadership {
            Leadership::Standalone => {}
            Leadership::Leader { .. } => tracing::info!(identity, "this falconer is the leader"),
            Leadership::Follower { .. } => {
                tracing::info!(identity, leader = words, "this falconer follows");
            }
            Leadership::Unknown { speaks, .. } => {
                tracing::warn!(identity, reason = words, speaks, "leader is not known");
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.told.clock.now()
    }
}

/// Whether something else follows from `after` than from `before`. A new term of office is news,
/// a renewal is not.
fn is_news(before: &Leadership, after: &Leadership) -> bool {
    match (before, after) {
        (Leadership::Leader { since: before, .. }, Leadership::Leader { since: after, .. }) => {
            before != after
        }
        (before, after) => before != after,
    }
}
