//! The manifests in `deploy/` as files: what they configure is valid, what they name is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn yaml(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a manifest");
    text.split("\n---\n").map(|one| serde_saphyr::from_str(one).expect("YAML")).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map_or_else(Vec::new, |all| all.iter().filter_map(Value::as_str).collect())
}

#[test]
fn every_kustomization_names_files_that_are_there_and_configurations_that_are_valid() {
    for name in ["base", "overlays/in-cluster", "overlays/sidecar", "hpa"] {
        let folder = deploy().join(name);
        let kustomization = yaml(&folder.join("kustomization.yaml"));
        for resource in texts(&kustomization["resources"]) {
            let path = folder.join(resource);
            assert!(path.exists(), "{name} names {resource}");
            if path.is_file() {
                assert!(documents(&path).iter().all(|one| one["kind"].is_string()), "{path:?}");
            }
        }
        for generator in kustomization["configMapGenerator"].as_array().into_iter().flatten() {
            for file in texts(&generator["files"]) {
                let path = folder.join(file);
                let loaded = falconer::config::load_with(&path, &[].into_iter().collect());
                assert!(loaded.is_ok(), "{path:?}: {:?}", loaded.err());
            }
        }
    }
}

#[test]
fn kubectl_renders_every_overlay() {
    let expected = [
        (
            "base",
            vec!["ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Service", "Deployment"],
        ),
        ("overlays/in-cluster", vec!["Role", "RoleBinding", "ConfigMap", "Deployment"]),
        ("overlays/sidecar", vec!["ConfigMap", "Deployment"]),
        ("hpa", vec!["HorizontalPodAutoscaler"]),
    ];
    for (name, kinds) in expected {
        let rendered = Command::new("kubectl")
            .arg("kustomize")
            .arg(deploy().join(name))
            .output()
            .expect("kubectl; tests/run installs it");
        let errors = String::from_utf8_lossy(&rendered.stderr);
        assert!(rendered.status.success(), "{name}: {errors}");
        let text = String::from_utf8_lossy(&rendered.stdout);
        let documents: Vec<Value> = text
            .split("\n---\n")
            .map(|document| serde_saphyr::from_str(document).expect("a manifest"))
            .collect();
        for kind in kinds {
            assert!(documents.iter().any(|one| one["kind"] == kind), "{name} lacks a {kind}");
        }
        for one in &documents {
            assert!(one["metadata"]["name"].is_string(), "{name}: {one}");
        }
    }
}

#[test]
fn the_deployment_runs_as_nobody_and_is_probed() {
    let pod = &yaml(&deploy().join("base/deployment.yaml"))["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    assert_eq!(container["ports"][0]["containerPort"], 8000);
}

#[test]
fn the_autoscaler_of_the_query_nodes_is_the_documented_one() {
    let spec = &yaml(&deploy().join("hpa/querynode-hpa.yaml"))["spec"];
    assert_eq!((&spec["minReplicas"], &spec["maxReplicas"]), (&json!(2), &json!(10)));
    let targets: Vec<_> = [0, 1]
        .map(|at| &spec["metrics"][at]["resource"])
        .map(|metric| (metric["name"].as_str(), metric["target"]["averageUtilization"].as_u64()))
        .into();
    assert_eq!(targets, [(Some("cpu"), Some(70)), (Some("memory"), Some(80))]);
    assert_eq!(spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 300);
    assert_eq!(spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"], 0);
}
