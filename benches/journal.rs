//! What does the journal cost, and does writing it delay the probes?
//!
//! 1,000 HTTP targets at 1 s for a minute, three times: with a journal in memory and nothing else to
//! write; with a journal in a file; and with 9,000 more reports a second of which it must write each
//! one, 10,000 together. Lateness is as the targets see it. Every process is one falconer; the
//! additional reports are recorded from a thread of their own in it.
//!
//! Then reports are recorded as fast as the journal takes them, for the CPU time of one; and a week of
//! 12 components at 10 s is written through the same journal, for the size of its file.
//!
//! `FALCONER_JOURNAL_SECONDS` changes the length of a minute. The last line is one JSON object.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::System;
use anyhow::{Context, ensure};
use falconer::app::{App, Options, descriptors};
use falconer::clock::Clock;
use falconer::config;
use falconer::effects::Journal;
use falconer::effects::journal::{JournalHealth, JournalLimits, SqliteJournal, SqliteSettings};
use falconer::metrics::Metrics;
use falconer::model::{
    ComponentId, HealthState, JournalEntry, JournalRecord, Outcome, ReasonKind, Timestamp,
};
use serde_json::{Value, json};
use support::falconer::configuration;
use support::lateness::Arrivals;
use support::noise::Noise;
use support::proc;
use support::report::{self, rounded};
use support::targets::{Mode, Targets, serve_if_asked};

const COUNT: usize = 1_000;
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Beside the probes' own 1,000.
const MORE_A_SECOND: u64 = 9_000;
/// The additional reports come in so many portions a second.
const PORTIONS: u64 = 100;
/// Before each minute.
const WARM_UP: Duration = Duration::from_secs(5);
/// For what waits at the end.
const SETTLE: Duration = Duration::from_secs(10);
const LIMITS: JournalLimits =
    JournalLimits { retention: Duration::from_hours(24 * 365), max_bytes: 1 << 40 };

fn report(cluster: &str, component: u64, at: Timestamp) -> JournalEntry {
    let id = ComponentId::new(cluster, format!("component-{component:03}"));
    let latency = Duration::from_micros(1_000 + component * 37 % 9_000);
    JournalEntry::of(at, &id, JournalRecord::Probe { outcome: outcome(at, component), latency })
}

/// Of a hundred reports two fail, with words that are seldom the same.
fn outcome(at: Timestamp, component: u64) -> Outcome {
    let number = at.as_millis() / 10 + component;
    match number % 50 {
        0 => Outcome::failed(
            ReasonKind::Timeout,
            format!("no answer within 5 s from 10.0.{}.{}", component % 250, number % 250),
        ),
        _ => Outcome::Healthy,
    }
}

fn cpu() -> anyhow::Result<Duration> {
    proc::cpu_time(std::process::id())
}

/// One falconer's minute.
struct Minute {
    figures: Value,
    cpu: Duration,
    /// Reports that came beside those of the probes.
    more: u64,
}

/// Records reports until it is told to stop. Gives how many.
fn record_more(journal: &dyn Journal, clock: Clock, stop: &AtomicBool) -> u64 {
    let begun = clock.monotonic();
    let mut sent = 0;
    for portion in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        for _ in 0..MORE_A_SECOND / PORTIONS {
            journal.record(report("more", sent % 9_000, clock.now()));
            sent += 1;
        }
        let due = Duration::from_secs(1) * portion / PORTIONS as u32;
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    sent
}

