//! The removal of one pod: by eviction, which disruption budgets can refuse, or by force. The pod's
//! identifier is a condition of both, so that trying again never removes its successor.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, Preconditions};
use kube::core::Status;

use crate::effects::{Applied, ClusterError, DeletePodRequest, RemovalPreference};

use super::super::changes;
use super::super::problem::Problem;
use super::{Operation, post_params};

impl Operation<'_> {
    /// Removes the pod that is meant, and no other one.
    pub async fn delete_pod(&self, request: &DeletePodRequest) -> Result<Applied, ClusterError> {
        let Some(uid) = request.uid.as_deref() else {
            let why = "its identifier is not known, and another pod could bear its name by now";
            return Err(self.unsupported(why));
        };
        let removed = if request.force {
            self.force(&request.pod, uid).await
        } else {
            self.evict(&request.pod, uid).await
        };
        let change = changes::delete_pod_change(request);
        let gone = || Applied { applied: true, change: format!("pod {} was gone", request.pod) };
        match removed {
            Ok(()) => Ok(Applied { applied: true, change }),
            // It is gone, or another pod by now; or somebody changed this one at that moment, or a
            // proxy on the way says so. A look tells.
            Err(problem @ Problem::Api { code: 404 | 409, .. }) => {
                match self.pod(&request.pod).await? {
                    Some(pod) if pod.metadata.uid.as_deref() == Some(uid) => {
                        Err(self.fails(problem))
                    }
                    Some(_) | None => Ok(gone()),
                }
            }
            // The API says so with 500, and trying again would change nothing.
            Err(Problem::Api { code: 500, message }) if is_doubly_budgeted(&message) => {
                Err(self.unsupported(message))
            }
            Err(problem) => Err(self.fails(problem)),
        }
    }

    /// Writes or removes the annotation by which Kubernetes chooses the pods to remove; every other
    /// pod has the cost 0. Only on the pod that is meant: its identifier is part of the patch.
    pub async fn prefer_removal(
        &self,
        request: &RemovalPreference,
    ) -> Result<Applied, ClusterError> {
        let patch = changes::removal_preference(request);
        let change = changes::removal_preference_change(request);
        self.call(|client| async move {
            let api: Api<Pod> = Api::namespaced(client, &self.workload.namespace);
            api.patch(&request.pod, &super::patch_params(), &Patch::Merge(&patch)).await
        })
        .await?;
        Ok(Applied { applied: true, change })
    }

    async fn evict(&self, pod: &str, uid: &str) -> Result<(), Problem> {
        let eviction = changes::eviction(self.workload, pod, uid);
        self.ask(|client| async move {
            let api: Api<Pod> = Api::namespaced(client, &self.workload.namespace);
            let params = post_params();
            api.create_subresource::<_, Status>("eviction", pod, &params, &eviction).await
        })
        .await?;
        Ok(())
    }

    async fn force(&self, pod: &str, uid: &str) -> Result<(), Problem> {
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        self.ask(|client| async move {
            let api: Api<Pod> = Api::namespaced(client, &self.workload.namespace);
            api.delete(pod, &params).await
        })
        .await?;
        Ok(())
    }

    /// The pod as it is now; `None` where the API itself says that there is none of that name.
    pub(super) async fn pod(&self, name: &str) -> Result<Option<Pod>, ClusterError> {
        self.call(|client| async move {
            let api: Api<Pod> = Api::namespaced(client, &self.workload.namespace);
            api.get_opt(name).await
        })
        .await
    }
}

/// Two budgets over one pod make its eviction impossible.
fn is_doubly_budgeted(message: &str) -> bool {
    message.contains("more than one PodDisruptionBudget")
}
