//! What people want of the alerter: to be told nothing of something for a while, or nothing more of
//! an alert that somebody looks after. Each is saved before it counts as done.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;

use super::Alerter;
use crate::actors::link::Link;
use crate::effects::StateError;
use crate::model::journal::{AlertChange, AlertRecord};
use crate::model::{
    Acknowledgement, AlertShown, ChangeRefusal, IncidentId, JournalEntry, JournalRecord,
    Leadership, NewSilence, RefusalKind, Silence,
};
use crate::policy::notification::{AcknowledgeRefusal, Escalated};
use crate::policy::silence::{ExpireRefusal, SilenceBook, SilenceRefusal, one_line};

/// How long a wish waits until it is saved.
const SAVED_WITHIN: Duration = Duration::from_secs(5);
/// Nobody has a longer name, in characters.
const LONGEST_NAME: usize = 100;
/// What is said of an acknowledged alert is not longer, in characters.
const LONGEST_COMMENT: usize = 300;

/// Somebody wants falconer to be quiet about something.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Silence, ChangeRefusal>")]
pub struct AddSilence(pub NewSilence);

/// A silence is to end now.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Silence, ChangeRefusal>")]
pub struct ExpireSilence {
    /// Which.
    pub id: String,
    /// Who wants it.
    pub by: String,
}

/// Somebody looks after an alert.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<AlertShown, ChangeRefusal>")]
pub struct AcknowledgeAlert {
    /// Its incident.
    pub incident: IncidentId,
    /// Who.
    pub by: String,
    /// What the others should know; may be empty.
    pub comment: String,
}

/// The ways to whichever alerter lives, for what people want. Cheap to clone.
#[derive(Clone, Default)]
pub struct AlerterWishes {
    /// To be quiet about something.
    pub silence: Link<AddSilence>,
    /// To be quiet no more.
    pub expire: Link<ExpireSilence>,
    /// That somebody looks after an alert.
    pub acknowledge: Link<AcknowledgeAlert>,
}

impl AlerterWishes {
    /// From now on `address` hears them.
    pub fn publish(&self, address: &Addr<Alerter>) {
        self.silence.publish(address);
        self.expire.publish(address);
        self.acknowledge.publish(address);
    }
}

impl Alerter {
    pub(super) fn silences(&self) -> MutexGuard<'_, SilenceBook> {
        self.silences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_silence(
        &mut self,
        wanted: NewSilence,
        ctx: &mut Context<Self>,
    ) -> Result<Silence, ChangeRefusal> {
        self.may_change()?;
        // What is over may have to make room.
        self.note_ended_silences();
        let random = fastrand::u64(..);
        let added = self.silences().add(wanted, random, self.clock.now());
        let silence = added.map_err(|refusal| {
            let kind = match refusal {
                SilenceRefusal::Full => RefusalKind::Conflict,
                SilenceRefusal::AboutEverything
                | SilenceRefusal::BadName(_)
                | SilenceRefusal::Backwards { .. }
                | SilenceRefusal::Past { .. }
                | SilenceRefusal::TooLong
                | SilenceRefusal::BadComment
                | SilenceRefusal::SeverityHolds(_) => RefusalKind::Invalid,
            };
            ChangeRefusal::new(kind, refusal)
        })?;
        let Silence { id, matchers, created_by, ends_at, comment, .. } = &silence;
        tracing::info!(%id, %matchers, by = created_by, until = %ends_at, comment, "silence made");
        let words = format!("until {ends_at} by {created_by}: {comment}");
        self.note_silence(&silence, AlertChange::Silenced, words);
        self.follow_wish(ctx);
        Ok(silence)
    }

    fn expire_silence(
        &mut self,
        wish: &ExpireSilence,
        ctx: &mut Context<Self>,
    ) -> Result<Silence, ChangeRefusal> {
        self.may_change()?;
        let by = one_line(&wish.by, LONGEST_NAME);
        let expired = self.silences().expire(&wish.id, &by, self.clock.now());
        let silence = expired.map_err(|refusal| {
            let kind = match refusal {
                ExpireRefusal::Unknown(_) => RefusalKind::Unknown,
                ExpireRefusal::Over { .. } => RefusalKind::Conflict,
            };
            ChangeRefusal::new(kind, refusal)
        })?;
        let Silence { id, matchers, .. } = &silence;
        tracing::info!(%id, %matchers, by, "silence ended by hand");
        self.note_silence(&silence, AlertChange::Expired, format!("ended by {by}"));
        self.follow_wish(ctx);
        Ok(silence)
    }

    /// Writes down which silences ended by their time, where people are told.
    pub(super) fn note_ended_silences(&self) {
        if !self.speaks() {
            return;
        }
        let ended = self.silences().take_ended(self.clock.now());
        for silence in ended {
            let Silence { id, matchers, ends_at, .. } = &silence;
            tracing::info!(%id, %matchers, at = %ends_at, "silence ended");
            let words = format!("ended by its time, {ends_at}");
            self.note_silence(&silence, AlertChange::Expired, words);
        }
    }

