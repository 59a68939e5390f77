//! The return of a Deployment to an earlier revision. Reads the Deployment and its `ReplicaSets`
//! fresh; what follows from them is decided in `undo`.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch};

use crate::effects::{Applied, ClusterError, RollbackRequest};
use crate::model::WorkloadKind;

use super::super::changes;
use super::super::undo::{self, Refusal, Undo};
use super::{Operation, already_done, patch_params};

/// More `ReplicaSets` than these of one Deployment are not looked through; it keeps ten as a rule.
const REVISIONS: u32 = 500;

impl Operation<'_> {
    /// Rolls back, where the kind has revisions that can be returned to.
    pub async fn rollback(&self, request: &RollbackRequest) -> Result<Applied, ClusterError> {
        match self.workload.kind {
            WorkloadKind::Deployment => self.rollback_deployment(request).await,
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => Err(self
                .unsupported("falconer rolls back Deployments only; use `kubectl rollout undo`")),
            WorkloadKind::Process => Err(self.unsupported("a process has no revisions")),
        }
    }

    async fn rollback_deployment(
        &self,
        request: &RollbackRequest,
    ) -> Result<Applied, ClusterError> {
        let change = changes::rollback_change(request);
        // Read as it is: nothing that this program does not know of may get lost on the way.
        let name = &*self.workload.name;
        let deployment = self
            .call(|client| async move {
                let resource = ApiResource::erase::<Deployment>(&());
                let api: Api<DynamicObject> =
                    Api::namespaced_with(client, &self.workload.namespace, &resource);
                api.get(name).await
            })
            .await?;
        if undo::is_done(&deployment, request) {
            return Ok(already_done(&change));
        }
        undo::check(&deployment).map_err(|refusal| self.refuses(refusal))?;
        let sets = self.replica_sets(&deployment).await?;
        let patch = undo::patch(&deployment, &sets, request);
        let Undo(patch) = patch.map_err(|refusal| self.refuses(refusal))?;
        let patch = Patch::Merge(patch);
        self.call(|client| async move {
            self.api::<Deployment>(client).patch(name, &patch_params(), &patch).await
        })
        .await?;
        Ok(Applied { applied: true, change })
    }

    /// Those that the Deployment selects, with their templates.
    async fn replica_sets(
        &self,
        deployment: &DynamicObject,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let params = ListParams::default().labels(&undo::selector(deployment)).limit(REVISIONS);
        let found = self
            .call(|client| async move {
                let resource = ApiResource::erase::<ReplicaSet>(&());
                let api: Api<DynamicObject> =
                    Api::namespaced_with(client, &self.workload.namespace, &resource);
                api.list(&params).await
            })
            .await?;
        if found.metadata.continue_.is_some_and(|more| !more.is_empty()) {
            return Err(self.unsupported(format!("it has more than {REVISIONS} revisions")));
        }
        Ok(found.items)
    }

    fn refuses(&self, refusal: Refusal) -> ClusterError {
        match refusal {
            Refusal::Never(why) => self.unsupported(why),
            Refusal::Changed(why) => self.conflict(why),
            Refusal::Gone => ClusterError::NotFound { operation: self.name, object: self.object() },
        }
    }
}
