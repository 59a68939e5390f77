//! This falconer's part in the election: whether there is one, under which name and by which Lease
//! it takes part, and where the essential state is kept. Owns the task that elects.

mod elector;
mod seat;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::actors::leadership::LeadershipHandle;
use crate::actors::status::{LeadershipSnapshot, StatusBoard};
use crate::clock::Clock;
use crate::config::Settings;
use crate::effects::background::keep_alive;
use crate::effects::cluster::kube::lease::KubeLease;
use crate::effects::cluster::kube::state_map::KubeStateMap;
use crate::effects::{LeaseStore, StateStore};
use crate::metrics::Metrics;
use crate::model::Leadership;
use crate::policy::leadership::ElectionSettings;

use elector::Elector;
use seat::Seat;

/// The election, or that there is none.
pub struct Election {
    newest: watch::Receiver<Leadership>,
    /// Where this falconer takes part, or would; `None` without Kubernetes.
    seat: Option<Seat>,
    longest_action: Duration,
    /// Tells the task to give the Lease up.
    resign: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// What the election tells of itself, and where.
#[derive(Clone)]
pub struct Told {
    /// Observable state.
    pub board: StatusBoard,
    /// Time.
    pub clock: Clock,
    /// Instruments.
    pub metrics: Metrics,
}

impl Election {
    /// Takes part in the election that `settings` ask for. One that only shows what it would do
    /// takes no part: it must not keep the one that acts from it. Must be called within a tokio
    /// runtime.
    pub fn start(settings: &Settings, dry_run: bool, told: Told) -> Self {
        let seat = if dry_run { None } else { Seat::of(settings) };
        match seat {
            Some(seat) if settings.leader_election.enabled => {
                let store = Arc::new(KubeLease::new(seat.lease()));
                let mut election = Self::by(store, seat.election.clone(), told);
                election.seat = Some(seat);
                election
            }
            seat => Self::none(seat, &told),
        }
    }

    /// Takes part in the election by the Lease in `store`.
    pub fn by(store: Arc<dyn LeaseStore>, settings: ElectionSettings, told: Told) -> Self {
        let longest_action = settings.longest_action();
        let (resign, resigns) = watch::channel(false);
        let elector = Arc::new(Elector::new(store, settings, told, resigns));
        let newest = elector.subscribe();
        let kept = Arc::clone(&elector);
        let make = move || {
            let elector = Arc::clone(&kept);
            async move { elector.run().await }
        };
        let task = tokio::spawn(keep_alive("elector".to_owned(), make, |_| ()));
        Self { newest, seat: None, longest_action, resign, task: Some(task) }
    }

    /// No election: this falconer is the only one.
    fn none(seat: Option<Seat>, told: &Told) -> Self {
        told.metrics.leads(true, true);
        let standalone = LeadershipSnapshot { identity: None, leadership: Leadership::Standalone };
        told.board.update(|status| status.leadership = standalone);
        let (_, newest) = watch::channel(Leadership::Standalone);
        let (resign, _) = watch::channel(false);
        Self { newest, seat, longest_action: Duration::MAX, resign, task: None }
    }

    /// For the actors.
    pub fn handle(&self) -> LeadershipHandle {
        LeadershipHandle::new(self.newest.clone(), self.longest_action)
    }

    /// Where the essential state is kept beside the disk; `None` where there is no Kubernetes, or
    /// nothing may be changed. Must be called within a tokio runtime.
    pub fn state_store(&self, clock: Clock) -> Option<Arc<dyn StateStore>> {
        let seat = self.seat.as_ref()?;
        let identity = Arc::clone(&seat.election.identity);
        Some(KubeStateMap::start(seat.state(), identity, self.newest.clone(), clock))
    }

    /// Gives the Lease up, so that another falconer leads at once. Returns within `within`; what
    /// was not given up by then runs out by itself.
    pub async fn resign(mut self, within: Duration) {
        self.resign.send_replace(true);
        if let Some(task) = self.task.as_mut()
            && tokio::time::timeout(within, task).await.is_err()
        {
            tracing::warn!("the lease was not given up in time, it will run out");
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
