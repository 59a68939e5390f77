//! CPU and memory of every pod, from metrics.k8s.io, as shares of what the pod asked for. Owns the
//! arithmetic; a missing sample is missing, never zero.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::effects::cluster::kube::KubeCluster;
use crate::effects::cluster::kube::samples::PodSample;
use crate::effects::{Cluster, Probe};
use crate::model::{Inventory, Outcome, Percent, Pod, PodUsage, ProbeObservation, ReasonKind};

/// Probes the use of CPU and memory of a cluster's pods.
pub struct ResourcesProbe {
    cluster: Arc<KubeCluster>,
}

impl ResourcesProbe {
    /// A probe of all pods in the inventory of `cluster`.
    pub fn new(cluster: Arc<KubeCluster>) -> Self {
        Self { cluster }
    }
}

#[async_trait]
impl Probe for ResourcesProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        let inventory = self.cluster.inventory().borrow().clone();
        if !inventory.synced {
            let text = match &inventory.error {
                Some(error) => format!("the pods are not known yet: {error}"),
                None => "the pods are not known yet".to_owned(),
            };
            let outcome = Outcome::degraded(ReasonKind::PlatformUnavailable, text);
            return ProbeObservation::of(outcome);
        }
        match self.cluster.pod_samples(budget).await {
            Ok(samples) => observe(&inventory, samples),
            Err(reason) => ProbeObservation::of(Outcome::Degraded { reason }),
        }
    }
}

/// Joins samples and pods. Samples of other pods of the namespace are left out.
fn observe(inventory: &Inventory, samples: Vec<PodSample>) -> ProbeObservation {
    let pods: BTreeMap<&str, &Pod> = inventory
        .components
        .values()
        .flat_map(|component| &component.pods)
        .map(|pod| (&*pod.name, pod))
        .collect();
    let mut usage: Vec<PodUsage> = samples
        .into_iter()
        .filter_map(|sample| pods.get(sample.pod.as_str()).map(|pod| usage_of(pod, sample)))
        .collect();
    usage.sort_by(|a, b| a.pod.cmp(&b.pod));
    let outcome = match (pods.len(), usage.len()) {
        (0, _) => Outcome::degraded(
            ReasonKind::NoPods,
            "no pods of Milvus were found: are namespace, instance and layout right?",
        ),
        (count, 0) => Outcome::degraded(
            ReasonKind::Unsupported,
            format!(
                "CPU and memory are not known: metrics.k8s.io has no sample of any of {count} pods"
            ),
        ),
        _ => Outcome::Healthy,
    };
    ProbeObservation { usage, ..ProbeObservation::of(outcome) }
}

fn usage_of(pod: &Pod, sample: PodSample) -> PodUsage {
    let (cpu, memory) = (sample.cpu_milli, sample.memory_bytes);
    PodUsage {
        pod: sample.pod,
        cpu_milli: cpu,
        memory_bytes: memory,
        cpu_percent_of_request: percent(cpu, pod.requests.cpu_milli),
        memory_percent_of_request: percent(memory, pod.requests.memory_bytes),
        cpu_percent_of_limit: percent(cpu, pod.limits.cpu_milli),
        memory_percent_of_limit: percent(memory, pod.limits.memory_bytes),
        sampled_at: sample.sampled_at,
        window: sample.window,
    }
}

/// Rounded down, as the HPA does; `None` where either is not known or nothing was asked for.
fn percent(used: Option<u64>, asked: Option<u64>) -> Option<Percent> {
    let asked = asked.filter(|asked| *asked > 0)?;
    let percent = u128::from(used?) * 100 / u128::from(asked);
    Some(Percent::try_from(percent).unwrap_or(Percent::MAX))
}

#[cfg(test)]
mod tests {
    use crate::model::{ComponentInventory, PodCondition, PodLife, Resources};

    use super::*;

    fn inventory(names: &[&str]) -> Inventory {
        let pod = |name: &&str| Pod {
            name: (*name).into(),
            ip: None,
            condition: PodCondition::Ready,
            requests: Resources { cpu_milli: Some(1100), memory_bytes: Some(1 << 30) },
            limits: Resources { cpu_milli: None, memory_bytes: Some(2 << 30) },
            started_at: None,
            workload: None,
            life: PodLife::default(),
        };
        let component =
            ComponentInventory { pods: names.iter().map(pod).collect(), ..Default::default() };
        Inventory {
            synced: true,
            error: None,
            components: [(Arc::from("querynode"), component)].into(),
        }
    }

    fn sample(pod: &str, cpu_milli: u64) -> PodSample {
        PodSample {
            pod: pod.to_owned(),
            cpu_milli: Some(cpu_milli),
            memory_bytes: Some(1 << 30),
            sampled_at: None,
            window: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn shares_are_rounded_down_and_unknown_without_a_request() {
        let seen = observe(&inventory(&["a"]), vec![sample("a", 1000), sample("etcd-0", 5)]);
        assert_eq!(seen.outcome, Outcome::Healthy);
        assert_eq!(seen.usage.len(), 1);
        assert_eq!(seen.usage[0].cpu_percent_of_request, Some(90));
        assert_eq!(seen.usage[0].cpu_percent_of_limit, None);
        assert_eq!(seen.usage[0].memory_percent_of_request, Some(100));
        assert_eq!(seen.usage[0].memory_percent_of_limit, Some(50));
    }

    #[test]
    fn a_pod_without_a_sample_is_absent_and_no_sample_at_all_is_degraded() {
        let seen = observe(&inventory(&["a", "b"]), vec![sample("b", 1)]);
        assert_eq!(seen.usage.iter().map(|usage| usage.pod.as_str()).collect::<Vec<_>>(), ["b"]);
        let seen = observe(&inventory(&["a", "b"]), Vec::new());
        assert_eq!(seen.outcome.reason().map(|reason| reason.kind), Some(ReasonKind::Unsupported));
        let seen = observe(&inventory(&[]), Vec::new());
        assert_eq!(seen.outcome.reason().map(|reason| reason.kind), Some(ReasonKind::NoPods));
    }

    #[test]
    fn absurd_numbers_do_not_overflow() {
        assert_eq!(percent(Some(u64::MAX), Some(1)), Some(Percent::MAX));
        assert_eq!(percent(Some(1), Some(0)), None);
    }
}
