//! A gRPC server that speaks Milvus' protocol and plays one scene per call.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use falconer::effects::milvus::proto::common;
use falconer::effects::milvus::proto::milvus::milvus_service_server::{
    MilvusService, MilvusServiceServer,
};
use falconer::effects::milvus::proto::milvus::{
    CheckHealthRequest, CheckHealthResponse, ConnectRequest, ConnectResponse,
    GetQuerySegmentInfoRequest, GetQuerySegmentInfoResponse, GetReplicasRequest,
    GetReplicasResponse, GetVersionRequest, GetVersionResponse, ListDatabasesRequest,
    ListDatabasesResponse, QueryRequest, QueryResults, ShowCollectionsRequest,
    ShowCollectionsResponse, ShowType,
};
use falconer::effects::milvus::proto::schema::{
    FieldData, LongArray, ScalarField, field_data, scalar_field,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::probes::servers::Certificate;

/// How one call goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scene {
    /// As hoped for.
    #[default]
    Fine,
    /// It never answers.
    Hangs,
    /// It succeeds with nothing in it; a health check then says no, with a thousand reasons.
    Empty,
    /// It answers OK with this `error_code` and `code` in its status.
    Says(i32, i32),
    /// The server does not know it.
    Unknown,
    /// It answers with far more than is allowed.
    Huge,
}

/// All scenes of one server.
#[derive(Debug, Clone, Default)]
pub struct Play {
    pub version: Scene,
    pub health: Scene,
    pub listing: Scene,
    pub query: Scene,
    pub rows: i64,
    pub quota_states: Vec<i32>,
    pub authorization: Option<String>,
}

#[derive(Debug, Default)]
struct Seen {
    queries: AtomicUsize,
    last: Mutex<QueryRequest>,
}

struct Actor {
    play: Play,
    seen: Arc<Seen>,
}

impl Actor {
    /// Plays the scene up to the point where the answer is made.
    async fn enter<T>(
        &self,
        scene: Scene,
        request: &Request<T>,
    ) -> Result<Option<common::Status>, Status> {
        let given = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if self.play.authorization.is_some() && given != self.play.authorization.as_deref() {
            return Err(Status::unauthenticated("auth check failure"));
        }
        match scene {
            Scene::Fine | Scene::Empty | Scene::Huge => Ok(None),
            Scene::Hangs => std::future::pending().await,
            Scene::Unknown => Err(Status::unimplemented("not here")),
            Scene::Says(error_code, code) => Ok(Some(common::Status {
                error_code,
                code,
                reason: "as scripted".into(),
                ..common::Status::default()
            })),
        }
    }
}

#[tonic::async_trait]
impl MilvusService for Actor {
    async fn connect(
        &self,
        request: Request<ConnectRequest>,
    ) -> Result<Response<ConnectResponse>, Status> {
        self.enter(Scene::Fine, &request).await?;
        Ok(Response::new(ConnectResponse::default()))
    }

    async fn get_version(
        &self,
        request: Request<GetVersionRequest>,
    ) -> Result<Response<GetVersionResponse>, Status> {
        let status = self.enter(self.play.version, &request).await?;
        Ok(Response::new(GetVersionResponse { status, version: "v2.3.5".into() }))
    }

    async fn check_health(
        &self,
        request: Request<CheckHealthRequest>,
    ) -> Result<Response<CheckHealthResponse>, Status> {
        let status = self.enter(self.play.health, &request).await?;
        let is_healthy = self.play.health == Scene::Fine;
        let reason =
            "stack trace: /src/a.go:1 a.B\n/src/c.go:2 c.D: check health fail for rootcoord";
        let reason = reason.to_owned();
        let reasons = if is_healthy { Vec::new() } else { vec![reason; 1000] };
        let quota_states = self.play.quota_states.clone();
        Ok(Response::new(CheckHealthResponse { status, is_healthy, reasons, quota_states }))
    }

    async fn show_collections(
        &self,
        request: Request<ShowCollectionsRequest>,
    ) -> Result<Response<ShowCollectionsResponse>, Status> {
        let status = self.enter(self.play.listing, &request).await?;
        let collection_names = match self.play.listing {
            Scene::Huge => vec!["x".repeat(255); 40_000],
            _ if request.get_ref().r#type() == ShowType::InMemory => vec!["films".into()],
            _ => vec!["books".into(), "films".into()],
        };
        let answer = ShowCollectionsResponse { status, collection_names, ..Default::default() };
        Ok(Response::new(answer))
    }

    async fn query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<QueryResults>, Status> {
        self.seen.queries.fetch_add(1, Ordering::SeqCst);
        let status = self.enter(self.play.query, &request).await?;
        *self.seen.last.lock().expect("a lock") = request.into_inner();
        let data = LongArray { data: vec![self.play.rows.max(1)] };
        let scalars = ScalarField { data: Some(scalar_field::Data::LongData(data)) };
        let field = Some(field_data::Field::Scalars(scalars));
        let column = FieldData { field_name: "count(*)".into(), field, ..FieldData::default() };
        let fine = self.play.query == Scene::Fine;
        let fields_data = if fine { vec![column] } else { Vec::new() };
        Ok(Response::new(QueryResults { status, fields_data, ..QueryResults::default() }))
    }

    async fn list_databases(
        &self,
        _: Request<ListDatabasesRequest>,
    ) -> Result<Response<ListDatabasesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_replicas(
        &self,
        _: Request<GetReplicasRequest>,
    ) -> Result<Response<GetReplicasResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_query_segment_info(
        &self,
        _: Request<GetQuerySegmentInfoRequest>,
    ) -> Result<Response<GetQuerySegmentInfoResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// A running server; it ends with the test's runtime, or when it is stopped.
pub struct Running {
    pub url: String,
    address: SocketAddr,
    seen: Arc<Seen>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub fn queries(&self) -> usize {
        self.seen.queries.load(Ordering::SeqCst)
    }

    pub fn last_query(&self) -> QueryRequest {
        self.seen.last.lock().expect("a lock").clone()
    }

    /// Ends the server; its connections are closed.
    pub async fn stop(self) {
        drop(self.stop);
        self.task.await.expect("the server ended");
    }

    /// Ends the server and starts another one on the same port.
    pub async fn restart(self, play: Play) -> Self {
        let address = self.address;
        self.stop().await;
        let listener = TcpListener::bind(address).await.expect("the same port");
        run(Server::builder(), listener, "http", play)
    }
}

pub async fn start(play: Play) -> Running {
    run(Server::builder(), loopback().await, "http", play)
}

/// With TLS; the URL holds the address, which is not in the certificate.
pub async fn start_with_tls(play: Play, certificate: &Certificate) -> Running {
    falconer::effects::install_tls_provider();
    let identity = Identity::from_pem(&certificate.pem, &certificate.key_pem);
    let tls = ServerTlsConfig::new().identity(identity);
    let builder = Server::builder().tls_config(tls).expect("a configuration");
    run(builder, loopback().await, "https", play)
}

async fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a loopback port")
}

fn run(mut builder: Server, listener: TcpListener, scheme: &str, play: Play) -> Running {
    let address = listener.local_addr().expect("an address");
    let seen = Arc::new(Seen::default());
    let service = MilvusServiceServer::new(Actor { play, seen: Arc::clone(&seen) });
    let router = builder.add_service(service);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = router.serve_with_incoming_shutdown(TcpIncoming::from(listener), async {
        drop(stopped.await);
    });
    let task = tokio::spawn(async move { drop(serving.await) });
    Running { url: format!("{scheme}://{address}"), address, seen, stop, task }
}
