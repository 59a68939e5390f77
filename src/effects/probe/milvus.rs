//! Probes Milvus as its clients see it: over gRPC, with the calls side by side, so that one that
//! hangs costs the others nothing. What the answers mean is judged in `verdict`.

pub mod verdict;

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::target;
use crate::clock::Clock;
use crate::effects::Probe;
use crate::effects::grpc::{GrpcEndpoint, GrpcFailure, connect};
use crate::effects::http::Connection;
use crate::effects::milvus::client::{CallError, HealthAnswer, MilvusClient};
use crate::effects::milvus::credentials::Credentials;
use crate::model::{CollectionProbe, MilvusReport, Outcome, ProbeObservation, Reason};
use verdict::judge;

/// In place of a collection's name: all collections that are loaded, up to [`MAX_CANARIES`].
pub const ALL_LOADED: &str = "*";

/// Most collections that one probe queries.
pub const MAX_CANARIES: usize = 32;

/// Queries that run at the same time.
const CONCURRENT_QUERIES: usize = 4;

/// Whom to ask, as whom, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MilvusProbeSettings {
    /// Where Milvus' proxy (or standalone server) listens, and how to trust it.
    pub endpoint: GrpcEndpoint,
    /// Who falconer is to it.
    pub credentials: Credentials,
    /// The database to look into; empty for the default one.
    pub database: String,
    /// Collections to query in each probe: `count(*)`, timed. None by default; `"*"` stands for all
    /// loaded collections, up to 32. Queries count in Milvus' own request metrics.
    pub canary_collections: Vec<String>,
    /// A new connection for every probe, or one that is kept.
    pub connection: Connection,
    /// The clock for latencies.
    pub clock: Clock,
}

impl MilvusProbeSettings {
    /// No credentials, the default database, no queries, a new connection every time.
    pub fn new(url: impl Into<String>, clock: Clock) -> Self {
        Self {
            endpoint: GrpcEndpoint { url: url.into(), ..GrpcEndpoint::default() },
            credentials: Credentials::None,
            database: String::new(),
            canary_collections: Vec::new(),
            connection: Connection::Fresh,
            clock,
        }
    }
}

/// One queried collection, with the error in a form that can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Its name.
    pub collection: String,
    /// Its rows, or why there is no answer.
    pub result: Result<u64, CallError>,
    /// How long the query took.
    pub latency: Duration,
}

/// What the calls of one probe brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The version.
    pub version: Result<String, CallError>,
    /// The health.
    pub health: Result<HealthAnswer, CallError>,
    /// The collections.
    pub collections: Result<Vec<String>, CallError>,
    /// The queries, in the order of the settings.
    pub canaries: Vec<Canary>,
    /// Why the loaded collections could not be found, where they were asked for.
    pub canary_listing: Option<CallError>,
}

/// See the module's description.
#[derive(Debug)]
pub struct MilvusProbe {
    settings: MilvusProbeSettings,
    kept: Mutex<Option<Channel>>,
}

impl MilvusProbe {
    /// Makes the probe; nothing is opened yet.
    pub fn new(settings: MilvusProbeSettings) -> Self {
        Self { settings, kept: Mutex::new(None) }
    }

    /// Connects and makes all calls within `budget`.
    ///
    /// # Errors
    /// When there is no connection, or a secret cannot be read.
    pub async fn ask(&self, budget: Duration) -> Result<Answers, Reason> {
        let deadline = self.settings.clock.monotonic() + budget;
        let authorization = self.settings.credentials.authorization().await?;
        let kept = self.take_kept();
        let was_kept = kept.is_some();
        let mut channel = match kept {
            Some(channel) => channel,
            None => connect(&self.settings.endpoint, budget).await?,
        };
        let client = |channel: &Channel| {
            let database = self.settings.database.as_str();
            MilvusClient::new(channel.clone(), authorization.clone(), database, deadline)
        };
        let mut answers = self.call_all(&client(&channel)).await;
        if was_kept && answers.lost_connection() {
            // A kept connection that the server closed long ago says nothing of the server.
            let left = deadline.saturating_duration_since(self.settings.clock.monotonic());
            channel = connect(&self.settings.endpoint, left).await?;
            answers = self.call_all(&client(&channel)).await;
        }
        if !answers.lost_connection() && !answers.timed_out() {
            self.keep(channel);
        }
        Ok(answers)
    }

