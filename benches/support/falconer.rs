//! A real `falconer run` over a configuration made for a bench. Owns its folder and its process.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::process::Process;
use super::targets::Targets;

const BINARY: &str = env!("CARGO_BIN_EXE_falconer");
/// From the start of the process to its server's first answer.
const START_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// falconer's own `drain_timeout`, and a little.
const END_LIMIT: Duration = Duration::from_secs(40);

/// The name of the prober of target `index`.
pub fn component(index: usize) -> String {
    format!("target-{index:05}")
}

/// A cluster of which hardly anything is asked but the HTTP targets: each at `interval`, without
/// jitter, so that its due times can be told from outside. `more` is TOML to append.
pub fn configuration(
    targets: &Targets,
    interval: Duration,
    timeout: Duration,
    more: &str,
) -> String {
    let (interval, timeout) = (interval.as_millis(), timeout.as_millis());
    let spare = targets.spare_url();
    let mut text = format!(
        r#"[clusters.bench]
platform = "process"
milvus = "http://127.0.0.1:1"

[clusters.bench.processes.standalone]
restart = ["true"]
health = "{spare}"

[scaler]
enabled = false

[probers]
interval = "{interval}ms"
timeout = "{timeout}ms"
jitter = 0.0

"#
    );
    // Each cluster has these; their first probe is their only one here.
    for fixed in ["milvus", "resources", "standalone"] {
        let _ = writeln!(text, "[probers.{fixed}]\ninterval = \"1h\"");
    }
    for index in 0..targets.count() {
        let (name, url) = (component(index), targets.url(index));
        let _ = writeln!(text, "[probers.{name}]\nkind = \"http\"\nurl = \"{url}\"");
    }
    text + "\n" + more
}

/// A running falconer. Ends when dropped.
pub struct Falconer {
    process: Process,
    server: SocketAddr,
    folder: TempDir,
}

impl Falconer {
    /// Starts it and waits until its server answers. `configuration` must not say where the server
    /// listens.
    ///
    /// # Errors
    /// When it ends at once or says nothing; with what it has logged.
    pub fn start(configuration: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("falconer-bench-").tempdir()?;
        let server = free_address()?;
        let path = folder.path().join("actors.toml");
        let text = format!("{configuration}\n[server]\nlisten = \"{server}\"\n");
        std::fs::write(&path, text).context("actors.toml")?;
        let log = std::fs::File::create(folder.path().join("falconer.log"))?;
        let mut command = Command::new(BINARY);
        command
            .args(["run", "--config"])
            .arg(&path)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = Process::spawn("falconer", command)?;
        let mut falconer = Self { process, server, folder };
        falconer.wait_for_server()?;
        Ok(falconer)
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Where its log is.
    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("falconer.log")
    }

    /// Its folder, in which `actors.toml` is.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// Status and body of a page of its server.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.server, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.server)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.context("no status")?, body.to_owned()))
    }

    /// Waits until every component was probed, as `/readyz` says.
    ///
    /// # Errors
    /// When that takes longer than `limit`; with what is missing.
    pub fn wait_until_ready(&self, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let (status, body) = self.get("/readyz")?;
            if status == 200 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not ready after {limit:?}: {}", body.chars().take(400).collect::<String>());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The sum of the samples of one metric family whose labels contain all of `labels`, e.g.
    /// `outcome="healthy"`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn metric(&self, family: &str, labels: &[&str]) -> anyhow::Result<f64> {
        let (_, page) = self.get("/metrics")?;
        let wanted = page.lines().filter(|line| {
            let rest = line.strip_prefix(family);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        let values = wanted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        // An empty sum is minus zero.
        Ok(values.sum::<f64>() + 0.0)
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Errors
    /// When it was gone already.
    pub fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        self.process.terminate(END_LIMIT)
    }

    fn wait_for_server(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while self.get("/livez").is_err() {
            if let Some(status) = self.process.ended()? {
                bail!("falconer ended with {status}:\n{}", self.log());
            }
            if Instant::now() > deadline {
                bail!("falconer says nothing:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// A loopback address that nothing listens on now.
///
/// # Errors
/// When there is no free port.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
