//! The last thing before a request: what must be safe is made safe, and whether this falconer is
//! still the one who acts is asked once more. What this refuses was never asked of the platform.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Recoverer, RecovererSettings};
use crate::actors::leadership::LeadershipHandle;
use crate::clock::Clock;
use crate::effects::{Journal, StateError};
use crate::metrics::Metrics;
use crate::policy::leadership::NotLeader;
use crate::policy::recovery::PlannedAction;

/// Why a request that was decided is not sent after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Withheld {
    /// This falconer is not the leader for long enough any more.
    NotLeader(NotLeader),
    /// Another falconer has taken over what this one knew.
    TakenOver(StateError),
}

impl Withheld {
    /// A name for machines.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::NotLeader(_) | Self::TakenOver(_) => "not_leader",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader(why) => write!(f, "left to another falconer: {why}"),
            Self::TakenOver(why) => write!(f, "left to another falconer: {why}"),
        }
    }
}

/// What is asked before a request. Cheap to make.
pub(super) struct Gate {
    leadership: LeadershipHandle,
    journal: Arc<dyn Journal>,
    /// Ends when the ledger, in which the action has begun, is safe.
    recorded: BoxFuture<'static, Result<(), StateError>>,
    clock: Clock,
    metrics: Metrics,
    flush: Duration,
    event: Duration,
    request: Duration,
}

impl Gate {
    /// The deadline of the request: not longer than a lease can cover.
    pub(super) fn request_deadline(&self) -> Duration {
        self.leadership.deadline(self.request)
    }

    /// The deadline of the event that announces it.
    pub(super) fn event_deadline(&self) -> Duration {
        self.leadership.deadline(self.event)
    }

    /// Everything that has to be safe before the platform may be asked for `plan`: what was decided,
    /// on disk; then what must survive that this process is killed. The latter may refuse, where
    /// another process has taken over.
    ///
    /// # Errors
    /// Why the request must not be sent.
    pub(super) async fn before_acting(&mut self, plan: &PlannedAction) -> Result<(), Withheld> {
        if let Err(error) = self.journal.flush(self.flush).await {
            // A sick cluster does not wait for a full disk.
            self.metrics.action_unwritten();
            let key = &plan.idempotency_key;
            tracing::warn!(key, %error, "journal could not be written before an action");
        }
        match (&mut self.recorded).await {
            Ok(()) => {}
            Err(error @ StateError::Fenced { .. }) => return Err(Withheld::TakenOver(error)),
            Err(error) => {
                self.metrics.action_unwritten();
                let key = &plan.idempotency_key;
                tracing::warn!(key, %error, "ledger could not be saved before an action");
            }
        }
        self.is_led_for(self.leadership.deadline(self.event + self.request))
    }

    /// Whether this falconer is the leader until the request has ended.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_request(&self) -> Result<(), Withheld> {
        self.is_led_for(self.request_deadline())
    }

    fn is_led_for(&self, time: Duration) -> Result<(), Withheld> {
        self.leadership.covers(self.clock.now(), time).map_err(Withheld::NotLeader)
    }
}

impl Recoverer {
    /// What an action that has begun in the ledger passes before its request.
    pub(super) fn gate(&self) -> Gate {
        let around = &self.around;
        let changes = self.ledger().take_changes();
        let recorded = around.keeper.persist(changes, self.settings.flush_timeout).boxed();
        Gate {
            leadership: around.leadership.clone(),
            journal: Arc::clone(&around.journal),
            recorded,
            clock: around.clock,
            metrics: around.metrics.clone(),
            flush: self.settings.flush_timeout,
            event: self.settings.event_timeout,
            request: self.settings.request_timeout,
        }
    }

    /// Why an action that is decided now must be left to another falconer; `None` where this one
    /// leads until it would have ended.
    pub(super) fn not_leader(&self) -> Option<String> {
        let needed = self.around.leadership.deadline(self.settings.longest_action());
        let covered = self.around.leadership.covers(self.around.clock.now(), needed);
        covered.err().map(|why| why.to_string())
    }
}

impl RecovererSettings {
    /// How long it takes at most from a decision to the platform's answer.
    fn longest_action(&self) -> Duration {
        self.evidence_timeout + self.flush_timeout + self.event_timeout + self.request_timeout
    }
}
