//! What kubectl makes of the simulated API. Skipped, loudly, where there is no kubectl.

use std::io::Write;
use std::process::Stdio;

use falconer::sim::Simulation;
use tempfile::NamedTempFile;
use tokio::process::Command;

use super::{PATIENCE, eventually, settings, settled};

struct Kubectl {
    config: NamedTempFile,
}

impl Kubectl {
    async fn new(sim: &Simulation) -> Option<Self> {
        let found = Command::new("kubectl")
            .args(["version", "--client"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if !found.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no kubectl on this machine");
            return None;
        }
        let mut config = NamedTempFile::new().expect("a temporary file");
        config.write_all(sim.kubeconfig().as_bytes()).expect("written");
        Some(Self { config })
    }

    async fn run(&self, arguments: &str) -> String {
        let running = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(self.config.path())
            .args(["--cache-dir", self.config.path().with_extension("cache").to_str().unwrap()])
            .args(arguments.split_whitespace())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, running)
            .await
            .unwrap_or_else(|_| panic!("kubectl {arguments} never ends"))
            .expect("kubectl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments}: {text}{errors}");
        text
    }
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.config.path().with_extension("cache"));
    }
}

#[tokio::test]
async fn kubectl_shows_pods_deployments_events_and_their_load() {
    let sim = settled(settings()).await;
    let Some(kubectl) = Kubectl::new(&sim).await else { return };
    let pods = kubectl.run("get pods").await;
    assert!(pods.starts_with("NAME"), "{pods}");
    assert!(pods.contains("READY") && pods.contains("1/1") && pods.contains("Running"), "{pods}");
    let all = kubectl.run("get pods,deployments,events -A").await;
    assert!(all.contains("pod/milvus-querynode-"), "{all}");
    assert!(all.contains("deployment.apps/milvus-proxy"), "{all}");
    assert!(all.contains("Scaled up replica set"), "{all}");
    let top = kubectl.run("top pods").await;
    let row = top.lines().find(|line| line.starts_with("milvus-proxy")).expect("a proxy");
    let cpu = row.split_whitespace().nth(1).and_then(|cpu| cpu.strip_suffix('m')).expect("CPU");
    assert!((480..=560).contains(&cpu.parse::<u32>().expect("a number")), "{row}");
    assert!(kubectl.run("top nodes").await.contains("sim-node-1"));
    let name = &sim.pods("querynode")[0].name;
    let description = kubectl.run(&format!("describe pod {name}")).await;
    assert!(description.contains("component=querynode"), "{description}");
    assert!(description.contains("Started container querynode"), "{description}");
    assert!(kubectl.run("describe deployment milvus-proxy").await.contains("RollingUpdate"));
    assert!(kubectl.run("get events.v1.events.k8s.io").await.contains("Created pod"));
    assert!(kubectl.run("get hpa,sts,ds,svc,rs,leases,milvus").await.contains("replicaset"));
    assert!(kubectl.run("logs deployment/milvus-proxy").await.contains("starting running Milvus"));
    assert_eq!(kubectl.run("auth can-i patch deployments").await.trim(), "yes");
}

#[tokio::test]
async fn kubectl_restarts_scales_and_deletes() {
    let sim = settled(settings()).await;
    let Some(kubectl) = Kubectl::new(&sim).await else { return };
    let before = sim.pods("querynode");
    kubectl.run("rollout restart deployment/milvus-querynode").await;
    let status = kubectl.run("rollout status deployment/milvus-querynode").await;
    assert!(status.contains("successfully rolled out"), "{status}");
    eventually("the old pods are gone", || sim.is_settled()).await;
    let after = sim.pods("querynode");
    assert!(after.iter().all(|pod| before.iter().all(|old| old.uid != pod.uid)));
    kubectl.run("scale deployment/milvus-proxy --replicas=4").await;
    eventually("four proxies", || sim.pods("proxy").iter().filter(|pod| pod.ready).count() == 4)
        .await;
    let name = sim.pods("datanode")[0].name.clone();
    kubectl.run(&format!("delete pod {name}")).await;
    eventually("a new pod takes its place", || {
        sim.is_settled() && sim.pods("datanode").iter().all(|pod| pod.name != name)
    })
    .await;
    kubectl.run("annotate deployment milvus-proxy example.com/a=b").await;
    kubectl.run("rollout undo deployment/milvus-querynode").await;
    let mut manifest = NamedTempFile::new().expect("a temporary file");
    let text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n";
    manifest.write_all(text).expect("written");
    let path = manifest.path().to_str().expect("a path in UTF-8");
    kubectl.run(&format!("apply -f {path}")).await;
    kubectl.run(&format!("apply -f {path}")).await;
    assert!(kubectl.run("get configmaps").await.contains("settings"));
}
