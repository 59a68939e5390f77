//! Do targets that accept and never answer delay the probes of the others?
//!
//! 1,000 HTTP targets at 1 s for a minute, then another minute in which 300 of them accept and never
//! answer (5 s time-out); the second minute begins with the fault, so the 300 incidents that open are
//! in it. Then the same two minutes with Debian's blackbox exporter, which Prometheus tells to probe
//! each target every second; null where they are not installed. A scrape there may take 1 s at most,
//! so its probes of targets that hang end after 0.5 s instead of 5 s: for it the fault is milder.
//!
//! A third minute follows for falconer alone, in which the 300 answer 500 at once: as many incidents,
//! and five times as many reports about them.
//!
//! Lateness is that of the 700 others, as the targets see it, against schedules fitted to all
//! minutes of one watcher. `FALCONER_ISOLATION_SECONDS` changes the length of a minute. The last line is one JSON
//! object.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::blackbox::{self, Blackbox};
use support::falconer::{self, Falconer};
use support::lateness::{Arrivals, Lateness};
use support::noise::Noise;
use support::proc;
use support::process::pause;
use support::report::{self, rounded};
use support::targets::{Mode, Targets, serve_if_asked};

const COUNT: usize = 1_000;
const STALLED: usize = 300;
const HEALTHY: u32 = (COUNT - STALLED) as u32;
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Before each first minute.
const WARM_UP: Duration = Duration::from_secs(10);
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What is wanted of falconer.
const P99_LIMIT_MS: f64 = 15.0;
const RATIO_LIMIT: f64 = 1.2;

/// Whoever probes the targets.
trait Watcher {
    fn cpu_time(&self) -> anyhow::Result<Duration>;
    fn memory(&self) -> anyhow::Result<Value>;
}

impl Watcher for Falconer {
    fn cpu_time(&self) -> anyhow::Result<Duration> {
        proc::cpu_time(self.pid())
    }

    fn memory(&self) -> anyhow::Result<Value> {
        Ok(mebibytes(proc::resident_kib(self.pid())?))
    }
}

impl Watcher for Blackbox {
    fn cpu_time(&self) -> anyhow::Result<Duration> {
        Blackbox::cpu_time(self)
    }

    fn memory(&self) -> anyhow::Result<Value> {
        let (exporter, prometheus) = self.resident_kib()?;
        Ok(json!({
            "exporter": mebibytes(exporter),
            "prometheus": mebibytes(prometheus),
            "both": mebibytes(exporter + prometheus),
        }))
    }
}

fn mebibytes(kib: u64) -> Value {
    rounded(kib as f64 / 1024.0, 1)
}

/// One watcher's minutes.
struct Comparison {
    unstalled: Lateness,
    stalled: Lateness,
    figures: Value,
}

/// A minute while the clock runs.
struct Minute {
    window: std::ops::Range<u64>,
    cpu: Duration,
    memory: Value,
    machine: Value,
}

impl Minute {
    fn spend(
        targets: &mut Targets,
        watcher: &dyn Watcher,
        stalled: Mode,
        length: Duration,
    ) -> anyhow::Result<Self> {
        let noise = Noise::listen();
        let before = watcher.cpu_time()?;
        let start = targets.set(HEALTHY as usize..COUNT, stalled)?;
        pause(length)?;
        let end = targets.now()?;
        let cpu = watcher.cpu_time()?.saturating_sub(before);
        Ok(Self { window: start..end, cpu, memory: watcher.memory()?, machine: noise.summary() })
    }

    fn figures(&self, seen: &Arrivals, healthy: &Lateness) -> Value {
        let probes = seen.count(0..COUNT as u32, &self.window);
        let mut figures = healthy.summary();
        figures["probes"] = json!(probes);
        figures["probes_of_the_300"] = json!(seen.count(HEALTHY..COUNT as u32, &self.window));
        figures["cpu_ms_per_probe"] = rounded(self.cpu.as_secs_f64() * 1e3 / probes as f64, 3);
        figures["resident_mib"] = self.memory.clone();
        figures["machine"] = self.machine.clone();
        figures
    }
}

