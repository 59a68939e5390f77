//! What `falconer probe` prints: a table for people, JSON for programs. Pure; never probes.

mod json;
mod table;

use std::collections::BTreeMap;

use crate::model::{Outcome, PodUsage, ProbeReport, ProberKind, ReasonKind};

pub use json::json;
pub use table::{Layout, table};

/// Whether everything is as it should be. An optional source of data that does not exist here
/// (metrics.k8s.io), and what its owner has switched off, is shown but does not count against it.
pub fn all_healthy(reports: &[ProbeReport]) -> bool {
    reports.iter().all(|report| match &report.observation.outcome {
        Outcome::Healthy => true,
        Outcome::Degraded { reason } => {
            matches!(reason.kind, ReasonKind::Unsupported | ReasonKind::ScaledToZero)
        }
        Outcome::Failed { .. } => false,
    })
}

/// The CPU and memory of pods, by cluster and pod, out of the reports of kind `resources` (and
/// those of probers that bring their own).
struct Usage<'a>(BTreeMap<(&'a str, &'a str), &'a PodUsage>);

impl<'a> Usage<'a> {
    fn of(reports: &'a [ProbeReport]) -> Self {
        let every = reports.iter().flat_map(|report| {
            let cluster = &*report.id.cluster;
            report.observation.usage.iter().map(move |usage| ((cluster, usage.pod.as_str()), usage))
        });
        Self(every.collect())
    }

    fn pod(&self, report: &ProbeReport, pod: &str) -> Option<&'a PodUsage> {
        self.0.get(&(&*report.id.cluster, pod)).copied()
    }
}

/// The reports in the order in which they are shown: by cluster, the service itself first, what
/// reads CPU and memory last.
fn in_order(reports: &[ProbeReport]) -> Vec<&ProbeReport> {
    let rank = |kind: ProberKind| match kind {
        ProberKind::Milvus => 0,
        ProberKind::Pods | ProberKind::Process => 1,
        ProberKind::Http | ProberKind::Tcp | ProberKind::Grpc => 2,
        ProberKind::Platform | ProberKind::Resources => 3,
    };
    let mut ordered: Vec<&ProbeReport> = reports.iter().collect();
    ordered.sort_by_key(|report| {
        (report.id.cluster.clone(), rank(report.kind), report.id.component.clone())
    });
    ordered
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{
        CollectionProbe, ComponentId, MilvusReport, ProbeObservation, ProbeTrigger, TargetReport,
        Timestamp,
    };

    pub(super) fn report(component: &str, kind: ProberKind, outcome: Outcome) -> ProbeReport {
        ProbeReport {
            id: ComponentId::new("milvus-ha", component),
            kind,
            trigger: ProbeTrigger::default(),
            started_at: Timestamp::default(),
            duration: Duration::from_micros(3_400),
            observation: ProbeObservation::of(outcome),
        }
    }

    fn pod(name: &str, outcome: Outcome) -> TargetReport {
        TargetReport {
            name: name.into(),
            address: "http://10.0.0.1:9091/healthz".into(),
            outcome,
            latency: Duration::from_millis(2),
            performance: None,
        }
    }

    fn usage(pod: &str) -> PodUsage {
        PodUsage {
            pod: pod.into(),
            cpu_milli: Some(620),
            memory_bytes: Some(3 << 30),
            cpu_percent_of_request: Some(62),
            memory_percent_of_request: Some(75),
            cpu_percent_of_limit: Some(31),
            memory_percent_of_limit: None,
            sampled_at: None,
            window: std::time::Duration::ZERO,
        }
    }

    /// A sick query node among healthy ones, the service with a canary, and figures of two pods.
    pub(super) fn cluster() -> Vec<ProbeReport> {
        let timeout = "http://10.0.0.2:9091/healthz: no answer within 5 s, the connection was made";
        let sick = Outcome::failed(ReasonKind::Timeout, timeout);
        let summary =
            Outcome::failed(ReasonKind::SomePods, "1/2 pods healthy: querynode-b timeout");
        let mut querynode = report("querynode", ProberKind::Pods, summary);
        querynode.observation.targets =
            vec![pod("milvus-querynode-7d4f8b9c6-a", Outcome::Healthy), pod("querynode-b", sick)];
        let mut proxy = report("proxy", ProberKind::Pods, Outcome::Healthy);
        proxy.observation.targets = vec![pod("proxy-a", Outcome::Healthy)];
        let mut milvus = report("milvus", ProberKind::Milvus, Outcome::Healthy);
        milvus.observation.milvus = Some(Box::new(MilvusReport {
            version: Some("v2.3.5".into()),
            is_healthy: Some(true),
            collections: vec!["products".into()],
            canaries: vec![CollectionProbe {
                collection: "products".into(),
                rows: Some(1_000),
                latency: Duration::from_millis(7),
                error: None,
            }],
            ..MilvusReport::default()
        }));
        let mut resources = report("resources", ProberKind::Resources, Outcome::Healthy);
        resources.observation.usage = vec![usage("proxy-a"), usage("querynode-b")];
        vec![resources, querynode, proxy, milvus]
    }

    #[test]
    fn a_missing_metrics_api_does_not_count_against_health_but_a_degraded_service_does() {
        let unsupported = Outcome::degraded(ReasonKind::Unsupported, "no metrics.k8s.io here");
        let limited = Outcome::degraded(ReasonKind::Limited, "quota");
        assert!(all_healthy(&[report("resources", ProberKind::Resources, unsupported)]));
        assert!(!all_healthy(&[report("milvus", ProberKind::Milvus, limited)]));
        assert!(!all_healthy(&cluster()));
    }
}
