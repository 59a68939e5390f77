//! Which actors were made to die, and by when each must be back.

use std::collections::BTreeMap;
use std::time::Duration;

use falconer::model::Timestamp;
use falconer::policy::backoff::Intensity;

use super::{At, State};

/// An actor, as the world knows it: by whose calls it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// The one that notifies.
    Alerter,
    /// The one that restarts.
    Recoverer,
    /// The one that scales.
    Scaler,
    /// The one that plans a cluster.
    Supervisor(usize),
    /// The one that probes.
    Prober(At),
}

/// Actors that are made to die must not die so often that the process must end.
const SPARE: usize = 4;

/// The first respawn delay and the longest one, as the back-off's default has them, with jitter.
const FIRST_DELAY: Duration = Duration::from_millis(1_200);
const LONGEST_DELAY: Duration = Duration::from_secs(360);

/// Every death so far.
#[derive(Default)]
pub struct Deaths {
    died: BTreeMap<Actor, Vec<Timestamp>>,
}

impl Deaths {
    /// How often `actor` died in the last `window`.
    pub fn within(&self, actor: Actor, window: Duration, now: Timestamp) -> usize {
        self.died
            .get(&actor)
            .map_or(0, |times| times.iter().rev().take_while(|at| now.since(**at) < window).count())
    }

    /// When it died last.
    pub fn last(&self, actor: Actor) -> Option<Timestamp> {
        self.died.get(&actor).and_then(|times| times.last()).copied()
    }

    /// By when it is alive again at the latest.
    pub fn back_by(&self, actor: Actor) -> Option<Timestamp> {
        let last = self.last(actor)?;
        let in_a_row = self.within(actor, Duration::from_hours(1), last);
        let doublings = u32::try_from(in_a_row.saturating_sub(1)).unwrap_or(u32::MAX).min(12);
        Some(last + (FIRST_DELAY * 2_u32.pow(doublings)).min(LONGEST_DELAY))
    }

    /// Whether it may be made to die once more.
    fn may(&self, actor: Actor, now: Timestamp) -> bool {
        let Intensity { burst, window } = Intensity::default();
        let limit = match actor {
            // Too many of these end their supervisor, which is allowed.
            Actor::Prober(_) => burst + 2,
            Actor::Alerter | Actor::Recoverer | Actor::Scaler | Actor::Supervisor(_) => {
                burst - SPARE
            }
        };
        self.within(actor, window, now) < limit
    }
}

impl State {
    /// Whether `actor` may be made to die now.
    pub fn may_die(&self, actor: Actor) -> bool {
        !self.calm && self.ending_since.is_none() && self.deaths.may(actor, self.now())
    }

    /// `actor` dies: a panic inside it is about to happen.
    pub fn dies(&mut self, actor: Actor) {
        let now = self.now();
        self.counts.panics += 1;
        self.counts.faults += 1;
        self.died(actor);
        if let Actor::Prober(at) = actor {
            let Intensity { burst, window } = Intensity::default();
            if self.deaths.within(actor, window, now) > burst {
                // More than its supervisor puts up with.
                self.died(Actor::Supervisor(at.cluster));
            }
        }
    }

    fn died(&mut self, actor: Actor) {
        let now = self.now();
        let who = match actor {
            Actor::Prober(at) => format!("prober of {}", self.target(at).id),
            Actor::Supervisor(cluster) => format!("supervisor of {}", self.clusters[cluster].name),
            Actor::Alerter | Actor::Recoverer | Actor::Scaler => format!("{actor:?}"),
        };
        self.say(format_args!("DIES {who}"));
        self.deaths.died.entry(actor).or_default().push(now);
        let Some(back_by) = self.deaths.back_by(actor) else { return };
        match actor {
            Actor::Supervisor(cluster) => {
                for at in self.places(cluster) {
                    self.target_mut(at).log.lost_track_until(back_by);
                }
            }
            Actor::Alerter => {
                let until = back_by + self.plan.settings.alerter.send_timeout;
                for receiver in &mut self.receivers {
                    receiver.calm_since = receiver.calm_since.max(until);
                }
            }
            Actor::Recoverer | Actor::Scaler | Actor::Prober(_) => {}
        }
    }
}
