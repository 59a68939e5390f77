//! Inhibition: what suffers from something else is not told by itself, but in the message about its
//! cause.
//!
//! Judged for each receiver alone, for nothing may be hidden behind something that this receiver is
//! not told of:
//!
//! - While a cause fires and is told there, or was silenced there by a person, what suffers from it
//!   waits. Of several causes the most basic ones are told; where alerts name each other as causes,
//!   the oldest of them is.
//! - What may have a cause that is not decided yet waits until it is, but only for a short time after
//!   it began ([`LONGEST_SUSPICION`]): what fails first must not be told a hundred times before the
//!   cause has reached its own threshold.
//! - When the cause is over, what suffered has the time that it needs to be found well again
//!   ([`settle_secs`](super::Alert::settle_secs)), and is told then if it still fires.
//! - A cause whose message a receiver refuses again and again hides nothing there.
//! - What calls for a person is told, whatever its cause.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::alert::OpenAlert;
use super::book::AlertBook;
use super::delivery::Delivery;
use super::hold::{Hold, HoldKind, Holds};
use super::route::NotificationSettings;
use crate::model::{Affected, ComponentId, IncidentId, Timestamp};

/// An alert waits no longer for the word on what may be its cause.
pub const LONGEST_SUSPICION: Duration = Duration::from_secs(120);

/// So many things that suffer are named in a message.
const MOST_AFFECTED: usize = 500;

/// So many causes lie between what suffers and what is told.
const DEEPEST: usize = 4;

/// A cause whose message was refused so often hides nothing any more.
const REFUSED_OFTEN: u32 = 3;

/// What is told instead of everything that has the same causes and suspects, where that is clear.
type Known = HashMap<Vec<ComponentId>, HashMap<Vec<ComponentId>, Vec<ComponentId>>>;

/// Holds back what has a cause. To be made anew for every round of decisions: it remembers what it
/// found, for a thousand alerts with one cause ask the same.
#[derive(Debug, Clone)]
pub struct Inhibition<'a> {
    settings: &'a NotificationSettings,
    /// By receiver.
    known: RefCell<HashMap<String, Known>>,
}

impl Holds for Inhibition<'_> {
    fn hold(
        &self,
        book: &AlertBook,
        open: &OpenAlert,
        receiver: &str,
        now: Timestamp,
    ) -> Option<Hold> {
        let before = open.held.get(receiver);
        let is_plain = open.alert.causes.is_empty() && open.alert.suspicion.is_none();
        if is_plain && before.is_none() {
            return None;
        }
        if calls_person(open, receiver) || self.is_forgotten(open, receiver) {
            return None;
        }
        let told = self.told_instead(book, open, receiver);
        if !told.is_empty() {
            let is_as_before =
                |hold: &&Hold| hold.kind == HoldKind::Inhibited && hold.causes == told;
            if let Some(hold) = before.filter(is_as_before) {
                return Some(hold.clone());
            }
            let why = format!("{} is told", names(&told));
            let kind = HoldKind::Inhibited;
            return Some(Hold { kind, until: None, why: why.into(), causes: told });
        }
        settling(book, before, open, receiver, now).or_else(|| suspected(open, now))
    }
}

impl<'a> Inhibition<'a> {
    /// Of what these settings say of the receivers.
    pub fn new(settings: &'a NotificationSettings) -> Self {
        Self { settings, known: RefCell::default() }
    }

    /// Whether the receiver would take what it is not told again for being over.
    fn is_forgotten(&self, open: &OpenAlert, receiver: &str) -> bool {
        let policy = self.settings.peculiar.get(receiver);
        let told = || open.deliveries.get(receiver).and_then(|delivery| delivery.progress().2);
        policy.is_some_and(|policy| policy.resend_every.is_some()) && told().is_some()
    }

    fn told_instead(&self, book: &AlertBook, open: &OpenAlert, receiver: &str) -> Vec<ComponentId> {
        let causes = open.alert.causes.as_slice();
        let suspects = open.alert.suspicion.as_ref().map_or(&[][..], |one| one.of.as_slice());
        // What is true of one with these causes is true of all, but for those that are a cause of
        // themselves.
        let names_itself = causes.iter().chain(suspects).any(|one| *one == open.alert.component);
        let known = self.known.borrow();
        let of_receiver =
            known.get(receiver).filter(|_| !names_itself).and_then(|known| known.get(causes));
        if let Some(told) = of_receiver.and_then(|known| known.get(suspects)) {
            return told.clone();
        }
        drop(known);
        let (told, is_same_for_all) = match book.told_above(open, receiver) {
            Told::Roots { roots, reached } => {
                let is_in_circle = reached.contains(&open.alert.incident);
                (roots, !is_in_circle)
            }
            Told::Oldest(oldest) => (oldest, false),
        };
        if is_same_for_all && !names_itself {
            let mut known = self.known.borrow_mut();
            let of_receiver = known.entry(receiver.to_owned()).or_default();
            let of_causes = of_receiver.entry(causes.to_vec()).or_default();
            of_causes.insert(suspects.to_vec(), told.clone());
        }
        told
    }
}

