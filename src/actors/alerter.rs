//! Tells people: the alerts of a group together, repeated, resolved, retried until it is accepted.
//!
//! Every receiver has its own queue and its own back-off, with one send in flight, so that one that
//! hangs never slows another. What was told to whom is kept in the [`AlertBook`], which outlives the
//! actor: a respawned alerter goes on where the former one stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use futures::channel::oneshot;

use super::keeper::StateKeeper;
use super::leadership::LeadershipHandle;
use super::post::CommandsArrived;
use super::status::StatusBoard;
use super::throttle::{Throttle, Turn};
use crate::clock::Clock;
use crate::effects::{Journal, Notifier, NotifyError};
use crate::metrics::{CircuitParty, Metrics};
use crate::model::{Notification, Receipt};
use crate::policy::circuit::CircuitChange;
use crate::policy::notification::{
    Alert, AlertBook, NotificationSettings, Pace, Raised, ReceiverWatch, SendFailure, SendReason,
};
use crate::policy::silence::SilenceBook;
use sending::deliver;

mod deciding;
mod holding;
mod inbox;
mod keeping;
mod leading;
mod parts;
mod receivers;
mod reconfigure;
mod sending;
mod snapshot;
#[cfg(test)]
mod tests;
mod wishes;
mod written;

pub use inbox::{AlerterInbox, RaiseAlert, ResolveAlert, UpdateAlert};
pub use parts::AlerterParts;
pub use reconfigure::Reconfigure;
pub use snapshot::{AlerterSnapshot, ReceiverSnapshot};
pub use wishes::{AcknowledgeAlert, AddSilence, AlerterWishes, ExpireSilence};

/// Decisions that new alerts call for are at least so far apart.
const ADVANCE_EVERY: Duration = Duration::from_millis(20);

/// Copies of all open alerts for the status are at least so far apart.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);

/// Settings of the alerter. Its `receivers` are those that it is made with.
pub type AlerterSettings = NotificationSettings;

/// The process ends: deliver what was never accepted, now, ignoring `group_wait` and back-off.
/// Answers when nothing is in flight any more or the deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// How long the sender will wait.
    pub deadline: Duration,
}

/// The actor.
pub struct Alerter {
    settings: AlerterSettings,
    receivers: BTreeMap<Arc<str>, Arc<dyn Notifier>>,
    inbox: AlerterInbox,
    book: Arc<Mutex<AlertBook>>,
    silences: Arc<Mutex<SilenceBook>>,
    board: StatusBoard,
    journal: Arc<dyn Journal>,
    keeper: StateKeeper,
    clock: Clock,
    metrics: Metrics,
    leadership: LeadershipHandle,
    /// Whether this falconer told people when that was looked at last.
    spoke: bool,
    /// Receivers to which this incarnation is sending right now.
    in_flight: BTreeSet<Arc<str>>,
    /// The timer of the next `NotificationDue`.
    due: Option<SpawnHandle>,
    pace: Pace,
    watch: ReceiverWatch,
    drained: Vec<oneshot::Sender<()>>,
    advancing: Throttle,
    publishing: Throttle,
}

impl Alerter {
    /// An alerter for these receivers.
    pub fn new(
        settings: AlerterSettings,
        receivers: Vec<Arc<dyn Notifier>>,
        parts: AlerterParts,
    ) -> Self {
        let AlerterParts { inbox, book, silences, board, journal, keeper, clock, metrics } = parts;
        let (settings, receivers) = Reconfigure { settings, receivers }.into_parts();
        Self {
            settings,
            receivers,
            inbox,
            book,
            silences,
            board,
            journal,
            keeper,
            clock,
            metrics,
            leadership: LeadershipHandle::default(),
            spoke: true,
            in_flight: BTreeSet::new(),
            due: None,
            pace: Pace::Normal,
            watch: ReceiverWatch::default(),
            drained: Vec::new(),
            advancing: Throttle::new(ADVANCE_EVERY),
            publishing: Throttle::new(PUBLISH_EVERY),
        }
    }

