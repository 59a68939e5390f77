//! From the objects of a namespace to the inventory of one Milvus cluster. Pure: the same objects
//! make the same inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{ComponentInventory, Pod, Role};

use super::labels::{Evidence, Identity, Labels, identify};
use super::objects::Objects;
use super::pods;
use super::settings::{Components, Layout, Selection};
use super::workloads::{Found, Gaps, container_names, top_controller, workloads};

/// The inventory's components, and which instance they are of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Built {
    /// The chosen instance; `None` where there is none or it cannot be told which.
    pub instance: Option<String>,
    /// Why the choice is not clear.
    pub error: Option<String>,
    /// The components by name.
    pub components: BTreeMap<Arc<str>, ComponentInventory>,
}

/// Makes the inventory. `pinned` is the instance that was chosen before: a second one that appears
/// later does not take its place.
pub fn build(
    objects: &Objects,
    namespace: &Arc<str>,
    selection: &Selection,
    gaps: &Gaps,
    pinned: Option<&str>,
) -> Built {
    let found = workloads(objects, namespace, selection.layout, gaps);
    let pods = found_pods(objects, &found, selection.layout);
    let seen: BTreeSet<String> = found
        .iter()
        .map(|found| &found.identity)
        .chain(pods.iter().map(|(identity, _)| identity))
        .map(|identity| identity.instance.clone())
        .collect();
    let (instance, error) = choose(&seen, selection, pinned);
    let mut built = Built { instance, error, components: wanted(selection) };
    let Some(chosen) = built.instance.clone() else { return built };
    // Plain manifests often carry no instance label; unless something else carries the one that is
    // asked for, they are meant.
    let unlabelled_too = !seen.contains(chosen.as_str());
    let is_ours = |identity: &Identity| {
        let belongs = identity.instance == chosen
            || (unlabelled_too
                && identity.instance.is_empty()
                && identity.layout == Layout::Reference);
        belongs && is_selected(selection, identity.role)
    };
    for found in found.into_iter().filter(|found| is_ours(&found.identity)) {
        component(&mut built.components, found.identity.role).workloads.push(found.workload);
    }
    for (identity, pod) in pods.into_iter().filter(|(identity, _)| is_ours(identity)) {
        component(&mut built.components, identity.role).pods.push(pod);
    }
    built
}

/// The configured components, empty: one that has no pods is to be seen as such.
fn wanted(selection: &Selection) -> BTreeMap<Arc<str>, ComponentInventory> {
    match &selection.components {
        Components::Auto => BTreeMap::new(),
        Components::List(names) => names
            .iter()
            .map(|name| {
                let role = Role::parse(name);
                (Arc::from(name.as_str()), ComponentInventory { role, ..Default::default() })
            })
            .collect(),
    }
}

fn is_selected(selection: &Selection, role: Role) -> bool {
    match &selection.components {
        Components::Auto => true,
        Components::List(names) => names.iter().any(|name| name == role.as_str()),
    }
}

fn component(
    components: &mut BTreeMap<Arc<str>, ComponentInventory>,
    role: Role,
) -> &mut ComponentInventory {
    let component = components.entry(Arc::from(role.as_str())).or_default();
    component.role = Some(role);
    component
}

fn choose(
    seen: &BTreeSet<String>,
    selection: &Selection,
    pinned: Option<&str>,
) -> (Option<String>, Option<String>) {
    let listed = || {
        let all = seen.iter().map(String::as_str);
        let all = all.map(|name| if name.is_empty() { "(without a label)" } else { name });
        all.collect::<Vec<_>>().join(", ")
    };
    let wanted = selection.instance.as_str();
    if !wanted.is_empty() {
        let is_missing = !seen.is_empty() && !seen.contains(wanted) && !seen.contains("");
        let error = is_missing.then(|| {
            format!("there is no Milvus instance \"{wanted}\" in the namespace, but: {}", listed())
        });
        return (Some(wanted.to_owned()), error);
    }
    if seen.len() <= 1 {
        return (seen.first().cloned(), None);
    }
    let error = format!(
        "several Milvus instances are in the namespace: {}; set `instance` to one of them",
        listed()
    );
    let kept = pinned.filter(|pinned| seen.contains(*pinned)).map(str::to_owned);
    (kept, Some(error))
}

