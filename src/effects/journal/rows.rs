//! Between a record and the columns of the table `entries`. Both ways stand beside each other, so
//! that a record reads back as it was written.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::de::value::{Error as Unknown, StrDeserializer};

use crate::model::journal::{
    ActionRecord, AlertRecord, DecisionRecord, DeliveryRecord, EvidenceRecord, GuardRecord,
    ReloadNote,
};
use crate::model::{JournalKind, JournalRecord, Outcome, Reason};

/// The columns of one entry besides time, kind, component and incident.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Columns<'a> {
    pub(super) key: Option<Cow<'a, str>>,
    pub(super) what: Option<Cow<'a, str>>,
    pub(super) subject: Option<Cow<'a, str>>,
    pub(super) outcome: Option<Cow<'a, str>>,
    pub(super) words: Option<Cow<'a, str>>,
    pub(super) detail: Option<Cow<'a, str>>,
}

/// The columns of `record`; `None` for a probe report, which has a table of its own.
pub(super) fn columns(record: &JournalRecord) -> Option<Columns<'_>> {
    let some = |text| Some(Cow::Borrowed(text));
    let none = Columns::default();
    Some(match record {
        JournalRecord::Probe { .. } => return None,
        JournalRecord::State { from, to, reason } => Columns {
            what: some(from.as_str()),
            outcome: some(to.as_str()),
            words: reason.as_ref().map(|reason| reason.text.as_str().into()),
            detail: reason.as_ref().map(|reason| reason.kind.as_str().into()),
            ..none
        },
        JournalRecord::Decision(decision) => Columns {
            what: decision.step.as_deref().map(Cow::Borrowed),
            outcome: some(decision.verdict.as_str()),
            words: some(&decision.summary),
            ..none
        },
        JournalRecord::Action(action) => Columns {
            key: some(&action.key),
            what: some(&action.step),
            subject: some(&action.target),
            outcome: some(action.phase.as_str()),
            words: some(&action.words),
            detail: some(&action.change),
        },
        JournalRecord::Evidence(evidence) => Columns {
            key: some(&evidence.key),
            what: some(evidence.source.as_str()),
            subject: some(&evidence.object),
            detail: some(evidence.text()),
            ..none
        },
        JournalRecord::Alert(alert) => Columns {
            what: alert.severity.map(|severity| severity.as_str().into()),
            subject: some(&alert.title),
            outcome: some(alert.change.as_str()),
            words: some(&alert.words),
            ..none
        },
        JournalRecord::Delivery(delivery) => Columns {
            key: Some(delivery.message.as_str().into())
                .filter(|key: &Cow<'_, str>| !key.is_empty()),
            what: some(delivery.status.as_str()),
            subject: some(&delivery.receiver),
            outcome: some(delivery.outcome.as_str()),
            words: delivery.error.as_deref().map(Cow::Borrowed),
            detail: Some(delivery.attempt.to_string().into()),
        },
        JournalRecord::Leadership { change, words } => {
            Columns { outcome: some(change.as_str()), words: some(words), ..none }
        }
        JournalRecord::Breaker { change, words } => {
            Columns { outcome: some(change.as_str()), words: some(words), ..none }
        }
        JournalRecord::Reload(reload) => Columns {
            what: some(reload.trigger.as_str()),
            outcome: some(reload.outcome.as_str()),
            words: some(&reload.words),
            ..none
        },
        JournalRecord::Scaling { decision, words } => {
            Columns { outcome: some(decision), words: some(words), ..none }
        }
    })
}

