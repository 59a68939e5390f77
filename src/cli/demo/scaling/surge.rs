//! `--scenario surge`: the load of query nodes rises over five minutes and falls, in simulated time.
//! The same load meets three rules side by side: falconer's modes step and target, each with its
//! caution, and the plain formula. What they decide is decided by the code that runs live.

mod rules;
mod world;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::ScalingReport;
use rules::{Falconer, Plain, Rule};
use world::{END, TICK, World, cores_at};

/// Between two looks of every rule: the default of `[scaler] interval`, and of the HPA.
const LOOKS_EVERY: Duration = Duration::from_secs(15);
/// Between two rows of the table for people.
const ROW: Duration = Duration::from_mins(1);

/// What one rule made of the load.
struct Run {
    name: &'static str,
    /// At each look: how many replicas were asked for.
    replicas: Vec<u32>,
    changes: usize,
    /// How often the direction changed.
    turns: usize,
    above_target: Duration,
}

/// Plays it.
pub(super) fn play() -> ScalingReport {
    let runs = [
        run("step", &mut Falconer::step()),
        run("target", &mut Falconer::target()),
        run("plain rule", &mut Plain),
    ];
    let [step, target, plain] = &runs;
    let mut missing = Vec::new();
    let mut expect = |is_so: bool, what: &str| {
        if !is_so {
            missing.push(what.to_owned());
        }
    };
    let last = |run: &Run| run.replicas.last().copied().unwrap_or_default();
    let bearable = plain.above_target * 3 / 2;
    expect(target.above_target <= bearable, "target is not much longer above than the plain rule");
    expect(target.changes < plain.changes, "target changes less often than the plain rule");
    expect(target.turns <= 1 && step.turns <= 1, "neither mode goes up and down again");
    expect(last(target) == last(plain), "target ends with as few as the plain rule");
    let passed = missing.is_empty();
    let (figures, text) = (figures(&runs), table(&runs));
    ScalingReport { scenario: "surge", passed, missing, figures, text }
}

/// Lets `rule` bear the load from the beginning to the end.
fn run(name: &'static str, rule: &mut dyn Rule) -> Run {
    let mut world = World::new();
    let mut run =
        Run { name, replicas: Vec::new(), changes: 0, turns: 0, above_target: Duration::ZERO };
    let mut at = Duration::ZERO;
    let mut rose = None;
    while at <= END {
        world.advance(at);
        if at.as_secs().is_multiple_of(LOOKS_EVERY.as_secs()) {
            let before = world.replicas();
            let wanted = rule.look(&world);
            world.set_replicas(wanted);
            if wanted != before {
                run.changes += 1;
                let rises = wanted > before;
                run.turns += usize::from(rose.is_some_and(|rose| rose != rises));
                rose = Some(rises);
            }
            run.replicas.push(wanted);
        }
        if world.is_above_target() {
            run.above_target += TICK;
        }
        at += TICK;
    }
    run
}

fn figures(runs: &[Run]) -> Value {
    let series = |run: &Run| {
        json!({
            "changes": run.changes,
            "turns": run.turns,
            "above_target_secs": run.above_target.as_secs(),
            "most_replicas": run.replicas.iter().max(),
            "last_replicas": run.replicas.last(),
            "replicas": run.replicas,
        })
    };
    let rules: serde_json::Map<String, Value> =
        runs.iter().map(|run| (run.name.replace(' ', "_"), series(run))).collect();
    let looks = runs.first().map_or(0, |run| run.replicas.len());
    let looks = (0..looks).map(|at| LOOKS_EVERY * u32::try_from(at).unwrap_or(u32::MAX));
    let cores: Vec<f64> = looks.map(|at| (cores_at(at) * 100.0).round() / 100.0).collect();
    json!({
        "simulated_secs": END.as_secs(),
        "look_every_secs": LOOKS_EVERY.as_secs(),
        "target_percent": world::TARGET,
        "load_cores": cores,
        "rules": rules,
    })
}

fn table(runs: &[Run]) -> String {
    let mut text = format!("{:>6} {:>11}", "time", "load, cores");
    for run in runs {
        let _ = write!(text, " {:>10}", run.name);
    }
    let looks = runs.first().map_or(0, |run| run.replicas.len());
    let per_row = (ROW.as_secs() / LOOKS_EVERY.as_secs()) as usize;
    for at in (0..looks).step_by(per_row.max(1)) {
        let time = LOOKS_EVERY * u32::try_from(at).unwrap_or(u32::MAX);
        let _ = write!(text, "\n{:>4} m {:>11.1}", time.as_secs() / 60, cores_at(time));
        for run in runs {
            let _ = write!(text, " {:>10}", run.replicas[at]);
        }
    }
    let mut line = |what: &str, of: &dyn Fn(&Run) -> String| {
        let _ = write!(text, "\n{what:>18}");
        for run in runs {
            let _ = write!(text, " {:>10}", of(run));
        }
    };
    line("changes", &|run| run.changes.to_string());
    line("turns", &|run| run.turns.to_string());
    line("time above target", &|run| format!("{} s", run.above_target.as_secs()));
    text.push_str(
        "\n\nThe plain rule is the formula of the HPA on CPU at each look, ceil(replicas × usage ÷ \
         target), without tolerance, windows or caution.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_bears_the_same_load_and_falconer_keeps_its_promise() {
        let report = play();
        assert!(report.passed, "{}\n{:?}", report.text, report.missing);
        let rules = report.figures["rules"].as_object().unwrap();
        assert_eq!(rules.len(), 3);
        let looks = report.figures["load_cores"].as_array().unwrap().len();
        assert!(rules.values().all(|rule| rule["replicas"].as_array().unwrap().len() == looks));
        assert_eq!(play().figures, report.figures, "it is the same each time");
    }
}
