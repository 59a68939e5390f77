//! The clusters with their started platforms, and which of them another configuration leaves as
//! they are.
//!
//! A process that falconer owns is somebody's Milvus: no change of the configuration stops or
//! restarts it. A platform of processes therefore lives as long as falconer, with the definitions
//! that it was started with; one that is not configured any more is kept aside, unwatched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::planner::{ClusterPlanner, query_nodes_settings};
use super::platform::{ClusterPlatform, Purpose, start_platform};
use super::probes::Probes;
use crate::actors::tree::ClusterParts;
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::settings::{ClusterSettings, Platform, ProcessSettings};
use crate::effects::cluster::dry_run::DryRunCluster;
use crate::effects::milvus::query_nodes::{DryRunQueryNodes, MilvusQueryNodes, QueryNodesSettings};
use crate::effects::{Cluster, QueryNodes};

/// What is not done but shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DryRun {
    /// By anything, not even the start of a process.
    pub all: bool,
    /// By the recoverer.
    pub recoverer: bool,
    /// By the scaler.
    pub scaler: bool,
}

/// One cluster on its started platform.
#[derive(Clone)]
struct Running {
    /// What the platform was started with.
    started_with: ClusterSettings,
    platform: ClusterPlatform,
    probes: Probes,
    dry_run: DryRun,
    parts: ClusterParts,
    /// What `parts.query_nodes` was made with.
    asks: QueryNodesSettings,
}

/// All clusters.
#[derive(Clone, Default)]
pub struct Clusters {
    running: BTreeMap<String, Running>,
    /// Platforms of processes whose clusters are not configured any more.
    aside: BTreeMap<String, Running>,
}

impl Clusters {
    /// What the tree is to be made of.
    pub fn parts(&self) -> Vec<ClusterParts> {
        self.running.values().map(|running| running.parts.clone()).collect()
    }

    /// The clusters of `settings`: those that are there already keep their platforms, the others
    /// are started. Nothing of `self` is changed or ended.
    pub fn following(&self, settings: &Arc<Settings>, dry_run: DryRun, clock: Clock) -> Self {
        let mut next = Self { running: BTreeMap::new(), aside: self.aside.clone() };
        for (name, cluster) in &settings.clusters {
            let mut formers = self.running.get(name).into_iter().chain(self.aside.get(name));
            let former = formers.find(|former| is_same_platform(&former.started_with, cluster));
            if former.is_some() {
                next.aside.remove(name);
            }
            let running = Running::start(name, cluster, settings, former, dry_run, clock);
            next.running.insert(name.clone(), running);
        }
        for (name, former) in &self.running {
            let is_kept = next.running.get(name).is_some_and(|one| one.is_on(&former.platform));
            if !is_kept && former.started_with.platform == Platform::Process {
                next.aside.insert(name.clone(), former.clone());
            }
        }
        next
    }

    /// The platforms of `self` that `next` does not have any more.
    pub fn given_up_by(&self, next: &Self) -> Vec<Arc<dyn Cluster>> {
        let all = self.running.values().chain(self.aside.values());
        let is_kept = |one: &&Running| {
            let mut kept = next.running.values().chain(next.aside.values());
            kept.any(|other| other.is_on(&one.platform))
        };
        let gone = all.filter(|one| !is_kept(one));
        gone.map(|one| Arc::clone(&one.platform.cluster)).collect()
    }

    /// Forgets the probes of components that are not watched any more.
    pub fn forget_unused_probes(&self) {
        self.running.values().for_each(|one| one.probes.forget_unused());
    }

    /// What `settings` say of processes that this falconer will not do.
    pub fn at_next_start(&self, settings: &Settings) -> Vec<String> {
        let mut found = Vec::new();
        for (name, running) in &self.running {
            let Some(cluster) = settings.clusters.get(name) else { continue };
            if cluster.platform == Platform::Process {
                let before = &running.started_with.processes;
                found.extend(other_processes(name, before, &cluster.processes));
            }
        }
        for name in self.aside.keys() {
            found.push(format!(
                "[clusters.{name}.processes] are not watched any more, and what falconer started \
                 there runs until falconer ends"
            ));
        }
        found
    }

    /// Ends the platforms that nobody watches any more, as at the end of falconer.
    pub async fn release_unwatched(&self, grace: Duration) {
        join_all(self.aside.values().map(|one| one.platform.cluster.shutdown(grace))).await;
    }
}

