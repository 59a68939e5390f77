//! What falconer itself costs: the size of the stripped binary, the time from its start to its
//! first probe, and its resident memory over ten minutes of demo.
//!
//! `FALCONER_FOOTPRINT_SECONDS` shortens the ten minutes. The last line is one JSON object; memory
//! is that of the whole demo, the simulated cluster included, in the same process.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_falconer");
/// The default scenario is over by then; what follows is steady supervision.
const WARM_UP: Duration = Duration::from_secs(60);
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// Ends the child with the bench, whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds from starting `falconer run` to the first request at a target.
#[allow(clippy::disallowed_methods, reason = "the far side has a clock of its own")]
fn start_to_first_probe(folder: &Path) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = listener.local_addr().expect("an address");
    let config = folder.join("actors.toml");
    let text = format!(
        "[clusters.bench]\nplatform = \"process\"\nmilvus = \"http://127.0.0.1:1\"\n\
         [clusters.bench.processes.standalone]\nrestart = [\"true\"]\n\
         health = \"http://{target}/healthz\"\n[probers]\ninterval = \"100ms\"\n\
         [server]\nlisten = \"127.0.0.1:0\"\n"
    );
    std::fs::write(&config, text).expect("a configuration");
    let started = Instant::now();
    let child = Command::new(BINARY)
        .args(["run", "--config"])
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let _ended = Ended(child);
    let (mut connection, _) = listener.accept().expect("a probe");
    let took = started.elapsed().as_secs_f64();
    let _ = connection.read(&mut [0; 512]);
    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK");
    took
}

fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Resident memory in KiB every ten seconds, after the scenario is over.
fn demo_memory(measured: Duration) -> Vec<u64> {
    let child = Command::new(BINARY)
        .args(["demo", "--keep"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let demo = Ended(child);
    std::thread::sleep(WARM_UP);
    let mut samples = Vec::new();
    for _ in 0..measured.as_secs() / SAMPLE_EVERY.as_secs() {
        std::thread::sleep(SAMPLE_EVERY);
        samples.extend(resident_kib(demo.0.id()));
    }
    samples
}

fn mean(samples: &[u64]) -> f64 {
    samples.iter().sum::<u64>() as f64 / samples.len().max(1) as f64
}

fn main() {
    let folder = std::env::temp_dir().join(format!("falconer-footprint-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut starts: Vec<f64> = (0..5).map(|_| start_to_first_probe(&folder)).collect();
    starts.sort_by(f64::total_cmp);
    let _ = std::fs::remove_dir_all(&folder);

    let bytes = std::fs::metadata(BINARY).map(|file| file.len()).unwrap_or_default();
    let seconds = std::env::var("FALCONER_FOOTPRINT_SECONDS");
    let seconds = seconds.ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let samples = demo_memory(Duration::from_secs(seconds));
    let quarter = (samples.len() / 4).max(1).min(samples.len());
    let (first, last) = (mean(&samples[..quarter]), mean(&samples[samples.len() - quarter..]));
    println!(
        "{{\"bench\":\"footprint\",\"binary_bytes\":{bytes},\
         \"start_to_first_probe_ms\":{:.1},\"demo_seconds\":{seconds},\"samples\":{},\
         \"rss_first_quarter_kib\":{first:.0},\"rss_last_quarter_kib\":{last:.0},\
         \"rss_ratio\":{:.3}}}",
        starts[starts.len() / 2] * 1_000.0,
        samples.len(),
        last / first,
    );
}
