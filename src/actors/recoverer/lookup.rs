//! What became of a request whose answer was lost: because none came in time, or because falconer
//! itself ended meanwhile. The platform is asked; nothing is assumed, and nothing else is done to
//! the component until it is known.

use std::fmt;
use std::time::Duration;

use actix::prelude::*;

use super::deed::Deed;
use super::written::Subject;
use super::{News, Recoverer, RecoveryPhase};
use crate::effects::{ActionTrace, ClusterError};
use crate::metrics::ActionOutcome;
use crate::model::ComponentId;
use crate::model::journal::ActionPhase;
use crate::policy::backoff::BackoffSettings;
use crate::policy::recovery::ActionUnderWay;
use crate::policy::recovery::refusal::words;

/// Between two questions that were not answered.
const AGAIN: BackoffSettings = BackoffSettings {
    initial: Duration::from_secs(2),
    factor: 2.0,
    max: Duration::from_secs(60),
    jitter: 0.2,
};

/// A request of which it is not known whether it arrived.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    /// Its key.
    key: String,
    why: Unanswered,
    /// How often the question was not answered.
    failures: u32,
}

/// Why it is not known whether a request arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// falconer ended before the answer came.
    Ended,
    /// The platform did not answer; with its error.
    Platform(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("falconer ended before the answer came"),
            Self::Platform(error) => f.write_str(error),
        }
    }
}

/// What the platform's word means.
enum Word {
    Done,
    NotDone,
    /// It will never say.
    Unknowable(String),
    /// It may say later.
    NotNow(String),
}

impl From<Result<ActionTrace, ClusterError>> for Word {
    fn from(answer: Result<ActionTrace, ClusterError>) -> Self {
        match answer {
            Ok(ActionTrace::Done) => Self::Done,
            Ok(ActionTrace::NotDone) | Err(ClusterError::NotFound { .. }) => Self::NotDone,
            Err(error) if error.is_retryable() => Self::NotNow(error.to_string()),
            Err(error) => Self::Unknowable(error.to_string()),
        }
    }
}

impl Recoverer {
    /// Finds out what became of the action under way on `component`, whose answer was lost.
    pub(super) fn look_up(
        &mut self,
        action: &ActionUnderWay,
        why: Unanswered,
        ctx: &mut Context<Self>,
    ) {
        let (component, key) = (action.component.clone(), action.idempotency_key.clone());
        if self.lost.get(&component).is_some_and(|lost| lost.key == key) {
            // It is being asked for already.
            return;
        }
        tracing::warn!(%component, key, %why, "it is not known whether a request arrived");
        let subject = Subject { incident: &action.incident, component: &component };
        let deed = Deed::from(action);
        self.write_action(&subject, &deed, ActionPhase::Unknown, why.to_string());
        self.lost.insert(component.clone(), Lost { key, why, failures: 0 });
        self.ask_for_trace(&component, ctx);
    }

    fn ask_for_trace(&mut self, component: &ComponentId, ctx: &mut Context<Self>) {
        let Some(action) = self.lost_action(component) else {
            self.lost.remove(component);
            return;
        };
        let Some(cluster) = self.around.clusters.get(&component.cluster).cloned() else {
            // Its cluster is taken out, and may come back.
            self.ask_again_later(component, "the cluster is not configured", ctx);
            return;
        };
        let (deed, key) = (Deed::from(&action), action.idempotency_key);
        let deadline = self.settings.status_timeout;
        let asked = async move { deed.look_up(cluster.as_ref(), deadline).await };
        let component = component.clone();
        ctx.spawn(asked.into_actor(self).map(move |answer, act, ctx| {
            act.around.answered(&component.cluster, &answer);
            if act.lost.get(&component).is_some_and(|lost| lost.key == key) {
                act.on_trace(&component, answer.into(), ctx);
            }
        }));
    }

