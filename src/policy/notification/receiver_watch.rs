//! Whether a receiver is dead, and what people hear of it through the others: every attempt has failed
//! for long while messages wait, or messages were given up. Pure; raises nothing itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::alert::Alert;
use super::book::AlertBook;
use super::own::{self, receiver_component, receiver_of};
use super::route::NotificationSettings;
use crate::model::{IncidentId, Reason, ReasonKind, Severity, Timestamp};

mod backlog;
#[cfg(test)]
mod tests;

pub use backlog::Backlog;

/// So many attempts must have failed in this life of falconer before a receiver is called dead.
const LEAST_FAILURES: u32 = 2;
/// The alert ends when the receiver has been well for so long.
const WELL_FOR: Duration = Duration::from_secs(30);
/// That messages were lost is told for so long.
const LOSS_TOLD_FOR: Duration = Duration::from_hours(1);
/// Most losses that are kept.
const MOST_LOSSES: usize = 100;
/// Most losses that one alert names.
const MOST_NAMED: usize = 8;

/// Why a message will not be tried again although it was not accepted; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// No attempt has succeeded for as long as attempts are made.
    GaveUp,
    /// Its receiver is not configured any more, or is not told of such alerts any more.
    Removed,
}

impl LossReason {
    /// As people read it.
    const fn words(self) -> &'static str {
        match self {
            Self::GaveUp => "given up",
            Self::Removed => "dropped, the receiver is not configured for it any more",
        }
    }
}

/// A message that a receiver never accepted and will not be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Who was to be told.
    pub receiver: Arc<str>,
    /// Of what.
    pub incident: IncidentId,
    /// Why.
    pub reason: LossReason,
    /// When.
    pub at: Timestamp,
}

/// What is to become of an alert about a receiver.
#[derive(Debug, Clone, PartialEq)]
pub enum ReceiverNews {
    /// It begins, or says something else now.
    Raise(Box<Alert>),
    /// It is over.
    Resolve {
        /// Its incident.
        incident: IncidentId,
        /// Since when.
        ended_at: Timestamp,
        /// What became of it, in words.
        action: String,
    },
}

/// How one receiver has fared in this life of falconer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Fare {
    /// Since when every attempt has failed, while that is so.
    failing_since: Option<Timestamp>,
    /// Attempts that failed in a row.
    failures: u32,
    /// Why the newest failed.
    error: String,
    /// Whether one has ever succeeded.
    has_accepted: bool,
    /// Since when it is well although people think that it is not.
    well_since: Option<Timestamp>,
}

/// What is known of all receivers.
#[derive(Debug, Clone, Default)]
pub struct ReceiverWatch {
    fares: BTreeMap<Arc<str>, Fare>,
    losses: VecDeque<Loss>,
}

impl ReceiverWatch {
    /// An attempt has ended; `error` says why it failed, if it did. `book` knows since when earlier
    /// falconers have tried in vain.
    pub fn attempted(
        &mut self,
        receiver: &Arc<str>,
        error: Option<&str>,
        book: &AlertBook,
        now: Timestamp,
    ) {
        let fare = self.fares.entry(Arc::clone(receiver)).or_default();
        let Some(error) = error else {
            *fare = Fare { has_accepted: true, ..Fare::default() };
            return;
        };
        if fare.failing_since.is_none() {
            let before = book.backlog(receiver, now).failing_since();
            let before = before.filter(|_| !fare.has_accepted);
            fare.failing_since = Some(before.map_or(now, |since| since.min(now)));
        }
        error.clone_into(&mut fare.error);
        fare.failures = fare.failures.saturating_add(1);
        fare.well_since = None;
    }

    /// A message is lost for good.
    pub fn lost(&mut self, loss: Loss) {
        if self.losses.len() >= MOST_LOSSES {
            self.losses.pop_front();
        }
        self.losses.push_back(loss);
    }

    /// Since when a receiver is dead, if it is.
    pub fn dead_since(
        &self,
        receiver: &str,
        book: &AlertBook,
        settings: &NotificationSettings,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let fare = self.fares.get(receiver)?;
        let since = fare.failing_since?;
        let is_dead = fare.failures >= LEAST_FAILURES
            && now.since(since) >= settings.own.receiver_dead_after
            && settings.receivers.iter().any(|known| &**known == receiver)
            && book.backlog(receiver, now).alerts > 0;
        is_dead.then_some(since)
    }

