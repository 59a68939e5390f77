//! Two simulated clusters with the same data on their query nodes: one that falconer scales, one
//! that the plain rule scales; and clients that query both.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use super::plain::PlainRule;
use super::queries::{Counted, Queries};
use crate::app::{App, Options, descriptors};
use crate::cli::demo::scratch::Scratch;
use crate::config;
use crate::model::Role;
use crate::sim::{ComponentSettings, DataSettings, Fault, ServingView, SimSettings, Simulation};

/// The query nodes at first.
pub(super) const NODES: u32 = 4;
/// CPU, per cent of the request: what both aim at.
const TARGET: u32 = 70;
/// Both never have fewer or more.
const BOUNDS: (u32, u32) = (2, 8);
/// What all query nodes need of CPU once the load has gone, in thousandths of a core.
const LITTLE_LOAD: u64 = 400;
/// How long the clusters may take to be up and to load their data.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether something is so.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long falconer may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// What one of the two clusters has come to.
pub(super) struct Seen {
    pub(super) replicas: u64,
    pub(super) queries: Counted,
    pub(super) serving: ServingView,
}

/// See the module's description.
pub(super) struct Stage {
    pub(super) ours: Simulation,
    pub(super) theirs: Simulation,
    pub(super) falconer: App,
    queries: (Queries, Queries),
    rule: Option<PlainRule>,
    _scratch: Scratch,
}

impl Stage {
    /// Starts both clusters, loads the data, starts falconer, and begins to query.
    ///
    /// # Errors
    /// When something cannot be started.
    pub(super) async fn set(data: &DataSettings) -> anyhow::Result<Self> {
        let ours = Simulation::start(simulation(data))?;
        let theirs = Simulation::start(simulation(data))?;
        for sim in [&ours, &theirs] {
            let loaded = || {
                let is_loaded = |view: ServingView| {
                    view.nodes.len() == NODES as usize && view.moving == 0 && is_even(&view)
                };
                sim.is_settled() && sim.serving().is_some_and(is_loaded)
            };
            anyhow::ensure!(until(UP_WITHIN, loaded).await, "the simulated data is not loaded");
        }
        let scratch = Scratch::new().context("cannot make a directory for temporary files")?;
        let kubeconfig = scratch.write("kubeconfig", &ours.kubeconfig());
        let kubeconfig = kubeconfig.context("cannot write the kubeconfig")?;
        let text = actors_toml(&ours, &kubeconfig);
        let path = scratch.write("actors.toml", &text).context("cannot write actors.toml")?;
        let loaded = config::parse("actors.toml", &text, &config::environment::Variables::new())?;
        let options = Options { config_path: Some(path), ..Options::default() };
        let _ = descriptors::raise_limit(&loaded.settings);
        let falconer = App::start(loaded.settings, options)?;
        let queries = (Queries::of(&ours).await?, Queries::of(&theirs).await?);
        Ok(Self { ours, theirs, falconer, queries, rule: None, _scratch: scratch })
    }

    /// The load goes, and the plain rule begins to look.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(super) fn strike(&mut self) -> anyhow::Result<()> {
        for sim in [&self.ours, &self.theirs] {
            let component = Role::QueryNode.as_str().to_owned();
            sim.inject(Fault::SetLoad { component, cpu_milli: LITTLE_LOAD })?;
        }
        self.rule = Some(PlainRule::on(&self.theirs, f64::from(TARGET) / 100.0, BOUNDS)?);
        Ok(())
    }

    /// falconer's cluster, and that of the plain rule.
    pub(super) fn seen(&self) -> (Seen, Seen) {
        let seen = |sim: &Simulation, queries: &Queries| Seen {
            replicas: sim.workload("querynode").map_or(0, |workload| workload.replicas),
            queries: queries.counted(),
            serving: sim.serving().unwrap_or_else(no_data),
        };
        (seen(&self.ours, &self.queries.0), seen(&self.theirs, &self.queries.1))
    }

    /// What falconer has said of scaling, oldest first: kind and words.
    pub(super) fn said(&self) -> Vec<(String, String)> {
        let board = self.falconer.status();
        let scaler = board.snapshot().scaler.clone();
        let said = scaler.recent.iter().filter(|one| &*one.component.component == "querynode");
        said.map(|one| (one.kind.to_owned(), one.summary.clone())).collect()
    }

    /// Ends everything.
    pub(super) async fn strike_down(self) {
        drop(self.queries);
        drop(self.rule);
        self.falconer.shutdown(GRACE).await;
    }
}

/// Nothing, where no data is simulated.
fn no_data() -> ServingView {
    ServingView { nodes: Vec::new(), out_of_memory: 0, fullest_bytes: 0, moving: 0 }
}

fn is_even(view: &ServingView) -> bool {
    let items = || view.nodes.iter().map(|node| node.items);
    let (least, most) = (items().min().unwrap_or(0), items().max().unwrap_or(0));
    least > 0 && most - least < 2
}

/// Waits until `is_so`; false when `within` has passed.
pub(super) async fn until(within: Duration, is_so: impl Fn() -> bool) -> bool {
    let ends = Instant::now() + within;
    while !is_so() {
        if Instant::now() >= ends {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
    true
}

fn simulation(data: &DataSettings) -> SimSettings {
    let mut settings = SimSettings {
        startup: Duration::from_millis(500),
        termination: Duration::from_millis(800),
        data: Some(data.clone()),
        ..SimSettings::default()
    };
    let roles = [Role::Proxy, Role::QueryCoord, Role::QueryNode];
    settings.components = vec![
        ComponentSettings::of(roles[0], 1),
        ComponentSettings::of(roles[1], 1),
        ComponentSettings::of(roles[2], NODES),
    ];
    settings
}

fn actors_toml(sim: &Simulation, kubeconfig: &std::path::Path) -> String {
    let namespace = &sim.settings().namespace;
    let kubeconfig = toml::Value::String(kubeconfig.display().to_string());
    let (milvus, metrics_port) = (sim.milvus_url(), sim.metrics_port());
    let (min, max) = BOUNDS;
    format!(
        r#"[clusters.demo]
platform = "kubernetes"
namespace = "{namespace}"
kubeconfig = {kubeconfig}
milvus = "{milvus}"
metrics_port = {metrics_port}

[probers]
interval = "1s"
timeout = "1s"
success_threshold = 1

[recoverer]
enabled = false

[scaler]
interval = "1s"
mode = "target"
components = ["querynode"]
min_replicas = {min}
max_replicas = {max}
cpu_threshold = {TARGET}
memory_threshold = 1000
scale_down = {{ stabilization = "3s", policies = [{{ type = "pods", value = 4, period = "1s" }}] }}

[alerter.log]
enabled = false

[recorder]
path = ""

[leader_election]
enabled = false

[server]
listen = "127.0.0.1:0"
"#
    )
}
