//! The last thing before a request: what must be safe is made safe, and whether this falconer is
//! still the one who acts, and the component still all that is sick, is asked once more. What this
//! refuses was never asked of the platform.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::inquiry::{ANSWER_WITHIN, Inquiry, Sickness};
use super::{Recoverer, RecovererSettings};
use crate::actors::leadership::LeadershipHandle;
use crate::clock::Clock;
use crate::effects::{Journal, StateError};
use crate::metrics::Metrics;
use crate::model::ComponentId;
use crate::policy::leadership::NotLeader;
use crate::policy::recovery::{PlannedAction, RefusalReason, speaks_against};

/// Why a request that was decided is not sent after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Withheld {
    /// This falconer is not the leader for long enough any more.
    NotLeader(NotLeader),
    /// Another falconer has taken over what this one knew.
    TakenOver(StateError),
    /// What has come to light since speaks against it.
    Outdated(RefusalReason),
    /// There is no reason for it any more.
    Well,
    /// What is sick now is not known.
    Unknown,
}

impl Withheld {
    /// A name for machines.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::NotLeader(_) | Self::TakenOver(_) => "not_leader",
            Self::Outdated(reason) => reason.as_str(),
            Self::Well => "well",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader(why) => write!(f, "left to another falconer: {why}"),
            Self::TakenOver(why) => write!(f, "left to another falconer: {why}"),
            Self::Outdated(reason) => reason.fmt(f),
            Self::Well => f.write_str("it is well again"),
            Self::Unknown => f.write_str("what is sick at this moment is not known"),
        }
    }
}

/// What is asked before a request. Cheap to make.
pub(super) struct Gate {
    leadership: LeadershipHandle,
    journal: Arc<dyn Journal>,
    /// Ends when the ledger, in which the action has begun, is safe.
    recorded: BoxFuture<'static, Result<(), StateError>>,
    inquiry: Inquiry,
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

    /// Whether what is known at this moment still speaks for the request, and this falconer is the
    /// leader until it has ended.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn may_request(&self) -> Result<(), Withheld> {
        match self.inquiry.answer().await {
            Sickness::Sick(report) => {
                if let Some(reason) = speaks_against(&report.request) {
                    return Err(Withheld::Outdated(reason));
                }
            }
            Sickness::Over => return Err(Withheld::Well),
            Sickness::Unknown => return Err(Withheld::Unknown),
        }
        self.is_led_for(self.request_deadline())
    }

    fn is_led_for(&self, time: Duration) -> Result<(), Withheld> {
        self.leadership.covers(self.clock.now(), time).map_err(Withheld::NotLeader)
    }
}

impl Recoverer {
    /// What an action on `component` that has begun in the ledger passes before its request.
    pub(super) fn gate(&self, component: &ComponentId) -> Gate {
        let around = &self.around;
        let changes = self.ledger().take_changes();
        let recorded = around.keeper.persist(changes, self.settings.flush_timeout).boxed();
        Gate {
            leadership: around.leadership.clone(),
            journal: Arc::clone(&around.journal),
            recorded,
            inquiry: self.inquiry(component),
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
        let asking = ANSWER_WITHIN * 2;
        self.evidence_timeout
            + self.flush_timeout
            + self.event_timeout
            + self.request_timeout
            + asking
    }
}
