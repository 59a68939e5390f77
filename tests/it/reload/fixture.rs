//! A real `falconer run` over a file that a test rewrites, and the targets that it probes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

type Asked = Arc<Mutex<HashMap<String, Vec<Instant>>>>;

/// One server on loopback; each path is a target. Notes when each is asked.
pub struct Targets {
    address: SocketAddr,
    asked: Asked,
    _runtime: tokio::runtime::Runtime,
}

impl Targets {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let noted = Arc::clone(&asked);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&noted)));
            }
        });
        Self { address, asked, _runtime: runtime }
    }

    /// When `target` was asked so far.
    pub fn asked(&self, target: &str) -> Vec<Instant> {
        self.asked.lock().unwrap().get(target).cloned().unwrap_or_default()
    }

    /// A table for each of `targets`, with its interval in milliseconds.
    pub fn probers(&self, targets: &[(&str, u64)]) -> String {
        let mut text = String::new();
        for (name, interval) in targets {
            let url = format!("http://{}/{name}", self.address);
            writeln!(text, "[probers.{name}]\nkind = \"http\"\nurl = \"{url}\"").unwrap();
            writeln!(text, "interval = \"{interval}ms\"").unwrap();
        }
        text
    }
}

async fn answer(mut stream: tokio::net::TcpStream, asked: Asked) {
    let mut head = [0; 1_024];
    let Ok(read) = stream.read(&mut head).await else { return };
    let head = String::from_utf8_lossy(&head[..read]);
    let target = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    asked.lock().unwrap().entry(target).or_default().push(Instant::now());
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let _gone = stream.write_all(answer).await;
}

/// What every configuration here begins with; `listen` and the rest are added.
const COMMON: &str = r#"
[clusters.test]
platform = "process"
milvus = "http://127.0.0.1:1"

[clusters.test.processes.standalone]
restart = ["true"]
health = "http://127.0.0.1:1/healthz"

[scaler]
enabled = false

[probers]
jitter = 0.0

[probers.milvus]
interval = "1h"

[probers.resources]
interval = "1h"

[probers.standalone]
interval = "1h"

"#;

/// A running falconer with its folder. Ends when dropped.
pub struct Falconer {
    child: RefCell<Child>,
    server: SocketAddr,
    folder: TempDir,
    file: PathBuf,
}

impl Falconer {
    /// Starts it over `actors.toml` in its folder, which `prepare` may make another way than as
    /// a plain file.
    pub fn start_with(
        text: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
        prepare: impl FnOnce(&Path, &str),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let file = folder.path().join("actors.toml");
        prepare(&file, &whole(server, text));
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_falconer"))
            .args(["run", "--config"])
            .arg(&file)
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let falconer = Self { child: RefCell::new(child), server, folder, file };
        falconer.wait_for("the first probes", |falconer| falconer.status_of("/readyz") == 200);
        falconer
    }

    pub fn start(text: &str) -> Self {
        Self::start_with(text, &[], &[], |file, text| fs::write(file, text).unwrap())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The whole file with this at its end.
    pub fn text(&self, text: &str) -> String {
        whole(self.server, text)
    }

    /// Puts another file in the place of the present one, as editors do.
    pub fn replace(&self, text: &str) {
        let draft = self.file.with_extension("draft");
        fs::write(&draft, self.text(text)).unwrap();
        fs::rename(draft, &self.file).unwrap();
    }

    pub fn signal(&self) {
        let pid = i32::try_from(self.child.borrow().id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Status code and body of the answer to `head`, which ends without an empty line.
    pub fn request(&self, head: &str, body: &str) -> (u16, String) {
        let Ok(mut stream) = TcpStream::connect(self.server) else { return (0, String::new()) };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _cut = write!(stream, "{head}Host: x\r\nConnection: close\r\n\r\n{body}");
        let mut text = String::new();
        let _cut = stream.read_to_string(&mut text);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return (0, text) };
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub fn get(&self, path: &str) -> String {
        self.request(&format!("GET {path} HTTP/1.1\r\n"), "").1
    }

    pub fn status_of(&self, path: &str) -> u16 {
        self.request(&format!("GET {path} HTTP/1.1\r\n"), "").0
    }

    /// `POST /api/v1/reload`.
    pub fn post(&self, token: Option<&str>) -> (u16, Value) {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!("POST /api/v1/reload HTTP/1.1\r\n{}", token.unwrap_or_default());
        let (code, body) = self.request(&head, "");
        (code, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.get("/api/v1/status")).unwrap()
    }

    pub fn metric(&self, sample: &str) -> Option<f64> {
        let page = self.get("/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let ended = self.child.borrow_mut().try_wait().unwrap();
            assert!(ended.is_none(), "{what} did not come, {ended:?}; log:\n{}", self.log());
            assert!(begun.elapsed() < PATIENCE, "{what} did not come; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the newest reload but `before` has ended, and gives it.
    pub fn reloaded(&self, before: &Value) -> Value {
        self.wait_for("the reload", |falconer| falconer.status()["reload"] != *before);
        self.status()["reload"].clone()
    }
}

impl Drop for Falconer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let child = self.child.get_mut();
        let _gone = child.kill();
        let _ended = child.wait();
    }
}

fn whole(server: SocketAddr, text: &str) -> String {
    format!("[server]\nlisten = \"{server}\"\n{COMMON}{text}")
}
