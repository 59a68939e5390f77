//! Probes a TCP port: a connection is healthy. It says only that somebody listens.

use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::target;
use crate::effects::{Probe, failure};
use crate::model::{Outcome, ProbeObservation};

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpProbeSettings {
    /// `host:port`; an IPv6 address stands in brackets.
    pub address: String,
}

/// See the module's description.
#[derive(Debug, Clone)]
pub struct TcpProbe {
    settings: TcpProbeSettings,
}

impl TcpProbe {
    /// Makes the probe.
    pub fn new(settings: TcpProbeSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl Probe for TcpProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        let started = Instant::now();
        let address = self.settings.address.as_str();
        let outcome = match timeout(budget, TcpStream::connect(address)).await {
            Ok(Ok(_closed_at_once)) => Outcome::Healthy,
            Ok(Err(error)) => Outcome::Failed { reason: failure::classify(&error) },
            Err(_) => Outcome::Failed { reason: failure::timeout(budget) },
        };
        target(address, outcome, started.elapsed())
    }
}
