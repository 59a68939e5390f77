//! What became of an action whose answer was lost: asked of the API itself, never of a watch.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::effects::{ActionQuery, ActionTrace, ClusterError};
use crate::model::WorkloadKind;

use super::super::changes::RESTART_KEY;
use super::Operation;

impl Operation<'_> {
    /// Whether `action` was carried out.
    pub async fn find_action(&self, action: &ActionQuery) -> Result<ActionTrace, ClusterError> {
        let is_done = if let Some((name, uid)) = &action.pod {
            self.is_removed(name, uid.as_deref(), action.force).await?
        } else {
            let annotations = self.metadata().await?.annotations.unwrap_or_default();
            annotations.get(RESTART_KEY) == Some(&action.idempotency_key)
        };
        Ok(if is_done { ActionTrace::Done } else { ActionTrace::NotDone })
    }

    /// Gone, another one by now, or on its way out; after force only if nothing is waited for.
    async fn is_removed(
        &self,
        name: &str,
        uid: Option<&str>,
        force: bool,
    ) -> Result<bool, ClusterError> {
        let Some(pod) = self.pod(name).await? else { return Ok(true) };
        let meta = pod.metadata;
        let is_another = uid.is_some_and(|uid| meta.uid.as_deref() != Some(uid));
        let is_going = meta.deletion_timestamp.is_some()
            && (!force || meta.deletion_grace_period_seconds == Some(0));
        Ok(is_another || is_going)
    }

    /// The workload's metadata, read fresh.
    pub(super) async fn metadata(&self) -> Result<ObjectMeta, ClusterError> {
        Ok(match self.workload.kind {
            WorkloadKind::Deployment => self.get::<Deployment>().await?.metadata,
            WorkloadKind::StatefulSet => self.get::<StatefulSet>().await?.metadata,
            WorkloadKind::DaemonSet => self.get::<DaemonSet>().await?.metadata,
            WorkloadKind::Process => return Err(self.unsupported("a process is not a workload")),
        })
    }
}
