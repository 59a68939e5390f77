//! Milvus' gRPC service as the proxy serves it.

use std::future::pending;

use tonic::{Request, Response, Status};

use super::faults::MilvusFault;
use super::faults::state::Faults;
use super::kubernetes::resource::PODS;
use super::kubernetes::store::Store;
use super::labels::component_of;
use super::serving::{Copy, Held};
use super::settings::SimSettings;
use super::smtp::base64;
use crate::effects::milvus::proto::common::{ServerInfo, Status as MilvusStatus};
use crate::effects::milvus::proto::milvus::milvus_service_server::MilvusService;
use crate::effects::milvus::proto::milvus::{
    CheckHealthRequest, CheckHealthResponse, ConnectRequest, ConnectResponse,
    GetQuerySegmentInfoRequest, GetQuerySegmentInfoResponse, GetReplicasRequest,
    GetReplicasResponse, GetVersionRequest, GetVersionResponse, ListDatabasesRequest,
    ListDatabasesResponse, QueryRequest, QueryResults, QuerySegmentInfo, ReplicaInfo, ShardReplica,
    ShowCollectionsRequest, ShowCollectionsResponse,
};
use crate::effects::milvus::proto::schema::{
    DataType, FieldData, LongArray, ScalarField, field_data, scalar_field,
};

/// The service.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) settings: SimSettings,
    pub(super) faults: Faults,
    pub(super) store: Store,
    pub(super) held: Option<Held>,
}

impl Proxy {
    /// What comes before every call: somebody must be there, and the caller must be known.
    async fn admit<T>(&self, request: &Request<T>) -> Result<Option<MilvusFault>, Status> {
        let fault = self.faults.milvus();
        if fault == Some(MilvusFault::Hang) {
            return pending().await;
        }
        if !self.is_served() {
            return Err(Status::unavailable("connection refused: no proxy is ready"));
        }
        let Some((user, password)) = &self.settings.milvus_credentials else {
            return Ok(fault);
        };
        let given = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let Some(given) = given else {
            return Err(Status::unauthenticated("missing authorization in header"));
        };
        let expected = format!("{user}:{password}");
        if base64(given.as_bytes()) == expected.as_bytes() || given == expected {
            return Ok(fault);
        }
        Err(Status::unauthenticated("auth check failure, please check username and password"))
    }

    fn is_served(&self) -> bool {
        let (_, pods) = self.store.list(PODS, Some(&self.settings.namespace));
        pods.iter().any(|pod| {
            matches!(component_of(pod), Some("proxy" | "standalone"))
                && super::controllers::template::is_ready(pod)
        })
    }
}

fn failure(reason: String) -> MilvusStatus {
    MilvusStatus { error_code: 1, code: 65_535, reason, ..MilvusStatus::default() }
}

impl Proxy {
    /// The status of a query to a collection of which something is on no node.
    fn not_serviceable(&self, name: &str) -> Option<MilvusStatus> {
        let held = self.held.as_ref()?;
        (!held.is_queryable(name)).then(|| MilvusStatus {
            error_code: 1,
            code: 503,
            reason: format!("channel distribution is not serviceable[collection={name}]"),
            ..MilvusStatus::default()
        })
    }
}

fn no_collection(name: &str) -> MilvusStatus {
    let reason = format!("can't find collection[database=default][collection={name}]");
    MilvusStatus { error_code: 4, code: 100, reason, ..MilvusStatus::default() }
}

#[tonic::async_trait]
impl MilvusService for Proxy {
    async fn connect(
        &self,
        request: Request<ConnectRequest>,
    ) -> Result<Response<ConnectResponse>, Status> {
        self.admit(&request).await?;
        let server_info = ServerInfo {
            build_tags: format!("v{}", self.settings.milvus_version),
            deploy_mode: "DISTRIBUTED".to_owned(),
            ..ServerInfo::default()
        };
        Ok(Response::new(ConnectResponse {
            status: Some(MilvusStatus::default()),
            server_info: Some(server_info),
            identifier: 1,
        }))
    }

    async fn get_version(
        &self,
        request: Request<GetVersionRequest>,
    ) -> Result<Response<GetVersionResponse>, Status> {
        self.admit(&request).await?;
        let version = format!("v{}", self.settings.milvus_version);
        Ok(Response::new(GetVersionResponse { status: Some(MilvusStatus::default()), version }))
    }

    async fn check_health(
        &self,
        request: Request<CheckHealthRequest>,
    ) -> Result<Response<CheckHealthResponse>, Status> {
        let reasons = match self.admit(&request).await? {
            Some(MilvusFault::CheckHealthHangs) => return pending().await,
            Some(MilvusFault::NotHealthy(reasons)) => Some(reasons),
            Some(MilvusFault::Hang | MilvusFault::QueriesFail(_)) | None => None,
        };
        Ok(Response::new(CheckHealthResponse {
            status: Some(MilvusStatus::default()),
            is_healthy: reasons.is_none(),
            reasons: reasons.unwrap_or_default(),
            quota_states: Vec::new(),
        }))
    }