impl Running {
    fn start(
        name: &str,
        cluster: &ClusterSettings,
        settings: &Arc<Settings>,
        former: Option<&Self>,
        dry_run: DryRun,
        clock: Clock,
    ) -> Self {
        let (started_with, platform, probes) = if let Some(one) = former {
            (one.started_with.clone(), one.platform.clone(), one.probes.clone())
        } else {
            // In dry-run not even a process is started: nothing is done to anything.
            let purpose = if dry_run.all { Purpose::Observe } else { Purpose::Supervise };
            let platform = start_platform(name, cluster, purpose, clock);
            (cluster.clone(), platform, Probes::default())
        };
        let planner = ClusterPlanner::new(
            name.into(),
            Arc::clone(settings),
            as_started(cluster, &started_with),
            platform.clone(),
            clock,
        );
        let shown = |is_dry: bool, of: fn(&DryRun) -> bool, kept: fn(&ClusterParts) -> &Arc<_>| {
            match former.filter(|former| of(&former.dry_run) == is_dry) {
                Some(former) => Arc::clone(kept(&former.parts)),
                None => only_shown(&platform.cluster, is_dry),
            }
        };
        let asks = query_nodes_settings(cluster);
        let query_nodes = former
            .filter(|former| former.asks == asks && former.dry_run.scaler == dry_run.scaler)
            .and_then(|former| former.parts.query_nodes.clone())
            .unwrap_or_else(|| {
                let asking =
                    MilvusQueryNodes::new(asks.clone(), platform.cluster.inventory(), clock);
                if dry_run.scaler {
                    Arc::new(DryRunQueryNodes::new(asking))
                } else {
                    Arc::new(asking) as Arc<dyn QueryNodes>
                }
            });
        let parts = ClusterParts {
            query_nodes: Some(query_nodes),
            name: name.into(),
            depends_on: cluster.depends_on.iter().map(|one| Arc::from(one.as_str())).collect(),
            planner: Arc::new(planner.with_probes(probes.clone())),
            recoverer_platform: shown(
                dry_run.recoverer,
                |dry_run| dry_run.recoverer,
                |parts| &parts.recoverer_platform,
            ),
            scaler_platform: shown(
                dry_run.scaler,
                |dry_run| dry_run.scaler,
                |parts| &parts.scaler_platform,
            ),
            platform: Arc::clone(&platform.cluster),
        };
        Self { started_with, platform, probes, dry_run, parts, asks }
    }

    fn is_on(&self, platform: &ClusterPlatform) -> bool {
        Arc::ptr_eq(&self.platform.cluster, &platform.cluster)
    }
}

/// Whether a platform that was started with `before` serves `after` too.
fn is_same_platform(before: &ClusterSettings, after: &ClusterSettings) -> bool {
    let place = |settings: &ClusterSettings| {
        let ClusterSettings {
            namespace, instance, layout, components, kubeconfig, context, ..
        } = settings.clone();
        (namespace, instance, layout, components, kubeconfig, context)
    };
    match (before.platform, after.platform) {
        (Platform::Kubernetes, Platform::Kubernetes) => place(before) == place(after),
        (Platform::Process, Platform::Process) => true,
        (Platform::Kubernetes, Platform::Process) | (Platform::Process, Platform::Kubernetes) => {
            false
        }
    }
}

/// The settings of a cluster of processes without the processes that its platform does not know:
/// they are not there before the next start.
fn as_started(cluster: &ClusterSettings, started_with: &ClusterSettings) -> ClusterSettings {
    let mut cluster = cluster.clone();
    cluster.processes.retain(|name, _| started_with.processes.contains_key(name));
    cluster
}

