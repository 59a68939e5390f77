//! The calls that tell which collections are loaded, in how many copies, and on which nodes.

use super::{CallError, MAX_COLLECTIONS, MilvusClient, NAME_LIMIT, Stub, accept, cut};
use crate::effects::milvus::proto::milvus::{
    GetQuerySegmentInfoRequest, GetQuerySegmentInfoResponse, GetReplicasRequest,
    GetReplicasResponse, ListDatabasesRequest, ListDatabasesResponse, ShowCollectionsRequest,
    ShowCollectionsResponse, ShowType,
};

/// Most nodes and leaders of one replica, and segments of one collection, that are kept.
const MAX_PLACES: usize = 100_000;

/// A collection that is loaded or being loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// Milvus' number for it.
    pub id: i64,
    /// How much of it is loaded, in per cent; `None` where the server does not say.
    pub percent: Option<u32>,
}

/// One copy of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replica {
    /// The nodes that hold it.
    pub nodes: Vec<i64>,
    /// The node that leads each channel, and its address.
    pub leaders: Vec<(i64, String)>,
}

impl MilvusClient {
    /// The databases; the default one alone where the server knows no others.
    pub async fn databases(&self) -> Result<Vec<String>, CallError> {
        let call = |mut stub: Stub, request| async move { stub.list_databases(request).await };
        let answer: ListDatabasesResponse = self.call(ListDatabasesRequest {}, call).await?;
        accept(answer.status.as_ref())?;
        let names = answer.db_names.iter().take(MAX_COLLECTIONS);
        Ok(names.map(|name| cut(name, NAME_LIMIT)).collect())
    }

    /// What is loaded or being loaded of `database`.
    ///
    /// # Errors
    /// Also where there is more than can be looked at.
    pub async fn loaded(&self, database: &str) -> Result<Vec<Loaded>, CallError> {
        let message = ShowCollectionsRequest {
            db_name: database.to_owned(),
            r#type: ShowType::InMemory.into(),
            ..ShowCollectionsRequest::default()
        };
        let call = |mut stub: Stub, request| async move { stub.show_collections(request).await };
        let answer: ShowCollectionsResponse = self.call(message, call).await?;
        accept(answer.status.as_ref())?;
        if answer.collection_names.len() > MAX_COLLECTIONS {
            return Err(CallError::Empty("more collections are loaded than can be looked at"));
        }
        #[allow(deprecated, reason = "it is what every version fills in")]
        let percents = answer.in_memory_percentages;
        let loaded = answer.collection_names.iter().enumerate().map(|(at, name)| Loaded {
            name: cut(name, NAME_LIMIT),
            id: answer.collection_ids.get(at).copied().unwrap_or_default(),
            percent: percents.get(at).and_then(|percent| u32::try_from(*percent).ok()),
        });
        Ok(loaded.collect())
    }

    /// The copies of a loaded collection.
    pub async fn replicas(
        &self,
        database: &str,
        collection: &Loaded,
    ) -> Result<Vec<Replica>, CallError> {
        let message = GetReplicasRequest {
            collection_id: collection.id,
            collection_name: collection.name.clone(),
            db_name: database.to_owned(),
            with_shard_nodes: false,
        };
        let call = |mut stub: Stub, request| async move { stub.get_replicas(request).await };
        let answer: GetReplicasResponse = self.call(message, call).await?;
        accept(answer.status.as_ref())?;
        let replica = |replica: crate::effects::milvus::proto::milvus::ReplicaInfo| {
            let shards = replica.shard_replicas.into_iter().take(MAX_PLACES);
            Replica {
                nodes: replica.node_ids.into_iter().take(MAX_PLACES).collect(),
                leaders: shards
                    .map(|shard| (shard.leader_id, cut(&shard.leader_addr, NAME_LIMIT)))
                    .collect(),
            }
        };
        Ok(answer.replicas.into_iter().take(MAX_COLLECTIONS).map(replica).collect())
    }

    /// The nodes that hold each sealed segment of a loaded collection.
    pub async fn segment_nodes(
        &self,
        database: &str,
        collection: &str,
    ) -> Result<Vec<Vec<i64>>, CallError> {
        let message = GetQuerySegmentInfoRequest {
            db_name: database.to_owned(),
            collection_name: collection.to_owned(),
        };
        let call =
            |mut stub: Stub, request| async move { stub.get_query_segment_info(request).await };
        let answer: GetQuerySegmentInfoResponse = self.call(message, call).await?;
        accept(answer.status.as_ref())?;
        Ok(answer.infos.into_iter().take(MAX_PLACES).map(|info| info.node_ids).collect())
    }
}
