//! What else watches HTTP targets: Debian's blackbox exporter, which probes, and the Prometheus that
//! tells it to. Owns both processes and their configuration.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::bail;
use tempfile::TempDir;

use super::falconer::free_address;
use super::proc;
use super::process::{Process, program};
use super::targets::Targets;

const EXPORTER: &str = "prometheus-blackbox-exporter";
const PROMETHEUS: &str = "prometheus";
const START_LIMIT: Duration = Duration::from_secs(30);
const END_LIMIT: Duration = Duration::from_secs(10);

/// What is missing where it cannot be measured.
pub const MISSING: &str = "prometheus and prometheus-blackbox-exporter are not installed: \
                           tests/run --bench-tools gets them";

/// Both processes. End when dropped.
pub struct Blackbox {
    exporter: Process,
    prometheus: Process,
    /// Held for its drop, after theirs.
    _folder: TempDir,
}

impl Blackbox {
    /// Probes every target each second; `None` where the programs are not installed. A scrape may
    /// not take longer than its interval, and the exporter keeps half a second of that for itself:
    /// a probe that hangs is given up after 0.5 s, long before falconer gives it up.
    ///
    /// # Errors
    /// When they do not start.
    pub fn start(targets: &Targets) -> anyhow::Result<Option<Self>> {
        let (Some(exporter), Some(prometheus)) = (program(EXPORTER), program(PROMETHEUS)) else {
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("falconer-bench-").tempdir()?;
        let probing = free_address()?;
        let mut exporter = start_exporter(&exporter, folder.path(), probing)?;
        wait_for(&mut exporter, probing)?;
        let listening = free_address()?;
        let configuration = configuration(targets, probing);
        let mut prometheus =
            start_prometheus(&prometheus, folder.path(), listening, &configuration)?;
        wait_for(&mut prometheus, listening)?;
        Ok(Some(Self { exporter, prometheus, _folder: folder }))
    }

    /// User and system time of both so far.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        Ok(proc::cpu_time(self.exporter.pid())? + proc::cpu_time(self.prometheus.pid())?)
    }

    /// Resident memory in KiB: of the exporter, and of Prometheus.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn resident_kib(&self) -> anyhow::Result<(u64, u64)> {
        Ok((proc::resident_kib(self.exporter.pid())?, proc::resident_kib(self.prometheus.pid())?))
    }

    /// Ends both.
    ///
    /// # Errors
    /// When the system does not say how they ended.
    pub fn end(mut self) -> anyhow::Result<()> {
        self.prometheus.terminate(END_LIMIT)?;
        self.exporter.terminate(END_LIMIT)?;
        Ok(())
    }
}

fn start_exporter(program: &Path, folder: &Path, listen: SocketAddr) -> anyhow::Result<Process> {
    let file = folder.join("blackbox.yml");
    std::fs::write(&file, "modules:\n  http_2xx:\n    prober: http\n    timeout: 5s\n")?;
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--web.listen-address={listen}"))
        .arg("--log.level=error");
    spawn("the blackbox exporter", command, folder)
}

fn start_prometheus(
    program: &Path,
    folder: &Path,
    listen: SocketAddr,
    configuration: &str,
) -> anyhow::Result<Process> {
    let file = folder.join("prometheus.yml");
    std::fs::write(&file, configuration)?;
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--web.listen-address={listen}"))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg("--log.level=error");
    spawn("prometheus", command, folder)
}

fn spawn(name: &'static str, mut command: Command, folder: &Path) -> anyhow::Result<Process> {
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::spawn(name, command)
}

fn wait_for(process: &mut Process, address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect(address).is_err() {
        if let Some(status) = process.ended()? {
            bail!("it ended with {status}");
        }
        if Instant::now() > deadline {
            bail!("nothing listens on {address}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The usual configuration of the pair, as the exporter's documentation shows it.
fn configuration(targets: &Targets, exporter: SocketAddr) -> String {
    let mut text = format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n\
         - job_name: targets\n  metrics_path: /probe\n  params:\n    module: [http_2xx]\n  \
         relabel_configs:\n  - source_labels: [__address__]\n    target_label: __param_target\n  \
         - source_labels: [__param_target]\n    target_label: instance\n  \
         - target_label: __address__\n    replacement: {exporter}\n  \
         static_configs:\n  - targets:\n"
    );
    for index in 0..targets.count() {
        let _ = writeln!(text, "    - {}", targets.url(index));
    }
    text
}
