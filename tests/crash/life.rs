//! One falconer after another, in the same place: how it lives, and how it is killed.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use falconer::sim::{ApiRequest, Simulation};
use tokio::time::Instant;

use crate::verdict::{BUDGET, BUDGET_PER, COOLDOWN};

/// No life is longer.
const LONGEST: Duration = Duration::from_secs(6);

/// When and how it is killed.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    /// After so many things were seen to happen; `None`: at any instant.
    events: Option<usize>,
    /// After this time.
    delay: Duration,
    /// Whether its disk goes with it.
    wiped: bool,
}

/// What became of one life.
#[derive(Debug, Clone, Copy)]
pub struct Lived {
    /// How long.
    pub lasted: Duration,
    /// Whether it was killed right after something was seen to happen.
    pub after_event: bool,
    /// Whether its disk went with it.
    pub wiped: bool,
}

impl Death {
    /// Half of them at any instant, half of them a moment after a request or a message.
    pub fn at_random(dice: &mut fastrand::Rng, wiped: bool) -> Self {
        let events = dice.bool().then(|| dice.usize(1..10));
        let longest = if events.is_some() { 25_000 } else { LONGEST.as_micros() as u64 };
        Self { events, delay: Duration::from_micros(dice.u64(..longest)), wiped }
    }
}

/// The place in which falconer lives.
pub struct Life {
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}

impl Life {
    pub fn new(sim: &Simulation) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        write("kubeconfig", &sim.kubeconfig());
        write("actors.toml", &configuration(sim));
        Self { folder, process: None }
    }

    /// Starts it, and kills it as `death` says.
    pub async fn live(&mut self, sim: &Simulation, death: Death) -> Lived {
        let Death { events: awaited, delay, wiped } = death;
        self.begin();
        let begun = Instant::now();
        if let Some(awaited) = awaited {
            let enough = events(sim) + awaited;
            while events(sim) < enough && begun.elapsed() < LONGEST {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        tokio::time::sleep(delay).await;
        self.end();
        if wiped {
            for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
                let _ = std::fs::remove_file(self.folder.path().join(name));
            }
        }
        Lived { lasted: begun.elapsed(), after_event: awaited.is_some(), wiped }
    }

    /// Starts it.
    pub fn begin(&mut self) {
        let log = self.folder.path().join("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a file");
        let process = Command::new(env!("CARGO_BIN_EXE_falconer"))
            .args(["run", "--config", "actors.toml"])
            .current_dir(self.folder.path())
            .env("POD_NAME", "falconer-0")
            .env_remove("POD_NAMESPACE")
            .env_remove("RUST_LOG")
            .env_remove("FALCONER_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.expect("it starts"));
    }

    /// Kills it.
    pub fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            let early = process.try_wait().expect("a process");
            assert!(early.is_none(), "it ended by itself: {early:?}\n{}", self.log());
            // SIGKILL.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// What all of them have logged, or the end of that.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        if let Some(path) = std::env::var_os("FALCONER_CRASH_LOG") {
            let _ = std::fs::write(path, &log);
        }
        let from = log.floor_char_boundary(log.len().saturating_sub(20_000));
        log[from..].to_owned()
    }
}

/// How often something was done, told, or put on record.
fn events(sim: &Simulation) -> usize {
    let is_record =
        |one: &ApiRequest| one.resource == "configmaps" && one.body.contains("\"data\"");
    let deeds = sim.api_requests().matching(|one| one.is_disruption() || is_record(one));
    deeds.len() + sim.webhook().requests().len() + sim.smtp().mails().len()
}

fn configuration(sim: &Simulation) -> String {
    let smtp = sim.smtp().address();
    format!(
        r#"[clusters.milvus]
platform = "kubernetes"
namespace = "{namespace}"
kubeconfig = "kubeconfig"
milvus = "{milvus}"
metrics_port = {port}
depends_on = ["etcd"]

[probers]
interval = "150ms"
timeout = "120ms"
failure_threshold = 2
success_threshold = 2

[probers.etcd]
kind = "http"
url = "{etcd}"
expect = {{ status = 200, body_contains = "true" }}

[supervisor]
startup_grace = "1ms"

[alerter]
group_by = ["component"]
group_wait = "0s"
group_interval = "200ms"
repeat_interval = "1h"

[alerter.log]
enabled = false

[alerter.email]
host = "{smtp_host}"
port = {smtp_port}
security = "none"
from = "falconer@example.com"
to = ["admin@example.com"]

[alerter.webhook.oncall]
url = "{webhook}"
format = "falconer"

[recoverer]
cooldown = "{cooldown}ms"
verify_timeout = "12s"
recurrence_window = "1s"
budget = {{ actions = {BUDGET}, per = "{budget_per}s" }}
cluster_budget = {{ actions = 10000, per = "1h" }}
global_budget = {{ actions = 10000, per = "1h" }}
evidence_timeout = "500ms"

[scaler]
enabled = false

[recorder]
path = "journal.db"

[server]
listen = "127.0.0.1:0"
"#,
        namespace = sim.settings().namespace,
        milvus = sim.milvus_url(),
        port = sim.metrics_port(),
        etcd = sim.dependency_url(),
        webhook = sim.webhook().url("/alerts"),
        smtp_host = smtp.ip(),
        smtp_port = smtp.port(),
        cooldown = COOLDOWN.as_millis(),
        budget_per = BUDGET_PER.as_secs(),
    )
}
