//! What a probe costs: CPU time per HTTP probe of 1,000 targets, each asked once a second over a new
//! connection, one contender after another on the same targets in the same run, in several rounds:
//!
//! - `falconer`: the whole process, `falconer run`, all that belongs to a probe included;
//! - `bare`: the barest tokio program that sends the same bytes: one thread, a task per target, all
//!   spread evenly; no deadline, no parsing, no record;
//! - `bare_tuned`: the same with what falconer does to be cheap: one write before the connection
//!   stands, no separate acknowledgement, a reset at the end, due times in steps of 10 ms;
//! - `haproxy`: Debian's HAProxy with the same health checks, where it is installed
//!   (`tests/run --bench-tools`), null elsewhere.
//!
//! Each one's figure is its CPU time (user and system, all threads, from `/proc`) over the requests
//! that the targets have counted; the median of the rounds. Then the resident memory of falconer with
//! 10,000 components at 10 s, and how much of it comes with the components. The last line is one
//! JSON object.
//!
//! `FALCONER_PROBE_COST_SECONDS` (10) is the length of one measurement, `FALCONER_PROBE_COST_ROUNDS`
//! (3) how many there are of each, `FALCONER_PROBE_COST_MEMORY_SECONDS` (40) how long the 10,000 are
//! probed; 0 leaves the memory out.
//!
//! Where the time goes, by function, with Debian's `linux-perf`:
//!
//! ```text
//! FALCONER_PROBE_COST_PERF=/tmp/probe_cost CARGO_PROFILE_BENCH_STRIP=none \
//! CARGO_PROFILE_RELEASE_STRIP=none cargo bench --bench probe_cost
//! perf report --no-children -g none -i /tmp/probe_cost.falconer
//! ```
//!
//! records one file for each contender in its last round, which is a little slower for it.

#[path = "probe_cost/bare.rs"]
mod bare;
#[path = "probe_cost/contender.rs"]
mod contender;
mod support;

use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};

use contender::{Contender, Measured};
use support::falconer::{Falconer, configuration};
use support::proc;
use support::process::pause;
use support::report::{percentile, print, progress, rounded, seconds};
use support::targets::{Targets, serve_if_asked};

const TARGETS: usize = 1_000;
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
const COMPONENTS: usize = 10_000;
const FEW_COMPONENTS: usize = 10;
const MEMORY_INTERVAL: Duration = Duration::from_secs(10);
/// From the start of a contender to the first counted probe.
const WARM_UP: Duration = Duration::from_secs(4);
const READY_LIMIT: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    serve_if_asked();
    bare::probe_if_asked();
    let mut figures = costs()?;
    if let Value::Object(memory) = memory()? {
        figures.extend(memory);
    }
    print("probe_cost", &Value::Object(figures));
    Ok(())
}

/// CPU time per probe of every contender.
fn costs() -> anyhow::Result<Map<String, Value>> {
    let length = seconds("FALCONER_PROBE_COST_SECONDS", 10);
    let rounds = seconds("FALCONER_PROBE_COST_ROUNDS", 3).as_secs();
    let perf = std::env::var("FALCONER_PROBE_COST_PERF").ok();
    let mut targets = Targets::start(TARGETS)?;
    let mut measured: Vec<(Contender, Vec<Measured>)> =
        Contender::ALL.into_iter().map(|contender| (contender, Vec::new())).collect();
    for round in 1..=rounds {
        for (contender, results) in &mut measured {
            let perf = perf.as_deref().filter(|_| round == rounds);
            let Some(result) = contender.measure(&mut targets, length, perf)? else {
                progress(format!("{}: not installed", contender.name()));
                continue;
            };
            progress(format!("{round}/{rounds} {}: {result}", contender.name()));
            results.push(result);
        }
    }
    let mut figures = Map::new();
    figures.insert("targets".into(), json!(TARGETS));
    figures.insert("interval_ms".into(), json!(INTERVAL.as_millis()));
    figures.insert("seconds".into(), json!(length.as_secs()));
    figures.insert("rounds".into(), json!(rounds));
    let cost = |wanted: Contender| {
        let found = measured.iter().find(|(contender, _)| *contender == wanted);
        found.map_or(f64::NAN, |(_, results)| median(results, Measured::cpu_ms))
    };
    for (contender, results) in &measured {
        let name = contender.name();
        figures.insert(format!("{name}_cpu_ms_per_probe"), rounded(cost(*contender), 4));
        let user = median(results, Measured::user_ms);
        figures.insert(format!("{name}_user_ms_per_probe"), rounded(user, 4));
        let made = median(results, |result| result.made_share);
        figures.insert(format!("{name}_made_share"), rounded(made, 5));
    }
    let falconer = cost(Contender::Falconer);
    for rival in [Contender::Bare, Contender::BareTuned, Contender::Haproxy] {
        let ratio = rounded(falconer / cost(rival), 3);
        figures.insert(format!("ratio_to_{}", rival.name()), ratio);
    }
    Ok(figures)
}

fn median(results: &[Measured], figure: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = results.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}

/// Resident memory with many components and with few.
fn memory() -> anyhow::Result<Value> {
    let length = seconds("FALCONER_PROBE_COST_MEMORY_SECONDS", 40);
    if length.is_zero() {
        return Ok(json!({}));
    }
    let few = resident(FEW_COMPONENTS, length / 2)?;
    let many = resident(COMPONENTS, length)?;
    let each = |kib: u64, count: usize| rounded(kib as f64 / count as f64, 2);
    Ok(json!({
        "components": COMPONENTS,
        "rss_kib": many,
        "rss_kib_per_component": each(many, COMPONENTS),
        "few_components": FEW_COMPONENTS,
        "few_rss_kib": few,
        "added_kib_per_component":
            each(many.saturating_sub(few), COMPONENTS - FEW_COMPONENTS),
    }))
}

fn resident(components: usize, length: Duration) -> anyhow::Result<u64> {
    let targets = Targets::start(components)?;
    let falconer = Falconer::start(&configuration(&targets, MEMORY_INTERVAL, TIMEOUT, QUIET))?;
    falconer.wait_until_ready(READY_LIMIT).context("the first probes")?;
    pause(length)?;
    let kib = proc::resident_kib(falconer.pid())?;
    progress(format!("{components} components: {kib} KiB"));
    falconer.terminate()?;
    Ok(kib)
}

/// Nobody reads what is said while it is measured.
const QUIET: &str = "[telemetry]\nlog_level = \"warn\"\n";
