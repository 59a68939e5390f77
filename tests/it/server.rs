//! The HTTP server over real sockets, and OTLP push to a collector on loopback.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use falconer::actors::heartbeat::Heartbeat;
use falconer::actors::recoverer::RecovererSnapshot;
use falconer::actors::status::{ComponentCell, ComponentSnapshot, StatusBoard};
use falconer::clock::Clock;
use falconer::metrics::{Metrics, MetricsSettings};
use falconer::model::{
    AlertShown, AlertState, ChangeRefusal, ComponentHealth, ComponentId, HealthState, IncidentId,
    Leadership, NewSilence, Outcome, PodUsage, ProberKind, Reason, ReasonKind, RefusalKind,
    ReloadRecord, Silence, TargetReport, Timestamp,
};
use falconer::policy::recovery::Tripped;
use falconer::server::{
    About, AboutBoard, Administration, ReloadError, ResumeError, Server, ServerError, ServerLimits,
    ServerSettings, ServerSources,
};

/// What a running server is fed from.
struct Fixture {
    server: Server,
    status: StatusBoard,
    metrics: Metrics,
}

impl Fixture {
    fn start() -> Self {
        Self::start_with(ServerLimits::default())
    }

    fn start_with(limits: ServerLimits) -> Self {
        let (metrics, sources) = sources();
        let status = sources.status.clone();
        let settings = ServerSettings { listen: loopback(), limits };
        let server = Server::start(&settings, sources).unwrap();
        Self { server, status, metrics }
    }

    /// One of which something can be wanted.
    fn administered() -> Self {
        let (metrics, sources) = sources();
        let status = sources.status.clone();
        let sources = ServerSources { administration: Some(Arc::new(Keeper)), ..sources };
        let server = Server::start(&ServerSettings::listening_on(loopback()), sources).unwrap();
        Self { server, status, metrics }
    }

    fn get(&self, path: &str) -> Answer {
        request(self.server.local_addr(), &format!("GET {path} HTTP/1.1\r\n"))
    }