    /// The queries are to be timed as a client sees them, so they run after the quick calls and
    /// before CheckHealth, which keeps every component of Milvus busy. Nobody waits for long: a call
    /// that hangs must not keep the others from their answers.
    async fn call_all(&self, client: &MilvusClient) -> Answers {
        let (quick_running, quick_over) = oneshot::channel::<()>();
        let (queries_running, queries_over) = oneshot::channel::<()>();
        let quick_calls = async {
            let (_introduced, version, collections) =
                tokio::join!(client.connect(), client.version(), client.collections(false));
            drop(quick_running);
            (version, collections)
        };
        let queries = async {
            let _ = tokio::time::timeout(client.time_left() / 8, quick_over).await;
            let answers = self.query_canaries(client).await;
            drop(queries_running);
            answers
        };
        let health = async {
            let _ = tokio::time::timeout(client.time_left() / 4, queries_over).await;
            client.health().await
        };
        let ((version, collections), (canaries, canary_listing), health) =
            tokio::join!(quick_calls, queries, health);
        Answers { version, health, collections, canaries, canary_listing }
    }

    async fn query_canaries(&self, client: &MilvusClient) -> (Vec<Canary>, Option<CallError>) {
        let mut names = self.settings.canary_collections.clone();
        let mut listing = None;
        if names.iter().any(|name| name == ALL_LOADED) {
            names.retain(|name| name != ALL_LOADED);
            match client.collections(true).await {
                Ok(mut loaded) => {
                    loaded.sort_unstable();
                    loaded.retain(|name| !names.contains(name));
                    names.append(&mut loaded);
                }
                Err(error) => listing = Some(error),
            }
        }
        names.truncate(MAX_CANARIES);
        let queries = names.into_iter().map(|name| self.query(client, name));
        (futures::stream::iter(queries).buffered(CONCURRENT_QUERIES).collect().await, listing)
    }

    async fn query(&self, client: &MilvusClient, collection: String) -> Canary {
        let started = self.settings.clock.monotonic();
        let result = client.count(&collection).await;
        let latency = self.settings.clock.monotonic().saturating_duration_since(started);
        Canary { collection, result, latency }
    }

    fn take_kept(&self) -> Option<Channel> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    fn keep(&self, channel: Channel) {
        if self.settings.connection == Connection::Reuse {
            *self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(channel);
        }
    }
}

impl Answers {
    fn lost_connection(&self) -> bool {
        self.collections.as_ref().err().is_some_and(CallError::is_transport)
    }

    /// The far host may be gone without a word; only a new connection tells.
    fn timed_out(&self) -> bool {
        self.collections == Err(CallError::Call(GrpcFailure::Timeout))
    }

    /// What people and metrics are shown.
    pub fn into_report(self, budget: Duration) -> MilvusReport {
        let health = self.health.ok();
        let is_healthy = health.as_ref().map(|answer| answer.is_healthy);
        let HealthAnswer { reasons, quota_states, .. } = health.unwrap_or_default();
        let canaries = self.canaries.into_iter().map(|canary| CollectionProbe {
            collection: canary.collection,
            rows: canary.result.as_ref().ok().copied(),
            latency: canary.latency,
            error: canary.result.err().map(|error| error.reason("query", budget).text),
        });
        MilvusReport {
            version: self.version.ok().filter(|version| !version.is_empty()),
            is_healthy,
            reasons,
            quota_states,
            collections: self.collections.unwrap_or_default(),
            canaries: canaries.collect(),
        }
    }
}

#[async_trait]
impl Probe for MilvusProbe {
    async fn probe(&self, budget: Duration) -> ProbeObservation {
        let started: Instant = self.settings.clock.monotonic();
        let answers = self.ask(budget).await;
        let latency = self.settings.clock.monotonic().saturating_duration_since(started);
        let address = self.settings.endpoint.url.as_str();
        match answers {
            Err(reason) => target(address, Outcome::Failed { reason }, latency),
            Ok(answers) => {
                let outcome = self.settings.endpoint.with_tls_hint(judge(&answers, budget));
                let report = answers.into_report(budget);
                ProbeObservation {
                    milvus: Some(Box::new(report)),
                    ..target(address, outcome, latency)
                }
            }
        }
    }
}
