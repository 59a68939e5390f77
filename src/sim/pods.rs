//! What listens on a pod's port: /healthz, /livez and /metrics as a Milvus role serves them.
//!
//! Speaks HTTP/1.1 by itself rather than through a framework, because it must be able to accept
//! and keep silent, and because all its connections must end with the pod.

mod management;
mod page;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::evidence::Evidence;
use super::faults::state::{Faults, PodBehaviour, PodFacts};
use super::load::Load;
use crate::clock::Clock;
use crate::model::Timestamp;

/// The longest request head, in bytes.
const HEAD_LIMIT: u64 = 16 << 10;
/// How often a silent pod looks whether it may speak again.
const SILENCE_CHECK: Duration = Duration::from_millis(20);

/// Who a pod is.
#[derive(Debug, Clone)]
pub(super) struct PodIdentity {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) component: String,
    pub(super) revision: String,
    pub(super) image: String,
    pub(super) node: String,
}

/// Whether a pod's process is initialised, shared by the process and its kubelet.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    up_since: Mutex<Option<Instant>>,
}

impl Vitals {
    /// Since when; `None` while it is not.
    pub(super) fn up_since(&self) -> Option<Instant> {
        *self.up_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is.
    pub(super) fn up(&self) {
        self.set(Some(Instant::now()));
    }

    /// It is no more.
    pub(super) fn down(&self) {
        self.set(None);
    }

    fn set(&self, since: Option<Instant>) {
        *self.up_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// A request that a pod has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRequest {
    /// When its head was complete.
    pub at: Timestamp,
    /// The pod's name.
    pub pod: String,
    /// The component it belongs to.
    pub component: String,
    /// Without the query.
    pub path: String,
    /// False when the pod hung at that moment.
    pub answered: bool,
}

/// The server of one pod.
#[derive(Debug)]
pub(super) struct PodServer {
    identity: PodIdentity,
    vitals: Arc<Vitals>,
    faults: Faults,
    requests: Evidence<PodRequest>,
    clock: Clock,
    page: page::Page,
    load: Load,
}

impl PodServer {
    pub(super) fn new(
        identity: PodIdentity,
        vitals: Arc<Vitals>,
        faults: Faults,
        load: Load,
        requests: Evidence<PodRequest>,
        clock: Clock,
    ) -> Self {
        let page = page::Page::new(&identity.component, load.clone(), clock);
        Self { identity, vitals, faults, requests, clock, page, load }
    }

    /// Serves until it is aborted; its connections end with it.
    pub(super) async fn serve(self, listener: TcpListener) {
        let server = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let server = Arc::clone(&server);
                        connections.spawn(async move {
                            // A client that goes away is its own business.
                            let _ = server.converse(stream).await;
                        });
                    }
                    Err(_) => tokio::time::sleep(SILENCE_CHECK).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        while let Some(head) = Head::read(&mut reader).await? {
            let behaviour = self.behaviour();
            self.requests.push(PodRequest {
                at: self.clock.now(),
                pod: self.identity.name.clone(),
                component: self.identity.component.clone(),
                path: head.path.clone(),
                answered: behaviour != PodBehaviour::Silent,
            });
            while self.behaviour() == PodBehaviour::Silent {
                tokio::time::sleep(SILENCE_CHECK).await;
            }
            let answer = self.answer(&head, self.behaviour());
            writer.write_all(answer.as_bytes()).await?;
            if head.closes {
                break;
            }
        }
        Ok(())
    }

    fn behaviour(&self) -> PodBehaviour {
        self.faults.pod(PodFacts {
            uid: &self.identity.uid,
            component: &self.identity.component,
            revision: &self.identity.revision,
            image: &self.identity.image,
            node: &self.identity.node,
            up_since: self.vitals.up_since(),
        })
    }

    fn answer(&self, head: &Head, behaviour: PodBehaviour) -> String {
        let ready = self.vitals.up_since().is_some();
        let (status, body) = match head.path.as_str() {
            "/healthz" => self.health(head.wants_json, ready, behaviour),
            "/livez" => ("200 OK", "Milvus Process Active".to_owned()),
            "/metrics" => ("200 OK", self.page.render(behaviour == PodBehaviour::Sick)),
            _ => management::answer(&self.identity.component, self.load.held(), head),
        };
        let connection = if head.closes { "close" } else { "keep-alive" };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
            body.len()
        )
    }

    fn health(
        &self,
        as_json: bool,
        ready: bool,
        behaviour: PodBehaviour,
    ) -> (&'static str, String) {
        let component = &self.identity.component;
        let serves = match behaviour {
            PodBehaviour::Normal | PodBehaviour::Silent => ready,
            PodBehaviour::Sick | PodBehaviour::WithoutEtcd | PodBehaviour::Closed => false,
        };
        let (status, state, code) = match behaviour {
            PodBehaviour::Sick => {
                let state = format!("component {component} state is Abnormal");
                ("500 Internal Server Error", state, 2)
            }
            PodBehaviour::Normal
            | PodBehaviour::WithoutEtcd
            | PodBehaviour::Silent
            | PodBehaviour::Closed
                if serves =>
            {
                ("200 OK", "OK".to_owned(), 1)
            }
            PodBehaviour::Normal
            | PodBehaviour::WithoutEtcd
            | PodBehaviour::Silent
            | PodBehaviour::Closed => {
                let state = "Not all components are healthy, 0/1".to_owned();
                ("500 Internal Server Error", state, 0)
            }
        };
        if as_json {
            let detail = [serde_json::json!({"name": component, "code": code})];
            return (status, serde_json::json!({"state": state, "detail": detail}).to_string());
        }
        (status, state)
    }
}

/// The part of a request that matters here.
#[derive(Debug)]
struct Head {
    path: String,
    /// What came behind the path and in the body: `a=1&b=2`.
    form: String,
    length: usize,
    /// Milvus looks at the type of the request, not at what it accepts.
    wants_json: bool,
    closes: bool,
}

impl Head {
    async fn read(
        reader: &mut BufReader<tokio::net::tcp::OwnedReadHalf>,
    ) -> io::Result<Option<Self>> {
        let mut bounded = reader.take(HEAD_LIMIT);
        let mut line = String::new();
        if bounded.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let target = words.nth(1).ok_or(io::ErrorKind::InvalidData)?;
        let (path, form) = target.split_once('?').unwrap_or((target, ""));
        let (path, form) = (path.to_owned(), form.to_owned());
        let closes = words.next() == Some("HTTP/1.0");
        let mut head = Self { path, form, length: 0, wants_json: false, closes };
        loop {
            line.clear();
            if bounded.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            head.wants_json |= name == "content-type" && value.contains("application/json");
            head.closes |= name == "connection" && value.contains("close");
            if name == "content-length" {
                head.length = value.trim().parse().unwrap_or_default();
            }
        }
        let mut body = vec![0; head.length.min(HEAD_LIMIT as usize)];
        bounded.read_exact(&mut body).await?;
        if !body.is_empty() {
            head.form = format!("{}&{}", head.form, String::from_utf8_lossy(&body));
        }
        Ok(Some(head))
    }
}
