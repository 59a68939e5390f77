//! Which Milvus role and instance a set of labels stands for, in the three known layouts. Owns the
//! label rules; never looks at names of workloads.

use std::collections::BTreeMap;

use crate::model::Role;

use super::settings::Layout;

/// Labels as Kubernetes keeps them.
pub type Labels = BTreeMap<String, String>;

/// `app.kubernetes.io/instance`: the Helm release or the custom resource.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
const NAME: &str = "app.kubernetes.io/name";
const COMPONENT: &str = "app.kubernetes.io/component";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const CHART: &str = "helm.sh/chart";

/// What an object is to Milvus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its role.
    pub role: Role,
    /// Its instance; empty where the labels name none.
    pub instance: String,
    /// The layout whose rule matched; never `Auto`.
    pub layout: Layout,
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The labels of the pod or of the pod template.
    pub pod: &'a Labels,
    /// The labels of the workload itself; Helm writes its chart only there.
    pub object: &'a Labels,
    /// The names of the containers.
    pub containers: &'a [&'a str],
}

/// The identity of something with these labels; `None` where it is no Milvus component: a
/// subchart's pod (etcd, `MinIO`, Pulsar share the instance label), Attu, or anything else.
pub fn identify(layout: Layout, evidence: Evidence<'_>) -> Option<Identity> {
    match layout {
        Layout::Auto => identify(Layout::Operator, evidence)
            .or_else(|| identify(Layout::Helm, evidence))
            .or_else(|| identify(Layout::Reference, evidence)),
        Layout::Operator => operator(evidence),
        Layout::Helm => helm(evidence),
        Layout::Reference => reference(evidence),
    }
}

fn operator(evidence: Evidence<'_>) -> Option<Identity> {
    let role = Role::parse(evidence.pod.get(COMPONENT)?)?;
    let is_milvus = has(evidence.pod, NAME, "milvus")
        || has(evidence.pod, MANAGED_BY, "milvus-operator")
        || has(evidence.object, MANAGED_BY, "milvus-operator");
    is_milvus.then(|| identity(role, evidence, Layout::Operator))
}

fn helm(evidence: Evidence<'_>) -> Option<Identity> {
    let name = evidence.pod.get("component")?;
    let role = Role::parse(name)?;
    let chart = evidence.object.get(CHART).or_else(|| evidence.pod.get(CHART));
    // `nameOverride` changes the name label, so the chart decides where it is known, and the
    // container's name (which is the component's) where it is not.
    let is_milvus = has(evidence.pod, NAME, "milvus")
        || match chart {
            Some(chart) => chart.starts_with("milvus"),
            None => evidence.containers.contains(&name.as_str()),
        };
    is_milvus.then(|| identity(role, evidence, Layout::Helm))
}

fn reference(evidence: Evidence<'_>) -> Option<Identity> {
    let role = Role::parse(evidence.pod.get("app")?.strip_prefix("milvus-")?)?;
    Some(identity(role, evidence, Layout::Reference))
}

fn identity(role: Role, evidence: Evidence<'_>, layout: Layout) -> Identity {
    let instance = evidence.pod.get(INSTANCE).or_else(|| evidence.object.get(INSTANCE));
    Identity { role, instance: instance.cloned().unwrap_or_default(), layout }
}

fn has(labels: &Labels, key: &str, value: &str) -> bool {
    labels.get(key).is_some_and(|found| found == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn role_of(
        layout: Layout,
        pod: &[(&str, &str)],
        object: &[(&str, &str)],
        containers: &[&str],
    ) -> Option<Role> {
        let (pod, object) = (labels(pod), labels(object));
        identify(layout, Evidence { pod: &pod, object: &object, containers })
            .map(|identity| identity.role)
    }

    #[test]
    fn each_layout_is_recognised_by_its_own_labels() {
        let helm = [("component", "querynode"), (NAME, "milvus"), (INSTANCE, "ha")];
        let operator = [(COMPONENT, "mixcoord"), (NAME, "milvus"), (INSTANCE, "ha")];
        let reference = [("app", "milvus-proxy")];
        for layout in [Layout::Auto, Layout::Helm] {
            assert_eq!(role_of(layout, &helm, &[], &[]), Some(Role::QueryNode));
        }
        for layout in [Layout::Auto, Layout::Operator] {
            assert_eq!(role_of(layout, &operator, &[], &[]), Some(Role::MixCoord));
        }
        for layout in [Layout::Auto, Layout::Reference] {
            assert_eq!(role_of(layout, &reference, &[], &[]), Some(Role::Proxy));
        }
        assert_eq!(role_of(Layout::Operator, &helm, &[], &[]), None);
        assert_eq!(role_of(Layout::Helm, &reference, &[], &[]), None);
    }

    #[test]
    fn a_name_override_of_the_chart_is_seen_through() {
        let pod = [("component", "datanode"), (NAME, "vectors"), (INSTANCE, "ha")];
        assert_eq!(
            role_of(Layout::Auto, &pod, &[(CHART, "milvus-5.0.4")], &[]),
            Some(Role::DataNode)
        );
        assert_eq!(role_of(Layout::Auto, &pod, &[], &["datanode"]), Some(Role::DataNode));
        assert_eq!(role_of(Layout::Auto, &pod, &[], &["main"]), None);
    }

    #[test]
    fn subcharts_and_companions_are_not_milvus() {
        let pulsar = [("component", "proxy"), ("app", "pulsar"), (INSTANCE, "ha")];
        assert_eq!(
            role_of(Layout::Auto, &pulsar, &[("chart", "pulsar-3.3.0")], &["ha-pulsarv3-proxy"]),
            None
        );
        assert_eq!(role_of(Layout::Auto, &pulsar, &[(CHART, "pulsar-3.3.0")], &["proxy"]), None);
        let etcd = [(COMPONENT, "etcd"), (NAME, "etcd"), (INSTANCE, "ha")];
        assert_eq!(role_of(Layout::Auto, &etcd, &[], &["etcd"]), None);
        for companion in ["attu", "woodpecker", "falconer"] {
            let pod = [("component", companion), (NAME, "milvus"), (INSTANCE, "ha")];
            assert_eq!(role_of(Layout::Auto, &pod, &[], &[companion]), None, "{companion}");
            let pod = [("app", format!("milvus-{companion}"))];
            let pod: Vec<(&str, &str)> = pod.iter().map(|(k, v)| (*k, v.as_str())).collect();
            assert_eq!(role_of(Layout::Auto, &pod, &[], &[companion]), None, "{companion}");
        }
    }
}
