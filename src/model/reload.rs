//! What came of reading the configuration again while falconer runs.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// More names than this are counted, not listed.
const LISTED_NAMES: usize = 100;

/// Why the configuration was read again; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadTrigger {
    /// SIGHUP.
    Signal,
    /// The content of the file is another one.
    File,
    /// `POST /api/v1/reload`.
    Api,
}

impl ReloadTrigger {
    /// The name in logs and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

/// How it ended; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// It holds now.
    Applied,
    /// It says what held before.
    Unchanged,
    /// It is faulty: nothing was changed.
    Rejected,
}

impl ReloadOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Rejected];

    /// The value of the metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }

    /// Whether the file that was read is a good one.
    pub const fn is_success(self) -> bool {
        match self {
            Self::Applied | Self::Unchanged => true,
            Self::Rejected => false,
        }
    }
}

/// Names with their number; of many only the first are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// How many there are.
    pub count: usize,
    /// The first of them.
    pub names: Vec<String>,
}

impl Names {
    /// One more.
    pub fn add(&mut self, name: impl Into<String>) {
        self.count += 1;
        if self.names.len() < LISTED_NAMES {
            self.names.push(name.into());
        }
    }

    fn extend(&mut self, other: Self) {
        self.count += other.count;
        let room = LISTED_NAMES.saturating_sub(self.names.len());
        self.names.extend(other.names.into_iter().take(room));
    }
}

/// What a change of the configuration did to the actors and the receivers, each by its kind and
/// name: `prober milvus-ha/etcd`, `alerter`, `receiver email`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// Made.
    pub added: Names,
    /// Made anew, or told of its new settings in place.
    pub changed: Names,
    /// Ended.
    pub removed: Names,
    /// How many were left alone.
    pub untouched: usize,
}

impl Touched {
    /// This and `other` together.
    pub fn extend(&mut self, other: Self) {
        self.added.extend(other.added);
        self.changed.extend(other.changed);
        self.removed.extend(other.removed);
        self.untouched += other.untouched;
    }

    /// How many were not left alone.
    pub fn total(&self) -> usize {
        self.added.count + self.changed.count + self.removed.count
    }
}

/// One reading of the configuration while falconer runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReloadRecord {
    /// When it began.
    pub at: Timestamp,
    /// Why.
    pub trigger: ReloadTrigger,
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// What is wrong with the file, each with its place; empty unless rejected.
    pub problems: Vec<String>,
    /// What it did.
    pub touched: Touched,
    /// What the file says that cannot change while falconer runs.
    pub at_next_start: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_the_first_are_listed_and_all_are_counted() {
        let mut names = Names::default();
        (0..250).for_each(|index| names.add(format!("prober {index}")));
        let mut both = Touched { changed: names.clone(), untouched: 3, ..Touched::default() };
        both.extend(Touched { changed: names, untouched: 4, ..Touched::default() });
        assert_eq!((both.changed.count, both.changed.names.len()), (500, LISTED_NAMES));
        assert_eq!((both.untouched, both.total()), (7, 500));
    }
}