    fn acknowledge(
        &mut self,
        wish: &AcknowledgeAlert,
        ctx: &mut Context<Self>,
    ) -> Result<AlertShown, ChangeRefusal> {
        self.may_change()?;
        let at = self.clock.now();
        let (by, comment) =
            (one_line(&wish.by, LONGEST_NAME), one_line(&wish.comment, LONGEST_COMMENT));
        let words = format!("by {by}: {comment}");
        let acknowledgement = Acknowledgement { by: by.clone(), at, comment };
        let mut book = self.book();
        let open = book.acknowledge(&wish.incident, acknowledgement);
        let (shown, severity) = match open {
            Ok(open) => (open.shown(), open.alert.severity),
            Err(refusal) => {
                let kind = match refusal {
                    AcknowledgeRefusal::Unknown => RefusalKind::Unknown,
                    AcknowledgeRefusal::Over => RefusalKind::Conflict,
                };
                return Err(ChangeRefusal::new(kind, refusal));
            }
        };
        drop(book);
        tracing::info!(incident = %wish.incident, by, "alert acknowledged");
        let (change, title) = (AlertChange::Acknowledged, shown.title.as_str().into());
        let record = AlertRecord { change, severity: Some(severity), title, words: words.into() };
        self.write_of(&wish.incident, record);
        self.follow_wish(ctx);
        Ok(shown)
    }

    /// Somebody is called because nobody has acknowledged.
    pub(super) fn note_escalated(&self, escalated: &Escalated) {
        let Escalated { incident, receivers, words } = escalated;
        let to = if receivers.is_empty() { "nobody".to_owned() } else { receivers.join(", ") };
        tracing::warn!(%incident, to, words, "alert escalated");
        let (change, words) = (AlertChange::Escalated, format!("{words}: {to} is told"));
        let title = String::new().into();
        self.write_of(incident, AlertRecord { change, severity: None, title, words: words.into() });
    }

    fn write_of(&self, incident: &IncidentId, record: AlertRecord) {
        let component = self.book().alert(incident).map(|alert| alert.component.clone());
        if let Some(component) = component {
            self.write_down(&component, incident, record);
        }
    }

    fn note_silence(&self, silence: &Silence, change: AlertChange, words: String) {
        let title = format!("silence {} ({})", silence.id, silence.matchers);
        let severity = silence.matchers.severity;
        let record = AlertRecord { change, severity, title: title.into(), words: words.into() };
        let record = JournalRecord::Alert(Box::new(record));
        let entry = JournalEntry::general(self.clock.now(), record);
        // A pattern is no name, and about no one cluster.
        let name = |pattern: &Option<Arc<str>>| {
            pattern.clone().filter(|pattern| !pattern.contains(['*', '?']))
        };
        let cluster = name(&silence.matchers.cluster);
        let component = cluster.as_ref().and_then(|_| name(&silence.matchers.component));
        self.journal.record(JournalEntry { cluster, component, ..entry });
    }

    /// What follows at once.
    fn follow_wish(&mut self, ctx: &mut Context<Self>) {
        self.advance(ctx);
        // Whoever asks next sees it.
        self.publish();
    }

    /// Only where everybody else will hear of it: on the falconer that leads, and knows what was.
    fn may_change(&self) -> Result<(), ChangeRefusal> {
        let Err(why) = self.leadership.covers(self.clock.now(), Duration::ZERO) else {
            return Ok(());
        };
        let (kind, words) = match self.leadership.current() {
            Leadership::Follower { leader: Some(leader), .. } => {
                let words = format!("this falconer does not act, {leader} does: ask there");
                (RefusalKind::NotLeader, words)
            }
            Leadership::Follower { leader: None, .. }
            | Leadership::Unknown { .. }
            | Leadership::Standalone
            | Leadership::Leader { .. } => {
                (RefusalKind::NotNow, format!("nothing can be changed at the moment: {why}"))
            }
        };
        Err(ChangeRefusal::new(kind, words))
    }

    /// Ends when everything that has changed is saved.
    ///
    /// # Errors
    /// When it is not, or by another falconer only.
    fn save(&self) -> impl Future<Output = Result<(), ChangeRefusal>> + 'static {
        let saving = self.keeper.persist(self.take_changes(), SAVED_WITHIN);
        async move {
            saving.await.map_err(|error| match &error {
                StateError::Fenced { .. } => {
                    let words = format!("another falconer acts now: {error}");
                    ChangeRefusal::new(RefusalKind::NotLeader, words)
                }
                StateError::Unavailable { .. }
                | StateError::Timeout { .. }
                | StateError::Conflict { .. }
                | StateError::Refused { .. } => {
                    let words = format!(
                        "it holds, and will be forgotten with the process: it could not be saved: {error}"
                    );
                    ChangeRefusal::new(RefusalKind::NotSaved, words)
                }
            })
        }
    }

    /// What was done, once that is saved.
    fn saved<T: Send + 'static>(
        &self,
        done: Result<T, ChangeRefusal>,
    ) -> ResponseFuture<Result<T, ChangeRefusal>> {
        let saving = self.save();
        Box::pin(async move {
            let done = done?;
            saving.await.map(|()| done)
        })
    }
}

impl Handler<AddSilence> for Alerter {
    type Result = ResponseFuture<Result<Silence, ChangeRefusal>>;

    fn handle(&mut self, AddSilence(wanted): AddSilence, ctx: &mut Self::Context) -> Self::Result {
        let done = self.add_silence(wanted, ctx);
        self.saved(done)
    }
}

impl Handler<ExpireSilence> for Alerter {
    type Result = ResponseFuture<Result<Silence, ChangeRefusal>>;

    fn handle(&mut self, wish: ExpireSilence, ctx: &mut Self::Context) -> Self::Result {
        let done = self.expire_silence(&wish, ctx);
        self.saved(done)
    }
}

impl Handler<AcknowledgeAlert> for Alerter {
    type Result = ResponseFuture<Result<AlertShown, ChangeRefusal>>;

    fn handle(&mut self, wish: AcknowledgeAlert, ctx: &mut Self::Context) -> Self::Result {
        let done = self.acknowledge(&wish, ctx);
        self.saved(done)
    }
}
