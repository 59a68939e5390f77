//! What Milvus says of its query nodes and does with them, put together from its three doors: gRPC,
//! which every version has; the proxy's management pages, which old ones lack; and the query
//! coordinator's metrics. Decides nothing.

mod dry_run;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

pub use dry_run::DryRunQueryNodes;

use super::client::serving::{Loaded, Replica};
use super::client::{CallError, MilvusClient};
use super::credentials::Credentials;
use super::management::{ManagementError, ManagementPages, host_of, management_client};
use crate::clock::Clock;
use crate::effects::grpc::{GrpcEndpoint, GrpcFailure, connect};
use crate::effects::{Applied, QueryNodes};
use crate::model::{
    Balance, Inventory, LoadedCollection, Management, Pod, PodCondition, QueryNode, Reason,
    ReasonKind, Role, Serving,
};

/// Calls at the same time.
const CONCURRENT: usize = 8;
/// Most collections that are queried to see whether all is well.
const MOST_QUERIES: usize = 64;

/// Whom to ask, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryNodesSettings {
    /// Where Milvus' proxy listens.
    pub endpoint: GrpcEndpoint,
    /// Who falconer is to it.
    pub credentials: Credentials,
    /// The port of the pods' metrics and management pages.
    pub metrics_port: u16,
}

/// See the module's description.
pub struct MilvusQueryNodes {
    settings: QueryNodesSettings,
    inventory: watch::Receiver<Arc<Inventory>>,
    clock: Clock,
}

/// What the management pages say.
struct Managed {
    nodes: Vec<QueryNode>,
    is_balance_suspended: bool,
}

/// One collection, by database.
struct Found {
    database: String,
    loaded: Loaded,
    replicas: Vec<Replica>,
}

impl MilvusQueryNodes {
    /// Asks nothing yet. `inventory` tells where the pods are.
    pub fn new(
        settings: QueryNodesSettings,
        inventory: watch::Receiver<Arc<Inventory>>,
        clock: Clock,
    ) -> Self {
        Self { settings, inventory, clock }
    }

    fn deadline(&self, budget: Duration) -> Instant {
        self.clock.monotonic() + budget
    }

    /// Pages of the ready pods that have one of `roles`: `http://address:port`.
    fn pages(&self, roles: &[Role]) -> Vec<String> {
        let inventory = self.inventory.borrow();
        let is_it = |role: Option<Role>| role.is_some_and(|role| roles.contains(&role));
        let pods = inventory.components.values().filter(|one| is_it(one.role));
        let pods = pods.flat_map(|one| one.pods.iter());
        let page = |pod: &Pod| {
            let ip = pod.ip.as_deref().filter(|_| pod.condition == PodCondition::Ready)?;
            let port = self.settings.metrics_port;
            let is_v6 = ip.contains(':');
            Some(if is_v6 {
                format!("http://[{ip}]:{port}")
            } else {
                format!("http://{ip}:{port}")
            })
        };
        pods.filter_map(page).collect()
    }

    async fn management(&self, deadline: Instant) -> Result<ManagementPages, ManagementError> {
        let failed = |reason| ManagementError::Failed { reason };
        let authorization = self.settings.credentials.authorization().await.map_err(failed)?;
        let basic = authorization.as_ref().and_then(|value| value.to_str().ok());
        let basic = basic.map(|value| format!("Basic {value}"));
        let client = management_client(basic.as_deref()).map_err(failed)?;
        let Some(base) = self.pages(&[Role::Proxy, Role::Standalone]).into_iter().next() else {
            let text = "no proxy is ready to be asked".to_owned();
            return Err(failed(Reason::new(ReasonKind::Connection, text)));
        };
        Ok(ManagementPages::new(client, base, deadline))
    }

    async fn managed(&self, deadline: Instant) -> Result<Managed, ManagementError> {
        let pages = self.management(deadline).await?;
        let nodes = pages.nodes().await?;
        let is_balance_suspended = pages.is_balance_suspended().await?.unwrap_or(false);
        let held = nodes.into_iter().map(|node| pages.with_holdings(node));
        let nodes = futures::stream::iter(held).buffered(CONCURRENT).try_collect().await?;
        Ok(Managed { nodes, is_balance_suspended })
    }

    async fn client(&self, deadline: Instant) -> Result<MilvusClient, Reason> {
        let authorization = self.settings.credentials.authorization().await?;
        let left = deadline.saturating_duration_since(self.clock.monotonic());
        let channel = connect(&self.settings.endpoint, left).await?;
        Ok(MilvusClient::new(channel, authorization, String::new(), deadline))
    }

    /// What is loaded in every database, with its copies.
    async fn loaded(&self, client: &MilvusClient, budget: Duration) -> Result<Vec<Found>, Reason> {
        let reason = |error: CallError, rpc: &str| error.reason(rpc, budget);
        let databases = match client.databases().await {
            Ok(names) if !names.is_empty() => names,
            // There was but one before 2.3.
            Ok(_) | Err(CallError::Call(GrpcFailure::Unimplemented)) => vec![String::new()],
            Err(error) => return Err(reason(error, "ListDatabases")),
        };
        let mut found = Vec::new();
        for database in databases {
            let loaded = client.loaded(&database).await;
            let loaded = loaded.map_err(|error| reason(error, "ShowCollections"))?;
            let copies = loaded.into_iter().map(|loaded| {
                let database = database.clone();
                async move {
                    let replicas = client.replicas(&database, &loaded).await;
                    let replicas = replicas.map_err(|error| reason(error, "GetReplicas"))?;
                    Ok::<_, Reason>(Found { database, loaded, replicas })
                }
            });
            let copies: Vec<Found> =
                futures::stream::iter(copies).buffered(CONCURRENT).try_collect().await?;
            found.extend(copies);
        }
        Ok(found)
    }

