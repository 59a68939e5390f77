//! What was measured: for machines and for people.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::scenario::Milestone;

/// The outcome of a scenario. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    /// The scenario's name.
    pub(super) scenario: &'static str,
    /// Whether everything that was expected was seen.
    pub(super) passed: bool,
    /// From the start of the demo to the end of the last step.
    pub(super) wall_ms: u64,
    /// One for each step.
    pub(super) events: Vec<EventReport>,
    /// How often the same was disturbed by the reference's rule; `None` where it was not asked.
    pub(super) actions: Option<Comparison>,
}

/// The disruptive requests that the Kubernetes API has accepted, from the first fault to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Comparison {
    /// falconer's.
    pub(super) falconer: usize,
    /// Those of the rule to restart at each failed check, on a cluster of its own with the same
    /// faults.
    pub(super) reference_rule: usize,
    /// How often that rule checks, as often as falconer. In milliseconds.
    pub(super) check_interval_ms: u64,
}

/// The outcome of a step. Times count from the injection of the fault; `None` where there is
/// nothing of the kind to wait for, or where it never came (see `missing`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct EventReport {
    /// The step's name.
    pub(super) name: &'static str,
    /// Until falconer knew.
    pub(super) detect_ms: Option<u64>,
    /// Until people were told.
    pub(super) alert_ms: Option<u64>,
    /// Until the Kubernetes API was asked for a remedy.
    pub(super) act_ms: Option<u64>,
    /// Until all was well again.
    pub(super) recover_ms: Option<u64>,
    /// Until it was left to a person.
    pub(super) stop_ms: Option<u64>,
    /// The disruptive requests that the Kubernetes API has accepted, by their kind.
    pub(super) actions: BTreeMap<&'static str, usize>,
    /// The mails that people got.
    pub(super) mails: usize,
    /// What was expected and not seen.
    pub(super) missing: Vec<String>,
}

impl EventReport {
    /// Notes when an expectation was met; a milestone is reached with the last of its own.
    pub(super) fn reach(&mut self, milestone: Milestone, after_ms: u64) {
        let time = match milestone {
            Milestone::Detect => &mut self.detect_ms,
            Milestone::Alert => &mut self.alert_ms,
            Milestone::Act => &mut self.act_ms,
            Milestone::Recover => &mut self.recover_ms,
            Milestone::Stop => &mut self.stop_ms,
        };
        *time = Some(time.map_or(after_ms, |earlier| earlier.max(after_ms)));
    }

    /// Takes a milestone back of which a part is missing.
    pub(super) fn miss(&mut self, milestone: Milestone, words: String) {
        match milestone {
            Milestone::Detect => self.detect_ms = None,
            Milestone::Alert => self.alert_ms = None,
            Milestone::Act => self.act_ms = None,
            Milestone::Recover => self.recover_ms = None,
            Milestone::Stop => self.stop_ms = None,
        }
        self.missing.push(words);
    }
}

impl Report {
    /// The summary for the terminal.
    pub(super) fn summary(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header([
            "EVENT", "DETECT", "ALERT", "ACT", "RECOVER", "STOP", "ACTIONS", "MAILS", "RESULT",
        ]);
        for event in &self.events {
            let result = if event.missing.is_empty() { "seen" } else { "MISSING" };
            table.add_row([
                event.name.to_owned(),
                seconds(event.detect_ms),
                seconds(event.alert_ms),
                seconds(event.act_ms),
                seconds(event.recover_ms),
                seconds(event.stop_ms),
                event.actions.values().sum::<usize>().to_string(),
                event.mails.to_string(),
                result.to_owned(),
            ]);
        }
        let mut lines = vec![table.to_string()];
        for event in &self.events {
            for missing in &event.missing {
                lines.push(format!("missing in {}: {missing}", event.name));
            }
        }
        if let Some(Comparison { falconer, reference_rule, .. }) = self.actions {
            lines.push(format!("actions: falconer {falconer}, reference rule {reference_rule}"));
        }
        let verdict = if self.passed { "passed" } else { "FAILED" };
        let wall = seconds(Some(self.wall_ms));
        lines.push(format!("scenario {} {verdict} in {wall}", self.scenario));
        lines.join("\n")
    }
}

/// Milliseconds as people read them.
fn seconds(millis: Option<u64>) -> String {
    millis.map_or_else(|| "-".to_owned(), |millis| format!("{:.2} s", millis as f64 / 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_milestone_is_reached_with_its_last_part_and_lost_with_any_missing_one() {
        let mut event = EventReport { name: "a", ..EventReport::default() };
        event.reach(Milestone::Recover, 900);
        event.reach(Milestone::Recover, 400);
        assert_eq!(event.recover_ms, Some(900));
        event.miss(Milestone::Recover, "resolved mail".to_owned());
        assert_eq!((event.recover_ms, event.missing.len()), (None, 1));
        let report = Report {
            scenario: "s",
            passed: false,
            wall_ms: 1_234,
            events: vec![event],
            actions: None,
        };
        let summary = report.summary();
        assert!(summary.contains("missing in a: resolved mail"), "{summary}");
        assert!(summary.ends_with("scenario s FAILED in 1.23 s"), "{summary}");
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["events"][0]["detect_ms"], serde_json::Value::Null);
    }

    #[test]
    fn both_counts_of_actions_are_in_the_summary_and_in_the_report() {
        let actions = Comparison { falconer: 0, reference_rule: 14, check_interval_ms: 1_000 };
        let report = Report {
            scenario: "s",
            passed: true,
            wall_ms: 1,
            events: Vec::new(),
            actions: Some(actions),
        };
        assert!(report.summary().contains("actions: falconer 0, reference rule 14"));
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["actions"]["reference_rule"], 14);
    }
}