/// What is told instead of an alert.
enum Told {
    /// Its most basic causes that fire; none where it is to be told itself.
    Roots {
        /// Those.
        roots: Vec<ComponentId>,
        /// The alerts between it and them, and those.
        reached: BTreeSet<IncidentId>,
    },
    /// The oldest of alerts that name each other; nothing where it is that itself.
    Oldest(Vec<ComponentId>),
}

/// The cause is over; what suffered from it may be well in a moment.
fn settling(
    book: &AlertBook,
    before: Option<&Hold>,
    open: &OpenAlert,
    receiver: &str,
    now: Timestamp,
) -> Option<Hold> {
    let before = before?;
    match (before.kind, before.until) {
        (HoldKind::Settling, Some(until)) if now < until => Some(before.clone()),
        (HoldKind::Inhibited, _) => {
            let was_told = |cause: &ComponentId| book.was_told(cause, receiver);
            let time = Duration::from_secs(open.alert.settle_secs);
            if time.is_zero() || !before.causes.iter().any(was_told) {
                return None;
            }
            let causes = before.causes.clone();
            let why = format!("{} may have been its cause, and is over", names(&causes));
            let (kind, until) = (HoldKind::Settling, Some(now + time));
            Some(Hold { kind, until, why: why.into(), causes })
        }
        (
            HoldKind::Settling
            | HoldKind::Suspected
            | HoldKind::Silenced
            | HoldKind::Muted
            | HoldKind::Acknowledged,
            Some(_) | None,
        ) => None,
    }
}

/// Something else fails that may turn out to be the cause.
fn suspected(open: &OpenAlert, now: Timestamp) -> Option<Hold> {
    let suspicion = open.alert.suspicion.as_ref()?;
    let until = suspicion.until.min(open.raised_at + LONGEST_SUSPICION);
    if now >= until {
        return None;
    }
    let why = format!("{} may be its cause", names(&suspicion.of));
    let (kind, causes) = (HoldKind::Suspected, suspicion.of.clone());
    Some(Hold { kind, until: Some(until), why: why.into(), causes })
}

/// Whether a person was told of it and must hear that falconer leaves it to them.
fn calls_person(open: &OpenAlert, receiver: &str) -> bool {
    let told = open.deliveries.get(receiver).and_then(Delivery::told);
    told.is_some_and(|told| told.is_outdated || open.called_at > told.called_at)
}

fn names(components: &[ComponentId]) -> String {
    let names: Vec<&str> = components.iter().map(|one| &*one.component).collect();
    names.join(", ")
}

impl AlertBook {
    /// What is told at `receiver` instead of `open`.
    fn told_above(&self, open: &OpenAlert, receiver: &str) -> Told {
        let mut from = open;
        loop {
            let mut reached: BTreeSet<IncidentId> = BTreeSet::new();
            let (mut roots, mut waiting) = (Vec::new(), self.causes_of(from, receiver));
            while let Some(one) = waiting.pop() {
                if reached.insert(one.alert.incident.clone()) {
                    let causes = self.causes_of(one, receiver);
                    if causes.is_empty() {
                        roots.push(one.alert.component.clone());
                    }
                    waiting.extend(causes);
                }
            }
            if !roots.is_empty() || reached.is_empty() {
                roots.sort();
                return Told::Roots { roots, reached };
            }
            // They name each other, and the oldest is told; or it is outside of that circle, which is
            // the smaller one then.
            let all = reached.iter().filter_map(|incident| self.alerts.get(incident));
            let oldest = all.min_by_key(|one| (one.alert.started_at, &one.alert.component));
            match oldest {
                None => return Told::Oldest(Vec::new()),
                Some(one) if one.alert.incident == open.alert.incident => {
                    return Told::Oldest(Vec::new());
                }
                Some(one) if one.alert.incident == from.alert.incident => {
                    return Told::Oldest(vec![one.alert.component.clone()]);
                }
                Some(one) => from = one,
            }
        }
    }

