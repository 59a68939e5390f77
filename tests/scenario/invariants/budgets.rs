//! Promises about how often: budgets in every sliding window, cooldown, ladder, repeated tries.

use std::time::Duration;

use falconer::model::Timestamp;
use falconer::policy::recovery::LadderStep;

use super::KNOWN;
use crate::world::action::{Decision, End};
use crate::world::{At, State};

/// The platform is not asked again sooner than this after it did not take something.
pub const FIRST_RETRY: Duration = Duration::from_secs(30);

impl State {
    /// A restart is asked for, for the first time or again.
    pub fn check_restart(
        &mut self,
        at: At,
        index: usize,
        key: &str,
        stamp: Timestamp,
        decided_at: Timestamp,
    ) {
        let mut wrong = self.budgets_exceeded(at, key, decided_at);
        let known = self.decisions.iter().position(|decision| decision.key == key);
        match known {
            Some(known) => wrong.extend(self.wrong_try(known, stamp, decided_at)),
            None => wrong.extend(self.wrong_step(at, key, decided_at)),
        }
        let id = self.target(at).id.clone();
        for why in wrong {
            self.violate(format!("{id}: restart {key}: {why}"));
        }
        match known {
            Some(known) => {
                self.decisions[known].decided_at = decided_at;
                self.decisions[known].tries.push(index);
            }
            None => self.decisions.push(Decision {
                key: key.to_owned(),
                at,
                decided_at,
                stamp,
                tries: vec![index],
            }),
        }
    }

    fn budgets_exceeded(&self, at: At, key: &str, now: Timestamp) -> Vec<String> {
        let settings = &self.plan.settings.recoverer;
        let own = settings.for_component(&self.target(at).id).budget;
        let within = |per: Duration| {
            let others = self.decisions.iter().filter(move |one| one.key != key);
            others.filter(move |one| now.since(one.decided_at) < per)
        };
        let of_component = within(own.per).filter(|one| one.at == at).count() + 1;
        let all = settings.global.budget;
        let of_all = within(all.per).filter(|one| one.decided_at > self.resumed_at).count() + 1;
        let mut wrong = Vec::new();
        if let Some(stopped) = self.clusters[at.cluster].stopped
            && now.since(stopped.since) > KNOWN
        {
            wrong.push(format!("recovery is stopped since {}", self.time(stopped.since)));
        }
        if of_component > own.actions {
            let (allowed, per) = (own.actions, own.per.as_secs());
            wrong.push(format!(
                "it is action {of_component} on the component within {per} s, and {allowed} are \
                 allowed"
            ));
        }
        if of_all > all.actions {
            let (allowed, per) = (all.actions, all.per.as_secs());
            wrong.push(format!(
                "it is action {of_all} of all within {per} s, and {allowed} are allowed"
            ));
        }
        wrong
    }

    /// Whether a step that is tried again may be.
    fn wrong_try(&self, known: usize, stamp: Timestamp, decided_at: Timestamp) -> Vec<String> {
        let (decision, mut wrong) = (&self.decisions[known], Vec::new());
        if decision.stamp != stamp {
            wrong.push("a repeated try writes another instant".to_owned());
        }
        for index in &decision.tries {
            match self.clusters[decision.at.cluster].actions[*index].end {
                End::Running => wrong.push("its first try is under way".to_owned()),
                End::Taken(_) => wrong.push("the platform had taken it".to_owned()),
                End::Abandoned(_) => {
                    wrong.push("a try that may have arrived is repeated".to_owned());
                }
                // It is as if it had never been asked for.
                End::NeverArrived(_) => {}
                End::Refused(at) | End::Outdated(at) | End::Lost(at) => {
                    if decided_at.since(at) < FIRST_RETRY {
                        wrong.push("it is tried again too soon".to_owned());
                    }
                }
            }
        }
        wrong
    }

    /// Whether a new step may be taken now.
    fn wrong_step(&self, at: At, key: &str, decided_at: Timestamp) -> Vec<String> {
        let settings = self.plan.settings.recoverer.for_component(&self.target(at).id);
        let mut wrong = Vec::new();
        for decision in self.decisions.iter().filter(|decision| decision.at == at) {
            let mut last = decision.decided_at;
            for index in &decision.tries {
                if let End::Taken(taken_at) = self.clusters[at.cluster].actions[*index].end {
                    last = last.max(taken_at);
                }
            }
            if decided_at.since(last) < settings.cooldown {
                wrong.push(format!("the cooldown of {} holds until later", decision.key));
            }
        }
        let incident = |key: &str| key.rsplit_once('/').map(|(incident, _)| incident.to_owned());
        let steps = settings.ladder.iter().filter(|step| **step == LadderStep::RolloutRestart);
        let taken = self.decisions.iter().filter(|one| incident(&one.key) == incident(key));
        if taken.count() >= steps.count() {
            wrong.push("the ladder has no further step".to_owned());
        }
        wrong
    }
}
