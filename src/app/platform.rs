//! Builds the adapter of the platform that a cluster runs on.

use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::settings::{
    ClusterSettings, Components, Layout, OnExit, Platform, ProcessSettings,
};
use crate::effects::cluster::kube::{self, ClientSource, KubeCluster, KubeSettings, Selection};
use crate::effects::cluster::process::{
    self, ProcessCluster, ProcessClusterSettings, ProcessResourcesProbe, ProcessUsage,
};
use crate::effects::probe::resources::ResourcesProbe;
use crate::effects::{Cluster, Probe};

/// A started adapter, with the probe that only it can make.
#[derive(Clone)]
pub struct ClusterPlatform {
    /// The platform.
    pub cluster: Arc<dyn Cluster>,
    /// CPU and memory of what runs on it.
    pub resources: Arc<dyn Probe>,
}

/// What an adapter is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To look after the cluster: processes that falconer owns are started or adopted.
    Supervise,
    /// To look only: nothing is started, stopped or adopted.
    Observe,
}

/// Starts the adapter of the cluster `name`. Trouble shows in its inventory, not here.
pub fn start_platform(
    name: &str,
    settings: &ClusterSettings,
    purpose: Purpose,
    clock: Clock,
) -> ClusterPlatform {
    match settings.platform {
        Platform::Kubernetes => {
            let cluster = KubeCluster::start(kube_settings(name, settings), clock);
            let resources = Arc::new(ResourcesProbe::new(Arc::clone(&cluster)));
            ClusterPlatform { cluster, resources }
        }
        Platform::Process => {
            let processes = process_cluster(name, settings);
            let cluster = match purpose {
                Purpose::Supervise => ProcessCluster::start(processes, clock),
                Purpose::Observe => ProcessCluster::observe(processes, clock),
            };
            let usage = Arc::new(ProcessUsage::new(Arc::clone(&cluster), clock));
            ClusterPlatform { cluster, resources: Arc::new(ProcessResourcesProbe::new(usage)) }
        }
    }
}

fn kube_settings(name: &str, settings: &ClusterSettings) -> KubeSettings {
    KubeSettings {
        selection: Selection {
            instance: settings.instance.clone(),
            layout: match settings.layout {
                Layout::Auto => kube::Layout::Auto,
                Layout::Helm => kube::Layout::Helm,
                Layout::Operator => kube::Layout::Operator,
                Layout::Reference => kube::Layout::Reference,
            },
            components: match &settings.components {
                Components::Auto => kube::Components::Auto,
                Components::List(names) => kube::Components::List(names.clone()),
            },
        },
        source: ClientSource::Infer {
            kubeconfig: settings.kubeconfig.display().to_string(),
            context: settings.context.clone(),
        },
        ..KubeSettings::new(name, settings.namespace.as_str())
    }
}

fn process_cluster(name: &str, settings: &ClusterSettings) -> ProcessClusterSettings {
    let processes = settings.processes.iter();
    ProcessClusterSettings {
        cluster: name.into(),
        processes: processes.map(|(name, settings)| process_settings(name, settings)).collect(),
    }
}

fn process_settings(name: &str, settings: &ProcessSettings) -> process::ProcessSettings {
    let given = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
    let working_dir = Some(settings.working_dir.as_path()).filter(|dir| *dir != Path::new(""));
    process::ProcessSettings {
        start: given(&settings.start),
        restart: given(&settings.restart),
        env: settings
            .env
            .iter()
            .map(|(key, value)| (key.clone(), value.expose().to_owned()))
            .collect(),
        working_dir: working_dir.map(Path::to_path_buf),
        log_file: settings.log_file.clone(),
        log_max_bytes: settings.log_max_bytes.bytes(),
        log_files: settings.log_files,
        stop_grace: settings.stop_grace.get(),
        kill_grace: settings.kill_grace.get(),
        on_exit: match settings.on_exit {
            OnExit::Stop => process::OnExit::Stop,
            OnExit::Leave => process::OnExit::Leave,
        },
        ..process::ProcessSettings::new(name)
    }
}
