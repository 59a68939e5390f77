//! The calls to a Milvus server that falconer makes, over one connection and up to one deadline.
//! Looks at the status inside each answer; judges nothing.

pub mod serving;

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::proto::common::{self, ClientInfo};
use super::proto::milvus::milvus_service_client::MilvusServiceClient;
use super::proto::milvus::{
    CheckHealthRequest, CheckHealthResponse, ConnectRequest, ConnectResponse, GetVersionRequest,
    GetVersionResponse, QueryRequest, QueryResults, QuotaState, ShowCollectionsRequest,
    ShowCollectionsResponse, ShowType,
};
use super::proto::schema::{field_data, scalar_field};
use crate::effects::grpc::{GrpcFailure, failure_of};
use crate::model::{Reason, ReasonKind};

/// Largest answer that is read, in bytes.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

/// Most collections that are kept of a list.
pub const MAX_COLLECTIONS: usize = 1000;

/// Longest collection name that is kept, in bytes; Milvus itself allows 255.
const NAME_LIMIT: usize = 255;

/// Most reasons and quota states of one health check that are kept.
const MAX_REASONS: usize = 16;

/// Reads at the newest state that the query nodes have, without waiting for more.
const EVENTUALLY: u64 = 1;

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The call itself failed.
    Call(GrpcFailure),
    /// The call came back with an error status of Milvus in it.
    Milvus(ErrorKind, String),
    /// The call succeeded without the content that it was made for.
    Empty(&'static str),
}

/// What Milvus' own error codes mean to a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A quota or a rate limit refuses the request; the service itself works.
    Limited,
    /// There is no such collection.
    NoSuchCollection,
    /// The collection is not loaded: released by its users, or still being loaded.
    NotLoaded,
    /// The user lacks the right.
    Denied,
    /// Everything else.
    Other,
}

impl From<GrpcFailure> for CallError {
    fn from(failure: GrpcFailure) -> Self {
        Self::Call(failure)
    }
}

impl CallError {
    /// Whether the connection itself failed.
    pub fn is_transport(&self) -> bool {
        matches!(self, Self::Call(GrpcFailure::Transport(_)))
    }

    /// What happened, for people, about the call `rpc`, which had `budget`.
    pub fn reason(&self, rpc: &str, budget: Duration) -> Reason {
        match self {
            Self::Call(failure) => failure.reason(rpc, budget),
            Self::Milvus(kind, text) => {
                let kind = match kind {
                    ErrorKind::Limited => ReasonKind::Limited,
                    ErrorKind::Denied => ReasonKind::Unauthorized,
                    ErrorKind::NoSuchCollection | ErrorKind::NotLoaded | ErrorKind::Other => {
                        ReasonKind::Status
                    }
                };
                Reason::new(kind, format!("{rpc}: {text}"))
            }
            Self::Empty(what) => Reason::new(ReasonKind::BadAnswer, format!("{rpc}: {what}")),
        }
    }
}

/// What `CheckHealth` says; bounded lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthAnswer {
    /// Whether the server calls itself healthy.
    pub is_healthy: bool,
    /// Why not, each in one line.
    pub reasons: Vec<String>,
    /// Limits in force, e.g. `DenyToWrite`.
    pub quota_states: Vec<String>,
}

/// See the module's description. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct MilvusClient {
    stub: MilvusServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
    database: String,
    deadline: Instant,
}

impl MilvusClient {
    /// A client over `channel` whose calls all end by `deadline`. An empty `database` is the
    /// server's default one.
    pub fn new(
        channel: Channel,
        authorization: Option<MetadataValue<Ascii>>,
        database: impl Into<String>,
        deadline: Instant,
    ) -> Self {
        let stub = MilvusServiceClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
        Self { stub, authorization, database: database.into(), deadline }
    }

