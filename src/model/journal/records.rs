//! The records that carry more than a word or two, with the bounds of their texts.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use super::sets::{
    ActionPhase, AlertChange, DecisionVerdict, DeliveryOutcome, EvidenceSource, GuardWord,
};
use crate::model::alert::{AlertStatus, Severity};
use crate::model::reload::{ReloadOutcome, ReloadTrigger};

/// The longest sentence that is kept, in bytes.
const WORDS_LIMIT: usize = 4 * 1024;
/// The longest piece of evidence that is kept, in bytes.
const EVIDENCE_LIMIT: usize = 64 * 1024;
/// More guards than these are never shown for one decision.
const GUARDS_LIMIT: usize = 64;

/// A sentence for people, cut to a bounded length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    /// `text`, at most 4 KiB of it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(cut(text.into(), WORDS_LIMIT))
    }
}

impl<T: Into<String>> From<T> for Words {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

impl Deref for Words {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// One guard's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardRecord {
    /// The guard's name, e.g. `cooldown`.
    pub guard: Cow<'static, str>,
    /// What it says.
    pub verdict: GuardWord,
    /// Why, with its numbers.
    pub words: Words,
}

/// A decision with everything that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRecord {
    /// What was decided.
    pub verdict: DecisionVerdict,
    /// The step of the ladder that is taken or refused, e.g. `rollout_restart`.
    pub step: Option<Cow<'static, str>>,
    /// The decision as a sentence.
    pub summary: Words,
    /// Every guard that was asked, in that order.
    pub guards: Vec<GuardRecord>,
}

impl DecisionRecord {
    /// The guards that are kept; there is a bound, which no set of guards should reach.
    pub fn kept_guards(&self) -> &[GuardRecord] {
        &self.guards[..self.guards.len().min(GUARDS_LIMIT)]
    }

    pub(super) fn bytes(&self) -> usize {
        let guards = self.guards.iter().map(|guard| size_of::<GuardRecord>() + guard.words.len());
        size_of::<Self>() + self.summary.len() + guards.sum::<usize>()
    }
}

/// An action began, went on or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRecord {
    /// The idempotency key: incident and step.
    pub key: String,
    /// The step, e.g. `delete_pod`.
    pub step: Cow<'static, str>,
    /// What it is done to, e.g. `deployment/milvus-proxy`.
    pub target: Words,
    /// The exact change.
    pub change: Words,
    /// Where it is.
    pub phase: ActionPhase,
    /// Why, or how it ended, as a sentence.
    pub words: Words,
}

impl ActionRecord {
    pub(super) fn bytes(&self) -> usize {
        let texts = self.key.len() + self.target.len() + self.change.len() + self.words.len();
        size_of::<Self>() + texts
    }
}

/// What was saved before something was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRecord {
    /// The idempotency key of the action before which it was saved.
    pub key: String,
    /// Where it is from.
    pub source: EvidenceSource,
    /// The object's name, e.g. `pod/milvus-proxy-1`.
    pub object: Words,
    /// At most 64 KiB: of more, the end. See [`EvidenceRecord::new`].
    text: String,
}

impl EvidenceRecord {
    /// Evidence whose text is cut to its last 64 KiB: what happened last says most.
    pub fn new(
        key: impl Into<String>,
        source: EvidenceSource,
        object: impl Into<Words>,
        text: impl Into<String>,
    ) -> Self {
        let mut text = text.into();
        if text.len() > EVIDENCE_LIMIT {
            let from = text.ceil_char_boundary(text.len() - EVIDENCE_LIMIT);
            text = format!("…{}", &text[from..]);
        }
        Self { key: key.into(), source, object: object.into(), text }
    }

    /// What was saved.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.key.len() + self.object.len() + self.text.len()
    }
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRecord {
    /// What became of it.
    pub change: AlertChange,
    /// How bad, where that was said.
    pub severity: Option<Severity>,
    /// Its title, where that was said.
    pub title: Words,
    /// What was seen, or what is done about it.
    pub words: Words,
}

impl AlertRecord {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.title.len() + self.words.len()
    }
}

/// A message to a receiver: that it was made, an attempt to deliver it, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The receiver's name.
    pub receiver: String,
    /// Whether it was told of the trouble or of its end.
    pub status: AlertStatus,
    /// The message, the same for all its attempts; empty where none was made.
    pub message: String,
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// What became of it.
    pub outcome: DeliveryOutcome,
    /// Why the receiver could not be told, where it could not.
    pub error: Option<Words>,
}

impl DeliveryRecord {
    pub(super) fn bytes(&self) -> usize {
        let error = self.error.as_ref().map_or(0, |words| words.len());
        size_of::<Self>() + self.receiver.len() + self.message.len() + error
    }
}

/// A reading of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadNote {
    /// Why it was read.
    pub trigger: ReloadTrigger,
    /// How that ended.
    pub outcome: ReloadOutcome,
    /// What it did, or what is wrong with the file.
    pub words: Words,
}

impl ReloadNote {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.words.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_of_evidence_the_end_is_kept() {
        let long = format!("{}end", "é".repeat(100_000));
        assert!(Words::new(long.as_str()).len() <= WORDS_LIMIT + '…'.len_utf8());
        let evidence = EvidenceRecord::new("key", EvidenceSource::Log, "pod/a", long);
        assert!(evidence.text().ends_with("end"));
        assert!(evidence.text().len() <= EVIDENCE_LIMIT + '…'.len_utf8());
    }
}