    /// What people should hear now.
    pub fn look(
        &mut self,
        book: &AlertBook,
        settings: &NotificationSettings,
        now: Timestamp,
    ) -> Vec<ReceiverNews> {
        self.losses.retain(|loss| now.since(loss.at) < LOSS_TOLD_FOR);
        let open = open_alerts(book);
        let mut names: BTreeSet<Arc<str>> = settings.receivers.iter().cloned().collect();
        names.extend(open.keys().cloned());
        names.extend(self.losses.iter().map(|loss| Arc::clone(&loss.receiver)));
        self.fares.retain(|name, _| names.contains(name));
        let news = names.iter().filter_map(|name| {
            let known = open.get(name).copied();
            match (self.trouble(name, book, settings, now), known) {
                (Some(alert), None) => Some(ReceiverNews::Raise(Box::new(alert))),
                (Some(alert), Some(known)) => worth_saying(alert, known),
                (None, Some(known)) => self.over(name, known, book, settings, now),
                (None, None) => None,
            }
        });
        news.collect()
    }

    /// The alert about a receiver, where there is trouble with it.
    fn trouble(
        &self,
        name: &Arc<str>,
        book: &AlertBook,
        settings: &NotificationSettings,
        now: Timestamp,
    ) -> Option<Alert> {
        let losses: Vec<&Loss> = self.losses.iter().filter(|loss| loss.receiver == *name).collect();
        let dead_since = self.dead_since(name, book, settings, now);
        if dead_since.is_none() && losses.is_empty() {
            return None;
        }
        let (component, backlog) = (receiver_component(name), book.backlog(name, now));
        let error = self.fares.get(name).map(|fare| fare.error.as_str()).unwrap_or_default();
        let title = match dead_since {
            Some(_) => format!("receiver {name} of falconer accepts nothing"),
            None => format!("receiver {name} of falconer was not told everything"),
        };
        let words = if error.is_empty() { "messages were lost" } else { error };
        let reason = Reason::new(ReasonKind::Connection, words);
        let severity = backlog.worst.filter(|_| dead_since.is_some()).unwrap_or(Severity::Warning);
        let others = settings.told_of_own(&component).unwrap_or_default();
        let mut alert = own::alert(component, severity, title, reason, now);
        alert.started_at = dead_since.or(losses.first().map(|loss| loss.at)).unwrap_or(now);
        alert.details = details(dead_since, &backlog, &losses);
        alert.action = if others.is_empty() {
            "tried again and again; there is no other receiver that could be told".to_owned()
        } else {
            "tried again and again; what waits is delivered when it accepts messages".to_owned()
        };
        Some(alert)
    }

    /// Whether what people think of a receiver is over.
    fn over(
        &mut self,
        name: &Arc<str>,
        known: &Alert,
        book: &AlertBook,
        settings: &NotificationSettings,
        now: Timestamp,
    ) -> Option<ReceiverNews> {
        let incident = known.incident.clone();
        if !settings.receivers.contains(name) {
            let action = "it is not configured any more".to_owned();
            return Some(ReceiverNews::Resolve { incident, ended_at: now, action });
        }
        let fare = self.fares.entry(Arc::clone(name)).or_default();
        let is_idle = book.backlog(name, now).alerts == 0;
        if !is_idle && (fare.failing_since.is_some() || !fare.has_accepted) {
            return None;
        }
        let well_since = *fare.well_since.get_or_insert(now);
        let action = if fare.has_accepted && fare.failing_since.is_none() {
            "it accepts messages again"
        } else {
            "nothing waits for it any more; whether it accepts messages shows with the next one"
        };
        (now.since(well_since) >= WELL_FOR).then(|| ReceiverNews::Resolve {
            incident,
            ended_at: well_since,
            action: action.to_owned(),
        })
    }
}

/// The open alerts about receivers, by the receiver's name.
fn open_alerts(book: &AlertBook) -> BTreeMap<Arc<str>, &Alert> {
    let open = book.alerts().filter(|open| open.resolution.is_none());
    let about =
        open.filter_map(|open| Some((receiver_of(&open.alert.component)?.into(), &open.alert)));
    about.collect()
}

/// The alert goes on under its name, and says only what is another matter than before.
fn worth_saying(alert: Alert, known: &Alert) -> Option<ReceiverNews> {
    let is_news = alert.details != known.details
        || alert.severity > known.severity
        || alert.title != known.title;
    let (incident, started_at) = (known.incident.clone(), known.started_at);
    let severity = alert.severity.max(known.severity);
    is_news
        .then(|| ReceiverNews::Raise(Box::new(Alert { incident, severity, started_at, ..alert })))
}

fn details(dead_since: Option<Timestamp>, backlog: &Backlog, losses: &[&Loss]) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(since) = dead_since {
        let oldest = backlog.tried_since.unwrap_or(since);
        let alerts = backlog.alerts;
        let s = if alerts == 1 { "" } else { "s" };
        lines.push(format!("{alerts} alert{s} wait to be told, the oldest since {oldest}"));
    }
    for loss in losses.iter().take(MOST_NAMED) {
        lines.push(format!("at {}: {} was {}", loss.at, loss.incident, loss.reason.words()));
    }
    if losses.len() > MOST_NAMED {
        lines.push(format!("and {} more", losses.len() - MOST_NAMED));
    }
    lines
}
