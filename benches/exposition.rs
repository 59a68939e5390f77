//! How fast a real metrics page is read, and how much memory a page without end takes. Where
//! python3 has `prometheus_client`, its parser reads the same page in the same run, for comparison.
//! The last line is one JSON object; times are the median of all rounds, in milliseconds.
//!
//! Run: `cargo bench --bench exposition`.

use std::process::{Command, Stdio};
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::milvus::exposition::{LineCounts, Parser};
use falconer::effects::milvus::performance::PageTotals;
use serde_json::{Value, json};

const PAGE_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/milvus/metrics-2.3.5.txt");

/// As a TCP connection delivers it.
const PIECE: usize = 16 * 1024;

const ROUNDS: usize = 500;

const ENDLESS_BYTES: usize = 1 << 30;

/// Reads the page as `prometheus_client` users do, and prints the median time in seconds.
const PYTHON: &str = "
import statistics, sys, time
from prometheus_client.parser import text_string_to_metric_families as parse
page = open(sys.argv[1]).read()
times = []
for _ in range(20):
    began = time.perf_counter()
    samples = sum(len(family.samples) for family in parse(page))
    times.append(time.perf_counter() - began)
print(statistics.median(times), samples)
";

fn main() -> anyhow::Result<()> {
    let clock = Clock::system();
    let page = std::fs::read(PAGE_FILE)?;
    let (took, counts) = time_page(&clock, &page);
    let (peak, endless) = endless_page(&clock, &page);
    let mut result = json!({
        "page_bytes": page.len(),
        "series": counts.samples + counts.unwanted,
        "kept": counts.samples,
        "rounds": ROUNDS,
        "falconer_ms": millis(took),
        "mib_per_second": page.len() as f64 / took.as_secs_f64() / 1_048_576.0,
        "endless_bytes": ENDLESS_BYTES,
        "endless_peak_buffer_bytes": peak,
        "endless_ms": millis(endless),
    });
    match python_seconds() {
        Some((seconds, samples)) => {
            result["prometheus_client_ms"] = json!(seconds * 1e3);
            result["prometheus_client_series"] = json!(samples);
            result["times_faster"] = json!(seconds / took.as_secs_f64());
        }
        None => result["prometheus_client_ms"] = Value::Null,
    }
    println!("{result}");
    Ok(())
}

fn time_page(clock: &Clock, page: &[u8]) -> (Duration, LineCounts) {
    let mut counts = LineCounts::default();
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = clock.monotonic();
        let mut parser = Parser::new(PageTotals::default());
        page.chunks(PIECE).for_each(|piece| parser.feed(piece));
        let (totals, seen) = std::hint::black_box(parser.finish());
        times.push(began.elapsed());
        assert!(totals.is_milvus());
        counts = seen;
    }
    times.sort_unstable();
    (times[ROUNDS / 2], counts)
}

/// A gigabyte of pages one after the other, with lines that are too long between them.
fn endless_page(clock: &Clock, page: &[u8]) -> (usize, Duration) {
    let mut part = page.to_vec();
    part.extend_from_slice(&vec![b'x'; 1 << 20]);
    let began = clock.monotonic();
    let mut parser = Parser::new(PageTotals::default());
    let mut fed = 0;
    let mut peak = 0;
    while fed < ENDLESS_BYTES {
        for piece in part.chunks(PIECE) {
            parser.feed(piece);
            peak = peak.max(parser.buffer_capacity());
        }
        fed += part.len();
    }
    std::hint::black_box(parser.finish());
    (peak, began.elapsed())
}

fn python_seconds() -> Option<(f64, u64)> {
    let output = Command::new("python3")
        .args(["-c", PYTHON, PAGE_FILE])
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (seconds, samples) = text.trim().split_once(' ')?;
    Some((seconds.parse().ok()?, samples.parse().ok()?))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