    /// The nodes as gRPC alone shows them: those that hold something.
    async fn nodes_by_segments(
        &self,
        client: &MilvusClient,
        found: &[Found],
        budget: Duration,
    ) -> Result<Vec<QueryNode>, Reason> {
        let mut nodes: BTreeMap<i64, QueryNode> = BTreeMap::new();
        for one in found {
            for replica in &one.replicas {
                for id in &replica.nodes {
                    nodes.entry(*id).or_default();
                }
                for (id, address) in &replica.leaders {
                    let node = nodes.entry(*id).or_default();
                    node.channels += 1;
                    node.host = host_of(address);
                }
            }
            let places = client.segment_nodes(&one.database, &one.loaded.name).await;
            let places = places.map_err(|error| error.reason("GetQuerySegmentInfo", budget))?;
            for id in places.into_iter().flatten() {
                nodes.entry(id).or_default().segments += 1;
            }
        }
        let numbered = nodes.into_iter().map(|(id, node)| QueryNode { id, ..node });
        Ok(numbered.collect())
    }

    async fn balance(&self, is_suspended: bool, deadline: Instant) -> Balance {
        if is_suspended {
            return Balance::Suspended;
        }
        let pages = self.pages(&[Role::MixCoord, Role::QueryCoord, Role::Standalone]);
        let left = deadline.saturating_duration_since(self.clock.monotonic());
        match tasks::count(&pages, left).await {
            Ok(0) => Balance::Idle,
            Ok(tasks) => Balance::Moving { tasks },
            Err(why) => Balance::Unknown { why },
        }
    }
}

impl From<&Found> for LoadedCollection {
    fn from(found: &Found) -> Self {
        Self {
            database: found.database.clone(),
            name: found.loaded.name.clone(),
            // A server that does not say shows loaded ones only.
            percent: found.loaded.percent.unwrap_or(100),
            replicas: u32::try_from(found.replicas.len()).unwrap_or(u32::MAX),
        }
    }
}

#[async_trait]
impl QueryNodes for MilvusQueryNodes {
    async fn survey(&self, budget: Duration) -> Result<Serving, Reason> {
        let (taken_at, deadline) = (self.clock.now(), self.deadline(budget));
        let client = self.client(deadline).await?;
        let (found, managed) = tokio::join!(self.loaded(&client, budget), self.managed(deadline));
        let found = found?;
        let (nodes, is_suspended, management) = match managed {
            Ok(Managed { nodes, is_balance_suspended }) => {
                (nodes, is_balance_suspended, Management::Available)
            }
            Err(ManagementError::Absent { why }) => {
                let nodes = self.nodes_by_segments(&client, &found, budget).await?;
                (nodes, false, Management::Absent { why })
            }
            Err(ManagementError::Failed { reason }) => return Err(reason),
        };
        let balance = self.balance(is_suspended, deadline).await;
        let collections = found.iter().map(LoadedCollection::from).collect();
        Ok(Serving { taken_at, collections, nodes, balance, management })
    }

    async fn suspend(&self, node: i64, budget: Duration) -> Result<Applied, ManagementError> {
        self.management(self.deadline(budget)).await?.suspend(node).await?;
        Ok(Applied { applied: true, change: format!("query node {node} is suspended") })
    }

    async fn resume(&self, node: i64, budget: Duration) -> Result<Applied, ManagementError> {
        let pages = self.management(self.deadline(budget)).await?;
        let is_known = pages.nodes().await?.iter().any(|known| known.id == node);
        if is_known {
            pages.resume(node).await?;
        }
        let what = if is_known { "takes part again" } else { "is gone" };
        Ok(Applied { applied: true, change: format!("query node {node} {what}") })
    }

    async fn empty(&self, node: i64, budget: Duration) -> Result<Applied, ManagementError> {
        self.management(self.deadline(budget)).await?.empty(node).await?;
        Ok(Applied { applied: true, change: format!("query node {node} is being emptied") })
    }

    async fn holdings(
        &self,
        node: i64,
        budget: Duration,
    ) -> Result<Option<QueryNode>, ManagementError> {
        let pages = self.management(self.deadline(budget)).await?;
        match pages.nodes().await?.into_iter().find(|known| known.id == node) {
            Some(known) => pages.with_holdings(known).await.map(Some),
            None => Ok(None),
        }
    }

    async fn query_all(&self, budget: Duration) -> Result<usize, Reason> {
        let client = self.client(self.deadline(budget)).await?;
        let found = self.loaded(&client, budget).await?;
        let queries = found.into_iter().take(MOST_QUERIES).map(|one| {
            let client = client.of_database(&one.database);
            async move {
                let what = format!("query of {}", one.loaded.name);
                let counted = client.count(&one.loaded.name).await;
                counted.map_err(|error| error.reason(&what, budget))
            }
        });
        let counted: Vec<u64> =
            futures::stream::iter(queries).buffered(CONCURRENT).try_collect().await?;
        Ok(counted.len())
    }
}
