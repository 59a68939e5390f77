//! A folder with a Milvus of its own on free ports, and the Python client that knows the truth.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use falconer::clock::Clock;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// One Milvus at a time: the machine is small, and times are measured.
static ALONE: Mutex<()> = Mutex::new(());

/// What pymilvus says of one collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// `count(*)`.
    pub rows: u64,
    /// Best time of that query, in milliseconds.
    pub query_ms: f64,
}

/// A folder for one Milvus. Whatever still runs in it is killed when this is dropped.
pub struct Laptop {
    folder: TempDir,
    tools: PathBuf,
    /// Where Milvus serves `/healthz`.
    pub metrics_port: u16,
    /// Where Milvus serves gRPC.
    pub proxy_port: u16,
    /// The environment it is started with.
    pub env: BTreeMap<String, String>,
    started: Option<Child>,
    _alone: MutexGuard<'static, ()>,
}

impl Laptop {
    /// Lays the folder out; `extra` are settings of Milvus, as `key=value`.
    pub fn new(extra: &[&str]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let tools = std::env::var_os("FALCONER_TEST_TOOLS")
            .map_or_else(|| scratch.join("../test-tools"), PathBuf::from);
        let tools = tools.canonicalize().expect("Milvus is there: tests/run --only-tools gets it");
        let folder = tempfile::tempdir_in(scratch).unwrap();
        let mut laptop = Self {
            folder,
            tools,
            metrics_port: free_port(),
            proxy_port: free_port(),
            env: BTreeMap::new(),
            started: None,
            _alone: alone,
        };
        laptop.configure(extra);
        laptop
    }

    fn configure(&mut self, extra: &[&str]) {
        let (metrics, proxy) = (self.metrics_port.to_string(), self.proxy_port.to_string());
        let data = self.data().display().to_string();
        let mut arguments = vec!["configure", &data, &metrics, &proxy];
        arguments.extend(extra);
        let printed = self.python("prepare_milvus.py", &arguments);
        self.env = serde_json::from_str(&printed).unwrap();
        let libraries = self.tools.join("milvus/bin").display().to_string();
        self.env.insert("LD_LIBRARY_PATH".to_owned(), libraries);
    }

    /// Where everything of this test lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data folder, in which Milvus must be started.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The command that starts Milvus without its Python launcher.
    pub fn command(&self) -> [String; 3] {
        let program = self.tools.join("milvus/bin/milvus").display().to_string();
        [program, "run".to_owned(), "standalone".to_owned()]
    }

    /// Starts Milvus without falconer, and waits until it is healthy.
    pub fn start_milvus(&mut self) {
        let [program, arguments @ ..] = self.command();
        let log = fs::File::create(self.path("milvus.log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .envs(&self.env)
            .current_dir(self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.started = Some(child);
        let healthy =
            || http_get(self.metrics_port, "/healthz").is_some_and(|(code, _)| code == 200);
        eventually("Milvus is healthy", Duration::from_secs(120), healthy);
    }

    /// The process group of the Milvus that falconer has started, from its pid file.
    pub fn milvus_pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.path("milvus.log.pid")).ok()?;
        let pid = serde_json::from_str::<Value>(&text).ok()?["pid"].as_i64()?;
        Some(Pid::from_raw(i32::try_from(pid).ok()?))
    }

    /// Sends a signal to that Milvus.
    pub fn signal(&self, signal: Signal) {
        kill(self.milvus_pid().expect("Milvus runs"), signal).unwrap();
    }

    /// Creates two collections, flushed, indexed and loaded.
    pub fn seed(&self, login: Option<&str>) -> BTreeMap<String, Collection> {
        self.ask("seed", login).expect("seeded")
    }

    /// What pymilvus finds, or its complaint.
    pub fn report(&self, login: Option<&str>) -> Result<BTreeMap<String, Collection>, String> {
        self.ask("report", login)
    }

    fn ask(
        &self,
        action: &str,
        login: Option<&str>,
    ) -> Result<BTreeMap<String, Collection>, String> {
        let port = self.proxy_port.to_string();
        let mut arguments = vec![action, &port];
        arguments.extend(login);
        let printed = self.try_python("milvus_data.py", &arguments)?;
        let report: Value = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
        let collections = report["collections"].as_object().ok_or("no collections")?;
        Ok(collections.iter().map(|(name, said)| (name.clone(), collection(said))).collect())
    }

    fn python(&self, script: &str, arguments: &[&str]) -> String {
        self.try_python(script, arguments).unwrap()
    }

    fn try_python(&self, script: &str, arguments: &[&str]) -> Result<String, String> {
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/setup");
        let output = Command::new(self.tools.join("venv/bin/python3"))
            .arg(setup.join(script))
            .args(arguments)
            .output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        if let Some(pid) = self.milvus_pid() {
            let _ = killpg(pid, Signal::SIGKILL);
        }
        if let Some(mut child) = self.started.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn collection(said: &Value) -> Collection {
    Collection {
        rows: said["rows"].as_u64().unwrap(),
        query_ms: said["query_ms"].as_f64().unwrap(),
    }
}

/// A port that nobody listens on, below those of outgoing connections: Milvus must find it free
/// again after each restart.
pub fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `wanted` holds.
///
/// # Panics
/// When it does not within `patience`.
pub fn eventually(what: &str, patience: Duration, mut wanted: impl FnMut() -> bool) {
    let clock = Clock::system();
    while !wanted() {
        assert!(clock.uptime() < patience, "not within {} s: {what}", patience.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Status and body of a GET on a loopback port; `None` where there is no answer within 2 s.
pub fn http_get(port: u16, path: &str) -> Option<(u16, String)> {
    use std::io::{Read as _, Write as _};
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let patience = Duration::from_secs(2);
    let mut stream = std::net::TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
