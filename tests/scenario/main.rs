//! The whole supervision tree over a world in memory, in virtual time: thousands of faults drawn
//! from a seed, and every promise checked at every step. Deterministic: a seed that fails, fails
//! again.
//!
//! - `FALCONER_SCENARIO_SEED=17` repeats one seed, `FALCONER_SCENARIO_SEEDS=1000` runs that many,
//!   `FALCONER_SCENARIO_HOURS=24` makes each that long (virtual hours).
//! - `world` is what falconer watches and changes, `faults` and `people` are what happens in it,
//!   `invariants` are the promises.

mod dice;
mod faults;
mod invariants;
mod people;
mod plan;
mod reload;
mod runner;
mod stopped;
mod trace;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use runner::{Outcome, run, watch_panics};
use trace::clock_time;

/// How many seeds are run, unless told otherwise.
const SEEDS: u64 = 16;
/// For how many virtual hours each, before its end.
const HOURS: u64 = 4;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

fn hours() -> Duration {
    Duration::from_hours(number("FALCONER_SCENARIO_HOURS").unwrap_or(HOURS))
}

fn describe(outcome: &Outcome, duration: Duration) -> String {
    let Some((when, violation)) = &outcome.violation else { return String::new() };
    let (seed, hours) = (outcome.seed, duration.as_secs() / 3_600);
    format!(
        "\nseed {seed}, after {} of virtual time: {}\n\
         again: FALCONER_SCENARIO_SEED={seed} FALCONER_SCENARIO_HOURS={hours}\n  {}\n",
        clock_time(*when),
        violation.words,
        violation.trace.join("\n  ")
    )
}

/// Runs `seeds` on all cores and gives the outcomes in the order of the seeds.
fn run_all(seeds: Vec<u64>, duration: Duration) -> Vec<Outcome> {
    let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(seeds.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let outcome = run(*seed, duration);
                    done.lock().expect("nobody panics here").push(outcome);
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panics here");
    done.sort_by_key(|outcome| outcome.seed);
    done
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long it took in the real world")]
fn no_promise_is_broken_whatever_goes_wrong() {
    watch_panics();
    let begun = Instant::now();
    let seeds = match number("FALCONER_SCENARIO_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("FALCONER_SCENARIO_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let outcomes = run_all(seeds, hours());
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let virtual_hours: f64 = outcomes.iter().map(|o| o.elapsed.as_secs_f64() / 3_600.0).sum();
    println!(
        "scenario: {} seeds, {virtual_hours:.0} virtual hours, {} faults, {} probes, {} restarts, \
         {} stops, {} changes of replicas, {} messages, {} panics in {:.1} s",
        outcomes.len(),
        sum(|o| o.counts.faults),
        sum(|o| o.counts.probes),
        sum(|o| o.counts.restarts),
        sum(|o| o.counts.stops),
        sum(|o| o.counts.scalings),
        sum(|o| o.counts.messages),
        sum(|o| o.counts.panics),
        begun.elapsed().as_secs_f64(),
    );
    let broken: String = outcomes.iter().map(|o| describe(o, hours())).take(40).collect();
    assert!(broken.is_empty(), "{broken}");
    if outcomes.len() >= SEEDS as usize {
        for (what, count) in [
            ("restarts", sum(|o| o.counts.restarts)),
            ("changes of replicas", sum(|o| o.counts.scalings)),
            ("messages", sum(|o| o.counts.messages)),
            ("panics", sum(|o| o.counts.panics)),
        ] {
            assert!(count > 20, "only {count} {what}: the test does not test what it says");
        }
        assert!(sum(|o| o.counts.stops) > 2, "recovery was hardly ever stopped");
    }
}

#[test]
fn a_seed_always_tells_the_same_story() {
    watch_panics();
    let hash = |seed| run(seed, Duration::from_hours(1)).hash;
    let first = hash(1);
    assert_eq!(first, hash(1), "two runs of one seed differ");
    assert_ne!(first, hash(2), "two seeds are the same");
}