    /// The same for another database.
    #[must_use]
    pub fn of_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// What is left of the calls' common budget.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Introduces falconer, so that it shows in the server's list of clients.
    pub async fn connect(&self) -> Result<(), CallError> {
        let message = ConnectRequest {
            client_info: Some(ClientInfo {
                sdk_type: "falconer".into(),
                sdk_version: env!("CARGO_PKG_VERSION").into(),
                ..ClientInfo::default()
            }),
        };
        let call = |mut stub: Stub, request| async move { stub.connect(request).await };
        let answer: ConnectResponse = self.call(message, call).await?;
        accept(answer.status.as_ref())
    }

    /// The server's version.
    pub async fn version(&self) -> Result<String, CallError> {
        let call = |mut stub: Stub, request| async move { stub.get_version(request).await };
        let answer: GetVersionResponse = self.call(GetVersionRequest {}, call).await?;
        accept(answer.status.as_ref())?;
        Ok(cut(&answer.version, NAME_LIMIT))
    }

    /// What the server says of its own health.
    pub async fn health(&self) -> Result<HealthAnswer, CallError> {
        let call = |mut stub: Stub, request| async move { stub.check_health(request).await };
        let answer: CheckHealthResponse = self.call(CheckHealthRequest {}, call).await?;
        accept(answer.status.as_ref())?;
        let states = answer.quota_states.iter().take(MAX_REASONS);
        Ok(HealthAnswer {
            is_healthy: answer.is_healthy,
            reasons: answer.reasons.iter().take(MAX_REASONS).map(|text| one_line(text)).collect(),
            quota_states: states.filter_map(|state| quota_name(*state)).collect(),
        })
    }

    /// The collections of the database: all of them, or only those loaded or being loaded.
    pub async fn collections(&self, loaded_only: bool) -> Result<Vec<String>, CallError> {
        let kind = if loaded_only { ShowType::InMemory } else { ShowType::All };
        let message = ShowCollectionsRequest {
            db_name: self.database.clone(),
            r#type: kind.into(),
            ..ShowCollectionsRequest::default()
        };
        let call = |mut stub: Stub, request| async move { stub.show_collections(request).await };
        let answer: ShowCollectionsResponse = self.call(message, call).await?;
        accept(answer.status.as_ref())?;
        let names = answer.collection_names.iter().take(MAX_COLLECTIONS);
        Ok(names.map(|name| cut(name, NAME_LIMIT)).collect())
    }

    /// The number of rows of `collection`, counted by a query through the whole read path.
    pub async fn count(&self, collection: &str) -> Result<u64, CallError> {
        let message = QueryRequest {
            db_name: self.database.clone(),
            collection_name: collection.to_owned(),
            output_fields: vec!["count(*)".into()],
            guarantee_timestamp: EVENTUALLY,
            ..QueryRequest::default()
        };
        let call = |mut stub: Stub, request| async move { stub.query(request).await };
        let answer: QueryResults = self.call(message, call).await?;
        accept(answer.status.as_ref())?;
        count_in(&answer).ok_or(CallError::Empty("the query succeeded without a count"))
    }

    async fn call<M, R, F>(
        &self,
        message: M,
        call: impl FnOnce(Stub, Request<M>) -> F,
    ) -> Result<R, GrpcFailure>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut request = Request::new(message);
        // The server is told too, so that it does not work on after nobody waits.
        request.set_timeout(self.time_left());
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        match timeout_at(self.deadline, call(self.stub.clone(), request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(failure_of(&status)),
            Err(_) => Err(GrpcFailure::Timeout),
        }
    }
}

type Stub = MilvusServiceClient<Channel>;

/// The one number in the answer to a `count(*)`.
fn count_in(answer: &QueryResults) -> Option<u64> {
    let field_data::Field::Scalars(scalars) = answer.fields_data.first()?.field.as_ref()?;
    let scalar_field::Data::LongData(column) = scalars.data.as_ref()?;
    u64::try_from(*column.data.first()?).ok()
}

/// Looks at the status inside an answer; a missing one is a success.
fn accept(status: Option<&common::Status>) -> Result<(), CallError> {
    let Some(status) = status else { return Ok(()) };
    if status.code == 0 && status.error_code == 0 {
        return Ok(());
    }
    let number = if status.code == 0 { status.error_code } else { status.code };
    let said = if status.reason.is_empty() { &status.detail } else { &status.reason };
    let text = format!("code {number}: {}", one_line(said));
    Err(CallError::Milvus(error_kind(status), text))
}

