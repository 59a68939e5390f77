//! The ledger as essential state: one key for each component, `scaling/<cluster>/<component>`, with
//! what was changed and when, so that a falconer that was killed does not scale again at once. What
//! the load asked for is not kept: a history that begins anew takes nothing away before its time.

use serde::{Deserialize, Serialize};

use super::{ChangeUnderWay, ComponentRecord, DrainUnderWay, ScalingLedger};
use crate::model::state::{component_key, of_kind};
use crate::model::{ComponentId, StateChanges, StoredState, Timestamp};

/// What the keys begin with.
const KIND: &str = "scaling";
/// The form of the text; one that this version does not know is not read.
const FORM: u32 = 1;
/// The newest changes that are kept of a component.
const MOST_CHANGES: usize = 32;

#[derive(Serialize, Deserialize)]
struct Stored {
    form: u32,
    component: ComponentId,
    /// When, from, to; oldest first.
    changes: Vec<(Timestamp, u32, u32)>,
    last_change_ended: Option<Timestamp>,
    retry_not_before: Option<Timestamp>,
    errors: u32,
    under_way: Option<ChangeUnderWay>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drain: Option<DrainUnderWay>,
}

impl ScalingLedger {
    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> StateChanges {
        let touched = std::mem::take(&mut self.touched);
        touched.iter().map(|id| (component_key(KIND, id), self.text_of(id))).collect()
    }

    /// Everything that is kept.
    pub fn export(&self) -> StoredState {
        let known = self.components.keys().chain(self.under_way.keys()).chain(self.drains.keys());
        known.filter_map(|id| Some((component_key(KIND, id), self.text_of(id)?))).collect()
    }

    /// Takes over what was done, in the place of what is known of the same components. Gives the keys
    /// of what makes no sense.
    pub fn adopt(&mut self, stored: &StoredState, now: Timestamp) -> Vec<String> {
        let mut unreadable = Vec::new();
        for (key, text) in of_kind(stored, KIND) {
            match read(key, text) {
                Some(one) => self.take_over(one, now),
                None => unreadable.push(key.clone()),
            }
        }
        unreadable
    }

    fn take_over(&mut self, stored: Stored, now: Timestamp) {
        let Stored { component, changes, last_change_ended, retry_not_before, errors, .. } = stored;
        let record = self.components.entry(component.clone()).or_default();
        // A clock that was wrong must not keep anything from being scaled.
        record.changes =
            changes.into_iter().map(|(at, from, to)| (at.min(now), from, to)).collect();
        record.last_change_ended = last_change_ended.map(|at| at.min(now));
        record.retry_not_before = retry_not_before;
        record.errors = errors;
        self.touched.insert(component.clone());
        match stored.drain {
            Some(mut drain) => {
                drain.began_at = drain.began_at.min(now);
                drain.phase_since = drain.phase_since.min(now);
                self.drains.insert(component.clone(), drain);
            }
            None => {
                self.drains.remove(&component);
            }
        }
        match stored.under_way {
            Some(mut change) => {
                change.requested_at = change.requested_at.min(now);
                change.accepted_at = change.accepted_at.map(|at| at.min(now));
                self.under_way.insert(component, change);
            }
            None => {
                self.under_way.remove(&component);
            }
        }
    }

    fn text_of(&self, id: &ComponentId) -> Option<String> {
        let under_way = self.under_way.get(id).cloned();
        let drain = self.drains.get(id).cloned();
        let none = ComponentRecord::default();
        let record = self.components.get(id).unwrap_or(&none);
        let ComponentRecord { changes, last_change_ended, retry_not_before, errors, .. } = record;
        let is_idle = under_way.is_none() && drain.is_none();
        if is_idle && changes.is_empty() && last_change_ended.is_none() && *errors == 0 {
            return None;
        }
        let too_many = changes.len().saturating_sub(MOST_CHANGES);
        let stored = Stored {
            form: FORM,
            component: id.clone(),
            changes: changes.iter().skip(too_many).copied().collect(),
            last_change_ended: *last_change_ended,
            retry_not_before: *retry_not_before,
            errors: *errors,
            under_way,
            drain,
        };
        serde_json::to_string(&stored).ok()
    }
}

/// `None` where the text makes no sense.
fn read(key: &str, text: &str) -> Option<Stored> {
    let stored: Stored = serde_json::from_str(text).ok()?;
    let is_own = stored.under_way.as_ref().is_none_or(|one| one.component == stored.component)
        && stored.drain.as_ref().is_none_or(|one| one.component == stored.component);
    let is_it = stored.form == FORM && component_key(KIND, &stored.component) == key;
    (is_own && is_it).then_some(stored)
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;
    use crate::model::{WorkloadKind, WorkloadRef};
    use crate::policy::scaling::{PlannedChange, Trigger};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
    }

    fn id() -> ComponentId {
        ComponentId::new("milvus-ha", "querynode")
    }

    fn plan() -> PlannedChange {
        let workload = WorkloadRef {
            kind: WorkloadKind::Deployment,
            namespace: "milvus".into(),
            name: "milvus-querynode".into(),
        };
        PlannedChange {
            workload,
            from: 2,
            to: 3,
            trigger: Trigger::BelowMinimum { min_replicas: 3 },
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        Begin,
        Accept,
        Fail,
        End,
        Kill,
    }

    proptest! {
        #[test]
        fn a_ledger_that_is_saved_on_change_is_the_same_after_a_kill(
            events in prop::collection::vec(
                prop::sample::select(vec![Event::Begin, Event::Accept, Event::Fail, Event::End, Event::Kill]),
                1..40,
            ),
        ) {
            let (mut ledger, mut state) = (ScalingLedger::default(), StoredState::new());
            for (step, event) in events.into_iter().enumerate() {
                let now = at(step as u64);
                match event {
                    Event::Begin => ledger.begin(&id(), &plan(), now),
                    Event::Accept => ledger.accepted(&id(), now),
                    Event::Fail => {
                        ledger.failed(&id(), now);
                    }
                    Event::End => {
                        ledger.ended(&id(), now);
                    }
                    Event::Kill => {
                        let before = ledger;
                        ledger = ScalingLedger::default();
                        prop_assert!(ledger.adopt(&state, now).is_empty());
                        prop_assert_eq!(ledger.in_flight(&id()), before.in_flight(&id()));
                        prop_assert_eq!(ledger.last_change_ended(&id()), before.last_change_ended(&id()));
                        prop_assert_eq!(ledger.retry_in(&id(), now), before.retry_in(&id(), now));
                        let changes = |ledger: &ScalingLedger| ledger.history(&id()).changes;
                        prop_assert_eq!(changes(&ledger), changes(&before));
                    }
                }
                for (key, value) in ledger.take_changes() {
                    match value {
                        Some(text) => state.insert(key, text),
                        None => state.remove(&key),
                    };
                }
                prop_assert_eq!(&state, &ledger.export());
            }
        }

        #[test]
        fn whatever_stands_there_is_read_without_a_panic(key in "scaling/\\PC{0,30}", text in "\\PC{0,80}") {
            let stored = StoredState::from([(key.clone(), text)]);
            prop_assert_eq!(ScalingLedger::default().adopt(&stored, at(0)), vec![key]);
        }
    }
}