    fn publish(&self, synced: bool, component: &str, snapshot: ComponentSnapshot) {
        let cluster = self.status.cluster(&"milvus-ha".into());
        cluster.discovered(synced, None);
        cluster.show(component.into(), ComponentCell::new(snapshot));
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn sources() -> (Metrics, ServerSources) {
    let clock = Clock::system();
    let (metrics, registry) = Metrics::new(&MetricsSettings::default()).unwrap();
    let sources = ServerSources {
        status: StatusBoard::default(),
        metrics: registry,
        heartbeat: Heartbeat::new(clock),
        clock,
        about: AboutBoard::new(About {
            clusters: vec!["milvus-ha".into()],
            config_path: Some("actors.toml".into()),
            warnings: vec!["no receiver is configured".into()],
            ..About::default()
        }),
        administration: None,
        history: None,
    };
    (metrics, sources)
}

fn component(state: HealthState, reason: &str) -> ComponentSnapshot {
    ComponentSnapshot {
        kind: ProberKind::Pods,
        alert: AlertState::Inactive,
        health: ComponentHealth {
            state,
            since: Timestamp::from_millis(1_767_225_600_000),
            reason: Some(Reason::new(ReasonKind::Timeout, reason)),
            consecutive_failures: 3,
            consecutive_successes: 0,
        },
        probed_at: Some(Timestamp::from_millis(1_767_225_600_000)),
        latency_ms: Some(12.0),
        targets: vec![TargetReport {
            name: "querynode-a".into(),
            address: "http://10.0.0.1:9091/healthz".into(),
            outcome: Outcome::Healthy,
            latency: Duration::from_millis(12),
            performance: None,
        }],
        usage: vec![PodUsage {
            pod: "querynode-a".into(),
            cpu_milli: Some(100),
            memory_bytes: Some(1 << 20),
            cpu_percent_of_request: Some(37),
            memory_percent_of_request: None,
            cpu_percent_of_limit: None,
            memory_percent_of_limit: None,
            sampled_at: None,
            window: std::time::Duration::ZERO,
        }],
        milvus: None,
        inventory: None,
        recovery: Some("restarted at 12:00, waits for the rollout".into()),
        scaling: None,
    }
}

/// Knows a token, and resumes whatever is asked for.
#[derive(Debug)]
struct Keeper;

#[async_trait::async_trait]
impl Administration for Keeper {
    async fn token(&self) -> Result<Option<String>, String> {
        Ok(Some("s3cret".to_owned()))
    }

    async fn reload(&self) -> Result<ReloadRecord, ReloadError> {
        Err(ReloadError::Ending)
    }

    async fn resume(&self, cluster: Option<&str>, _: &str) -> Result<Vec<Arc<str>>, ResumeError> {
        Ok(vec![cluster.unwrap_or("every one").into()])
    }

    async fn silence(&self, wanted: NewSilence) -> Result<Silence, ChangeRefusal> {
        let NewSilence { matchers, holds, starts_at, ends_at, created_by, comment } = wanted;
        if comment.is_empty() {
            return Err(ChangeRefusal::new(RefusalKind::Invalid, "a silence must say why"));
        }
        let (id, created_at, expired_by) = ("k7x2mq".into(), starts_at, None);
        let silence = Silence {
            id,
            matchers,
            holds,
            starts_at,
            ends_at,
            created_at,
            created_by,
            comment,
            expired_by,
        };
        Ok(silence)
    }

    async fn expire(&self, id: &str, _: &str) -> Result<Silence, ChangeRefusal> {
        Err(ChangeRefusal::new(RefusalKind::Unknown, format!("there is no silence {id}")))
    }

    async fn acknowledge(
        &self,
        incident: &IncidentId,
        by: &str,
        comment: &str,
    ) -> Result<AlertShown, ChangeRefusal> {
        let words = format!("{incident} {by} {comment}");
        Err(ChangeRefusal::new(RefusalKind::NotLeader, words))
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Sends `head`, asks to close the connection, reads to the end.
fn request(address: SocketAddr, head: &str) -> Answer {
    let mut stream = connect(address);
    write!(stream, "{head}Host: falconer\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Asks with a body and the token.
fn change(fixture: &Fixture, request_line: &str, body: &str) -> Answer {
    let mut stream = connect(fixture.server.local_addr());
    let length = body.len();
    write!(
        stream,
        "{request_line} HTTP/1.1\r\nHost: f\r\nConnection: close\r\nAuthorization: Bearer s3cret\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

#[test]
fn what_people_want_to_hear_nothing_of_is_read_and_refused_in_words() {
    let fixture = Fixture::administered();
    let add = |body: &str| change(&fixture, "POST /api/v1/silences", body);
    let made = add(
        r#"{"matchers": {"component": "query*"}, "for": "2h", "holds": ["recovery"], "comment": "x",
            "starts_at": "2026-01-03T02:00:00+01:00"}"#,
    );
    assert_eq!(made.status, 201, "{}", made.body);
    let silence = made.json();
    assert_eq!(silence["starts_at"], "2026-01-03T01:00:00.000Z");
    assert_eq!(silence["ends_at"], "2026-01-03T03:00:00.000Z");
    assert_eq!(silence["matchers"], serde_json::json!({ "component": "query*" }));
    assert_eq!(silence["created_by"], "the API");
    for (body, words) in [
        ("", "a silence must say how long it lasts"),
        ("{\"for\": \"soon\"}", "\\\"for\\\" is no duration such as"),
        ("{\"for\": \"1h\", \"ends_at\": \"2026-01-01T00:00:00Z\"}", "do not go together"),
        ("{\"for\": \"1h\", \"mathcers\": {}}", "unknown field `mathcers`"),
        ("{\"for\": \"1h\", \"holds\": [\"probing\"]}", "unknown variant `probing`"),
        ("[1]", "the body must be JSON such as"),
        ("{\"for\": \"1h\"}", "a silence must say why"),
    ] {
        let answer = add(body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert!(answer.body.contains(words), "{body}: {}", answer.body);
    }
    assert_eq!(add(&format!("{{\"comment\": \"{}\"}}", "x".repeat(5_000))).status, 413);
    let nosuch = change(&fixture, "DELETE /api/v1/silences/nosuch?by=ada", "");
    assert_eq!(
        (nosuch.status, nosuch.json()["error"].as_str()),
        (404, Some("there is no silence nosuch"))
    );
    let path = "POST /api/v1/alerts/a%2Fproxy@2026-01-01T00:00:00.000Z/acknowledge";
    let elsewhere = change(&fixture, path, "{\"by\": \"ada\", \"comment\": \"on it\"}");
    assert_eq!(elsewhere.status, 409);
    assert!(
        elsewhere.body.contains("a/proxy@2026-01-01T00:00:00.000Z ada on it"),
        "{}",
        elsewhere.body
    );
    for line in ["POST /api/v1/silences", "DELETE /api/v1/silences/x"] {
        let head = format!("{line} HTTP/1.1\r\nContent-Length: 0\r\n");
        assert_eq!(request(fixture.server.local_addr(), &head).status, 401, "{line}");
    }
    let leader = Some("falconer-1".into());
    fixture.status.update(|status| {
        status.leadership.leadership = Leadership::Follower { leader, since: Timestamp::default() };
    });
    let listed = fixture.get("/api/v1/silences");
    assert_eq!(listed.status, 409);
    assert!(listed.body.contains("falconer-1 does"), "{}", listed.body);
    assert!(fixture.get("/api/v1/alerts").json()["note"].as_str().unwrap().contains("falconer-1"));
    fixture.server.shutdown();
}

#[test]
fn the_metrics_page_is_served_as_prometheus_text() {
    let fixture = Fixture::start();
    let id = ComponentId::new("milvus-ha", "proxy");
    fixture.metrics.state_changed(&id, HealthState::Healthy);
    let answer = fixture.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert!(answer.body.contains("milvus_component_health{component=\"proxy\"} 1\n"));
    assert!(answer.body.contains("process_resident_memory_bytes "));
    fixture.server.shutdown();
}

#[test]
fn a_wish_to_resume_is_judged_before_anybody_is_asked() {
    let (_metrics, sources) = sources();
    let status = sources.status.clone();
    let sources = ServerSources { administration: Some(Arc::new(Keeper)), ..sources };
    let server = Server::start(&ServerSettings::listening_on(loopback()), sources).unwrap();
    let resume = |body: &str| {
        let head = format!(
            "POST /api/v1/recovery/resume HTTP/1.1\r\nAuthorization: Bearer s3cret\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        let mut stream = connect(server.local_addr());
        write!(stream, "{head}Host: falconer\r\nConnection: close\r\n\r\n{body}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse::<u16>().unwrap(), body.to_owned())
    };
    assert_eq!(resume("").0, 409);
    let tripped = Tripped { at: Timestamp::default(), why: "too much".to_owned() };
    let breakers = [("milvus-ha".into(), tripped)].into();
    let snapshot = RecovererSnapshot { breakers, ..RecovererSnapshot::default() };
    status.update(|status| status.recoverer = Arc::new(snapshot));
    assert_eq!(resume(""), (200, "{\"resumed\":[\"every one\"]}".to_owned()));
    assert_eq!(resume("{\"cluster\": \"milvus-ha\"}").0, 200);
    assert_eq!(resume("{\"cluster\": \"other\"}").0, 404);
    for wrong in ["{", "[]", "{\"clutser\": \"milvus-ha\"}"] {
        assert_eq!(resume(wrong).0, 400, "{wrong}");
    }
    assert_eq!(resume(&" ".repeat(8_192)).0, 413);
    let leader = Some("falconer-1".into());
    let leadership = Leadership::Follower { leader, since: Timestamp::default() };
    status.update(|status| status.leadership.leadership = leadership);
    let (code, words) = resume("");
    assert_eq!(code, 409);
    assert!(words.contains("falconer-1 does: resume there"), "{words}");
}

#[test]
fn every_answer_carries_the_protective_headers() {
    let fixture = Fixture::start();
    for path in ["/", "/style.css", "/metrics", "/livez", "/readyz", "/api/v1/status", "/nowhere"] {
        let answer = fixture.get(path);
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{path}: {}", answer.head);
        assert!(answer.head.contains("default-src 'none'"), "{path}: {}", answer.head);
    }
}

#[test]
fn unknown_paths_other_methods_and_bodies_are_refused() {
    let fixture = Fixture::start();
    assert_eq!(fixture.get("/nowhere").status, 404);
    let address = fixture.server.local_addr();
    let post = request(address, "POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n");
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get"), "{}", post.head);
    let gigabyte = request(address, "POST /metrics HTTP/1.1\r\nContent-Length: 1073741824\r\n");
    assert_eq!(gigabyte.status, 413);
    let head = "x".repeat(1 << 20);
    let mut stream = connect(address);
    // The server may hang up while this is still being written.
    let _cut = write!(stream, "GET / HTTP/1.1\r\nX-Long: {head}\r\n\r\n");
    let mut said = Vec::new();
    let _reset = stream.read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
    assert_eq!(fixture.get("/livez").status, 200);
}

#[test]
fn readiness_names_what_is_not_ready_and_why() {
    let fixture = Fixture::start();
    let answer = fixture.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["not_ready"][0]["cluster"], "milvus-ha");

    fixture.publish(false, "querynode", component(HealthState::Unknown, ""));
    let answer = fixture.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["not_ready"][0]["reason"], "discovery is not complete yet");

    let unprobed =
        ComponentSnapshot { probed_at: None, ..component(HealthState::Unknown, "starts") };
    fixture.publish(true, "querynode", unprobed);
    let answer = fixture.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["not_ready"][0]["component"], "querynode");

    fixture.publish(true, "querynode", component(HealthState::Unhealthy, "timeout"));
    let answer = fixture.get("/readyz");
    assert_eq!((answer.status, answer.json()["ready"].as_bool()), (200, Some(true)));
}

#[test]
fn the_status_holds_every_component_and_what_is_known_of_the_process() {
    let fixture = Fixture::start();
    fixture.publish(true, "querynode", component(HealthState::Unhealthy, "timeout after 5s"));
    let status = fixture.get("/api/v1/status").json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["config"], "actors.toml");
    assert_eq!(status["warnings"][0], "no receiver is configured");
    assert_eq!(status["ready"], true);
    let querynode = &status["clusters"]["milvus-ha"]["components"]["querynode"];
    assert_eq!(querynode["health"]["state"], "unhealthy");
    assert_eq!(querynode["health"]["reason"]["text"], "timeout after 5s");
    assert_eq!(querynode["targets"][0]["latency_ms"], 12.0);
}

#[test]
fn the_page_shows_the_components_and_escapes_what_servers_say() {
    let fixture = Fixture::start();
    let hostile = "<script>alert(1)</script> \"&'";
    fixture.publish(true, "querynode", component(HealthState::Unhealthy, hostile));
    let answer = fixture.get("/");
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("<script"), "{}", answer.body);
    for shown in [
        "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&amp;&#39;",
        "querynode",
        "1 unhealthy",
        "1/1",
        "12 ms",
        "37 %",
        "1 MiB",
        "restarted at 12:00, waits for the rollout",
        "no receiver is configured",
    ] {
        assert!(answer.body.contains(shown), "{shown} is missing in {}", answer.body);
    }
}

#[test]
fn clients_that_never_finish_their_request_lock_nobody_out() {
    let limits = ServerLimits { connections: 4, ..ServerLimits::default() };
    let fixture = Fixture::start_with(limits);
    let address = fixture.server.local_addr();
    let slow: Vec<TcpStream> = (0..12)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: fal").unwrap();
            stream
        })
        .collect();
    assert_eq!(fixture.get("/livez").status, 200);
    assert_eq!(fixture.get("/metrics").status, 200);
    drop(slow);
}

#[test]
fn a_request_whose_head_does_not_arrive_in_time_is_ended() {
    let header_timeout = Duration::from_millis(100);
    let fixture = Fixture::start_with(ServerLimits { header_timeout, ..ServerLimits::default() });
    let mut stream = connect(fixture.server.local_addr());
    stream.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
}

#[test]
fn a_client_that_does_not_read_is_cut_at_the_end_of_its_connections_life() {
    let connection_lifetime = Duration::from_millis(100);
    let limits = ServerLimits { connection_lifetime, ..ServerLimits::default() };
    let fixture = Fixture::start_with(limits);
    let mut stream = connect(fixture.server.local_addr());
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    // Asks again and again without ever reading, until the server has had enough.
    let requests = "GET /metrics HTTP/1.1\r\nHost: falconer\r\n\r\n".repeat(64);
    let cut = (0..100_000).any(|_| stream.write_all(requests.as_bytes()).is_err());
    assert!(cut, "the connection lives for ever");
    assert_eq!(fixture.get("/livez").status, 200);
}

#[test]
fn an_address_in_use_is_a_clear_error() {
    let taken = TcpListener::bind(loopback()).unwrap();
    let address = taken.local_addr().unwrap();
    let (_metrics, sources) = sources();
    let error = Server::start(&ServerSettings::listening_on(address), sources).unwrap_err();
    assert!(matches!(error, ServerError::Listen { .. }));
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address}: address in use; set [server] listen")
    );
}

#[test]
fn shutdown_frees_the_address_even_with_idle_connections() {
    let fixture = Fixture::start();
    let address = fixture.server.local_addr();
    let _idle = connect(address);
    assert_eq!(fixture.get("/livez").status, 200);
    fixture.server.shutdown();
    assert!(TcpStream::connect(address).is_err());
}

mod otlp {
    //! A collector that understands just enough of OTLP over gRPC to see what arrives.

