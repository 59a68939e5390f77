//! What falconer does to a workload through the Kubernetes API: restart, follow, scale, write an
//! event. Every call has a deadline and reads what it needs fresh; nothing here comes from a watch.

mod evidence;
mod lookup;
mod pods;
mod rollback;
mod scaling;

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::effects::{Applied, ClusterError, RestartRequest};
use crate::model::{RolloutStatus, WorkloadKind, WorkloadRef};

use super::changes::{self, FIELD_MANAGER, RESTART_KEY};
use super::problem::Problem;
use super::rollout::Rollout;
use super::state::Shared;

/// A workload that can be restarted.
pub trait Restartable:
    Rollout
    + Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + DeserializeOwned
    + Debug
{
    /// Why a restart would do nothing.
    fn refusal(&self) -> Option<&'static str>;
}

const NO_REPLICAS: &str = "it has no replicas";

impl Restartable for Deployment {
    fn refusal(&self) -> Option<&'static str> {
        let spec = &self.spec;
        if spec.paused == Some(true) {
            return Some("its rollout is paused; `kubectl rollout resume` it first");
        }
        (spec.replicas == Some(0)).then_some(NO_REPLICAS)
    }
}

impl Restartable for StatefulSet {
    fn refusal(&self) -> Option<&'static str> {
        (self.spec.replicas == Some(0)).then_some(NO_REPLICAS)
    }
}

impl Restartable for DaemonSet {
    fn refusal(&self) -> Option<&'static str> {
        None
    }
}

/// One operation on one workload.
pub struct Operation<'a> {
    shared: &'a Shared,
    name: &'static str,
    workload: &'a WorkloadRef,
    pod: Option<&'a str>,
}

impl<'a> Operation<'a> {
    /// The operation `name` on `workload`.
    pub fn new(shared: &'a Shared, name: &'static str, workload: &'a WorkloadRef) -> Self {
        Self { shared, name, workload, pod: None }
    }

    /// The same on one of its pods.
    pub fn on_pod(self, pod: &'a str) -> Self {
        Self { pod: Some(pod), ..self }
    }

    /// What it is about.
    pub fn workload(&self) -> &WorkloadRef {
        self.workload
    }

    /// e.g. `deployment/milvus-proxy` or `pod milvus-proxy-5d9f of deployment/milvus-proxy`.
    fn object(&self) -> String {
        match self.pod {
            Some(pod) => format!("pod {pod} of {}", self.workload),
            None => self.workload.to_string(),
        }
    }

    fn seconds(&self) -> u64 {
        self.shared.settings.timing.request.as_secs().max(1)
    }

    fn fails(&self, problem: Problem) -> ClusterError {
        problem.cluster_error(self.name, self.object(), self.seconds())
    }

    /// The refusal of something that makes no sense.
    pub fn unsupported(&self, why: impl Into<String>) -> ClusterError {
        let (operation, object) = (self.name, self.object());
        ClusterError::Unsupported { operation, object, message: why.into() }
    }

    /// The refusal of something that was decided on what is not so any more.
    fn conflict(&self, message: String) -> ClusterError {
        ClusterError::Conflict { operation: self.name, object: self.object(), message }
    }

    /// One request within the deadline.
    async fn call<T, F>(&self, request: impl FnOnce(Client) -> F) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        self.ask(request).await.map_err(|problem| self.fails(problem))
    }

    /// The same for who looks at the problem first.
    async fn ask<T, F>(&self, request: impl FnOnce(Client) -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        self.shared.client.call(request).await
    }

    fn api<K: Restartable>(&self, client: Client) -> Api<K> {
        Api::namespaced(client, &self.workload.namespace)
    }

    async fn get<K: Restartable>(&self) -> Result<K, ClusterError> {
        self.call(|client| async move { self.api::<K>(client).get(&self.workload.name).await })
            .await
    }

    /// Restarts, whatever the kind.
    pub async fn restart(&self, request: &RestartRequest) -> Result<Applied, ClusterError> {
        match self.workload.kind {
            WorkloadKind::Deployment => self.restart_one::<Deployment>(request).await,
            WorkloadKind::StatefulSet => self.restart_one::<StatefulSet>(request).await,
            WorkloadKind::DaemonSet => self.restart_one::<DaemonSet>(request).await,
            WorkloadKind::Process => Err(self.unsupported("a process is not a workload")),
        }
    }

    async fn restart_one<K: Restartable>(
        &self,
        request: &RestartRequest,
    ) -> Result<Applied, ClusterError> {
        let change = changes::restart_change(request);
        let found = self.get::<K>().await?;
        let key = found.meta().annotations.as_ref().and_then(|all| all.get(RESTART_KEY));
        if key == Some(&request.idempotency_key) {
            return Ok(already_done(&change));
        }
        if let Some(why) = found.refusal() {
            return Err(self.unsupported(why));
        }
        let patch = Patch::Strategic(changes::restart_patch(request));
        self.call(|client| async move {
            self.api::<K>(client).patch(&self.workload.name, &patch_params(), &patch).await
        })
        .await?;
        Ok(Applied { applied: true, change })
    }

    /// How far the rollout has come, whatever the kind.
    pub async fn rollout_status(&self) -> Result<RolloutStatus, ClusterError> {
        let judged = match self.workload.kind {
            WorkloadKind::Deployment => self.get::<Deployment>().await?.rollout_status(),
            WorkloadKind::StatefulSet => self.get::<StatefulSet>().await?.rollout_status(),
            WorkloadKind::DaemonSet => self.get::<DaemonSet>().await?.rollout_status(),
            WorkloadKind::Process => Err("a process is not a workload".to_owned()),
        };
        judged.map_err(|why| self.unsupported(why))
    }

    /// The workload's identifier, read fresh.
    pub async fn uid(&self) -> Result<Option<String>, ClusterError> {
        let meta = match self.workload.kind {
            WorkloadKind::Deployment => self.get::<Deployment>().await?.metadata,
            WorkloadKind::StatefulSet => self.get::<StatefulSet>().await?.metadata,
            WorkloadKind::DaemonSet => self.get::<DaemonSet>().await?.metadata,
            WorkloadKind::Process => return Ok(None),
        };
        Ok(meta.uid)
    }

    /// Writes an event.
    pub async fn create_event(&self, event: &Event) -> Result<(), ClusterError> {
        let params = post_params();
        self.call(|client| async move {
            let api: Api<Event> = Api::namespaced(client, &self.workload.namespace);
            api.create(&params, event).await
        })
        .await?;
        Ok(())
    }
}

fn already_done(change: &str) -> Applied {
    Applied { applied: true, change: format!("nothing to do, this was already done: {change}") }
}

fn post_params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
