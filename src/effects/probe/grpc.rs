//! Probes the standard `grpc.health.v1` service; `SERVING` is healthy.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::target;
use crate::effects::Probe;
use crate::effects::grpc::{GrpcEndpoint, GrpcFailure, connect, failure_of};
use crate::model::{Outcome, ProbeObservation, ReasonKind};

/// A health answer is a few bytes.
const MESSAGE_LIMIT: usize = 64 * 1024;

const RPC: &str = "health check";

/// Whom to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrpcProbeSettings {
    /// Where it listens.
    pub endpoint: GrpcEndpoint,
    /// The service to ask about; empty for the server as a whole.
    pub service: String,
}

/// See the module's description. Opens a new connection for every probe.
#[derive(Debug, Clone)]
pub struct GrpcProbe {
    settings: GrpcProbeSettings,
}

impl GrpcProbe {
    /// Makes the probe.
    pub fn new(settings: GrpcProbeSettings) -> Self {
        Self { settings }
    }

    async fn ask(&self, budget: Duration) -> Outcome {
        let deadline = Instant::now() + budget;
        let channel = match connect(&self.settings.endpoint, budget).await {
            Ok(channel) => channel,
            Err(reason) => return Outcome::Failed { reason },
        };
        let answer = match timeout_at(deadline, self.check(channel)).await {
            Ok(answer) => answer,
            Err(_) => Err(GrpcFailure::Timeout),
        };
        match answer {
            Ok(status) => judge(status),
            Err(GrpcFailure::Unimplemented) => Outcome::failed(
                ReasonKind::Unsupported,
                "the server does not implement grpc.health.v1",
            ),
            Err(failure) => Outcome::Failed { reason: failure.reason(RPC, budget) },
        }
    }

    async fn check(&self, channel: Channel) -> Result<ServingStatus, GrpcFailure> {
        let mut client = HealthClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
        let request = HealthCheckRequest { service: self.settings.service.clone() };
        match client.check(request).await {
            Ok(answer) => Ok(answer.into_inner().status()),
            Err(status) => Err(failure_of(&status)),
        }
    }
}

fn judge(status: ServingStatus) -> Outcome {
    match status {
        ServingStatus::Serving => Outcome::Healthy,
        ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown => {
            Outcome::failed(ReasonKind::ReportedUnhealthy, status.as_str_name())
        }
    }
}

#[async_trait]
impl Probe for GrpcProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        let started = Instant::now();
        let outcome = self.settings.endpoint.with_tls_hint(self.ask(budget).await);
        target(self.settings.endpoint.url.as_str(), outcome, started.elapsed())
    }
}