/// The older `error_code` and the newer `code` number the same errors differently.
fn error_kind(status: &common::Status) -> ErrorKind {
    match (status.error_code, status.code) {
        (48 | 49, _) | (_, 8 | 9) => ErrorKind::Limited,
        (4 | 28, _) | (_, 100) => ErrorKind::NoSuchCollection,
        (_, 101 | 103) => ErrorKind::NotLoaded,
        (3, _) | (_, 1400 | 1401) => ErrorKind::Denied,
        _ => ErrorKind::Other,
    }
}

fn quota_name(state: i32) -> Option<String> {
    match QuotaState::try_from(state) {
        Ok(QuotaState::Unknown) => None,
        Ok(known) => Some(known.as_str_name().to_owned()),
        Err(_) => Some(format!("QuotaState({state})")),
    }
}

/// The server's words as one bounded line, as a reason has them, without the stack traces that
/// Milvus puts in front of them.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter_map(without_frame).collect();
    Reason::new(ReasonKind::Status, lines.join(" ")).text
}

/// What a line says apart from its stack frame (`/path/file.go:12 package.Function`, and in the
/// last one `: message`); `None` where it is nothing but a frame.
fn without_frame(line: &str) -> Option<&str> {
    let frame = line.strip_prefix("stack trace: ").unwrap_or(line);
    if !frame.starts_with('/') {
        return Some(line);
    }
    // The runtime's own frames are assembly.
    match frame.split_once(".go:").or_else(|| frame.split_once(".s:")) {
        Some((_, place)) => place.split_once(": ").map(|(_, message)| message),
        None => Some(line),
    }
}

fn cut(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(error_code: i32, code: i32) -> common::Status {
        common::Status { error_code, code, reason: "why\nstack".into(), ..Default::default() }
    }

    #[test]
    fn either_code_of_a_status_makes_it_an_error() {
        assert_eq!(accept(None), Ok(()));
        assert_eq!(accept(Some(&status(0, 0))), Ok(()));
        for (error_code, code, kind, number) in [
            (1, 65535, ErrorKind::Other, 65535),
            (1, 0, ErrorKind::Other, 1),
            (0, 503, ErrorKind::Other, 503),
            (4, 100, ErrorKind::NoSuchCollection, 100),
            (1, 101, ErrorKind::NotLoaded, 101),
            (48, 0, ErrorKind::Limited, 48),
            (0, 8, ErrorKind::Limited, 8),
            (3, 0, ErrorKind::Denied, 3),
        ] {
            let error = accept(Some(&status(error_code, code))).unwrap_err();
            let text = format!("code {number}: why stack");
            assert_eq!(error, CallError::Milvus(kind, text), "{error_code} {code}");
        }
    }

    #[test]
    fn stack_traces_are_left_out_of_what_people_read() {
        let text = "stack trace: /src/pkg/tracer/stack_trace.go:51 example.com/tracer.StackTrace\n\
                    /src/client.go:550 example.com/client.(*Base[...]).Call\n\
                    /src/x.pb.go:6806 pb._Handler.func1\n\
                    /go/src/runtime/asm_amd64.s:1598 runtime.goexit: attempt #0: node not match";
        assert_eq!(one_line(text), "attempt #0: node not match");
        assert_eq!(one_line("check health fail\nfor /var/x"), "check health fail for /var/x");
    }

    #[test]
    fn quota_states_have_names_and_unknown_ones_a_number() {
        let names: Vec<_> = [0, 2, 3, 4, 5, 6, 77].into_iter().filter_map(quota_name).collect();
        let expected = [
            "ReadLimited",
            "WriteLimited",
            "DenyToRead",
            "DenyToWrite",
            "DenyToDDL",
            "QuotaState(77)",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn an_answer_without_a_number_is_no_count() {
        assert_eq!(count_in(&QueryResults::default()), None);
    }
}
