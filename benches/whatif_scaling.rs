//! How long does `falconer whatif scaling` take for 100,000 questions?
//!
//! The questions are those of the Kubernetes controller's own tests (`tests/data/hpa/vectors.jsonl`),
//! again and again with other replicas, other use and another name, so that no two are alike; beside
//! them as many with ten pods each, as a cluster has them. The release binary reads a file and writes
//! a file, as people call it; the median of the rounds counts, of the time on the clock and of the
//! CPU time. Each line must have its answer. The last line is one JSON object.
//!
//! `FALCONER_WHATIF_ROUNDS` (5) is how many rounds there are.
#![allow(clippy::disallowed_methods, reason = "a bench measures with clocks of its own")]

mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use support::report::{self, percentile, rounded};

const LINES: usize = 100_000;
const PODS: usize = 10;
const VECTORS: &str = include_str!("../tests/data/hpa/vectors.jsonl");

fn main() -> anyhow::Result<()> {
    let rounds = report::seconds("FALCONER_WHATIF_ROUNDS", 5).as_secs();
    let folder = tempfile::tempdir()?;
    let mut figures = json!({"lines": LINES, "rounds": rounds});
    for (kind, pods) in [("vectors", None), ("ten_pods", Some(PODS))] {
        let input = folder.path().join(format!("{kind}.jsonl"));
        let bytes = write_questions(&input, pods)?;
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            let taken = answer(&input, &folder.path().join("answers.jsonl"))?;
            report::progress(format_args!("{kind}, round {round}: {taken:?}"));
            wall.push(taken.wall.as_secs_f64());
            cpu.push(taken.cpu.as_secs_f64());
        }
        wall.sort_by(f64::total_cmp);
        cpu.sort_by(f64::total_cmp);
        let seconds = percentile(&wall, 0.5);
        figures[kind] = json!({
            "mib": rounded(bytes as f64 / 1_048_576.0, 1),
            "seconds": rounded(seconds, 3),
            "seconds_max": rounded(percentile(&wall, 1.0), 3),
            "cpu_seconds": rounded(percentile(&cpu, 0.5), 3),
            "lines_per_second": rounded(LINES as f64 / seconds, 0),
        });
    }
    report::print("whatif_scaling", &figures);
    Ok(())
}

/// Writes the questions; gives their size.
fn write_questions(path: &PathBuf, pods: Option<usize>) -> anyhow::Result<u64> {
    let cases: Vec<Value> = VECTORS
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).map(|mut case| case["input"].take()))
        .collect::<Result<_, _>>()?;
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..LINES {
        let mut question = cases[number % cases.len()].clone();
        vary(&mut question, number, pods);
        serde_json::to_writer(&mut file, &question)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(fs::metadata(path)?.len())
}

fn vary(question: &mut Value, number: usize, pods: Option<usize>) {
    question["name"] = json!(format!("question {number}"));
    question["current_replicas"] = json!(1 + number % 50);
    let Some(list) = question["pods"].as_array_mut() else { return };
    if let (Some(count), Some(pattern)) = (pods, list.first().cloned()) {
        *list = vec![pattern; count];
    }
    for (index, pod) in list.iter_mut().enumerate() {
        pod["name"] = json!(format!("milvus-querynode-{number}-{index}"));
        pod["usage"] = json!({
            "cpu_milli": (number * 7 + index * 13) % 2_000,
            "memory_bytes": (number * 1_048_573 + index) % (1 << 31),
            "sampled_at": "2026-01-01T00:00:00Z", "window": "15s",
        });
    }
}

/// What one run took.
#[derive(Debug)]
struct Taken {
    wall: Duration,
    cpu: Duration,
}

fn answer(input: &Path, output: &Path) -> anyhow::Result<Taken> {
    let before = cpu_of_children()?;
    let began = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_falconer"))
        .args(["whatif", "scaling", "--input"])
        .arg(input)
        .stdout(File::create(output)?)
        .status()?;
    let wall = began.elapsed();
    let cpu = cpu_of_children()?.saturating_sub(before);
    ensure!(status.success(), "it ended with {status}");
    let answers = fs::read_to_string(output)?;
    ensure!(answers.lines().count() == LINES, "{} answers", answers.lines().count());
    ensure!(answers.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
    Ok(Taken { wall, cpu })
}

/// CPU time of all children that have ended, in steps of 10 ms.
fn cpu_of_children() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold anything.
    let (_, after) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |index: usize| -> anyhow::Result<u32> {
        Ok(fields.get(index).context("a short stat")?.parse()?)
    };
    Ok(Duration::from_millis(10) * (ticks(13)? + ticks(14)?))
}
