//! A real `falconer run` and the HTTP targets it probes, for the tests that need the whole process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long anything may take that should not take long.
pub const PATIENCE: Duration = Duration::from_secs(60);

type Seen = Arc<Mutex<BTreeMap<String, Vec<Instant>>>>;

/// HTTP targets on one loopback port, told apart by their path.
pub struct Targets {
    address: SocketAddr,
    seen: Seen,
    sick: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Targets {
    /// Healthy ones.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("nonblocking");
        let address = listener.local_addr().expect("an address");
        let (seen, sick) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let (stop, stopped) = oneshot::channel();
        let (noted, is_sick) = (Arc::clone(&seen), Arc::clone(&sick));
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
            runtime.block_on(serve(listener, noted, is_sick, stopped));
        });
        Self { address, seen, sick, stop: Some(stop), thread: Some(thread) }
    }

    /// The URL of the target `name`.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// From now on all answer 500, or 200.
    pub fn be_sick(&self, sick: bool) {
        self.sick.store(sick, Ordering::SeqCst);
    }

    /// When the target `name` was asked.
    pub fn asked(&self, name: &str) -> Vec<Instant> {
        self.seen.lock().unwrap().get(&format!("/{name}")).cloned().unwrap_or_default()
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: TcpListener,
    seen: Seen,
    sick: Arc<AtomicBool>,
    mut stopped: oneshot::Receiver<()>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let stream = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        tokio::spawn(answer(stream, Arc::clone(&seen), Arc::clone(&sick)));
    }
}

async fn answer(mut stream: tokio::net::TcpStream, seen: Seen, sick: Arc<AtomicBool>) {
    let at = Instant::now();
    let mut head = Vec::new();
    let mut part = [0; 1_024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&part[..count]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().unwrap().entry(path).or_default().push(at);
    let status = if sick.load(Ordering::SeqCst) { "500 Sick" } else { "200 OK" };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// A cluster of which nothing is asked but `standalone` at `health`, which a command restarts.
pub fn cluster(name: &str, health: &str, restart: &str) -> String {
    format!(
        "[clusters.{name}]\nplatform = \"process\"\nmilvus = \"http://127.0.0.1:1\"\n\
         [clusters.{name}.processes.standalone]\nrestart = {restart}\nhealth = \"{health}\"\n"
    )
}

/// A prober of the target `name`, which `cluster` depends on.
pub fn prober(targets: &Targets, cluster: &str, name: &str) -> String {
    let url = targets.url(name);
    format!("[probers.{name}]\nkind = \"http\"\nurl = \"{url}\"\ncluster = \"{cluster}\"\n")
}

/// `falconer run` as a process. Killed when dropped.
pub struct Falconer {
    child: Child,
    server: SocketAddr,
    folder: TempDir,
}

impl Falconer {
    /// Starts it over this configuration, which must not say where it listens, and waits for its
    /// server.
    pub fn start(configuration: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = free_address();
        let mut text = configuration.to_owned();
        let _ = write!(text, "\n[server]\nlisten = \"{server}\"\n");
        std::fs::write(folder.path().join("actors.toml"), text).expect("written");
        Self::start_by(
            Command::new(env!("CARGO_BIN_EXE_falconer")).arg("run"),
            folder,
            server,
            environment,
        )
    }

    /// Starts it by `command` in a folder with its configuration.
    pub fn start_by(
        command: &mut Command,
        folder: TempDir,
        server: SocketAddr,
        environment: &[(&str, &str)],
    ) -> Self {
        let child = spawn(command, &folder, environment);
        let falconer = Self { child, server, folder };
        falconer.until("its server answers", || falconer.try_get("/livez").is_some());
        falconer
    }

    /// Kills it without warning and starts it again in the same folder, which its log goes on in.
    pub fn kill_and_start(&mut self, environment: &[(&str, &str)]) {
        self.child.kill().expect("killed");
        self.child.wait().expect("it ended");
        let mut command = Command::new(env!("CARGO_BIN_EXE_falconer"));
        self.child = spawn(command.arg("run"), &self.folder, environment);
        self.until("its server answers again", || self.try_get("/livez").is_some());
    }

    /// Waits until `happened`.
    pub fn until(&self, what: &str, mut happened: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !happened() {
            assert!(Instant::now() < deadline, "waited in vain until {what}; {}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.server).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, body.to_owned()))
    }

    /// Status and body of a page.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to {path}: {}", self.log()))
    }

    /// A page of JSON.
    pub fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.get(path).1).expect("JSON")
    }

    #[cfg(feature = "fault-injection")]
    /// The value of the metric with exactly this name and these labels.
    pub fn metric(&self, sample: &str) -> Option<f64> {
        let page = self.get("/metrics").1;
        let line = page.lines().find(|line| line.strip_prefix(sample).is_some_and(is_value))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The lines of the log with all of these words.
    pub fn logged(&self, words: &[&str]) -> Vec<String> {
        let log = self.log();
        let wanted = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
        wanted.map(str::to_owned).collect()
    }

    /// Where its server listens.
    pub fn address(&self) -> SocketAddr {
        self.server
    }

    /// Its process, and the folder in which it runs.
    pub fn process(&self) -> (u32, &std::path::Path) {
        (self.child.id(), self.folder.path())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("sent");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[cfg(feature = "fault-injection")]
    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }
}

fn spawn(command: &mut Command, folder: &TempDir, environment: &[(&str, &str)]) -> Child {
    let log = File::options().create(true).append(true).open(folder.path().join("log"));
    let log = log.expect("a log");
    command
        .current_dir(folder.path())
        .env_remove("RUST_LOG")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("it starts")
}

impl Drop for Falconer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(feature = "fault-injection")]
fn is_value(rest: &str) -> bool {
    rest.strip_prefix(' ').is_some_and(|value| value.parse::<f64>().is_ok())
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port")
}
