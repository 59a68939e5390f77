//! Shows what would be done with query nodes instead of doing it; everything that only looks is
//! passed on.

use std::time::Duration;

use async_trait::async_trait;

use crate::effects::milvus::management::ManagementError;
use crate::effects::{Applied, QueryNodes};
use crate::model::{QueryNode, Reason, Serving};

/// Query nodes that are watched and never changed.
pub struct DryRunQueryNodes<Q> {
    inner: Q,
}

impl<Q> DryRunQueryNodes<Q> {
    /// Puts a glass pane before `inner`.
    pub const fn new(inner: Q) -> Self {
        Self { inner }
    }
}

fn shown(what: &str, node: i64) -> Applied {
    let change = format!("POST /management/querycoord/{what}={node}");
    tracing::info!(change, "dry run: would ask milvus");
    Applied { applied: false, change }
}

#[async_trait]
impl<Q: QueryNodes> QueryNodes for DryRunQueryNodes<Q> {
    async fn survey(&self, budget: Duration) -> Result<Serving, Reason> {
        self.inner.survey(budget).await
    }

    async fn suspend(&self, node: i64, _: Duration) -> Result<Applied, ManagementError> {
        Ok(shown("node/suspend node_id", node))
    }

    async fn resume(&self, node: i64, _: Duration) -> Result<Applied, ManagementError> {
        Ok(shown("node/resume node_id", node))
    }

    async fn empty(&self, node: i64, _: Duration) -> Result<Applied, ManagementError> {
        Ok(shown("transfer/segment source_node_id", node))
    }

    async fn holdings(
        &self,
        node: i64,
        budget: Duration,
    ) -> Result<Option<QueryNode>, ManagementError> {
        self.inner.holdings(node, budget).await
    }

    async fn query_all(&self, budget: Duration) -> Result<usize, Reason> {
        self.inner.query_all(budget).await
    }
}