impl Columns<'_> {
    /// The record whose columns these are; otherwise the column that makes no sense.
    pub(super) fn into_record(
        self,
        kind: JournalKind,
        guards: Vec<GuardRecord>,
    ) -> Result<JournalRecord, &'static str> {
        let what = self.what.as_deref();
        let outcome = self.outcome.as_deref();
        let words = || self.words.as_deref().unwrap_or_default().into();
        let owned =
            |column: &Option<Cow<'_, str>>| column.as_deref().unwrap_or_default().to_owned();
        Ok(match kind {
            JournalKind::Probe => return Err("kind"),
            JournalKind::State => JournalRecord::State {
                from: word(what).ok_or("what")?,
                to: word(outcome).ok_or("outcome")?,
                reason: reason(self.detail.as_deref(), self.words.as_deref())?,
            },
            JournalKind::Decision => JournalRecord::Decision(Box::new(DecisionRecord {
                verdict: word(outcome).ok_or("outcome")?,
                step: what.map(|step| step.to_owned().into()),
                summary: words(),
                guards,
            })),
            JournalKind::Action => JournalRecord::Action(Box::new(ActionRecord {
                key: owned(&self.key),
                step: owned(&self.what).into(),
                target: owned(&self.subject).into(),
                change: owned(&self.detail).into(),
                phase: word(outcome).ok_or("outcome")?,
                words: words(),
            })),
            JournalKind::Evidence => JournalRecord::Evidence(Box::new(EvidenceRecord::new(
                owned(&self.key),
                word(what).ok_or("what")?,
                owned(&self.subject),
                owned(&self.detail),
            ))),
            JournalKind::Alert => JournalRecord::Alert(Box::new(AlertRecord {
                change: word(outcome).ok_or("outcome")?,
                severity: what.map(|name| word(Some(name)).ok_or("what")).transpose()?,
                title: owned(&self.subject).into(),
                words: words(),
            })),
            JournalKind::Delivery => JournalRecord::Delivery(Box::new(DeliveryRecord {
                receiver: owned(&self.subject),
                status: word(what).ok_or("what")?,
                message: owned(&self.key),
                attempt: owned(&self.detail).parse().map_err(|_| "detail")?,
                outcome: word(outcome).ok_or("outcome")?,
                error: self.words.is_some().then(words),
            })),
            JournalKind::Leadership => JournalRecord::Leadership {
                change: word(outcome).ok_or("outcome")?,
                words: words(),
            },
            JournalKind::Breaker => {
                JournalRecord::Breaker { change: word(outcome).ok_or("outcome")?, words: words() }
            }
            JournalKind::Reload => JournalRecord::Reload(Box::new(ReloadNote {
                trigger: word(what).ok_or("what")?,
                outcome: word(outcome).ok_or("outcome")?,
                words: words(),
            })),
            JournalKind::Scaling => {
                JournalRecord::Scaling { decision: owned(&self.outcome), words: words() }
            }
        })
    }
}

/// How the table of reports writes an outcome.
pub(super) const fn outcome_number(outcome: &Outcome) -> i64 {
    match outcome {
        Outcome::Healthy => 0,
        Outcome::Degraded { .. } => 1,
        Outcome::Failed { .. } => 2,
    }
}

/// The record of a row of the table of reports; otherwise the column that makes no sense.
pub(super) fn report(
    outcome: i64,
    latency_us: i64,
    reason: Option<Reason>,
) -> Result<JournalRecord, &'static str> {
    let outcome = match (outcome, reason) {
        (0, _) => Outcome::Healthy,
        (1, Some(reason)) => Outcome::Degraded { reason },
        (2, Some(reason)) => Outcome::Failed { reason },
        (_, None) => return Err("reason_id"),
        (_, Some(_)) => return Err("outcome"),
    };
    let latency = Duration::from_micros(u64::try_from(latency_us).map_err(|_| "latency_us")?);
    Ok(JournalRecord::Probe { outcome, latency })
}

/// The reason that two columns hold.
pub(super) fn reason(
    kind: Option<&str>,
    words: Option<&str>,
) -> Result<Option<Reason>, &'static str> {
    let Some(kind) = kind else { return Ok(None) };
    let kind = word(Some(kind)).ok_or("reason_kind")?;
    Ok(Some(Reason::new(kind, words.unwrap_or_default())))
}

/// One of a closed set by its name.
pub(super) fn word<T: DeserializeOwned>(name: Option<&str>) -> Option<T> {
    T::deserialize(StrDeserializer::<Unknown>::new(name?)).ok()
}