    fn book(&self) -> MutexGuard<'_, AlertBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_commands(&mut self, ctx: &mut Context<Self>) {
        let mut is_decision_due = false;
        // In this order: what is known of an incident, what is done about it, and its end.
        while let Some(RaiseAlert(alert)) = self.inbox.raise.next() {
            is_decision_due |= self.raise(alert);
        }
        while let Some(UpdateAlert { incident, action, calls_person }) = self.inbox.update.next() {
            self.update(&incident, action, calls_person);
            is_decision_due |= calls_person;
        }
        while let Some(resolve) = self.inbox.resolve.next() {
            is_decision_due |= self.resolve(&resolve);
        }
        self.keep();
        if is_decision_due {
            self.advance_soon(ctx);
        } else {
            self.publish_soon(ctx);
        }
    }

    /// Whether somebody may have to be told.
    fn raise(&mut self, alert: Alert) -> bool {
        let written = alert.clone();
        let raised = self.book().raise(alert, &self.settings, self.clock.now());
        self.note_raised(&written, raised);
        match raised {
            Raised::New | Raised::Worse | Raised::OtherCauses => true,
            Raised::Known => false,
        }
    }

    fn resolve(&mut self, message: &ResolveAlert) -> bool {
        let resolved = self.book().resolve(&message.incident, message.ended_at, self.clock.now());
        if resolved {
            self.note_resolved(message);
        }
        resolved
    }

    /// What is shown holds a copy of all open alerts: it is not made with every change.
    fn publish_soon(&mut self, ctx: &mut Context<Self>) {
        match self.publishing.ask(self.clock.now()) {
            Turn::Now => self.publish(),
            Turn::Later(wait) => {
                ctx.run_later(wait, |alerter, _| {
                    alerter.publishing.done(alerter.clock.now());
                    alerter.publish();
                });
            }
            Turn::Planned => {}
        }
    }

    fn begin_send(
        &mut self,
        receiver: Arc<str>,
        notification: Box<Notification>,
        reason: SendReason,
        ctx: &mut Context<Self>,
    ) {
        let Some(notifier) = self.receivers.get(&receiver).map(Arc::clone) else { return };
        self.in_flight.insert(Arc::clone(&receiver));
        self.note_made(&receiver, &notification);
        let limit = self.settings.send_timeout;
        let recorded = self.record();
        let (clock, metrics) = (self.clock, self.metrics.clone());
        let sending = async move {
            let result = match recorded.await {
                Ok(()) => {
                    Ok(deliver(notifier.as_ref(), &notification, limit, clock, &metrics).await)
                }
                Err(error) => Err(error),
            };
            (notification, result)
        };
        ctx.spawn(sending.into_actor(self).map(move |(notification, result), alerter, ctx| {
            match result {
                Ok(result) => alerter.on_send_done(&receiver, &notification, reason, result),
                Err(error) => alerter.put_back(&receiver, &notification, &error),
            }
            alerter.keep_now();
            alerter.go_on(receiver, ctx);
        }));
    }

    fn on_send_done(
        &mut self,
        receiver: &Arc<str>,
        notification: &Notification,
        reason: SendReason,
        result: Result<Receipt, NotifyError>,
    ) {
        self.in_flight.remove(receiver);
        self.note_delivery(receiver, notification, reason, &result);
        self.note_attempt(receiver, &result);
        let result = result.map_err(|error| SendFailure {
            outage: error.is_retryable(),
            retry_after: error.retry_after(),
            error: error.to_string(),
        });
        let (now, random) = (self.clock.now(), fastrand::f64());
        let change =
            self.book().finish(receiver, notification, result, &self.settings, random, now);
        match change {
            CircuitChange::Stayed | CircuitChange::Reopened { .. } => {}
            CircuitChange::Opened { .. } => self.metrics.circuit_opened(CircuitParty::Receiver),
            CircuitChange::Closed { .. } => self.metrics.circuit_closed(CircuitParty::Receiver),
        }
    }

    fn begin_drain(&mut self, ctx: &mut Context<Self>) -> oneshot::Receiver<()> {
        let (done, drained) = oneshot::channel();
        self.drained.push(done);
        self.pace = Pace::Draining;
        self.take_commands(ctx);
        self.advance(ctx);
        drained
    }
}

impl Actor for Alerter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        #[cfg(any(test, feature = "fault-injection"))]
        super::fault_injection::arm("alerter", &ctx.address());
        self.spoke = self.speaks();
        Self::follow(self.leadership.clone(), ctx);
        Self::watch_receivers(ctx);
        // The receivers may be others than those that the former incarnation had.
        self.follow_settings(&[]);
        let open = self.book().alerts().count();
        if open > 0 {
            tracing::info!(open, "alerter resumed with open alerts");
        }
        self.inbox.begin_anew(self.clock, &self.metrics);
        self.take_commands(ctx);
        self.advance(ctx);
    }
}

impl Handler<CommandsArrived> for Alerter {
    type Result = ();

    fn handle(&mut self, _: CommandsArrived, ctx: &mut Self::Context) {
        self.take_commands(ctx);
    }
}

impl Handler<Drain> for Alerter {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: Drain, ctx: &mut Self::Context) -> Self::Result {
        let drained = self.begin_drain(ctx);
        Box::pin(async move {
            if tokio::time::timeout(message.deadline, drained).await.is_err() {
                tracing::warn!("alerts still in flight at the end of the drain");
            }
        })
    }
}
