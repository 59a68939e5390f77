//! Every guard in every situation that matters, as a table: what is decided, by which guard, and
//! why. The table is `docs/guards.md`; `FALCONER_BLESS=1` writes it anew.

mod cluster;
mod limits;
mod steps;
mod target;

use std::fmt::Write as _;

use super::*;
use crate::model::Role;

/// A sick component, the ledger and the settings with which it is decided about, and when.
struct Case {
    desk: Desk,
    request: RecoveryRequest,
    now: Timestamp,
}

impl Case {
    /// One that is restarted: sick for a minute, with two replicas, and with a pod that hangs.
    fn of(role: Role) -> Self {
        let mut desk = Desk::new();
        desk.settings = RecoverySettings::default();
        let mut request = request(role.as_str(), START);
        request.role = Some(role);
        request.pods = vec![sick("pod-a", ReasonKind::Timeout), well("pod-b")];
        Self { desk, request, now: START + minutes(1) }
    }

    /// A component of which no pod is known, so that it is restarted as a whole.
    fn whole(role: Role) -> Self {
        Self::of(role).given(|r| r.pods.clear())
    }

    fn given(mut self, change: impl FnOnce(&mut RecoveryRequest)) -> Self {
        change(&mut self.request);
        self
    }

    fn set(mut self, change: impl FnOnce(&mut RecoverySettings)) -> Self {
        change(&mut self.desk.settings);
        self
    }

    fn all(mut self, change: impl FnOnce(&mut GlobalSettings)) -> Self {
        change(&mut self.desk.global);
        self
    }

    /// What happened before.
    fn after(mut self, change: impl FnOnce(&mut Desk, &RecoveryRequest)) -> Self {
        change(&mut self.desk, &self.request);
        self
    }

    fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    fn assess(mut self) -> Assessment {
        let Desk { ledger, settings, global } = &mut self.desk;
        ledger.saw_sick(&self.request, settings.ladder_memory, self.now);
        assess(&self.request, ledger, settings, global, self.now)
    }
}

/// A situation and what is expected in it.
struct Scenario {
    /// Who decides; of an action, the guard that it is about.
    guard: Guard,
    told: &'static str,
    /// `refuse cooldown`, `wait settling`, `escalate ladder_ends`, `act rollout_restart`.
    expected: &'static str,
    case: Case,
}

fn scenario(guard: Guard, told: &'static str, expected: &'static str, case: Case) -> Scenario {
    Scenario { guard, told, expected, case }
}

fn scenarios() -> Vec<Scenario> {
    let mut all = cluster::scenarios();
    all.extend(target::scenarios());
    all.extend(steps::scenarios());
    all.extend(limits::scenarios());
    all.sort_by_key(|one| one.guard);
    all
}

fn decided(decision: &RecoveryDecision) -> String {
    match decision {
        RecoveryDecision::Act(plan) => match &plan.pod {
            Some(pod) => format!("act {} {}", plan.step.as_str(), pod.name),
            None => format!("act {}", plan.step.as_str()),
        },
        RecoveryDecision::Refuse { reason } => format!("refuse {}", reason.as_str()),
        RecoveryDecision::Wait { reason, .. } => format!("wait {}", reason.as_str()),
        RecoveryDecision::Escalate { reason } => format!("escalate {}", reason.as_str()),
        RecoveryDecision::InFlight => "in_flight".to_owned(),
    }
}

/// The first guard that objects, or else the one that is asked about.
fn deciding(assessment: &Assessment, about: Guard) -> &GuardVerdict {
    let objects = |finding: &Finding| !matches!(finding, Finding::Pass(_) | Finding::NotAsked);
    let mut verdicts = assessment.verdicts.iter();
    let first = verdicts.clone().find(|verdict| objects(&verdict.finding));
    first.or_else(|| verdicts.find(|verdict| verdict.guard == about)).expect("every guard is asked")
}

fn row(out: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(out, "| {} |", cells.join(" | ")).expect("text");
}

const HEAD: &str = "\
# Guards

Before falconer does anything to a workload it asks every guard, each time and in this order; the
first that objects decides. *Refuse* and *wait* mean: not now, ask again at the next report.
*Escalate* means: left to a person, and said so once. All of them are pure functions of what is known,
so this page is made by the test that checks it:
`FALCONER_BLESS=1 cargo test --lib policy::recovery::tests::table`.

Every sickness below began at 2026-01-01T00:00:00.000Z and is one minute old where nothing else is
said; settings are the defaults.
";

fn page(scenarios: Vec<Scenario>) -> String {
    let mut out = HEAD.to_owned();
    out.push_str("\n## What each says where nothing objects\n\n");
    row(&mut out, &["guard", "a query node of which one of two pods does not answer"]);
    row(&mut out, &["---", "---"]);
    for verdict in Case::of(Role::QueryNode).assess().verdicts {
        let guard = format!("`{}`", verdict.guard.as_str());
        row(&mut out, &[&guard, &verdict.finding.to_string()]);
    }
    out.push_str("\n## What is decided when\n\n");
    row(&mut out, &["guard", "situation", "decision", "reason"]);
    row(&mut out, &["---", "---", "---", "---"]);
    for Scenario { guard, told, case, .. } in scenarios {
        let assessment = case.assess();
        let verdict = deciding(&assessment, guard);
        let guard = format!("`{}`", guard.as_str());
        let finding = verdict.finding.to_string();
        row(&mut out, &[&guard, told, &decided(&assessment.decision), &finding]);
    }
    out
}

#[test]
fn each_situation_is_decided_as_expected_by_the_guard_that_is_expected_to() {
    for Scenario { guard, told, expected, case } in scenarios() {
        let assessment = case.assess();
        assert_eq!(decided(&assessment.decision), expected, "{told}: {assessment:#?}");
        assert_eq!(deciding(&assessment, guard).guard, guard, "{told}: {assessment:#?}");
    }
}

#[test]
fn every_guard_has_a_situation_in_which_it_objects() {
    let objecting: Vec<Guard> = scenarios()
        .iter()
        .filter(|one| !one.expected.starts_with("act"))
        .map(|one| one.guard)
        .collect();
    let idle: Vec<Guard> =
        Guard::ALL.into_iter().filter(|guard| !objecting.contains(guard)).collect();
    assert_eq!(idle, [], "no scenario for these");
}

#[test]
fn every_guard_says_something_where_it_passes_and_a_whole_verdict_is_given_where_one_objects() {
    for verdict in Case::of(Role::QueryNode).assess().verdicts {
        assert!(matches!(&verdict.finding, Finding::Pass(words) if !words.is_empty()));
    }
    for one in scenarios() {
        let asked: Vec<Guard> = one.case.assess().verdicts.iter().map(|v| v.guard).collect();
        assert_eq!(asked, Guard::ALL);
    }
}

#[test]
fn the_page_about_the_guards_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guards.md");
    let page = page(scenarios());
    if std::env::var_os("FALCONER_BLESS").is_some() {
        std::fs::write(path, &page).expect("docs/guards.md is written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let differs = page.lines().zip(found.lines()).find(|(is, was)| is != was);
    assert_eq!(page, found, "run with FALCONER_BLESS=1; the first difference: {differs:?}");
}