    /// The action under way whose answer was lost, if it still is.
    fn lost_action(&self, component: &ComponentId) -> Option<ActionUnderWay> {
        let lost = self.lost.get(component)?;
        let ledger = self.ledger();
        let action = ledger.in_flight(component)?;
        let is_it = action.idempotency_key == lost.key && action.accepted_at.is_none();
        is_it.then(|| action.clone())
    }

    fn on_trace(&mut self, component: &ComponentId, word: Word, ctx: &mut Context<Self>) {
        match word {
            Word::NotNow(error) => self.ask_again_later(component, &error, ctx),
            Word::Done => self.it_arrived(component, "it had arrived", ctx),
            // Never done twice where that cannot be told: it is verified like any other.
            Word::Unknowable(error) => {
                let words = format!("whether it arrived cannot be told ({error})");
                self.it_arrived(component, &words, ctx);
            }
            Word::NotDone => self.it_did_not_arrive(component),
        }
    }

    fn ask_again_later(&mut self, component: &ComponentId, error: &str, ctx: &mut Context<Self>) {
        let Some(lost) = self.lost.get_mut(component) else { return };
        let delay = AGAIN.delay(lost.failures, fastrand::f64());
        lost.failures = lost.failures.saturating_add(1);
        let why = lost.why.clone();
        let later = component.clone();
        ctx.run_later(delay, move |act, ctx| act.ask_for_trace(&later, ctx));
        tracing::debug!(%component, error, "the platform does not say whether a request arrived");
        let Some(action) = self.lost_action(component) else { return };
        let deed = Deed::from(&action);
        let summary = format!(
            "it is not known whether falconer's request to {} arrived ({why}): nothing else is done \
             until the platform says so",
            deed.infinitive()
        );
        let ActionUnderWay { incident, component, step, .. } = action;
        let (phase, step) = (RecoveryPhase::Refused, Some(step));
        self.tell(News {
            incident,
            component,
            phase,
            kind: "answer_lost",
            summary,
            outcome: None,
            step,
        });
    }

    fn it_arrived(&mut self, component: &ComponentId, how: &str, ctx: &mut Context<Self>) {
        let Some(action) = self.lost_action(component) else { return };
        self.lost.remove(component);
        let now = self.around.clock.now();
        self.ledger().accepted(component, now);
        let deed = Deed::from(&action);
        let limit = self.settings.for_component(component).verify_timeout;
        let summary =
            format!("{}: {how}; to be healthy within {}", deed.participle(), words(limit));
        let ActionUnderWay { incident, component, step, .. } = action;
        let subject = Subject { incident: &incident, component: &component };
        self.write_action(&subject, &deed, ActionPhase::Accepted, summary.clone());
        let (phase, kind) = (RecoveryPhase::Started, step.as_str());
        let (outcome, step) = (Some(ActionOutcome::Started), Some(step));
        self.tell(News { incident, component, phase, kind, summary, outcome, step });
        self.publish();
        self.arm_verification(ctx);
    }

    fn it_did_not_arrive(&mut self, component: &ComponentId) {
        let Some(action) = self.lost_action(component) else { return };
        let Some(Lost { why, .. }) = self.lost.remove(component) else { return };
        let now = self.around.clock.now();
        let settings = self.settings.for_component(component);
        let delay = match &why {
            Unanswered::Ended => self.ledger().interrupted(component, settings, now),
            Unanswered::Platform(_) => self.ledger().postponed(component, settings, now),
        };
        self.release(component, &action.workload);
        let deed = Deed::from(&action);
        let summary = format!(
            "could not {}: {why}; it did not arrive; trying again at {}",
            deed.infinitive(),
            now + delay
        );
        let ActionUnderWay { incident, component, step, .. } = action;
        let subject = Subject { incident: &incident, component: &component };
        self.write_action(&subject, &deed, ActionPhase::Error, summary.clone());
        let phase = RecoveryPhase::NotRecovered;
        let (kind, outcome) = ("platform_retry", Some(ActionOutcome::Error));
        self.tell(News { incident, component, phase, kind, summary, outcome, step: Some(step) });
        self.publish();
    }
}
