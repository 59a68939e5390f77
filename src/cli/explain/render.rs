//! An explanation as text for people: what is, what would have to change, what was decided and done.
//! Pure. Whatever comes from a log is made harmless, as it may go to a terminal.

use std::fmt::{self, Write as _};
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use super::remedy::remedy;
use crate::cli::instance::harmless;
use crate::model::explanation::{ActionShown, DecisionShown, EvidenceShown, Explanation};
use crate::model::journal::DecisionVerdict;

/// Widest line of a table on a terminal.
const WIDTH: u16 = 100;

/// How wide a table may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Folded for a terminal.
    Folded,
    /// A row is a line, so that it can be searched for.
    AsItIs,
}

/// The whole text.
pub fn text(explanation: &Explanation, width: Width) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _infallible = write(&mut text, explanation, width);
    text
}

fn write(text: &mut String, shown: &Explanation, width: Width) -> fmt::Result {
    standing(text, shown)?;
    let newest = shown.newest.as_ref();
    if let Some(decision) = newest {
        writeln!(text, "\nNOW")?;
        write_decision(text, decision, width)?;
    }
    // What the journal said last is what holds, where nothing newer is known and the incident is open.
    let last = shown.decisions.first().filter(|_| shown.incident.is_some());
    if let Some(decision) = newest.or(last) {
        to_act(text, decision)?;
    }
    writeln!(text, "\nDECISIONS, newest first")?;
    for decision in &shown.decisions {
        write_decision(text, decision, width)?;
    }
    if shown.decisions.is_empty() {
        writeln!(text, "  none is known")?;
    }
    writeln!(text, "\nACTIONS, newest first")?;
    for action in &shown.actions {
        write_action(text, action)?;
    }
    if shown.actions.is_empty() {
        writeln!(text, "  nothing was done as far as is known")?;
    }
    Ok(())
}

fn standing(text: &mut String, shown: &Explanation) -> fmt::Result {
    let name = harmless(format_args!("{}/{}", shown.cluster, shown.component));
    match &shown.state {
        Some(state) => {
            let (word, since) = (state.state.as_str(), state.since);
            let ago = short(shown.as_of.since(since));
            write!(text, "{name} is {word} since {since} ({ago})")?;
            match &state.reason {
                Some(reason) => writeln!(text, ": {}", harmless(reason))?,
                None => writeln!(text)?,
            }
        }
        None => writeln!(text, "{name}: how it is, is not known")?,
    }
    match &shown.incident {
        Some(open) => writeln!(
            text,
            "open incident {} since {}: {}",
            harmless(&open.incident),
            open.since,
            harmless(&open.title)
        )?,
        None => writeln!(text, "no open incident")?,
    }
    for notice in &shown.notices {
        writeln!(text, "! {}", harmless(notice))?;
    }
    Ok(())
}

/// What would have to change for falconer to act.
fn to_act(text: &mut String, decision: &DecisionShown) -> fmt::Result {
    let objections: Vec<_> = decision.objections().collect();
    if decision.verdict == DecisionVerdict::Act || objections.is_empty() {
        return Ok(());
    }
    writeln!(text, "\nFOR FALCONER TO ACT")?;
    for guard in objections {
        let how = match guard.verdict.as_str() {
            "refuse" => "refused",
            "wait" => "held up",
            _ => "left to a person",
        };
        let (name, words) = (harmless(&guard.guard), harmless(&guard.words));
        writeln!(text, "  {how} by {name}: {words}")?;
        if let Some(remedy) = remedy(&guard.guard) {
            writeln!(text, "    {remedy}")?;
        }
    }
    Ok(())
}

