//! Changing a number of replicas where it stands: on the workload through its scale subresource, or
//! in the Milvus custom resource that milvus-operator makes the workload from. Plans the exact patch
//! from what is read right before; a dry run plans too and sends nothing.

use futures::future::try_join;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Operation;
use crate::effects::cluster::kube::autoscalers::Target;
use crate::effects::cluster::kube::changes;
use crate::effects::cluster::kube::exact::ExactPatch;
use crate::effects::cluster::kube::labels::{Evidence, Labels, identify};
use crate::effects::cluster::kube::operator::{Managed, Replicas, ReplicasField};
use crate::effects::cluster::kube::problem::Problem;
use crate::effects::cluster::kube::rollout::Rollout;
use crate::effects::cluster::kube::sources::{milvuses, scaled_objects};
use crate::effects::cluster::kube::workloads::{container_names, controller, is_milvus};
use crate::effects::{Applied, ClusterError, ScaleRequest};
use crate::model::{Autoscaler, RolloutStatus, WorkloadKind};

/// Autoscalers asked for in one page of a list.
const PAGE: u32 = 250;
/// More pages than this are not read: whether something scales the workload cannot be told then.
const PAGES: usize = 20;
/// What lets falconer change custom resources.
const GRANT: &str = "grant deploy/base/access/operator-scaling.yaml to let falconer scale there";

/// A workload as it is right now.
struct Seen {
    meta: ObjectMeta,
    replicas: u32,
    template: PodTemplateSpec,
    rollout: Result<RolloutStatus, String>,
}

impl Seen {
    fn new(
        meta: ObjectMeta,
        replicas: Option<i32>,
        template: PodTemplateSpec,
        rollout: Result<RolloutStatus, String>,
    ) -> Self {
        let replicas = u32::try_from(replicas.unwrap_or(1)).unwrap_or(0);
        Self { meta, replicas, template, rollout }
    }

    fn labels(&self) -> Labels {
        self.meta.labels.clone().unwrap_or_default()
    }

    fn milvus(&self) -> Option<&str> {
        controller(&self.meta).filter(|owner| is_milvus(owner)).map(|owner| owner.name.as_str())
    }
}

/// A change that is ready to be sent.
pub struct PlannedScale {
    /// What is sent.
    pub patch: ExactPatch,
    /// The custom resource and the field in it; `None` where the workload itself is changed.
    milvus: Option<(String, ReplicasField)>,
}

