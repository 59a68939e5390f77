//! How what was stored and what this falconer has seen itself become one. What was told and done by a
//! falconer that is no more counts; what it did not know of stays as it is.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::branches::Lasting;
use crate::actors::alerter::AlerterInbox;
use crate::actors::keeper::Loaded;
use crate::actors::post::{Command, Post};
use crate::actors::recorder::JOURNAL;
use crate::actors::supervisor::{NOT_WATCHED, StoredIncident};
use crate::model::{ComponentId, IncidentId, StoredState, Timestamp};
use crate::policy::notification::Adopted;
pub(super) use crate::policy::notification::own::OWN;
use crate::policy::notification::own::is_of_the_alerter;
use crate::policy::recovery::RecoveryLedger;

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    incidents: usize,
    actions: usize,
    breakers: usize,
    unreadable: Vec<String>,
}

impl Found {
    /// One line for the log, and one for each key that makes no sense.
    pub(super) fn log(&self, loaded: &Loaded) {
        for problem in &self.unreadable {
            tracing::warn!(problem, "stored state makes no sense");
        }
        let (keys, from) = (loaded.state.len(), loaded.from);
        let Self { incidents, actions, breakers, .. } = self;
        tracing::info!(keys, from, incidents, actions, breakers, "essential state was read");
    }
}

impl Lasting {
    /// Goes on where the falconer ended that stored this. Nothing of it waits: no actor does anything
    /// meanwhile.
    pub(super) fn adopt(&self, stored: &StoredState, now: Timestamp) -> Found {
        let mut found = Found::default();
        let adopted = lock(&self.book).adopt(stored, now);
        forget_superseded(&self.inbox, &adopted.superseded);
        found.unreadable.extend(adopted.unreadable.iter().cloned());
        {
            let (ledger, problems) = RecoveryLedger::import(stored);
            found.actions = ledger.all_in_flight().count();
            found.breakers = stored.keys().filter(|key| key.starts_with("breaker/")).count();
            *lock(&self.recoveries) = ledger;
            found.unreadable.extend(problems.iter().map(ToString::to_string));
        }
        found.unreadable.extend(lock(&self.scalings).adopt(stored, now));
        found.unreadable.extend(lock(&self.silences).adopt(stored, now));
        let (recorded, unreadable) = StoredIncident::all(stored);
        found.unreadable.extend(unreadable);
        for incident in self.goes_on(&adopted, recorded) {
            found.incidents += 1;
            self.hand_over(incident, now);
        }
        found
    }

    /// The incidents that are not over. What people were told counts: an incident of which nobody
    /// recorded the state has an alert, and one whose alert is over is over.
    fn goes_on(&self, adopted: &Adopted, recorded: Vec<StoredIncident>) -> Vec<StoredIncident> {
        let mut all: BTreeMap<ComponentId, StoredIncident> = BTreeMap::new();
        for alert in &adopted.open {
            all.insert(alert.component.clone(), StoredIncident::of(alert));
        }
        let book = lock(&self.book);
        for one in recorded {
            let told = all.get(&one.component).map(StoredIncident::incident);
            let is_wanted = match told {
                Some(told) => told == one.incident(),
                None => book.alert(one.incident()).is_none(),
            };
            if is_wanted {
                all.insert(one.component.clone(), one);
            }
        }
        all.into_values().collect()
    }

    /// Gives an incident to whoever will find out about its end.
    fn hand_over(&self, incident: StoredIncident, now: Timestamp) {
        let memory = lock(&self.memories).get(&incident.component.cluster).cloned();
        if let Some(memory) = memory {
            lock(&memory).adopt(incident, now);
            return;
        }
        let (component, id) = (&incident.component, incident.incident().clone());
        match (&*component.cluster, &*component.component) {
            (OWN, JOURNAL) => *lock(&self.journal_alert) = Some(id),
            (OWN, super::alert::STATE) => self.state_alert.adopt(id),
            // The alerter looks after them itself.
            _ if is_of_the_alerter(component) => {}
            _ => {
                let mut book = lock(&self.book);
                book.update(&id, NOT_WATCHED.to_owned(), false, now);
                book.resolve(&id, now, now);
            }
        }
    }

    /// Everything that is to be stored.
    pub(super) fn export(&self) -> StoredState {
        let mut all = lock(&self.book).export();
        all.extend(lock(&self.recoveries).export());
        all.extend(lock(&self.scalings).export());
        all.extend(lock(&self.silences).export());
        let memories = lock(&self.memories).clone();
        for (cluster, memory) in &memories {
            all.extend(lock(memory).export(cluster));
        }
        all
    }
}

/// What waits to be told of incidents under names that nobody knows is told of no more.
fn forget_superseded(inbox: &AlerterInbox, superseded: &BTreeMap<IncidentId, IncidentId>) {
    if !superseded.is_empty() {
        sift(&inbox.raise, superseded);
        sift(&inbox.update, superseded);
        sift(&inbox.resolve, superseded);
    }
}

fn sift<C: Command<Key = IncidentId>>(
    post: &Post<C>,
    superseded: &BTreeMap<IncidentId, IncidentId>,
) {
    for command in post.take_all() {
        if !superseded.contains_key(&command.key()) {
            post.send(command);
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