fn write_decision(text: &mut String, decision: &DecisionShown, width: Width) -> fmt::Result {
    let (at, verdict) = (decision.at, decision.verdict.as_str());
    let step = decision.step.as_ref().map_or_else(String::new, |step| format!(" {step}"));
    writeln!(text, "  {at} {verdict}{}: {}", harmless(step).as_str(), harmless(&decision.summary))?;
    if decision.guards.is_empty() {
        return Ok(());
    }
    let mut table = Table::new();
    let arrangement = match width {
        Width::Folded => ContentArrangement::Dynamic,
        Width::AsItIs => ContentArrangement::Disabled,
    };
    table
        .load_style(NOTHING)
        .set_content_arrangement(arrangement)
        .set_width(WIDTH)
        .force_no_tty()
        .set_header(["GUARD", "VERDICT", "WORDS"]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for guard in &decision.guards {
        table.add_row([
            harmless(&guard.guard),
            guard.verdict.as_str().to_owned(),
            harmless(&guard.words),
        ]);
    }
    for line in table.lines() {
        writeln!(text, "    {}", line.trim_end())?;
    }
    Ok(())
}

fn write_action(text: &mut String, action: &ActionShown) -> fmt::Result {
    let (at, step) = (action.begun_at(), harmless(&action.step));
    let (target, outcome) = (harmless(&action.target), outcome(action));
    writeln!(text, "  {at} {step} {target}: {outcome}")?;
    writeln!(text, "    change    {}", harmless(&action.change))?;
    for phase in &action.phases {
        let name = phase.phase.as_str();
        writeln!(text, "    {name:<9} {} {}", phase.at, harmless(&phase.words))?;
    }
    for piece in &action.evidence {
        write_evidence(text, piece)?;
    }
    writeln!(text, "    key       {}", harmless(&action.key))
}

/// How it stands, and after how long.
fn outcome(action: &ActionShown) -> String {
    let Some(last) = action.phases.last() else { return String::new() };
    let took = last.at.since(action.begun_at());
    match action.phases.len() {
        1 => last.phase.as_str().to_owned(),
        _ => format!("{} after {}", last.phase.as_str(), short(took)),
    }
}

/// One action, in a line, for a list of several.
pub fn action_line(action: &ActionShown) -> String {
    let (at, step, outcome) = (action.begun_at(), harmless(&action.step), outcome(action));
    let (component, target) = (harmless(&action.component), harmless(&action.target));
    format!("{at} {component}: {step} {target}: {outcome}")
}

fn write_evidence(text: &mut String, piece: &EvidenceShown) -> fmt::Result {
    let (source, bytes) = (piece.source.as_str(), piece.bytes);
    let (object, headline) = (harmless(&piece.object), harmless(&piece.headline));
    writeln!(text, "    evidence  {source} of {object}, {bytes} bytes: {headline}")?;
    for line in piece.text.iter().flat_map(|text| text.lines()) {
        writeln!(text, "      | {}", tamed(line))?;
    }
    Ok(())
}

/// A line of a log: its blanks stay, its control characters do not.
fn tamed(line: &str) -> String {
    let blank = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    line.trim_end().chars().map(blank).collect()
}

/// Whole seconds, for people.
fn short(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::explanation::{GuardShown, IncidentShown, PhaseShown, StateShown};
    use crate::model::journal::{ActionPhase, EvidenceSource, GuardWord};
    use crate::model::{HealthState, Timestamp};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000 + seconds * 1_000)
    }

    fn guard(guard: &str, verdict: GuardWord, words: &str) -> GuardShown {
        GuardShown { guard: guard.into(), verdict, words: words.into() }
    }

    fn explanation() -> Explanation {
        let decision = DecisionShown {
            at: at(60),
            incident: Some("a/querynode@x".into()),
            verdict: DecisionVerdict::Refuse,
            step: None,
            summary: "nothing is done yet: cooldown".into(),
            guards: vec![
                guard("failure_threshold", GuardWord::Pass, "3 failed probes in a row, 3 needed"),
                guard("cooldown", GuardWord::Refuse, "cooldown; 4m left"),
            ],
        };
        let phase = |seconds, phase, words: &str| PhaseShown {
            at: at(seconds),
            phase,
            words: words.into(),
        };
        let action = ActionShown {
            key: "a/querynode@x/0-delete_pod/b".into(),
            component: "querynode".into(),
            step: "delete_pod".into(),
            target: "pod/b".into(),
            change: "POST pods/b/eviction".into(),
            phases: vec![
                phase(10, ActionPhase::Begun, "to evict pod b"),
                phase(22, ActionPhase::Failed, "still unhealthy"),
            ],
            evidence: vec![EvidenceShown {
                at: at(9),
                source: EvidenceSource::Log,
                object: "b/querynode".into(),
                headline: "panic: \u{1b}[31mout of memory".into(),
                bytes: 40,
                text: Some("one\ttwo\n\u{1b}[31mred".into()),
            }],
        };
        Explanation {
            cluster: "a".into(),
            component: "querynode".into(),
            as_of: at(120),
            state: Some(StateShown {
                state: HealthState::Unhealthy,
                since: at(0),
                reason: Some("timeout".into()),
            }),
            incident: Some(IncidentShown {
                incident: "a/querynode@x".into(),
                title: "querynode is unhealthy".into(),
                since: at(0),
            }),
            notices: vec!["Dry run: actions are only shown.".into()],
            newest: None,
            decisions: vec![decision],
            actions: vec![action],
        }
    }

    #[test]
    fn people_read_what_is_what_would_have_to_change_and_what_was_done() {
        let text = text(&explanation(), Width::AsItIs);
        let expected = "\
a/querynode is unhealthy since 2026-01-01T00:00:00.000Z (2m): timeout
open incident a/querynode@x since 2026-01-01T00:00:00.000Z: querynode is unhealthy
! Dry run: actions are only shown.

FOR FALCONER TO ACT
  refused by cooldown: cooldown; 4m left
    time must pass (cooldown)

DECISIONS, newest first
  2026-01-01T00:01:00.000Z refuse: nothing is done yet: cooldown
    GUARD              VERDICT  WORDS
    failure_threshold  pass     3 failed probes in a row, 3 needed
    cooldown           refuse   cooldown; 4m left

ACTIONS, newest first
  2026-01-01T00:00:10.000Z delete_pod pod/b: failed after 12s
    change    POST pods/b/eviction
    begun     2026-01-01T00:00:10.000Z to evict pod b
    failed    2026-01-01T00:00:22.000Z still unhealthy
    evidence  log of b/querynode, 40 bytes: panic:  [31mout of memory
      | one two
      | \u{fffd}[31mred
    key       a/querynode@x/0-delete_pod/b
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_terminal_gets_no_line_that_is_much_wider_than_it() {
        let mut explanation = explanation();
        explanation.decisions[0].guards[0].words = "many words ".repeat(60);
        let widest = |width| {
            let text = text(&explanation, width);
            let rows =
                text.lines().filter(|line| line.starts_with("    ") && line.contains("many"));
            rows.map(|line| line.chars().count()).max().unwrap()
        };
        assert!(widest(Width::Folded) <= usize::from(WIDTH) + 4);
        assert!(widest(Width::AsItIs) > 600);
    }

    #[test]
    fn where_nothing_is_sick_nothing_has_to_change() {
        let mut explanation = explanation();
        explanation.incident = None;
        assert!(!text(&explanation, Width::AsItIs).contains("FOR FALCONER TO ACT"));
        explanation.state = None;
        explanation.decisions.clear();
        explanation.actions.clear();
        let text = text(&explanation, Width::AsItIs);
        assert!(text.starts_with("a/querynode: how it is, is not known\nno open incident\n"));
        assert!(text.contains("  none is known\n") && text.contains("nothing was done"));
    }
}
