//! Under which name, in which namespace and by which Lease this falconer takes part. Asks nobody.

use std::path::Path;
use std::sync::Arc;

use crate::config::Settings;
use crate::config::settings::{ClusterSettings, Platform};
use crate::effects::cluster::kube::{ClientSource, Place};
use crate::policy::leadership::ElectionSettings;

/// Where a pod finds the namespace that it runs in.
const POD_NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Where Linux keeps the host's name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// One place in the election.
#[derive(Debug, Clone)]
pub struct Seat {
    /// How this falconer takes part.
    pub election: ElectionSettings,
    source: ClientSource,
    namespace: Arc<str>,
    lease_name: String,
}

impl Seat {
    /// The seat that follows from `settings`; `None` where no cluster is on Kubernetes.
    pub fn of(settings: &Settings) -> Option<Self> {
        let mut clusters = settings.clusters.values();
        let cluster = clusters.find(|cluster| cluster.platform == Platform::Kubernetes)?;
        let election = &settings.leader_election;
        Some(Self {
            election: ElectionSettings {
                identity: identity().into(),
                lease_duration: election.lease_duration.get(),
            },
            source: ClientSource::Infer {
                kubeconfig: cluster.kubeconfig.display().to_string(),
                context: cluster.context.clone(),
            },
            namespace: namespace(cluster).into(),
            lease_name: election.lease_name.clone(),
        })
    }

    /// The Lease.
    pub fn lease(&self) -> Place {
        self.place(self.lease_name.clone())
    }

    /// The ConfigMap of the essential state, which goes by the Lease's name.
    pub fn state(&self) -> Place {
        self.place(format!("{}-state", self.lease_name))
    }

    fn place(&self, name: String) -> Place {
        Place {
            source: self.source.clone(),
            namespace: Arc::clone(&self.namespace),
            name: name.into(),
            request: self.election.request_timeout(),
        }
    }
}

/// A pod's name is its own for as long as it lives, so that a falconer whose container was
/// restarted finds its own Lease and need not wait for it. Elsewhere each process has another name.
fn identity() -> String {
    if let Some(pod) = variable("POD_NAME") {
        return pod;
    }
    let host = line_of(HOST_NAME_FILE).unwrap_or_else(|| "falconer".to_owned());
    format!("{host}_{}_{:08x}", std::process::id(), fastrand::u32(..))
}

/// falconer's own namespace; without one that of the cluster. A kubeconfig can lead to another
/// Kubernetes than the one that falconer runs in, so beside it only the variable counts.
fn namespace(cluster: &ClusterSettings) -> String {
    let is_elsewhere = !cluster.kubeconfig.as_os_str().is_empty() || !cluster.context.is_empty();
    let of_pod = || if is_elsewhere { None } else { line_of(POD_NAMESPACE_FILE) };
    variable("POD_NAMESPACE").or_else(of_pod).unwrap_or_else(|| cluster.namespace.clone())
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn line_of(path: impl AsRef<Path>) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, environment::Variables};

    fn settings(text: &str) -> Settings {
        config::parse("actors.toml", text, &Variables::new()).unwrap().settings
    }

    #[test]
    fn the_first_cluster_on_kubernetes_says_where_the_lease_is() {
        let seat = Seat::of(&settings(
            "[clusters.a]\nplatform = \"process\"\n[clusters.a.processes.x]\nrestart = [\"true\"]\n\
             [clusters.b]\nnamespace = \"bb\"\ncontext = \"c\"\n\
             [leader_election]\nlease_name = \"hawk\"\n",
        ));
        let seat = seat.unwrap();
        assert_eq!((&*seat.lease().name, &*seat.state().name), ("hawk", "hawk-state"));
        assert_eq!(&*seat.lease().namespace, "bb");
        assert!(identity() != identity(), "each process has a name of its own");
    }

    #[test]
    fn without_kubernetes_there_is_nothing_to_elect_by() {
        let text = "[clusters.a]\nplatform = \"process\"\n[clusters.a.processes.x]\n\
                    restart = [\"true\"]\n";
        assert!(Seat::of(&settings(text)).is_none());
    }
}