fn other_processes(
    cluster: &str,
    before: &BTreeMap<String, ProcessSettings>,
    after: &BTreeMap<String, ProcessSettings>,
) -> Vec<String> {
    // How it is probed can change at once.
    let definition =
        |process: &ProcessSettings| ProcessSettings { health: String::new(), ..process.clone() };
    let table = |name: &str| format!("[clusters.{cluster}.processes.{name}]");
    let mut found = Vec::new();
    for (name, process) in after {
        match before.get(name) {
            None => found.push(format!("{} is started at the next start of falconer", table(name))),
            Some(former) if definition(former) != definition(process) => found.push(format!(
                "{} has changed: takes effect at the next start of falconer, the process is left alone",
                table(name)
            )),
            Some(_) => {}
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        found
            .push(format!("{} is not watched any more, and runs until falconer ends", table(name)));
    }
    found
}

/// The platform itself, or in dry-run one that changes nothing.
fn only_shown(platform: &Arc<dyn Cluster>, dry_run: bool) -> Arc<dyn Cluster> {
    let platform = Arc::clone(platform);
    if dry_run { Arc::new(DryRunCluster::new(platform)) } else { platform }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, environment::Variables};

    const NOTHING_DRY: DryRun = DryRun { all: false, recoverer: false, scaler: false };

    fn settings(text: &str) -> Arc<Settings> {
        Arc::new(config::parse("actors.toml", text, &Variables::new()).unwrap().settings)
    }

    /// A cluster of one process that something else owns.
    fn laptop(restart: &str, more: &str) -> Arc<Settings> {
        settings(&format!(
            "[clusters.laptop]\nplatform = \"process\"\n[clusters.laptop.processes.standalone]\n\
             restart = [{restart:?}]\n{more}"
        ))
    }

    fn follow(before: &Clusters, settings: &Arc<Settings>) -> Clusters {
        before.following(settings, NOTHING_DRY, Clock::system())
    }

    #[tokio::test]
    async fn a_platform_of_processes_is_never_replaced_and_says_what_waits_for_the_next_start() {
        let first = follow(&Clusters::default(), &laptop("true", ""));
        assert_eq!(first.at_next_start(&laptop("true", "")), Vec::<String>::new());
        let other = laptop("false", "[clusters.laptop.processes.etcd]\nrestart = [\"true\"]\n");
        let second = follow(&first, &other);
        assert!(first.given_up_by(&second).is_empty());
        let (before, after) = (first.parts(), second.parts());
        assert!(Arc::ptr_eq(&before[0].platform, &after[0].platform));
        assert!(Arc::ptr_eq(&before[0].recoverer_platform, &after[0].recoverer_platform));
        assert_eq!(
            second.at_next_start(&other),
            [
                "[clusters.laptop.processes.etcd] is started at the next start of falconer",
                "[clusters.laptop.processes.standalone] has changed: takes effect at the next start \
                 of falconer, the process is left alone",
            ]
        );
        let watched: Vec<_> =
            after[0].planner.fixed().into_iter().map(|plan| plan.component).collect();
        assert!(!watched.contains(&"etcd".into()), "{watched:?}: it is not there yet");
    }

    #[tokio::test]
    async fn a_cluster_of_processes_that_is_taken_out_is_kept_aside_and_found_again() {
        let first = follow(&Clusters::default(), &laptop("true", ""));
        let green = settings(
            "[clusters.green]\nplatform = \"process\"\n[clusters.green.processes.a]\nrestart = [\"true\"]\n",
        );
        let second = follow(&first, &green);
        assert!(first.given_up_by(&second).is_empty(), "what runs there runs on");
        assert_eq!(second.parts().len(), 1);
        let note = second.at_next_start(&green);
        assert!(note[0].starts_with("[clusters.laptop.processes] are not watched"), "{note:?}");
        let third = follow(&second, &laptop("true", ""));
        assert!(Arc::ptr_eq(&first.parts()[0].platform, &third.parts()[0].platform));
    }

    #[tokio::test]
    async fn only_a_probe_that_would_do_something_else_is_another_one() {
        let text = |interval: &str, body: &str| {
            laptop(
                "true",
                &format!(
                    "[probers.minio]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
                     interval = {interval:?}\nexpect = {{ body_contains = {body:?} }}\n"
                ),
            )
        };
        let clock = Clock::system();
        let follow = |before: &Clusters, settings: &Arc<Settings>| {
            before.following(settings, NOTHING_DRY, clock)
        };
        let probes = |clusters: &Clusters| -> BTreeMap<Arc<str>, _> {
            let plans = clusters.parts()[0].planner.fixed().into_iter();
            plans.map(|plan| (plan.component, plan.probe)).collect()
        };
        let first = follow(&Clusters::default(), &text("30s", "ok"));
        let before = probes(&first);
        let second = follow(&first, &text("10s", "ok"));
        let after = probes(&second);
        assert!(before.len() >= 4, "{} probes", before.len());
        for (component, probe) in &before {
            assert!(Arc::ptr_eq(probe, &after[component]), "{component}");
        }
        let third = probes(&follow(&second, &text("10s", "fine")));
        let is_other = |name: &&Arc<str>| !Arc::ptr_eq(&after[*name], &third[*name]);
        assert_eq!(after.keys().filter(is_other).collect::<Vec<_>>(), [&Arc::from("minio")]);
    }

    #[test]
    fn a_dry_run_that_is_switched_wraps_or_unwraps_the_platform_of_one_actor_only() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let settings = laptop("true", "");
        let first = follow(&Clusters::default(), &settings);
        let dry = DryRun { recoverer: true, ..NOTHING_DRY };
        let second = first.following(&settings, dry, Clock::system());
        let (before, after) = (&first.parts()[0], &second.parts()[0]);
        assert!(!Arc::ptr_eq(&before.recoverer_platform, &after.recoverer_platform));
        assert!(Arc::ptr_eq(&before.scaler_platform, &after.scaler_platform));
        let third = second.following(&settings, dry, Clock::system());
        let kept = &third.parts()[0].recoverer_platform;
        assert!(Arc::ptr_eq(&after.recoverer_platform, kept));
    }

    #[test]
    fn another_place_is_another_platform_and_another_login_is_not() {
        let kube = |more: &str| settings(&format!("[clusters.a]\n{more}")).clusters["a"].clone();
        let first = kube("");
        for same in ["depends_on = [\"etcd\"]", "metrics_port = 1", "database = \"b\""] {
            assert!(is_same_platform(&first, &kube(same)), "{same}");
        }
        for other in ["namespace = \"b\"", "instance = \"b\"", "components = [\"proxy\"]"] {
            assert!(!is_same_platform(&first, &kube(other)), "{other}");
        }
    }
}