impl Operation<'_> {
    /// Scales, where the kind can be scaled, by exactly the patch that [`Operation::plan_scale`]
    /// plans.
    pub async fn scale(&self, request: &ScaleRequest) -> Result<Applied, ClusterError> {
        let planned = self.plan_scale(request).await?;
        let change = planned.patch.to_string();
        let sent = planned.patch.http().map_err(|error| self.unsupported(error.to_string()))?;
        let answer = self.ask(|client| async move { client.request::<Value>(sent).await }).await;
        match planned.milvus {
            None => drop(answer.map_err(|problem| self.fails(problem))?),
            Some((name, at)) => {
                let milvus = answer.map_err(|problem| self.refused_by_milvus(&name, problem))?;
                if at.read(&milvus) != Some(u64::from(request.to)) {
                    let why = format!("Milvus/{name} was patched, but {at} is not {}", request.to);
                    return Err(self.unsupported(why));
                }
            }
        }
        Ok(Applied { applied: true, change })
    }

    /// What `scale` would send now, by what the API says now.
    pub async fn plan_scale(&self, request: &ScaleRequest) -> Result<PlannedScale, ClusterError> {
        let seen = self.look().await?;
        if seen.replicas != request.from {
            let message = format!("it has {} replicas now, not {}", seen.replicas, request.from);
            return Err(self.conflict(message));
        }
        let planned = match controller(&seen.meta) {
            None => self.on_itself(&seen, request)?,
            Some(owner) if is_milvus(owner) => {
                self.in_milvus(&seen, &owner.name, &owner.uid, request).await?
            }
            Some(owner) => {
                let (kind, name) = (&owner.kind, &owner.name);
                let why = format!("it is owned by {kind}/{name}, which falconer does not know");
                return Err(self.unsupported(why));
            }
        };
        match self.autoscaler(seen.milvus()).await? {
            Some(autoscaler) => Err(self.scaled_by(autoscaler)),
            None => Ok(planned),
        }
    }

    /// How far a change has come: what was set must stand, and be carried out.
    pub async fn scaling_status(
        &self,
        request: &ScaleRequest,
    ) -> Result<RolloutStatus, ClusterError> {
        let seen = self.look().await?;
        let (replicas, to) = (seen.replicas, request.to);
        if replicas == to {
            return seen.rollout.map_err(|why| self.unsupported(why));
        }
        if replicas == request.from && seen.milvus().is_some() {
            let message = format!("milvus-operator has not set {to} replicas yet");
            return Ok(RolloutStatus::InProgress { message });
        }
        let message =
            format!("it has {replicas} replicas now, not {to}: somebody else has set them");
        Ok(RolloutStatus::Failed { message })
    }

    async fn look(&self) -> Result<Seen, ClusterError> {
        match self.workload.kind {
            WorkloadKind::Deployment => {
                let found = self.get::<Deployment>().await?;
                let (rollout, spec) = (found.rollout_status(), found.spec);
                Ok(Seen::new(found.metadata, spec.replicas, spec.template, rollout))
            }
            WorkloadKind::StatefulSet => {
                let found = self.get::<StatefulSet>().await?;
                let (rollout, spec) = (found.rollout_status(), found.spec);
                Ok(Seen::new(found.metadata, spec.replicas, spec.template, rollout))
            }
            WorkloadKind::DaemonSet => Err(self.unsupported("a DaemonSet has a pod per node")),
            WorkloadKind::Process => Err(self.unsupported("a process is not a workload")),
        }
    }

    fn on_itself(&self, seen: &Seen, to: &ScaleRequest) -> Result<PlannedScale, ClusterError> {
        let version = self.version_of(&seen.meta)?;
        Ok(PlannedScale { patch: changes::scale_patch(to, version), milvus: None })
    }

    /// Without a version a change could not be tied to what was read.
    fn version_of<'m>(&self, meta: &'m ObjectMeta) -> Result<&'m str, ClusterError> {
        let version = meta.resource_version.as_deref().filter(|version| !version.is_empty());
        version.ok_or_else(|| self.unsupported("the API gives it no resource version"))
    }

    /// The change in the custom resource `name`: the operator would undo any other.
    async fn in_milvus(
        &self,
        seen: &Seen,
        name: &str,
        uid: &str,
        request: &ScaleRequest,
    ) -> Result<PlannedScale, ClusterError> {
        let milvus = self.milvus(name).await?;
        if milvus.metadata.uid.as_deref().is_some_and(|own| own != uid) {
            return Err(self.unsupported(format!("Milvus/{name} is not the one that owns it")));
        }
        let (labels, none) = (seen.labels(), Labels::new());
        let pod = seen.template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
        let containers = container_names(seen.template.spec.as_ref());
        let evidence =
            Evidence { pod: pod.unwrap_or(&none), object: &labels, containers: &containers };
        let layout = self.shared.settings.selection.layout;
        let Some(identity) = identify(layout, evidence) else {
            return Err(self.unsupported("its labels do not tell which component it is"));
        };
        let managed = Managed::new(&milvus, identity.role);
        if let Some(hold) = managed.holds(evidence.pod, seen.replicas).first() {
            return Err(self.conflict(hold.to_string()));
        }
        let (at, count) = match managed.replicas(&labels) {
            Replicas::Wanted { at, count } => (at, count),
            Replicas::HandedOver { why } => {
                let why = format!("Milvus/{name}: {why}");
                return Err(self.scaled_by(Autoscaler::handed_over(why)));
            }
            Replicas::Unclear { why } => {
                return Err(self.unsupported(format!("Milvus/{name}: {why}")));
            }
        };
        if count != request.from {
            let message = format!("Milvus/{name} has {at} at {count} now, not {}", request.from);
            return Err(self.conflict(message));
        }
        let namespace = &self.workload.namespace;
        let version = self.version_of(&milvus.metadata)?;
        let patch = changes::milvus_patch(namespace, name, at.patch(version, request.to));
        Ok(PlannedScale { patch, milvus: Some((name.to_owned(), at)) })
    }

    async fn milvus(&self, name: &str) -> Result<DynamicObject, ClusterError> {
        let asked =
            self.ask(
                |client| async move { milvuses(client, &self.workload.namespace).get(name).await },
            );
        asked.await.map_err(|problem| self.refused_by_milvus(name, problem))
    }

    /// Why the custom resource cannot be changed. The Deployment is never changed instead.
    fn refused_by_milvus(&self, name: &str, problem: Problem) -> ClusterError {
        let milvus = format!("Milvus/{name}, which {} is made from", self.workload);
        match &problem {
            // An admission webhook says no with the same status as missing rights.
            Problem::Api { code: 400 | 422, message } => {
                self.unsupported(format!("the API refuses the change of {milvus}: {message}"))
            }
            Problem::Api { code: 403, message } if message.contains("denied the request") => {
                self.unsupported(format!("the API refuses the change of {milvus}: {message}"))
            }
            Problem::Api { code: 403, message } => ClusterError::Forbidden {
                operation: self.name,
                object: milvus,
                message: format!("{}; {GRANT}", Problem::line(message)),
            },
            Problem::Api { .. }
            | Problem::Budget { .. }
            | Problem::Silent { .. }
            | Problem::Credentials { .. }
            | Problem::Configuration { .. }
            | Problem::Broken { .. } => problem.cluster_error(self.name, milvus, self.seconds()),
        }
    }

    fn scaled_by(&self, autoscaler: Autoscaler) -> ClusterError {
        let (operation, workload) = (self.name, self.workload.clone());
        ClusterError::ScaledByOther { operation, workload, autoscaler }
    }

    /// What else scales it, asked now: a watch may be behind.
    async fn autoscaler(&self, milvus: Option<&str>) -> Result<Option<Autoscaler>, ClusterError> {
        let namespace = &self.workload.namespace;
        let hpas =
            self.list(|client| Api::<HorizontalPodAutoscaler>::namespaced(client, namespace));
        let keda = async {
            match self.list(|client| scaled_objects(client, namespace)).await {
                // There is no KEDA.
                Err(problem) if problem.is_absent() => Ok(Vec::new()),
                listed => listed,
            }
        };
        let target = Target { workload: self.workload, milvus };
        match try_join(hpas, keda).await {
            Ok((hpas, keda)) => Ok(target.autoscaler(hpas.iter(), keda.iter(), None)),
            // Forbidden or malformed: nothing is known, and nothing is an outage.
            Err(problem @ (Problem::Api { code: 403 | 404, .. } | Problem::Budget { .. })) => {
                Ok(Some(Autoscaler::unknown(problem.reason().text)))
            }
            Err(problem) => Err(self.fails(problem)),
        }
    }

    async fn list<K>(&self, api: impl Fn(Client) -> Api<K>) -> Result<Vec<K>, Problem>
    where
        K: Clone + DeserializeOwned + std::fmt::Debug,
    {
        let mut params = ListParams::default().limit(PAGE);
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let page = self.ask(|client| {
                let (api, params) = (api(client), &params);
                async move { api.list(params).await }
            });
            let page = page.await?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(found),
            }
        }
        let message = format!("there are more than {} autoscalers", found.len());
        Err(Problem::Broken { message })
    }
}