/// Two minutes, or three where the watcher `also_failing` is to be seen.
fn compare(
    targets: &mut Targets,
    watcher: &dyn Watcher,
    length: Duration,
    also_failing: bool,
) -> anyhow::Result<Comparison> {
    targets.set(0..COUNT, Mode::Answer)?;
    pause(WARM_UP)?;
    targets.take()?;
    let first = Minute::spend(targets, watcher, Mode::Answer, length)?;
    let second = Minute::spend(targets, watcher, Mode::Hang, length)?;
    let third = if also_failing {
        targets.set(0..COUNT, Mode::Answer)?;
        pause(WARM_UP)?;
        Some(Minute::spend(targets, watcher, Mode::Fail, length)?)
    } else {
        None
    };
    // What was due in the last moment may still be on its way.
    pause(INTERVAL)?;
    let mut seen = Arrivals::default();
    seen.extend(targets.take()?);
    let lateness = |minute: &Minute| seen.lateness(0..HEALTHY, INTERVAL, &minute.window);
    let (unstalled, stalled) = (lateness(&first), lateness(&second));
    let mut figures = json!({
        "unstalled": first.figures(&seen, &unstalled),
        "stalled": second.figures(&seen, &stalled),
        "p99_ratio": rounded(stalled.p99() / unstalled.p99(), 3),
    });
    if let Some(third) = third {
        figures["failing"] = third.figures(&seen, &lateness(&third));
    }
    Ok(Comparison { unstalled, stalled, figures })
}

fn with_falconer(targets: &mut Targets, length: Duration) -> anyhow::Result<Comparison> {
    let falconer = Falconer::start(&falconer::configuration(targets, INTERVAL, TIMEOUT, ""))?;
    falconer.wait_until_ready(READY_LIMIT)?;
    let comparison = compare(targets, &falconer, length, true)?;
    falconer.terminate()?;
    Ok(comparison)
}

fn with_blackbox(targets: &mut Targets, length: Duration) -> anyhow::Result<Option<Comparison>> {
    targets.set(0..COUNT, Mode::Answer)?;
    let Some(rival) = Blackbox::start(targets)? else { return Ok(None) };
    let comparison = compare(targets, &rival, length, false)?;
    rival.end()?;
    Ok(Some(comparison))
}

fn main() -> anyhow::Result<()> {
    serve_if_asked();
    let length = report::seconds("FALCONER_ISOLATION_SECONDS", 60);
    let mut targets = Targets::start(COUNT)?;
    report::progress("falconer …");
    let ours = with_falconer(&mut targets, length)?;
    report::progress(&ours.figures);
    report::progress("blackbox exporter and Prometheus …");
    let theirs = with_blackbox(&mut targets, length)?;
    let made = |lateness: &Lateness| lateness.made == lateness.due;
    let p99 = ours.stalled.p99().max(ours.unstalled.p99());
    let ratio = ours.stalled.p99() / ours.unstalled.p99();
    let all_made = made(&ours.unstalled) && made(&ours.stalled);
    report::print(
        "isolation",
        &json!({
            "seconds": length.as_secs(),
            "targets": COUNT,
            "interval_s": INTERVAL.as_secs(),
            "timeout_s": TIMEOUT.as_secs(),
            "hanging": STALLED,
            "falconer": ours.figures,
            "p99_within_15_ms": p99 < P99_LIMIT_MS,
            "p99_ratio_within_1_2": ratio <= RATIO_LIMIT,
            "all_due_probes_made": all_made,
            "blackbox_exporter": theirs.as_ref().map(|theirs| &theirs.figures),
            "blackbox_exporter_note": theirs.is_none().then_some(blackbox::MISSING),
            "blackbox_exporter_timeout_s": theirs.is_some().then_some(0.5),
        }),
    );
    Ok(())
}
