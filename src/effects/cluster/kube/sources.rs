//! The eight kinds of objects that are watched, and the APIs that serve them.

use std::sync::Arc;

use futures::future::BoxFuture;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};

use super::objects::{
    trim_deployment, trim_meta, trim_owned_meta, trim_pod, trim_replica_set, trim_template,
};
use super::state::{Shared, Trouble, WatchKind};
use super::watching::{Source, keep};
use crate::effects::background::keep_alive;
use crate::model::{Reason, ReasonKind};

/// One endless task per watch.
pub fn all(shared: &Arc<Shared>) -> Vec<(WatchKind, BoxFuture<'static, ()>)> {
    let mut tasks = workloads(shared);
    tasks.push(task(
        shared,
        Source {
            kind: WatchKind::Pods,
            api: Api::namespaced,
            slot: |objects| &mut objects.pods,
            trim: trim_pod,
        },
    ));
    tasks.push(task(
        shared,
        Source {
            kind: WatchKind::Autoscalers,
            api: Api::namespaced,
            slot: |objects| &mut objects.autoscalers,
            trim: |hpa| trim_meta(&mut hpa.metadata),
        },
    ));
    tasks.push(task(
        shared,
        Source {
            kind: WatchKind::Milvuses,
            api: milvuses,
            slot: |objects| &mut objects.milvuses,
            trim: |milvus| trim_owned_meta(&mut milvus.metadata),
        },
    ));
    tasks.push(task(
        shared,
        Source {
            kind: WatchKind::ScaledObjects,
            api: scaled_objects,
            slot: |objects| &mut objects.keda,
            trim: |object| trim_meta(&mut object.metadata),
        },
    ));
    tasks
}

fn workloads(shared: &Arc<Shared>) -> Vec<(WatchKind, BoxFuture<'static, ()>)> {
    vec![
        task(
            shared,
            Source {
                kind: WatchKind::Deployments,
                api: Api::namespaced,
                slot: |objects| &mut objects.deployments,
                trim: trim_deployment,
            },
        ),
        task(
            shared,
            Source {
                kind: WatchKind::StatefulSets,
                api: Api::namespaced,
                slot: |objects| &mut objects.stateful_sets,
                trim: |set| {
                    trim_owned_meta(&mut set.metadata);
                    trim_template(&mut set.spec.template);
                    set.spec.volume_claim_templates = None;
                },
            },
        ),
        task(
            shared,
            Source {
                kind: WatchKind::DaemonSets,
                api: Api::namespaced,
                slot: |objects| &mut objects.daemon_sets,
                trim: |set| {
                    trim_meta(&mut set.metadata);
                    trim_template(&mut set.spec.template);
                },
            },
        ),
        task(
            shared,
            Source {
                kind: WatchKind::ReplicaSets,
                api: Api::namespaced,
                slot: |objects| &mut objects.replica_sets,
                trim: trim_replica_set,
            },
        ),
    ]
}

fn task<K>(shared: &Arc<Shared>, source: Source<K>) -> (WatchKind, BoxFuture<'static, ()>)
where
    K: kube::Resource
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let (kind, shared) = (source.kind, Arc::clone(shared));
    let name = format!("{}: watch of {}", shared.settings.cluster, kind.as_str());
    let told = Arc::clone(&shared);
    let watching = keep_alive(
        name,
        move || keep(Arc::clone(&shared), source.clone()),
        move |words| {
            let text = format!("the watch of {} panicked: {words}", kind.as_str());
            let reason = Reason::new(ReasonKind::PlatformUnavailable, text);
            told.set_trouble(kind, Some(Trouble::Failed(reason)));
        },
    );
    (kind, Box::pin(watching))
}

fn dynamic(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// The custom resources of milvus-operator.
pub fn milvuses(client: Client, namespace: &str) -> Api<DynamicObject> {
    let resource = dynamic("milvus.io", "v1beta1", "Milvus", "milvuses");
    Api::namespaced_with(client, namespace, &resource)
}

/// What KEDA scales.
pub fn scaled_objects(client: Client, namespace: &str) -> Api<DynamicObject> {
    let resource = dynamic("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects");
    Api::namespaced_with(client, namespace, &resource)
}

/// The samples of metrics-server or its like.
pub fn pod_metrics(client: Client, namespace: &str) -> Api<DynamicObject> {
    let resource = dynamic("metrics.k8s.io", "v1beta1", "PodMetrics", "pods");
    Api::namespaced_with(client, namespace, &resource)
}