async fn minute(
    targets: &mut Targets,
    path: &Path,
    with_more: bool,
    length: Duration,
) -> anyhow::Result<Minute> {
    targets.set(0..COUNT, Mode::Answer)?;
    let recorder = format!(
        "[recorder]\npath = {}\n[server]\nlisten = \"127.0.0.1:0\"\n",
        toml::Value::String(path.display().to_string())
    );
    let text = configuration(targets, INTERVAL, TIMEOUT, &recorder);
    let loaded = config::parse("actors.toml", &text, &BTreeMap::new())?;
    descriptors::raise_limit(&loaded.settings);
    let app = App::start(loaded.settings, Options::default())?;
    let (journal, clock) = (app.journal(), Clock::system());
    let stop = Arc::new(AtomicBool::new(false));
    let more = with_more.then(|| {
        let (journal, stop) = (Arc::clone(&journal), Arc::clone(&stop));
        std::thread::spawn(move || record_more(&*journal, clock, &stop))
    });
    tokio::time::sleep(WARM_UP + INTERVAL).await;
    targets.take()?;
    let noise = Noise::listen();
    let (before, start) = (cpu()?, targets.now()?);
    tokio::time::sleep(length).await;
    let end = targets.now()?;
    let cpu = cpu()?.saturating_sub(before);
    // What was due in the last moment may still be on its way.
    tokio::time::sleep(INTERVAL).await;
    let mut seen = Arrivals::default();
    seen.extend(targets.take()?);
    stop.store(true, Ordering::Relaxed);
    let more = more.map_or(Ok(0), std::thread::JoinHandle::join).ok().context("it panicked")?;
    app.shutdown(SETTLE).await;
    let health = journal.health();
    let mut figures = seen.lateness(0..COUNT as u32, INTERVAL, &(start..end)).summary();
    figures["cpu_share_of_a_core"] = rounded(cpu.as_secs_f64() / length.as_secs_f64(), 3);
    figures["machine"] = noise.summary();
    if !path.as_os_str().is_empty() {
        figures["journal"] = written(path, &health, more)?;
    }
    Ok(Minute { figures, cpu, more })
}

/// What is in the file, against what was sent.
fn written(path: &Path, health: &JournalHealth, more: u64) -> anyhow::Result<Value> {
    let file = rusqlite::Connection::open(path)?;
    let count = |query: &str| file.query_row(query, [], |row| row.get::<_, i64>(0));
    let rows = count("SELECT (SELECT count(*) FROM reports) + (SELECT count(*) FROM entries)")?;
    let more_rows = count(
        "SELECT count(*) FROM reports JOIN components c ON c.id = component_id
         WHERE c.cluster = 'more'",
    )?;
    Ok(json!({
        "rows": rows,
        "entries_written": health.written,
        "dropped": health.dropped,
        "additional_reports_sent": more,
        "additional_reports_in_file": more_rows,
        "nothing_is_missing": health.dropped == 0
            && u64::try_from(rows) == Ok(health.written)
            && u64::try_from(more_rows) == Ok(more),
        "file_mb": rounded(std::fs::metadata(path)?.len() as f64 / 1e6, 1),
    }))
}

fn open(path: &Path) -> anyhow::Result<SqliteJournal> {
    let settings = SqliteSettings { path: path.to_path_buf(), limits: LIMITS };
    Ok(SqliteJournal::open(settings, Clock::system(), Metrics::default())?)
}

/// Lets the journal come along before its memory is full.
async fn pace(journal: &SqliteJournal, sent: u64) -> anyhow::Result<()> {
    if sent.is_multiple_of(20_000) {
        journal.flush(SETTLE).await?;
    }
    Ok(())
}

/// Reports as fast as they are taken.
async fn flat_out(folder: &Path) -> anyhow::Result<Value> {
    const REPORTS: u64 = 1_000_000;
    let journal = open(&folder.join("fast.db"))?;
    journal.flush(SETTLE).await?;
    let begun = Timestamp::from_millis(1_767_225_600_000);
    let entries: Vec<JournalEntry> =
        (0..REPORTS).map(|n| report("a", n % 12, begun + Duration::from_millis(n))).collect();
    let clock = Clock::system();
    let before = cpu()?;
    let (mut sent, mut recording) = (0, Duration::ZERO);
    for portion in entries.chunks(20_000) {
        // The copies are no part of what is measured.
        let portion = portion.to_vec();
        let started = clock.monotonic();
        for entry in portion {
            journal.record(entry);
            sent += 1;
        }
        recording += started.elapsed();
        pace(&journal, sent).await?;
    }
    let (spent, wall) = (cpu()?.saturating_sub(before), clock.uptime());
    let health = journal.health();
    ensure!(health.dropped == 0 && health.written == REPORTS, "not all written: {health:?}");
    Ok(json!({
        "reports": REPORTS,
        "a_second": rounded(REPORTS as f64 / wall.as_secs_f64(), 0),
        "cpu_us_per_report": rounded(spent.as_secs_f64() * 1e6 / REPORTS as f64, 2),
        "of_which_the_recording_actor_us": rounded(recording.as_secs_f64() * 1e6 / REPORTS as f64, 2),
    }))
}

