//! A real Alertmanager, as Debian has it. Skipped, loudly, where there is none and `tests/run` has
//! not fetched one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::Notifier as _;
use falconer::effects::notify::AlertmanagerNotifier;
use falconer::model::{AlertStatus, Notification};
use falconer::sim::webhook::WebhookSink;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use super::{notification, settings, warning};
use crate::running::{Falconer, PATIENCE, Targets, cluster, free_address};

/// A program that `tests/run` fetches.
fn tool(name: &str) -> Option<PathBuf> {
    let fetched = std::env::var_os("FALCONER_TEST_TOOLS").map(PathBuf::from);
    let is_run = fetched.is_some();
    let beside = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../test-tools");
    let folders = [fetched.unwrap_or(beside).join("bin"), "/usr/bin".into()];
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.exists());
    assert!(found.is_some() || !is_run, "tests/run has not fetched {name}");
    found
}

/// Ended when dropped.
struct Alertmanager {
    child: Child,
    address: SocketAddr,
    amtool: PathBuf,
    /// Where it tells of its alerts.
    sink: WebhookSink,
    _folder: TempDir,
}

impl Alertmanager {
    fn start() -> Option<Self> {
        // Debian's looks for its templates there and nowhere else.
        let has_templates = Path::new("/usr/share/prometheus/alertmanager/default.tmpl").exists();
        let tools = (tool("prometheus-alertmanager"), tool("amtool"), has_templates);
        let (Some(program), Some(amtool), true) = tools else {
            eprintln!("skipped: there is no Alertmanager; tests/run --only-tools gets it");
            return None;
        };
        let (folder, sink) = (tempfile::tempdir().unwrap(), WebhookSink::start().unwrap());
        let configuration = folder.path().join("alertmanager.yml");
        let text = format!(
            "route:\n  receiver: sink\n  group_by: [cluster]\n  group_wait: 1s\n  \
             group_interval: 1s\n  repeat_interval: 1h\nreceivers:\n- name: sink\n  \
             webhook_configs:\n  - url: {}\n    send_resolved: true\n",
            sink.url("/hook")
        );
        std::fs::write(&configuration, text).unwrap();
        let address = free_address();
        let child = Command::new(program)
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let alertmanager = Self { child, address, amtool, sink, _folder: folder };
        until("it is ready", || alertmanager.get("/-/ready").is_some());
        Some(alertmanager)
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: a\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }

    fn json(&self, path: &str) -> Vec<Value> {
        serde_json::from_str(&self.get(path).expect("an answer")).expect("a list")
    }

    /// Component and severity of the alerts that fire, in order.
    fn firing(&self) -> Vec<(String, String)> {
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap().to_owned();
        let alerts = self.json("/api/v2/alerts");
        let mut firing: Vec<(String, String)> = alerts
            .iter()
            .map(|alert| (label(alert, "component"), label(alert, "severity")))
            .collect();
        firing.sort();
        firing
    }

    /// The clusters by which the alerts are grouped, each with how many it has.
    fn groups(&self) -> Vec<(String, usize)> {
        let groups = self.json("/api/v2/alerts/groups");
        let size = |group: &Value| group["alerts"].as_array().map_or(0, Vec::len);
        let name = |group: &Value| group["labels"]["cluster"].as_str().unwrap().to_owned();
        groups
            .iter()
            .map(|group| (name(group), size(group)))
            .filter(|(_, size)| *size > 0)
            .collect()
    }

    fn amtool(&self) -> String {
        let url = format!("--alertmanager.url=http://{}", self.address);
        let output = Command::new(&self.amtool)
            .args([url.as_str(), "alert", "query", "--output=extended"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether it has told of a group of this cluster with this status.
    fn told(&self, cluster: &str, status: &str) -> bool {
        let bodies = self.sink.requests().all();
        let bodies = bodies.iter().filter_map(falconer::sim::webhook::ReceivedRequest::json);
        let is_it =
            |body: &Value| body["status"] == status && body["groupLabels"]["cluster"] == cluster;
        bodies.into_iter().any(|body| is_it(&body))
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn configuration(targets: &Targets, alertmanager: &Alertmanager) -> String {
    let mut text = format!(
        "[probers]\ninterval = \"1s\"\nfailure_threshold = 2\nsuccess_threshold = 1\n\
         [probers.milvus]\ninterval = \"1h\"\n[recoverer]\nenabled = false\n\
         [supervisor]\nstartup_grace = \"0s\"\n[recorder]\npath = \"\"\n\
         [alerter]\ngroup_wait = \"0s\"\n\
         [alerter.alertmanager]\nurls = [\"http://{}\"]\nresend_every = \"5s\"\n\
         labels = {{ team = \"vectors\" }}\n",
        alertmanager.address
    );
    for name in ["east", "west"] {
        text += &cluster(name, &targets.url(name), "[\"true\"]");
    }
    text
}

#[test]
fn alerts_arrive_are_grouped_listed_told_and_resolved_in_a_real_alertmanager() {
    let Some(alertmanager) = Alertmanager::start() else { return };
    let targets = Targets::start();
    let falconer = Falconer::start(&configuration(&targets, &alertmanager), &[]);
    targets.be_sick(true);
    let has = |cluster: &str| alertmanager.groups().iter().any(|(name, _)| name == cluster);
    falconer.until("both arrive, each in its group", || has("east") && has("west"));
    let listed = alertmanager.amtool();
    for words in ["MilvusComponentUnhealthy", "standalone", "east", "west", "falconer explain"] {
        assert!(listed.contains(words), "amtool does not list {words}: {listed}");
    }
    let alert = alertmanager.json("/api/v2/alerts").remove(0);
    assert_eq!(alert["labels"]["team"], "vectors");
    assert_eq!(alert["status"]["state"], "active");
    falconer.until("both are told", || {
        alertmanager.told("east", "firing") && alertmanager.told("west", "firing")
    });
    targets.be_sick(false);
    let is_over = |cluster: &str| alertmanager.told(cluster, "resolved");
    falconer.until("the end of both is told", || is_over("east") && is_over("west"));
    let left = alertmanager.json("/api/v2/alerts");
    let left = left.iter().filter(|alert| alert["labels"]["component"] == "standalone").count();
    assert_eq!(left, 0);
}

fn tell(alertmanager: &AlertmanagerNotifier, message: &Notification) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(alertmanager.notify(message)).unwrap();
}

#[test]
fn an_incident_that_gets_worse_is_one_alert_in_a_real_alertmanager() {
    let Some(real) = Alertmanager::start() else { return };
    let url = format!("http://{}", real.address);
    let told = AlertmanagerNotifier::new(settings(&[url]), Clock::system()).unwrap();
    let alert = |severity: &str| vec![("querynode".to_owned(), severity.to_owned())];
    tell(&told, &warning());
    until("it is a warning", || real.firing() == alert("warning"));
    tell(&told, &notification());
    until("it is critical and nothing else", || real.firing() == alert("critical"));
    tell(&told, &notification());
    let mut over = notification();
    over.lead.status = AlertStatus::Resolved;
    over.lead.ended_at = Some(Clock::system().now());
    over.still_firing = 0;
    tell(&told, &over);
    until("nothing fires", || real.firing().is_empty());
    until("the end is told", || real.told("milvus-ha", "resolved"));
}
