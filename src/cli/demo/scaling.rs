//! The scenarios about the number of replicas: what falconer does beside what a plain rule does with
//! the same load. Each has a cluster of its own for either, and a promise that its exit code tells.

mod drain;
mod plain;
mod queries;
mod stage;
mod surge;
mod unsafe_removal;

use serde::Serialize;
use serde_json::Value;

/// Such a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalingScenario {
    /// The load rises and falls.
    Surge,
    /// A query node too few would be too few for the data.
    ScaleInUnsafe,
    /// Query nodes go while queries are running.
    Drain,
}

impl ScalingScenario {
    pub(super) const ALL: [Self; 3] = [Self::Surge, Self::ScaleInUnsafe, Self::Drain];

    /// Its name on the command line and in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Surge => "surge",
            Self::ScaleInUnsafe => "scale-in-unsafe",
            Self::Drain => "drain",
        }
    }

    /// What it shows, in a line.
    pub(super) const fn summary(self) -> &'static str {
        match self {
            Self::Surge => "load rises over five minutes and falls: step, target and a plain rule",
            Self::ScaleInUnsafe => {
                "a plain rule removes query nodes that the data needs; falconer refuses"
            }
            Self::Drain => "query nodes go from 4 to 2 while queries run; none may fail",
        }
    }

    /// The scenario of this name.
    pub(super) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// Plays it. Must be called inside an actix system.
    ///
    /// # Errors
    /// When something cannot be started.
    pub(super) async fn play(self) -> anyhow::Result<ScalingReport> {
        match self {
            Self::Surge => Ok(surge::play()),
            Self::ScaleInUnsafe => unsafe_removal::play().await,
            Self::Drain => drain::play().await,
        }
    }
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ScalingReport {
    /// The scenario's name.
    pub(super) scenario: &'static str,
    /// Whether falconer kept its promise.
    pub(super) passed: bool,
    /// What it promised and did not keep.
    pub(super) missing: Vec<String>,
    /// The figures.
    #[serde(flatten)]
    pub(super) figures: Value,
    /// For people.
    #[serde(skip)]
    pub(super) text: String,
}

impl ScalingReport {
    /// The report for the terminal.
    pub(super) fn summary(&self) -> String {
        let mut lines = vec![self.text.clone()];
        lines.extend(self.missing.iter().map(|missing| format!("missing: {missing}")));
        let verdict = if self.passed { "passed" } else { "FAILED" };
        lines.push(format!("scenario {} {verdict}", self.scenario));
        lines.join("\n")
    }
}