/// 12 components at 10 s for seven days, with what else happens in such a week.
async fn week(folder: &Path) -> anyhow::Result<Value> {
    let path = folder.join("week.db");
    let journal = open(&path)?;
    let begun = Timestamp::from_millis(1_767_225_600_000);
    let mut sent = 0;
    for round in 0..7 * 24 * 360_u64 {
        let at = begun + Duration::from_secs(10) * round as u32;
        for component in 0..12 {
            let spread = Duration::from_millis(component * 833 + round % 7);
            journal.record(report("milvus-ha", component, at + spread));
            sent += 1;
            pace(&journal, sent).await?;
        }
        if round.is_multiple_of(360) {
            let (from, to) = (HealthState::Healthy, HealthState::Degraded);
            let record = JournalRecord::State { from, to, reason: None };
            journal.record(JournalEntry::of(at, &ComponentId::new("milvus-ha", "proxy"), record));
        }
    }
    ensure!(journal.close(SETTLE).await, "it does not close");
    let health = journal.health();
    ensure!(health.dropped == 0, "{health:?}");
    let bytes = std::fs::metadata(&path)?.len();
    Ok(json!({
        "reports": sent,
        "file_mb": rounded(bytes as f64 / 1e6, 1),
        "bytes_per_report": rounded(bytes as f64 / sent as f64, 1),
    }))
}

async fn measure(targets: &mut Targets) -> anyhow::Result<()> {
    let length = report::seconds("FALCONER_JOURNAL_SECONDS", 60);
    let folder = tempfile::Builder::new().prefix("falconer-bench-").tempdir()?;
    report::progress("journal in memory …");
    let without = minute(targets, Path::new(""), false, length).await?;
    report::progress(&without.figures);
    report::progress("journal in a file …");
    let with = minute(targets, &folder.path().join("a.db"), false, length).await?;
    report::progress(&with.figures);
    report::progress("10,000 reports a second …");
    let flooded = minute(targets, &folder.path().join("b.db"), true, length).await?;
    report::progress(&flooded.figures);
    let fast = flat_out(folder.path()).await?;
    let week = week(folder.path()).await?;
    let additional = flooded.more as f64 * length.as_secs_f64()
        / (length + WARM_UP + INTERVAL * 2).as_secs_f64();
    let extra_cpu = flooded.cpu.as_secs_f64() - with.cpu.as_secs_f64();
    let p99 = |minute: &Minute| minute.figures["p99_ms"].as_f64().unwrap_or(f64::NAN);
    report::print(
        "journal",
        &json!({
            "seconds": length.as_secs(),
            "targets": COUNT,
            "interval_s": INTERVAL.as_secs(),
            "reports_a_second_in_the_third_minute": MORE_A_SECOND + COUNT as u64,
            "in_memory": without.figures,
            "in_a_file": with.figures,
            "in_a_file_10000_a_second": flooded.figures,
            "p99_ratio_of_10000_a_second_to_none": rounded(p99(&flooded) / p99(&without), 3),
            "cpu_us_per_additional_report": rounded(extra_cpu * 1e6 / additional, 2),
            "as_fast_as_it_goes": fast,
            "a_week_of_12_components_at_10_s": week,
        }),
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    serve_if_asked();
    let mut targets = Targets::start(COUNT)?;
    System::new().block_on(measure(&mut targets))
}