    /// The alerts about the causes of `open`, known and suspected, that fire and are for `receiver`.
    fn causes_of<'a>(&'a self, open: &'a OpenAlert, receiver: &str) -> Vec<&'a OpenAlert> {
        let suspects = open.alert.suspicion.iter().flat_map(|suspicion| &suspicion.of);
        let causes = open.alert.causes.iter().chain(suspects);
        let about = causes.flat_map(|cause| self.about(cause));
        let firing = about.filter(|one| {
            let is_other = one.alert.incident != open.alert.incident;
            is_other && one.resolution.is_none() && self.is_for(one, receiver)
        });
        firing.collect()
    }

    /// All alerts about a component.
    fn about<'a>(&'a self, component: &'a ComponentId) -> impl Iterator<Item = &'a OpenAlert> {
        let first = IncidentId::from_text(format!("{component}@"));
        let prefix = first.clone();
        let of_component = self.alerts.range(first..);
        of_component
            .take_while(move |(incident, _)| incident.as_str().starts_with(prefix.as_str()))
            .map(|(_, open)| open)
            .filter(move |open| open.alert.component == *component)
    }

    /// Whether `open` is told at `receiver`, sooner or later.
    fn is_for(&self, open: &OpenAlert, receiver: &str) -> bool {
        match open.deliveries.get(receiver) {
            None => false,
            Some(Delivery::Retrying { told: None, failures, .. }) => {
                !self.is_refused(receiver, *failures)
            }
            Some(
                Delivery::Waiting { .. }
                | Delivery::Sending { .. }
                | Delivery::Delivered { .. }
                | Delivery::Retrying { .. },
            ) => true,
        }
    }

    /// Whether a message that failed so often is refused. Out of reach is another thing: nothing else
    /// would arrive there either.
    fn is_refused(&self, receiver: &str, failures: u32) -> bool {
        failures >= REFUSED_OFTEN && self.receiver(receiver).failed_at.is_none()
    }

    /// Whether `receiver` was told of the trouble of `cause`, or a person did not want it to be. What
    /// is no longer in the book was told of.
    fn was_told(&self, cause: &ComponentId, receiver: &str) -> bool {
        let is_told = |open: &OpenAlert| match open.deliveries.get(receiver) {
            None => false,
            Some(Delivery::Waiting { .. }) => {
                // Also what was told with a cause of its own.
                open.held.get(receiver).is_some_and(|hold| hold.kind.is_for_good())
            }
            Some(Delivery::Retrying { told: None, failures, .. }) => {
                !self.is_refused(receiver, *failures)
            }
            Some(
                Delivery::Sending { .. } | Delivery::Delivered { .. } | Delivery::Retrying { .. },
            ) => true,
        };
        let mut about = self.about(cause).peekable();
        about.peek().is_none() || about.any(is_told)
    }

    /// Whether `open` is told in the message about `cause`, or in one that is.
    fn is_told_with(
        &self,
        open: &OpenAlert,
        receiver: &str,
        cause: &ComponentId,
        depth: usize,
    ) -> bool {
        let Some(hold) = open.held.get(receiver).filter(|hold| hold.is_told_elsewhere()) else {
            return false;
        };
        let mut above = hold.causes.iter().flat_map(|one| self.about(one));
        hold.causes.contains(cause)
            || depth > 0 && above.any(|one| self.is_told_with(one, receiver, cause, depth - 1))
    }

    /// What suffers from `incident` and is not told by itself at `receiver`, the worst first.
    pub(super) fn affected_by(&self, incident: &IncidentId, receiver: &str) -> Vec<Affected> {
        let Some(cause) = self.alerts.get(incident).map(|open| &open.alert) else {
            return Vec::new();
        };
        let is_held = |open: &&OpenAlert| {
            open.resolution.is_none()
                && self.is_told_with(open, receiver, &cause.component, DEEPEST)
        };
        let held = self.alerts.values().filter(is_held).map(|open| Affected {
            component: open.alert.component.clone(),
            severity: Some(open.alert.severity),
            since: open.alert.started_at,
        });
        let mut affected: Vec<Affected> = held.collect();
        let has_alert: BTreeSet<ComponentId> =
            self.alerts.values().map(|open| open.alert.component.clone()).collect();
        let others = cause.affects.iter().filter(|one| !has_alert.contains(&one.component));
        affected.extend(others.cloned());
        affected.sort_by(|one, other| {
            let rank = |affected: &Affected| (std::cmp::Reverse(affected.severity), affected.since);
            (rank(one), &one.component).cmp(&(rank(other), &other.component))
        });
        affected.truncate(MOST_AFFECTED);
        affected
    }
}

#[cfg(test)]
mod tests;