    async fn show_collections(
        &self,
        request: Request<ShowCollectionsRequest>,
    ) -> Result<Response<ShowCollectionsResponse>, Status> {
        self.admit(&request).await?;
        let collections = &self.settings.collections;
        let mut response = ShowCollectionsResponse {
            status: Some(MilvusStatus::default()),
            collection_names: collections.iter().map(|entry| entry.name.clone()).collect(),
            collection_ids: (1..).take(collections.len()).collect(),
            ..ShowCollectionsResponse::default()
        };
        // Type 1 asks for the loaded ones, which here are all.
        if request.get_ref().r#type == 1 {
            response.query_service_available = vec![true; collections.len()];
            #[allow(deprecated, reason = "it is what every version fills in")]
            {
                response.in_memory_percentages = vec![100; collections.len()];
            }
        }
        Ok(Response::new(response))
    }

    async fn query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<QueryResults>, Status> {
        let fault = self.admit(&request).await?;
        let asked = request.into_inner();
        let name = asked.collection_name;
        let found = self.settings.collections.iter().find(|entry| entry.name == name);
        let status = match (&fault, found) {
            (Some(MilvusFault::QueriesFail(reason)), _) => Err(failure(reason.clone())),
            (_, None) => Err(no_collection(&name)),
            _ if asked.output_fields != ["count(*)"] => {
                Err(failure("only count(*) can be queried here".to_owned()))
            }
            (_, Some(found)) => match self.not_serviceable(&name) {
                Some(status) => Err(status),
                None => Ok(found.rows),
            },
        };
        let results = match status {
            Err(status) => QueryResults { status: Some(status), ..QueryResults::default() },
            Ok(rows) => QueryResults {
                status: Some(MilvusStatus::default()),
                fields_data: vec![count_column(rows)],
                collection_name: name,
                output_fields: asked.output_fields,
            },
        };
        Ok(Response::new(results))
    }

    async fn list_databases(
        &self,
        request: Request<ListDatabasesRequest>,
    ) -> Result<Response<ListDatabasesResponse>, Status> {
        self.admit(&request).await?;
        let db_names = vec!["default".to_owned()];
        Ok(Response::new(ListDatabasesResponse { status: None, db_names }))
    }

    async fn get_replicas(
        &self,
        request: Request<GetReplicasRequest>,
    ) -> Result<Response<GetReplicasResponse>, Status> {
        self.admit(&request).await?;
        let name = request.get_ref().collection_name.as_str();
        let copies = self.held.as_ref().map(|held| held.copies(name)).unwrap_or_default();
        let replica = |(number, copy): (i64, Copy)| ReplicaInfo {
            replica_id: number,
            node_ids: copy.nodes,
            shard_replicas: copy
                .leaders
                .into_iter()
                .map(|(leader_id, ip)| ShardReplica {
                    leader_id,
                    leader_addr: format!("{ip}:21123"),
                    dm_channel_name: format!("{name}_0"),
                })
                .collect(),
            ..ReplicaInfo::default()
        };
        let mut replicas: Vec<ReplicaInfo> = (1..).zip(copies).map(replica).collect();
        if self.held.is_none() {
            replicas.push(ReplicaInfo { replica_id: 1, ..ReplicaInfo::default() });
        }
        Ok(Response::new(GetReplicasResponse { status: None, replicas }))
    }

    async fn get_query_segment_info(
        &self,
        request: Request<GetQuerySegmentInfoRequest>,
    ) -> Result<Response<GetQuerySegmentInfoResponse>, Status> {
        self.admit(&request).await?;
        let name = request.get_ref().collection_name.as_str();
        let segments = self.held.as_ref().map(|held| held.segments(name)).unwrap_or_default();
        let info = |(segment_id, node_ids)| QuerySegmentInfo {
            segment_id,
            node_ids,
            ..QuerySegmentInfo::default()
        };
        let infos = segments.into_iter().map(info).collect();
        Ok(Response::new(GetQuerySegmentInfoResponse { status: None, infos }))
    }
}

fn count_column(rows: u64) -> FieldData {
    let data = vec![i64::try_from(rows).unwrap_or(i64::MAX)];
    let scalars = ScalarField { data: Some(scalar_field::Data::LongData(LongArray { data })) };
    FieldData {
        r#type: DataType::Int64.into(),
        field_name: "count(*)".to_owned(),
        field: Some(field_data::Field::Scalars(scalars)),
        ..FieldData::default()
    }
}