fn found_pods(objects: &Objects, found: &[Found<'_>], layout: Layout) -> Vec<(Identity, Pod)> {
    let none = Labels::new();
    let mut pods = Vec::new();
    for (name, pod) in &objects.pods {
        let owner = top_controller(objects, &pod.metadata);
        let known = owner.and_then(|owner| found.iter().find(|found| found.is(owner)));
        let identity = if let Some(found) = known {
            Some(found.identity.clone())
        } else {
            let containers = container_names(pod.spec.as_ref());
            let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
            identify(layout, Evidence { pod: labels, object: &none, containers: &containers })
        };
        if let Some(identity) = identity {
            let workload = known.map(|found| found.workload.reference.clone());
            pods.push((identity, pods::view(name, pod, workload)));
        }
    }
    pods
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use crate::model::{Autoscaler, Hold, Owner, WorkloadKind};

    use super::*;

    const NAME: &str = "app.kubernetes.io/name";
    const COMPONENT: &str = "app.kubernetes.io/component";
    const INSTANCE: &str = "app.kubernetes.io/instance";

    fn object<K: DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).expect("an object")
    }

    fn owned_by(kind: &str, name: &str) -> Value {
        let api = if kind == "Milvus" { "milvus.io/v1beta1" } else { "apps/v1" };
        json!([{"apiVersion": api, "kind": kind, "name": name, "uid": format!("uid-{name}"),
            "controller": true}])
    }

    /// A namespace that a test fills.
    #[derive(Default)]
    struct Namespace {
        objects: Objects,
        gaps: Gaps,
        selection: Selection,
        pinned: Option<&'static str>,
    }

    impl Namespace {
        /// A Deployment with its `ReplicaSet` and one ready pod per replica.
        fn deploy(&mut self, name: &str, labels: &Value, replicas: i32, owner: &Value) {
            let template = json!({"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main"}]}});
            self.objects.deployments.insert(
                name.to_owned(),
                object(json!({
                    "metadata": {"name": name, "uid": format!("uid-{name}"), "generation": 1,
                        "labels": labels, "ownerReferences": owner},
                    "spec": {"replicas": replicas, "selector": {}, "template": template},
                    "status": {"observedGeneration": 1, "replicas": replicas,
                        "updatedReplicas": replicas, "readyReplicas": replicas,
                        "availableReplicas": replicas},
                })),
            );
            let set = format!("rs-of-{name}");
            self.objects.replica_sets.insert(
                set.clone(),
                object(json!({
                    "metadata": {"name": set, "uid": format!("uid-{set}"),
                        "ownerReferences": owned_by("Deployment", name)},
                    "spec": {"selector": {}},
                })),
            );
            for index in 0..replicas {
                self.pod(&format!("{name}-{index}"), labels, &owned_by("ReplicaSet", &set));
            }
        }

        fn pod(&mut self, name: &str, labels: &Value, owner: &Value) {
            self.objects.pods.insert(
                name.to_owned(),
                object(json!({
                    "metadata": {"name": name, "labels": labels, "ownerReferences": owner},
                    "spec": {"containers": [{"name": "main"}]},
                    "status": {"phase": "Running", "podIP": "10.0.0.1",
                        "conditions": [{"type": "Ready", "status": "True"}]},
                })),
            );
        }

        fn milvus(&mut self, name: &str, spec: &Value, annotations: &Value, labels: &Value) {
            self.objects.milvuses.insert(
                name.to_owned(),
                object(json!({
                    "apiVersion": "milvus.io/v1beta1", "kind": "Milvus",
                    "metadata": {"name": name, "annotations": annotations, "labels": labels},
                    "spec": {"components": spec},
                })),
            );
        }

        fn build(&self) -> Built {
            build(&self.objects, &"ns".into(), &self.selection, &self.gaps, self.pinned)
        }
    }

    fn helm(component: &str, instance: &str) -> Value {
        json!({"component": component, NAME: "milvus", INSTANCE: instance})
    }

    fn operator(component: &str, instance: &str) -> Value {
        json!({COMPONENT: component, NAME: "milvus", INSTANCE: instance})
    }

    fn reference(component: &str, _instance: &str) -> Value {
        json!({"app": format!("milvus-{component}")})
    }

    fn shape(built: &Built) -> Vec<(String, usize, usize)> {
        let shape = |(name, component): (&Arc<str>, &ComponentInventory)| {
            (name.to_string(), component.workloads.len(), component.pods.len())
        };
        built.components.iter().map(shape).collect()
    }

    #[test]
    fn every_version_is_found_in_every_layout() {
        let versions: [(&str, &[&str]); 5] = [
            (
                "2.3",
                &[
                    "proxy",
                    "rootcoord",
                    "datacoord",
                    "querycoord",
                    "indexcoord",
                    "querynode",
                    "datanode",
                    "indexnode",
                ],
            ),
            ("2.4 mixcoord", &["proxy", "mixcoord", "querynode", "datanode", "indexnode"]),
            ("2.6", &["proxy", "mixcoord", "querynode", "datanode", "streamingnode"]),
            ("3.0 cdc", &["proxy", "mixcoord", "querynode", "datanode", "streamingnode", "cdc"]),
            ("standalone", &["standalone"]),
        ];
        for (version, components) in versions {
            for labels in [helm, operator, reference] {
                let mut namespace = Namespace::default();
                for component in components {
                    // The names say nothing: only labels and owners count.
                    namespace.deploy(
                        &format!("x-{component}"),
                        &labels(component, "ha"),
                        2,
                        &json!([]),
                    );
                }
                for companion in ["woodpecker", "attu", "etcd"] {
                    namespace.deploy(companion, &labels(companion, "ha"), 1, &json!([]));
                }
                let built = namespace.build();
                let mut wanted: Vec<_> =
                    components.iter().map(|name| ((*name).to_owned(), 1, 2)).collect();
                wanted.sort();
                assert_eq!(shape(&built), wanted, "{version}");
                let every = built.components.values().flat_map(|component| &component.pods);
                assert!(every.clone().all(|pod| pod.workload.is_some()), "{version}");
            }
        }
    }

    #[test]
    fn a_pod_belongs_to_the_workload_that_its_owners_lead_to() {
        let mut namespace = Namespace::default();
        namespace.deploy("a", &helm("proxy", "ha"), 1, &json!([]));
        namespace.pod("a-lookalike", &helm("proxy", "ha"), &json!([]));
        namespace.pod("of-a-rollout", &helm("proxy", "ha"), &owned_by("Rollout", "a"));
        let built = namespace.build();
        let owners: Vec<_> = built.components["proxy"]
            .pods
            .iter()
            .map(|pod| (&*pod.name, pod.workload.as_ref().map(ToString::to_string)))
            .collect();
        assert_eq!(
            owners,
            [
                ("a-0", Some("deployment/a".to_owned())),
                ("a-lookalike", None),
                ("of-a-rollout", None)
            ]
        );
    }

    #[test]
    fn stateful_sets_and_daemon_sets_are_workloads_too() {
        let mut namespace = Namespace::default();
        let labels = helm("querynode", "ha");
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": []}});
        namespace.objects.stateful_sets.insert(
            "s".to_owned(),
            object(json!({"metadata": {"name": "s", "uid": "uid-s"},
                "spec": {"replicas": 3, "selector": {}, "serviceName": "s", "template": template},
                "status": {"replicas": 3, "readyReplicas": 2, "observedGeneration": 0}})),
        );
        namespace.objects.daemon_sets.insert(
            "d".to_owned(),
            object(json!({"metadata": {"name": "d", "uid": "uid-d"},
                "spec": {"selector": {}, "template": template},
                "status": {"desiredNumberScheduled": 4, "numberReady": 1, "currentNumberScheduled": 4,
                    "numberMisscheduled": 0, "updatedNumberScheduled": 4}})),
        );
        namespace.pod("s-0", &labels, &owned_by("StatefulSet", "s"));
        let built = namespace.build();
        let found: Vec<_> = built.components["querynode"]
            .workloads
            .iter()
            .map(|w| (w.reference.kind, w.desired_replicas, w.ready_replicas, w.rolling_out))
            .collect();
        assert_eq!(
            found,
            [(WorkloadKind::StatefulSet, 3, 2, false), (WorkloadKind::DaemonSet, 4, 1, false)]
        );
        assert!(built.components["querynode"].pods[0].workload.is_some());
    }

    #[test]
    fn of_several_instances_none_is_guessed_but_a_chosen_one_is_kept() {
        let mut namespace = Namespace::default();
        namespace.deploy("a", &helm("proxy", "a"), 1, &json!([]));
        namespace.deploy("b", &operator("proxy", "b"), 1, &json!([]));
        let built = namespace.build();
        assert_eq!(built.instance, None);
        assert!(built.components.is_empty());
        assert!(built.error.as_deref().is_some_and(|error| error.contains(": a, b;")), "{built:?}");

        namespace.pinned = Some("a");
        let built = namespace.build();
        assert_eq!(shape(&built), [("proxy".to_owned(), 1, 1)]);
        assert!(built.error.is_some());

        namespace.pinned = None;
        namespace.selection.instance = "b".to_owned();
        let built = namespace.build();
        assert_eq!(built.error, None);
        assert_eq!(&*built.components["proxy"].workloads[0].reference.name, "b");

        namespace.selection.instance = "c".to_owned();
        assert!(namespace.build().error.is_some_and(|error| error.contains("\"c\"")));

        // Plain manifests without the label are meant where nothing carries the asked one.
        namespace.deploy("m", &reference("datanode", ""), 1, &json!([]));
        assert_eq!(shape(&namespace.build()), [("datanode".to_owned(), 1, 1)]);
        namespace.selection.instance = "b".to_owned();
        assert_eq!(shape(&namespace.build()), [("proxy".to_owned(), 1, 1)]);
    }

    #[test]
    fn listed_components_are_shown_even_without_pods_and_others_are_left_alone() {
        let mut namespace = Namespace::default();
        namespace.deploy("p", &helm("proxy", "ha"), 1, &json!([]));
        namespace.deploy("q", &helm("querynode", "ha"), 1, &json!([]));
        namespace.selection.components =
            Components::List(vec!["proxy".to_owned(), "datanode".to_owned()]);
        let built = namespace.build();
        assert_eq!(shape(&built), [("datanode".to_owned(), 0, 0), ("proxy".to_owned(), 1, 1)]);
        assert_eq!(built.components["datanode"].role, Some(Role::DataNode));
    }

    fn operated() -> Namespace {
        let mut namespace = Namespace::default();
        for (slot, replicas) in [("0", 0), ("1", 2)] {
            let mut labels = operator("querynode", "ha");
            labels["milvus.io/querynode-group-id"] = json!(slot);
            let name = format!("ha-milvus-querynode-{slot}");
            namespace.deploy(&name, &labels, replicas, &owned_by("Milvus", "ha"));
        }
        namespace
    }

    fn seen(namespace: &Namespace) -> Vec<(u32, bool, bool, Option<String>)> {
        let built = namespace.build();
        let view = |w: &crate::model::Workload| {
            let autoscaler = w.autoscaler.as_ref().map(|autoscaler| autoscaler.kind.clone());
            (w.desired_replicas, w.is_paused(), w.is_rolling_out(), autoscaler)
        };
        built.components["querynode"].workloads.iter().map(view).collect()
    }

    #[test]
    fn the_custom_resource_says_whether_the_operator_is_at_work() {
        let group = json!({"milvus.io/querynode-current-group-id": "1"});
        let handed_over = json!({"queryNode": {"replicas": -1}});
        let mut namespace = operated();
        namespace.milvus("ha", &handed_over, &group, &json!({}));
        let handed = || Some("handed over".to_owned());
        assert_eq!(seen(&namespace), [(0, false, false, handed()), (2, false, false, handed())]);

        for spec in [
            json!({"queryNode": {"replicas": -1}, "paused": true}),
            json!({"queryNode": {"replicas": -1}, "enableManualMode": true}),
            json!({"queryNode": {"replicas": -1, "paused": true}}),
        ] {
            namespace.milvus("ha", &spec, &group, &json!({}));
            assert!(seen(&namespace).iter().all(|(_, paused, ..)| *paused), "{spec}");
        }
        namespace.milvus(
            "ha",
            &handed_over,
            &group,
            &json!({"milvus.io/querynode-rolling-id": "2"}),
        );
        assert!(seen(&namespace).iter().all(|(_, _, rolling_out, _)| *rolling_out));
        // The pods are still in the group that is being left.
        let other = json!({"milvus.io/querynode-current-group-id": "0"});
        namespace.milvus("ha", &handed_over, &other, &json!({}));
        assert_eq!(seen(&namespace)[1], (2, false, true, handed()));
    }

    #[test]
    fn each_word_of_the_operator_is_a_hold_of_its_own_and_none_is_the_workloads() {
        let mut namespace = operated();
        let spec = json!({"paused": true, "enableManualMode": true,
            "queryNode": {"paused": true, "replicas": 2}});
        let labels = json!({"milvus.io/querynode-rolling-id": "7",
            "milvus.io/proxy-rolling-id": "8"});
        namespace.milvus(
            "ha",
            &spec,
            &json!({"milvus.io/querynode-current-group-id": "0"}),
            &labels,
        );
        let milvus = namespace.objects.milvuses.get_mut("ha").expect("the custom resource");
        milvus.data["status"] = json!({"conditions": [
            {"type": "MilvusReady", "status": "False", "reason": "Whatever"},
            {"type": "MilvusUpdated", "status": "False", "reason": "MilvusComponentsUpdating",
                "message": "components\n[querynode] are updating"}]});
        let built = namespace.build();
        let workloads = &built.components["querynode"].workloads;
        let shared = vec![
            Hold::ClusterPaused,
            Hold::ComponentPaused,
            Hold::ManualMode,
            Hold::Updating {
                message: "MilvusComponentsUpdating: components [querynode] are updating".to_owned(),
            },
            Hold::Rolling { id: "7".to_owned() },
        ];
        assert_eq!(workloads[0].holds, shared, "nothing leaves a group without replicas");
        let leaving = Hold::LeavingGroup { current: "0".to_owned() };
        assert_eq!(workloads[1].holds, [shared, vec![leaving]].concat());
        assert!(workloads.iter().all(|workload| !workload.paused && !workload.rolling_out));
    }

    #[test]
    fn replicas_that_the_operator_hands_over_have_an_autoscaler() {
        let mut namespace = operated();
        namespace.milvus("ha", &json!({"queryNode": {"replicas": 2}}), &json!({}), &json!({}));
        assert_eq!(seen(&namespace)[1].3, None);
        namespace.milvus("ha", &json!({"queryNode": {"replicas": -1}}), &json!({}), &json!({}));
        assert_eq!(seen(&namespace)[1].3.as_deref(), Some("handed over"));
        let target = json!({"apiVersion": "milvus.io/v1beta1", "kind": "Milvus", "name": "ha"});
        namespace.objects.autoscalers.insert(
            "h".to_owned(),
            object(json!({"metadata": {"name": "h"},
                "spec": {"maxReplicas": 10, "scaleTargetRef": target}})),
        );
        assert_eq!(seen(&namespace)[1].3.as_deref(), Some("HorizontalPodAutoscaler"));
    }

    #[test]
    fn gitops_is_seen_on_the_object_in_which_the_replicas_stand() {
        let mut namespace = Namespace::default();
        let mut labels = helm("proxy", "ha");
        labels["helm.toolkit.fluxcd.io/name"] = json!("ha");
        namespace.deploy("p", &labels, 1, &json!([]));
        namespace.deploy("q", &helm("querynode", "ha"), 1, &json!([]));
        let found = |namespace: &Namespace, component: &str| {
            let gitops = namespace.build().components[component].workloads[0].gitops.clone();
            gitops.map(|gitops| gitops.to_string())
        };
        let flux = "Flux (label helm.toolkit.fluxcd.io/name)".to_owned();
        assert_eq!(found(&namespace, "proxy"), Some(flux));
        assert_eq!(found(&namespace, "querynode"), None);

        let mut namespace = operated();
        let tracked = json!({"argocd.argoproj.io/tracking-id": "ha:milvus.io/Milvus:ns/ha"});
        namespace.milvus("ha", &json!({"queryNode": {"replicas": 2}}), &tracked, &json!({}));
        let argo = "Argo CD (annotation argocd.argoproj.io/tracking-id)".to_owned();
        assert_eq!(found(&namespace, "querynode"), Some(argo));
    }

    #[test]
    fn nothing_is_done_to_what_an_unknown_controller_owns() {
        let mut namespace = operated();
        namespace.deploy("r", &operator("proxy", "ha"), 1, &owned_by("VectorFleet", "f"));
        let owner = |namespace: &Namespace, component: &str| {
            namespace.build().components[component].workloads[0].owner.clone()
        };
        assert!(
            matches!(owner(&namespace, "proxy"), Owner::Unknown { kind, .. } if kind == "VectorFleet")
        );
        assert_eq!(owner(&namespace, "querynode"), Owner::MilvusOperator { name: "ha".to_owned() });
        namespace.gaps.milvuses = Some("forbidden".to_owned());
        assert!(
            matches!(owner(&namespace, "querynode"), Owner::Unknown { name, .. } if name == "ha")
        );
    }

    #[test]
    fn autoscalers_are_known_unknown_or_none() {
        let mut namespace = Namespace::default();
        namespace.deploy("q", &helm("querynode", "ha"), 2, &json!([]));
        let autoscaler = |namespace: &Namespace| {
            namespace.build().components["querynode"].workloads[0].autoscaler.clone()
        };
        assert_eq!(autoscaler(&namespace), None);
        namespace.gaps.autoscalers = Some("forbidden".to_owned());
        assert!(autoscaler(&namespace).is_some_and(|found| found.is_unknown()));
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "q"});
        namespace.objects.autoscalers.insert(
            "h".to_owned(),
            object(json!({"metadata": {"name": "h"},
                "spec": {"maxReplicas": 10, "scaleTargetRef": target}})),
        );
        let found = |kind: &str, name: &str| {
            Some(Autoscaler { kind: kind.to_owned(), name: name.to_owned() })
        };
        assert_eq!(autoscaler(&namespace), found("HorizontalPodAutoscaler", "h"));
        namespace.objects.keda.insert(
            "k".to_owned(),
            object(json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
                "metadata": {"name": "k"}, "spec": {"scaleTargetRef": {"name": "q"}}})),
        );
        assert_eq!(autoscaler(&namespace), found("ScaledObject", "k"));
    }
}
