//! Reads the metrics pages of Milvus processes and remembers the previous reading of each, for
//! rates. Never affects a verdict, and never holds a page.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::effects::http::{HttpClient, http_stream};
use crate::effects::milvus::exposition::Parser;
use crate::effects::milvus::performance::{PageTotals, Source, report};
use crate::model::{PerformanceReport, Reason, ReasonKind};

/// Most bytes of a page that are read; the largest seen are a few MiB.
const PAGE_LIMIT: u64 = 64 * 1024 * 1024;

/// The metrics page on the port that has the health page.
pub const METRICS_PATH: &str = "/metrics";

#[derive(Debug, Clone)]
struct Reading {
    at: Instant,
    totals: PageTotals,
}

/// See the module's description.
#[derive(Debug)]
pub struct Scraper {
    clock: Clock,
    previous: Mutex<BTreeMap<String, Reading>>,
}

impl Scraper {
    /// A scraper that has read nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, previous: Mutex::new(BTreeMap::new()) }
    }

    /// Forgets every target for which `is_there` is false, so that pods that are gone take no
    /// memory.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.readings().retain(|name, _| is_there(name));
    }

    /// The figures of the target `name`, from the page at `url`, within `budget`. Rates are over
    /// the time since the previous reading of the same target.
    pub async fn scrape(
        &self,
        client: &HttpClient,
        name: &str,
        url: &str,
        source: Source,
        budget: Duration,
    ) -> PerformanceReport {
        match self.read(client, url, budget).await {
            Ok(totals) => self.compare(name, source, totals),
            Err(reason) => PerformanceReport {
                error: Some(format!("metrics: {reason}")),
                ..PerformanceReport::default()
            },
        }
    }

    async fn read(
        &self,
        client: &HttpClient,
        url: &str,
        budget: Duration,
    ) -> Result<PageTotals, Reason> {
        let mut parser = Parser::new(PageTotals::default());
        let head = http_stream(client, url, PAGE_LIMIT, budget, |part| parser.feed(part)).await?;
        if head.status != 200 {
            return Err(Reason::new(ReasonKind::Status, format!("status {}", head.status)));
        }
        if head.truncated {
            let text = format!("the page is larger than {} MiB", PAGE_LIMIT / 1024 / 1024);
            return Err(Reason::new(ReasonKind::BadAnswer, text));
        }
        Ok(parser.finish().0)
    }

    fn compare(&self, name: &str, source: Source, totals: PageTotals) -> PerformanceReport {
        let at = self.clock.monotonic();
        let current = Reading { at, totals };
        let mut readings = self.readings();
        let previous = readings.insert(name.to_owned(), current.clone());
        let earlier = previous
            .as_ref()
            .map(|reading| (&reading.totals, at.saturating_duration_since(reading.at)));
        report(source, earlier, &current.totals)
    }

    fn readings(&self) -> MutexGuard<'_, BTreeMap<String, Reading>> {
        self.previous.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
