//! The commands that show more of a sick component, as a person would type them.

use super::Supervisor;
use crate::model::{
    ComponentId, ComponentInventory, Pod, PodCondition, ProbeReport, ProberKind, WorkloadKind,
};

/// Single pods for which commands are given.
const MOST_PODS: usize = 2;

impl Supervisor {
    /// For the component of a report.
    pub(super) fn look_closer(&self, report: &ProbeReport) -> Vec<String> {
        let mut commands = vec![explain(&report.id)];
        match report.kind {
            ProberKind::Platform if self.is_kubernetes() => {
                commands.push("kubectl get --raw '/readyz?verbose'".to_owned());
            }
            ProberKind::Resources if self.is_kubernetes() => {
                commands.push("kubectl get apiservice v1beta1.metrics.k8s.io".to_owned());
            }
            ProberKind::Milvus
            | ProberKind::Pods
            | ProberKind::Process
            | ProberKind::Http
            | ProberKind::Tcp
            | ProberKind::Grpc
            | ProberKind::Resources
            | ProberKind::Platform => {}
        }
        if let Some(component) = self.inventory.components.get(&report.id.component) {
            let sick = report.observation.targets.iter().filter(|one| !one.outcome.is_healthy());
            let sick: Vec<&str> = sick.map(|target| &*target.name).collect();
            commands.extend(on_platform(component, &sick));
        }
        commands
    }

    fn is_kubernetes(&self) -> bool {
        let mut workloads = self.inventory.components.values().flat_map(|one| &one.workloads);
        workloads.all(|workload| workload.reference.kind != WorkloadKind::Process)
    }
}

/// `falconer explain milvus-ha/etcd`.
fn explain(id: &ComponentId) -> String {
    format!("falconer explain {}", quoted(&id.to_string()))
}

/// What the platform shows of a component; `sick` are the pods that its probe found so.
fn on_platform(component: &ComponentInventory, sick: &[&str]) -> Vec<String> {
    let mut commands = Vec::new();
    for workload in &component.workloads {
        let reference = &workload.reference;
        if reference.kind != WorkloadKind::Process {
            let namespace = quoted(&reference.namespace);
            let name = quoted(&reference.to_string());
            commands.push(format!("kubectl -n {namespace} describe {name}"));
        }
    }
    let is_sick =
        |pod: &&Pod| sick.contains(&&*pod.name) || !matches!(pod.condition, PodCondition::Ready);
    for pod in component.pods.iter().filter(is_sick).take(MOST_PODS) {
        let name = quoted(&pod.name);
        match (&pod.workload, &pod.life.log_file) {
            (_, Some(log_file)) => commands.push(format!("tail -n 50 {}", quoted(log_file))),
            (Some(workload), None) => {
                let namespace = quoted(&workload.namespace);
                commands.push(format!("kubectl -n {namespace} describe pod {name}"));
                commands.push(format!("kubectl -n {namespace} logs {name} --tail=50"));
            }
            (None, None) => {}
        }
    }
    commands
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Owner, PodLife, Resources, Workload, WorkloadRef};

    fn component(kind: WorkloadKind, log_file: Option<&str>) -> ComponentInventory {
        let reference = WorkloadRef { kind, namespace: "db".into(), name: "my-querynode".into() };
        let pod = |name: &str, condition| Pod {
            name: name.into(),
            ip: None,
            condition,
            requests: Resources::default(),
            limits: Resources::default(),
            started_at: None,
            workload: Some(reference.clone()),
            life: PodLife { log_file: log_file.map(Into::into), ..PodLife::default() },
        };
        ComponentInventory {
            role: None,
            workloads: vec![Workload {
                reference: reference.clone(),
                desired_replicas: 2,
                ready_replicas: 2,
                paused: false,
                rolling_out: false,
                owner: Owner::None,
                autoscaler: None,
                gitops: None,
                holds: Vec::new(),
                revision: None,
            }],
            pods: vec![pod("q-1", PodCondition::Ready), pod("q-2", PodCondition::Ready)],
        }
    }

    #[test]
    fn in_kubernetes_the_workload_and_its_sick_pods_are_described() {
        let commands = on_platform(&component(WorkloadKind::Deployment, None), &["q-2"]);
        let expected = [
            "kubectl -n db describe deployment/my-querynode",
            "kubectl -n db describe pod q-2",
            "kubectl -n db logs q-2 --tail=50",
        ];
        assert_eq!(commands, expected);
    }

    #[test]
    fn of_a_process_there_is_its_log() {
        let component = component(WorkloadKind::Process, Some("/var/log/my milvus.log"));
        assert_eq!(on_platform(&component, &["q-1"]), ["tail -n 50 '/var/log/my milvus.log'"]);
    }

    #[test]
    fn no_name_becomes_a_command_of_its_own() {
        let id = ComponentId::new("milvus-ha", "etcd");
        assert_eq!(explain(&id), "falconer explain milvus-ha/etcd");
        assert_eq!(quoted("a; rm -rf 'b'"), r"'a; rm -rf '\''b'\'''");
        assert_eq!(quoted(""), "''");
    }
}
