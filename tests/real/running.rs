//! `falconer` as a process of its own: its configuration, its log, what its status page says over
//! time, and its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::model::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::laptop::{Laptop, eventually, free_port, http_get};

/// What the tests vary in the configuration.
pub struct Configuration {
    /// Failures in a row until a component is unhealthy.
    pub failure_threshold: u32,
    /// `stop` or `leave`.
    pub on_exit: &'static str,
    /// The mail sink's port.
    pub mail_port: u16,
    /// More lines for `[clusters.laptop.auth]`.
    pub auth: String,
}

/// A component's state as the status page showed it from some moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// When it was first seen.
    pub at: Timestamp,
    /// The component.
    pub component: String,
    /// Its state.
    pub state: String,
    /// The kind of its reason; empty where there is none.
    pub kind: String,
    /// The reason's text.
    pub text: String,
}

/// A running `falconer run`. Killed when dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
    history: Arc<Mutex<Vec<Seen>>>,
    done: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

/// Writes the configuration for the Milvus in this folder; gives the port of falconer's server.
pub fn write_configuration(laptop: &Laptop, to: &Path, wanted: &Configuration) -> u16 {
    let server_port = free_port();
    let mut env = String::new();
    for (key, value) in &laptop.env {
        write!(env, "{key} = {value:?}, ").unwrap();
    }
    let text = format!(
        r#"
[clusters.laptop]
platform = "process"
milvus = "http://127.0.0.1:{proxy}"
metrics_port = {metrics}
[clusters.laptop.auth]
{auth}
[clusters.laptop.processes.standalone]
start = {start:?}
working_dir = "{data}"
log_file = "{log}"
env = {{ {env} }}
stop_grace = "5s"
kill_grace = "5s"
on_exit = "{on_exit}"

[probers]
interval = "1s"
timeout = "2s"
jitter = 0.0
failure_threshold = {threshold}
success_threshold = 2
[probers.milvus]
timeout = "4s"
[probers.queries]
kind = "milvus"
cluster = "laptop"
timeout = "4s"
canary_collections = ["products", "reviews"]

[alerter]
# Each of its alerts in a message of its own.
group_by = ["component"]
rate_limit = {{ messages = 1000, per = "1m" }}
group_wait = "1s"
[alerter.email]
host = "127.0.0.1"
port = {mail}
security = "none"
from = "falconer@example.com"
to = ["admin@example.com"]

[recoverer]
cooldown = "5s"
budget = {{ actions = 10, per = "1h" }}
verify_timeout = "40s"
# A Milvus that is held up for long sometimes goes on half-dead, and sometimes ends by itself: the same
# trouble as an earlier fault of the test then, and not that one come back.
recurrence_window = "40s"

[server]
listen = "127.0.0.1:{server_port}"
"#,
        proxy = laptop.proxy_port,
        metrics = laptop.metrics_port,
        auth = wanted.auth,
        start = laptop.command(),
        data = laptop.data().display(),
        log = laptop.path("milvus.log").display(),
        on_exit = wanted.on_exit,
        threshold = wanted.failure_threshold,
        mail = wanted.mail_port,
    );
    fs::write(to, text).unwrap();
    server_port
}

/// The binary under test.
pub fn falconer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_falconer"));
    command.stdin(Stdio::null());
    command
}

/// Runs `falconer probe --json`; the answer and the exit code.
pub fn probe(configuration: &Path) -> (Value, i32) {
    let Output { status, stdout, stderr } =
        falconer().args(["probe", "--json", "--config"]).arg(configuration).output().unwrap();
    let answer = serde_json::from_slice(&stdout).unwrap_or_else(|error| {
        let said = String::from_utf8_lossy(&stderr);
        panic!("{error}: {}\n{said}", String::from_utf8_lossy(&stdout))
    });
    (answer, status.code().expect("an exit code"))
}

impl Running {
    /// Starts it; its log goes to `falconer-NAME.log` in the folder.
    pub fn start(laptop: &Laptop, name: &str, wanted: &Configuration) -> Self {
        let configuration = laptop.path(&format!("{name}.toml"));
        let server_port = write_configuration(laptop, &configuration, wanted);
        let log_path = laptop.path(&format!("falconer-{name}.log"));
        let log = fs::File::create(&log_path).unwrap();
        let child = falconer()
            .args(["run", "--config"])
            .arg(configuration)
            // Its journal is in there: what another test's falconer knew is not for this one.
            .current_dir(laptop.path("."))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let history = Arc::new(Mutex::new(Vec::new()));
        let done = Arc::new(AtomicBool::new(false));
        let watcher = {
            let (history, done) = (Arc::clone(&history), Arc::clone(&done));
            std::thread::spawn(move || watch(server_port, &history, &done))
        };
        Self { child, log: log_path, history, done, watcher: Some(watcher) }
    }

    /// Every change of state that the status page has shown, in order.
    pub fn history(&self) -> Vec<Seen> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first change at or after `from` that `wanted` accepts.
    pub fn first(&self, from: Timestamp, wanted: impl Fn(&Seen) -> bool) -> Option<Seen> {
        self.history().into_iter().find(|seen| seen.at >= from && wanted(seen))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for such a change.
    pub fn wait_for(
        &mut self,
        what: &str,
        from: Timestamp,
        patience: Duration,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Seen {
        let mut found = None;
        let history = Arc::clone(&self.history);
        let child = &mut self.child;
        let clock = Clock::system();
        while found.is_none() {
            if let Ok(Some(status)) = child.try_wait() {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                panic!("falconer ended while waiting for {what}: {status}\n{log}");
            }
            let history = history.lock().unwrap_or_else(PoisonError::into_inner);
            if clock.uptime() >= patience {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                panic!("not within {} s: {what}\n{history:#?}\n{log}", patience.as_secs());
            }
            found = history.iter().find(|seen| seen.at >= from && wanted(seen)).cloned();
            drop(history);
            std::thread::sleep(Duration::from_millis(100));
        }
        found.unwrap()
    }

    /// Ends it as an operator does, and waits for its end.
    pub fn terminate(mut self) -> i32 {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let child = &mut self.child;
        let mut code = None;
        eventually("falconer ends at SIGTERM", Duration::from_secs(60), || {
            code = child.try_wait().unwrap();
            code.is_some()
        });
        code.and_then(|status| status.code()).unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

/// Reads the status page every 100 ms and keeps each change.
fn watch(port: u16, history: &Mutex<Vec<Seen>>, done: &AtomicBool) {
    let clock = Clock::system();
    let mut newest: BTreeMap<String, Seen> = BTreeMap::new();
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        let Some((200, body)) = http_get(port, "/api/v1/status") else { continue };
        let Ok(status) = serde_json::from_str::<Value>(&body) else { continue };
        let Some(components) = status["clusters"]["laptop"]["components"].as_object() else {
            continue;
        };
        for (name, component) in components {
            let seen = seen(name, &component["health"], clock.now());
            let unchanged = newest
                .get(name)
                .is_some_and(|before| (&before.state, &before.kind) == (&seen.state, &seen.kind));
            if !unchanged {
                newest.insert(name.clone(), seen.clone());
                history.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
            }
        }
    }
}

fn seen(component: &str, health: &Value, at: Timestamp) -> Seen {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Seen {
        at,
        component: component.to_owned(),
        state: text(&health["state"]),
        kind: text(&health["reason"]["kind"]),
        text: text(&health["reason"]["text"]),
    }
}