    use std::task::{Context, Poll};

    use tokio::sync::mpsc;
    use tonic::body::Body;
    use tonic::codegen::{BoxFuture, Service, http};
    use tonic::server::{Grpc, NamedService};
    use tonic::{Request, Response, Status};
    use tonic_prost::ProstCodec;

    use super::*;

    /// `ExportMetricsServiceRequest` with its content left as bytes.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Export {
        #[prost(bytes = "vec", repeated, tag = "1")]
        resource_metrics: Vec<Vec<u8>>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Accepted {}

    #[derive(Clone)]
    struct Collector(mpsc::UnboundedSender<Vec<u8>>);

    impl NamedService for Collector {
        const NAME: &'static str = "opentelemetry.proto.collector.metrics.v1.MetricsService";
    }

    impl Service<Request<Export>> for Collector {
        type Response = Response<Accepted>;
        type Error = Status;
        type Future = std::future::Ready<Result<Self::Response, Status>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Export>) -> Self::Future {
            let _closed = self.0.send(request.into_inner().resource_metrics.concat());
            std::future::ready(Ok(Response::new(Accepted {})))
        }
    }

    impl Service<http::Request<Body>> for Collector {
        type Response = http::Response<Body>;
        type Error = std::convert::Infallible;
        type Future = BoxFuture<Self::Response, Self::Error>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let service = self.clone();
            Box::pin(async move {
                let codec = ProstCodec::<Accepted, Export>::default();
                Ok(Grpc::new(codec).unary(service, request).await)
            })
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn metrics_arrive_at_a_collector() {
        let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mut received) = mpsc::unbounded_channel();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let collector = tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(Collector(sender))
                .serve_with_incoming(incoming),
        );
        let settings = MetricsSettings {
            otlp_endpoint: Some(format!("http://{address}")),
            otlp_interval: Duration::from_millis(100),
            ..MetricsSettings::default()
        };
        let (metrics, registry) = Metrics::new(&settings).unwrap();
        metrics.state_changed(&ComponentId::new("milvus-ha", "proxy"), HealthState::Healthy);
        let holds =
            |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
        let arrived = async {
            while let Some(bytes) = received.recv().await {
                if holds(&bytes, "milvus_component_health") {
                    return holds(&bytes, "service.name") && holds(&bytes, "proxy");
                }
            }
            false
        };
        assert!(tokio::time::timeout(Duration::from_secs(10), arrived).await.unwrap());
        tokio::task::spawn_blocking(move || registry.shutdown()).await.unwrap();
        collector.abort();
    }

    #[test]
    fn a_collector_that_is_not_there_disturbs_nothing() {
        let free = TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
        let settings = MetricsSettings {
            otlp_endpoint: Some(format!("http://{free}")),
            otlp_interval: Duration::from_millis(20),
            ..MetricsSettings::default()
        };
        let (metrics, registry) = Metrics::new(&settings).unwrap();
        let registry = Arc::new(registry);
        for _ in 0..50 {
            metrics.mailbox("supervisor").dropped();
            assert!(registry.encode().unwrap().contains("falconer_mailbox_dropped_total"));
            std::thread::sleep(Duration::from_millis(5));
        }
        registry.shutdown();
    }

    #[test]
    fn a_collector_that_never_answers_does_not_keep_the_process_alive() {
        // Connections wait in the backlog; nobody ever accepts them.
        let silent = TcpListener::bind(loopback()).unwrap();
        let settings = MetricsSettings {
            otlp_endpoint: Some(format!("http://{}", silent.local_addr().unwrap())),
            otlp_interval: Duration::from_millis(20),
            ..MetricsSettings::default()
        };
        let (metrics, registry) = Metrics::new(&settings).unwrap();
        metrics.mailbox("supervisor").dropped();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            assert!(registry.encode().unwrap().contains("falconer_mailbox_dropped_total"));
            registry.shutdown();
            ended.send(()).unwrap();
        });
        end.recv_timeout(Duration::from_secs(30)).unwrap();
    }
}
