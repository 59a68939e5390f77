//! The two pages of a Milvus process, read in the same breath: its health, and its metrics. Owns
//! the client and the previous readings; judges nothing.

use std::time::Duration;

use super::healthz::ask_healthz;
use super::scrape::Scraper;
use crate::clock::Clock;
use crate::effects::http::{Connection, HttpClient, HttpClientSettings, http_client};
use crate::effects::milvus::performance::Source;
use crate::model::{Outcome, Reason, TargetReport};

/// See the module's description.
#[derive(Debug)]
pub(super) struct Pages {
    clock: Clock,
    client: Result<HttpClient, Reason>,
    scraper: Scraper,
}

/// Where the pages of one process are.
pub(super) struct Address {
    /// The health page.
    pub(super) health: String,
    /// The metrics page, if it has one.
    pub(super) metrics: Option<String>,
}

impl Pages {
    /// Opens nothing yet.
    pub(super) fn new(connection: Connection, tls: bool, clock: Clock) -> Self {
        let client = http_client(&HttpClientSettings { connection, tls, ..Default::default() });
        Self { clock, client, scraper: Scraper::new(clock) }
    }

    /// What to ask with.
    ///
    /// # Errors
    /// With the outcome of every probe where there is no client.
    pub(super) fn client(&self) -> Result<&HttpClient, Outcome> {
        self.client.as_ref().map_err(|reason| Outcome::Failed { reason: reason.clone() })
    }

    /// Forgets the readings of every process for which `is_there` is false.
    pub(super) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.scraper.retain(is_there);
    }

    /// Asks the process `name`, all within `budget`.
    pub(super) async fn ask(
        &self,
        client: &HttpClient,
        name: &str,
        address: Address,
        source: Source,
        budget: Duration,
    ) -> TargetReport {
        let health = async {
            let started = self.clock.monotonic();
            let outcome = ask_healthz(client, &address.health, budget).await;
            (outcome, self.clock.monotonic().saturating_duration_since(started))
        };
        let scrape = async {
            let url = address.metrics.as_ref()?;
            // A page that never ends must not delay the verdict to the end of the budget.
            Some(self.scraper.scrape(client, name, url, source, budget / 2).await)
        };
        let ((outcome, latency), performance) = tokio::join!(health, scrape);
        let (name, address) = (name.into(), address.health.into());
        let performance = performance.map(Box::new);
        TargetReport { name, address, outcome, latency, performance }
    }
}
