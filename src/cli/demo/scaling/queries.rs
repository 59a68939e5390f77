//! Clients that query every collection of a simulated Milvus all the time, and count what fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::effects::grpc::{GrpcEndpoint, connect};
use crate::effects::milvus::client::MilvusClient;
use crate::sim::Simulation;

/// Between two queries of one collection.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a query may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many queries there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Counted {
    /// All.
    pub(super) queries: u64,
    /// Those that brought no answer.
    pub(super) failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    queries: AtomicU64,
    failed: AtomicU64,
}

/// The clients; they end with it.
#[derive(Debug)]
pub(super) struct Queries {
    counters: Arc<Counters>,
    loops: Vec<JoinHandle<()>>,
}

impl Queries {
    /// Begins to query every collection of `sim`. Must be called inside a local set.
    ///
    /// # Errors
    /// When the simulated Milvus cannot be reached.
    pub(super) async fn of(sim: &Simulation) -> anyhow::Result<Self> {
        let counters: Arc<Counters> = Arc::default();
        let endpoint = GrpcEndpoint { url: sim.milvus_url(), ..GrpcEndpoint::default() };
        let mut loops = Vec::new();
        for collection in &sim.settings().collections {
            let channel = connect(&endpoint, PATIENCE).await.ok();
            let channel = channel.context("the simulated Milvus cannot be reached")?;
            let (name, counters) = (collection.name.clone(), Arc::clone(&counters));
            loops.push(tokio::task::spawn_local(async move {
                let mut ticks = interval(PAUSE);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    let until = Instant::now() + PATIENCE;
                    let client = MilvusClient::new(channel.clone(), None, "", until);
                    let failed = client.count(&name).await.is_err();
                    counters.queries.fetch_add(1, Ordering::Relaxed);
                    counters.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
                }
            }));
        }
        Ok(Self { counters, loops })
    }

    /// So far.
    pub(super) fn counted(&self) -> Counted {
        Counted {
            queries: self.counters.queries.load(Ordering::Relaxed),
            failed: self.counters.failed.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Queries {
    fn drop(&mut self) {
        self.loops.iter().for_each(JoinHandle::abort);
    }
}
