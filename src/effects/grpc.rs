//! Channels for gRPC clients, and what a gRPC failure means. Knows no service.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};

use super::failure;
use super::small_file::{self, CA_FILE_LIMIT};
use super::tls::install_tls_provider;
use crate::model::{Outcome, Reason, ReasonKind};

/// Largest header list that is accepted from a server, in bytes.
const HEADER_LIST_LIMIT: u32 = 64 * 1024;

/// Where a gRPC service listens, and how to trust it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrpcEndpoint {
    /// `http://host:port` for plain text, `https://host:port` for TLS.
    pub url: String,
    /// A PEM file with the certificates to trust instead of the machine's own.
    pub ca_file: Option<PathBuf>,
    /// The name in the server's certificate, where it is not the host of the URL.
    pub server_name: Option<String>,
}

impl GrpcEndpoint {
    /// Adds a hint where a plain-text connection was closed without an answer, which is all that a
    /// port with TLS says to such a client.
    pub fn with_tls_hint(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed { reason }
                if self.url.starts_with("http:") && reason.text.contains(failure::CLOSED_EARLY) =>
            {
                Outcome::failed(reason.kind, format!("{reason} (does the port expect TLS?)"))
            }
            other => other,
        }
    }
}

/// Why a call brought no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcFailure {
    /// Nothing came in time.
    Timeout,
    /// The server does not know the call.
    Unimplemented,
    /// The server wants other credentials, or gives these no right to the call.
    Unauthorized(String),
    /// The connection failed; the same call may work over a new one.
    Transport(Reason),
    /// The server answered with an error of its own.
    Rejected(String),
    /// What came is not an answer of this protocol, or too large.
    BadAnswer(String),
}

impl GrpcFailure {
    /// The failure as a reason about the call `rpc`, which had `budget`.
    pub fn reason(&self, rpc: &str, budget: Duration) -> Reason {
        let (kind, text) = match self {
            Self::Timeout => {
                let within = failure::short_duration(budget);
                return Reason::new(
                    ReasonKind::Timeout,
                    format!("{rpc}: no answer within {within}"),
                );
            }
            Self::Unimplemented => (ReasonKind::Unsupported, "the server does not know the call"),
            Self::Unauthorized(text) => (ReasonKind::Unauthorized, text.as_str()),
            Self::Transport(reason) => (reason.kind, reason.text.as_str()),
            Self::Rejected(text) => (ReasonKind::Status, text.as_str()),
            Self::BadAnswer(text) => (ReasonKind::BadAnswer, text.as_str()),
        };
        Reason::new(kind, format!("{rpc}: {text}"))
    }
}

/// Opens a connection to `endpoint` within `budget`. A server that accepts and says nothing more
/// counts as connected: HTTP/2 does not wait for it. The connection ends with the channel.
///
/// # Errors
/// When the address is wrong, nobody listens there, or TLS fails.
pub async fn connect(endpoint: &GrpcEndpoint, budget: Duration) -> Result<Channel, Reason> {
    let builder = endpoint_builder(endpoint, budget)?;
    match timeout(budget, builder.connect()).await {
        Err(_) => Err(failure::timeout(budget)),
        Ok(Err(error)) => Err(failure::classify(&error)),
        Ok(Ok(channel)) => Ok(channel),
    }
}

fn endpoint_builder(endpoint: &GrpcEndpoint, budget: Duration) -> Result<Endpoint, Reason> {
    let invalid = |error: tonic::transport::Error| {
        let text = format!("{}: {}", endpoint.url, failure::describe(&error));
        Reason::new(ReasonKind::Connection, text)
    };
    let builder = Endpoint::from_shared(endpoint.url.clone())
        .and_then(|builder| builder.user_agent(concat!("falconer/", env!("CARGO_PKG_VERSION"))))
        .map_err(invalid)?
        .connect_timeout(budget)
        .http2_max_header_list_size(HEADER_LIST_LIMIT);
    if builder.uri().scheme_str() != Some("https") {
        return Ok(builder);
    }
    install_tls_provider();
    let mut tls = ClientTlsConfig::new();
    tls = match &endpoint.ca_file {
        Some(path) => {
            let pem = small_file::read_now(path, CA_FILE_LIMIT);
            let pem = pem.map_err(|error| failure::unreadable(path, &error))?;
            tls.ca_certificate(Certificate::from_pem(pem))
        }
        None => tls.with_native_roots(),
    };
    if let Some(name) = &endpoint.server_name {
        tls = tls.domain_name(name.clone());
    }
    builder.tls_config(tls).map_err(invalid)
}

/// Sorts a gRPC status that is not OK.
pub fn failure_of(status: &Status) -> GrpcFailure {
    let message = status.message();
    match status.code() {
        Code::DeadlineExceeded => GrpcFailure::Timeout,
        // So the client's own deadline shows up.
        Code::Cancelled if message.contains("Timeout expired") => GrpcFailure::Timeout,
        Code::Unauthenticated | Code::PermissionDenied => {
            GrpcFailure::Unauthorized(format!("{}: {message}", code_name(status.code())))
        }
        Code::Unimplemented if status.source().is_none() => GrpcFailure::Unimplemented,
        Code::OutOfRange => GrpcFailure::BadAnswer(message.to_owned()),
        code => match status.source() {
            Some(source) => GrpcFailure::Transport(transport_reason(source)),
            None if is_not_grpc(message) => {
                GrpcFailure::BadAnswer(format!("the answer is not gRPC: {message}"))
            }
            None => GrpcFailure::Rejected(format!("{}: {message}", code_name(code))),
        },
    }
}

/// The library reports answers that break the protocol as if the server had sent a status.
fn is_not_grpc(message: &str) -> bool {
    message.contains("grpc-status header missing")
        || message.contains("failed to decode Protobuf")
        || message.contains("compression")
        || message.contains("protocol error")
}

fn transport_reason(source: &(dyn Error + 'static)) -> Reason {
    let reason = failure::classify(source);
    let speaks_http2_badly = reason.text.contains("http2 error")
        || reason.text.contains("frame with invalid size")
        || reason.text.contains("FRAME_SIZE_ERROR");
    if speaks_http2_badly {
        let text = format!("the answer is not gRPC (does the port expect TLS?): {}", reason.text);
        return Reason::new(ReasonKind::BadAnswer, text);
    }
    reason
}

/// The code as the gRPC documentation spells it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_becomes_the_failure_that_a_verdict_needs() {
        assert_eq!(failure_of(&Status::deadline_exceeded("")), GrpcFailure::Timeout);
        assert_eq!(failure_of(&Status::cancelled("Timeout expired")), GrpcFailure::Timeout);
        assert_eq!(failure_of(&Status::unimplemented("")), GrpcFailure::Unimplemented);
        assert_eq!(
            failure_of(&Status::unauthenticated("auth check failure")),
            GrpcFailure::Unauthorized("UNAUTHENTICATED: auth check failure".into())
        );
        assert_eq!(
            failure_of(&Status::unavailable("proxy is not ready")),
            GrpcFailure::Rejected("UNAVAILABLE: proxy is not ready".into())
        );
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_a_reason_and_not_a_panic() {
        let endpoint = GrpcEndpoint { url: "http://a b".into(), ..GrpcEndpoint::default() };
        let reason = connect(&endpoint, Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(reason.kind, ReasonKind::Connection);
    }
}
