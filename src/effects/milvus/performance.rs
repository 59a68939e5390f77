//! Makes rates and quantiles from two readings of a Milvus metrics page. Knows which families say
//! what; knows no HTTP.
//!
//! - `…_req_count{status="total"}` already sums the other states, so states are never added up.
//! - A family that is not on the page has not been used yet: it counts as 0.
//! - Latencies are in milliseconds and count only calls that succeeded.
//! - Every call appears under two scopes on a query node; `FromLeader` is there on every node.
//! - Calls over REST may appear in their own family only; the larger of the two counts is taken,
//!   since older versions count them in both.

use std::time::Duration;

use super::exposition::{Labels, Sink};
use super::histogram::Histogram;
use crate::model::{PerformanceReport, Role};

/// Restarts are told apart from the clock's rounding by more than this many seconds.
const START_TIME_TOLERANCE: f64 = 0.5;

/// Where the request figures of a component come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `milvus_proxy_*`: what clients ask for.
    Proxy,
    /// `milvus_querynode_*`: what the proxies ask of a query node.
    QueryNode,
    /// Whichever of the two is on the page, proxy first.
    Detect,
    /// The component serves no requests of this kind; only CPU and memory are read.
    ProcessOnly,
}

impl Source {
    /// The source for a component with this role, if its role is known.
    pub fn of(role: Option<Role>) -> Self {
        match role {
            Some(Role::Proxy | Role::Standalone) => Self::Proxy,
            Some(Role::QueryNode) => Self::QueryNode,
            Some(
                Role::MixCoord
                | Role::RootCoord
                | Role::DataCoord
                | Role::QueryCoord
                | Role::IndexCoord
                | Role::DataNode
                | Role::IndexNode
                | Role::StreamingNode
                | Role::Cdc,
            ) => Self::ProcessOnly,
            None => Self::Detect,
        }
    }
}

/// Requests and their latencies, counted since the process started.
#[derive(Debug, Clone, Default, PartialEq)]
struct Requests {
    seen: bool,
    total: f64,
    failed: f64,
    latency: Histogram,
}

impl Requests {
    fn count(&mut self, status: &str, value: f64) {
        match status {
            "total" => self.total += value,
            "fail" | "abandon" => self.failed += value,
            _ => {}
        }
    }
}

/// What one reading of a page says; a few hundred bytes, whatever the page's size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageTotals {
    is_milvus: bool,
    proxy: Requests,
    rest_requests: f64,
    query_node_from_leader: Requests,
    query_node_other_scopes: Requests,
    read_queue: Option<f64>,
    resident_memory: Option<f64>,
    cpu_seconds: Option<f64>,
    start_time: Option<f64>,
}

impl Sink for PageTotals {
    fn wants(&mut self, name: &str) -> bool {
        self.is_milvus |= name.starts_with("milvus_");
        self.proxy.seen |= name.starts_with("milvus_proxy_");
        matches!(
            name,
            "milvus_proxy_req_count"
                | "milvus_proxy_sq_latency_bucket"
                | "milvus_proxy_restful_api_req_count"
                | "milvus_querynode_sq_req_count"
                | "milvus_querynode_sq_req_latency_bucket"
                | "milvus_querynode_read_task_ready_len"
                | "milvus_querynode_read_task_unsolved_len"
                | "process_resident_memory_bytes"
                | "process_cpu_seconds_total"
                | "process_start_time_seconds"
        )
    }

    fn sample(&mut self, name: &str, labels: &Labels<'_>, value: f64) {
        if !value.is_finite() || value < 0.0 {
            return;
        }
        match name {
            "milvus_proxy_req_count" if is_data_request(labels.get("function_name")) => {
                self.proxy.count(labels.get("status"), value);
            }
            "milvus_proxy_sq_latency_bucket" => self.proxy.latency.add(labels.get("le"), value),
            "milvus_proxy_restful_api_req_count" if is_data_path(labels.get("path")) => {
                self.rest_requests += value;
            }
            "milvus_querynode_sq_req_count" => {
                self.scope(labels).count(labels.get("status"), value);
            }
            "milvus_querynode_sq_req_latency_bucket" => {
                self.scope(labels).latency.add(labels.get("le"), value);
            }
            "milvus_querynode_read_task_ready_len" | "milvus_querynode_read_task_unsolved_len" => {
                self.read_queue = Some(self.read_queue.unwrap_or_default() + value);
            }
            "process_resident_memory_bytes" => self.resident_memory = Some(value),
            "process_cpu_seconds_total" => self.cpu_seconds = Some(value),
            "process_start_time_seconds" => self.start_time = Some(value),
            _ => {}
        }
    }
}

impl PageTotals {
    fn scope(&mut self, labels: &Labels<'_>) -> &mut Requests {
        let requests = if labels.get("scope") == "FromLeader" {
            &mut self.query_node_from_leader
        } else {
            &mut self.query_node_other_scopes
        };
        requests.seen = true;
        requests
    }

    /// Whether the page is one of Milvus at all.
    pub fn is_milvus(&self) -> bool {
        self.is_milvus
    }

    fn requests(&self, source: Source) -> Option<&Requests> {
        let query_node = || {
            let leader = &self.query_node_from_leader;
            if leader.seen { leader } else { &self.query_node_other_scopes }
        };
        match source {
            Source::Proxy => Some(&self.proxy),
            Source::QueryNode => Some(query_node()),
            Source::Detect if self.proxy.seen => Some(&self.proxy),
            Source::Detect if query_node().seen => Some(query_node()),
            Source::Detect | Source::ProcessOnly => None,
        }
    }

    /// Whether the process was restarted since `earlier`. Without a start time, counters that went
    /// down tell.
    fn restarted_since(&self, earlier: &Self) -> bool {
        match (self.start_time, earlier.start_time) {
            (Some(now), Some(then)) => (now - then).abs() > START_TIME_TOLERANCE,
            _ => self.cpu_seconds < earlier.cpu_seconds || self.proxy.total < earlier.proxy.total,
        }
    }
}

fn is_data_request(function: &str) -> bool {
    matches!(function, "Search" | "HybridSearch" | "Query" | "Insert" | "Upsert" | "Delete")
}

fn is_data_path(path: &str) -> bool {
    let action = path.rsplit('/').next().unwrap_or_default();
    matches!(
        action,
        "search"
            | "hybrid_search"
            | "advanced_search"
            | "query"
            | "get"
            | "insert"
            | "upsert"
            | "delete"
    ) && path.contains("vector")
}

/// The figures of `current`, with rates over the `elapsed` time since `earlier`, where there is an
/// earlier reading of the same target. Rates are left out where counters went down without a
/// restart (a collection was dropped, and its series with it).
pub fn report(
    source: Source,
    earlier: Option<(&PageTotals, Duration)>,
    current: &PageTotals,
) -> PerformanceReport {
    let mut report = PerformanceReport {
        resident_memory_bytes: current.resident_memory.map(|bytes| bytes as u64),
        read_queue_length: current.read_queue,
        ..PerformanceReport::default()
    };
    if !current.is_milvus {
        report.error = Some("the page holds no metrics of Milvus".into());
    }
    let Some((earlier, elapsed)) = earlier.filter(|(_, elapsed)| !elapsed.is_zero()) else {
        return report;
    };
    let seconds = elapsed.as_secs_f64();
    // After a restart counting began at zero.
    let zero = PageTotals::default();
    let base = if current.restarted_since(earlier) { &zero } else { earlier };
    let cpu_before = if std::ptr::eq(base, earlier) { earlier.cpu_seconds } else { Some(0.0) };
    report.cpu_cores = current
        .cpu_seconds
        .zip(cpu_before)
        .and_then(|(now, then)| (now >= then).then_some((now - then) / seconds));
    if current.is_milvus {
        add_request_figures(&mut report, source, base, current, seconds);
    }
    report
}

fn add_request_figures(
    report: &mut PerformanceReport,
    source: Source,
    base: &PageTotals,
    current: &PageTotals,
    seconds: f64,
) {
    let Some(now) = current.requests(source) else { return };
    // A scope or family that the earlier page lacked counts as 0 there.
    let nothing = Requests::default();
    let then = base.requests(source).unwrap_or(&nothing);
    let total = now.total - then.total;
    let failed = now.failed - then.failed;
    let rest = if std::ptr::eq(now, &raw const current.proxy) {
        current.rest_requests - base.rest_requests
    } else {
        0.0
    };
    if total >= 0.0 && rest >= 0.0 {
        report.qps = Some(total.max(rest) / seconds);
        if total > 0.0 && failed >= 0.0 {
            report.error_rate = Some((failed / total).min(1.0));
        }
    }
    if let Some(latency) = now.latency.since(&then.latency) {
        report.latency_p50_ms = latency.quantile(0.5);
        report.latency_p99_ms = latency.quantile(0.99);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::effects::milvus::exposition::{LineCounts, Parser};

    // Pages of one Milvus 2.3.5 standalone process, before and after some traffic.
    const BEFORE: &str = include_str!("../../../tests/data/milvus/metrics-2.3.5-empty.txt");
    const AFTER: &str = include_str!("../../../tests/data/milvus/metrics-2.3.5.txt");
    const TEN_SECONDS: Duration = Duration::from_secs(10);

    fn read_counting(page: &str) -> (PageTotals, LineCounts) {
        let mut parser = Parser::new(PageTotals::default());
        page.as_bytes().chunks(1000).for_each(|chunk| parser.feed(chunk));
        parser.finish()
    }

    fn read(page: &str) -> PageTotals {
        read_counting(page).0
    }

    fn between(source: Source, before: &str, after: &str) -> PerformanceReport {
        report(source, Some((&read(before), TEN_SECONDS)), &read(after))
    }

    #[track_caller]
    fn assert_close(actual: Option<f64>, expected: f64) {
        let actual = actual.expect("a figure");
        assert!((actual - expected).abs() < 1e-9, "{actual} is not {expected}");
    }

    #[test]
    fn every_line_of_the_real_pages_is_understood() {
        // `grep -vc -e '^#' -e '^$' FILE`: 2331 and 584.
        for (page, series) in [(AFTER, 2331), (BEFORE, 584)] {
            let counts = read_counting(page).1;
            assert_eq!(counts.malformed + counts.too_long, 0);
            assert_eq!(counts.samples + counts.unwanted, series);
        }
    }

    #[test]
    fn the_proxys_figures_are_those_of_the_real_pages() {
        let report = between(Source::Proxy, BEFORE, AFTER);
        // `grep 'milvus_proxy_req_count.*total' FILE`: Search 40, Query 4, Insert 2 after; none of
        // them before (ShowCollections and the like are not counted).
        assert_close(report.qps, 4.6);
        // `grep -c 'milvus_proxy_req_count.*fail' FILE`: 0.
        assert_close(report.error_rate, 0.0);
        // `grep milvus_proxy_sq_latency_bucket FILE`, query + search: le=1 20, le=2 35, le=4 42,
        // le=8 43, le=16 and above 44. Median: the 22nd, in (1, 2]: 1 + 2/15. The 99th percentile:
        // the 43.56th, in (8, 16]: 8 + 8 * 0.56.
        assert_close(report.latency_p50_ms, 1.0 + 2.0 / 15.0);
        assert_close(report.latency_p99_ms, 12.48);
        // `grep ^process_ FILE`: 3.4914304e+08 bytes; 5.65 - 0.88 seconds.
        assert_eq!(report.resident_memory_bytes, Some(349_143_040));
        assert_close(report.cpu_cores, 0.477);
        assert_close(report.read_queue_length, 0.0);
        assert_eq!(report.error, None);
    }

    #[test]
    fn a_query_nodes_figures_count_every_call_once() {
        let report = between(Source::QueryNode, BEFORE, AFTER);
        // `grep 'milvus_querynode_sq_req_count.*FromLeader.*total' FILE`: search 40, query 4.
        assert_close(report.qps, 4.4);
        // `grep 'sq_req_latency_bucket.*FromLeader' FILE`: le=1 4 + 34, le=2 4 + 39, le=16 4 + 40.
        assert_close(report.latency_p50_ms, 22.0 / 38.0);
        assert_close(report.latency_p99_ms, 12.48);
    }

    #[test]
    fn a_first_reading_has_no_rates_and_a_coordinator_no_requests() {
        let first = report(Source::Proxy, None, &read(AFTER));
        assert_eq!((first.qps, first.cpu_cores), (None, None));
        assert!(first.resident_memory_bytes.is_some());
        let coordinator = between(Source::ProcessOnly, BEFORE, AFTER);
        assert_eq!((coordinator.qps, coordinator.latency_p50_ms), (None, None));
        assert_close(coordinator.cpu_cores, 0.477);
    }

    #[test]
    fn a_family_that_was_never_used_counts_as_zero() {
        let report = between(Source::Proxy, BEFORE, BEFORE);
        assert_close(report.qps, 0.0);
        assert_eq!((report.error_rate, report.latency_p99_ms), (None, None));
    }

    #[test]
    fn a_restart_begins_at_zero_instead_of_giving_negative_rates() {
        let restarted = BEFORE.replace(
            "process_start_time_seconds 1.79539994187e+09",
            "process_start_time_seconds 1.7954e+09",
        ) + "milvus_proxy_req_count{function_name=\"Search\",status=\"total\"} 7\n";
        let report = between(Source::Proxy, AFTER, &restarted);
        assert_close(report.qps, 0.7);
        assert_close(report.cpu_cores, 0.088);
    }

    #[test]
    fn counters_that_vanish_without_a_restart_give_no_rate() {
        let report = between(Source::Proxy, AFTER, BEFORE);
        assert_eq!((report.qps, report.latency_p50_ms, report.cpu_cores), (None, None, None));
    }

    #[test]
    fn without_a_start_time_falling_counters_mean_a_restart() {
        let page = |requests: u32, cpu: u32| {
            format!(
                "milvus_proxy_req_count{{function_name=\"Query\",status=\"total\"}} {requests}\n\
                 process_cpu_seconds_total {cpu}\n"
            )
        };
        let report = between(Source::Proxy, &page(1000, 50), &page(30, 2));
        assert_close(report.qps, 3.0);
        assert_close(report.cpu_cores, 0.2);
    }

    #[test]
    fn states_are_not_summed_and_collections_are() {
        let line = |collection: &str, status: &str, value: u32| {
            format!(
                "milvus_proxy_req_count{{function_name=\"Search\",collection_name=\"{collection}\",\
                 status=\"{status}\"}} {value}\n"
            )
        };
        let page = line("a", "total", 30)
            + &line("a", "success", 20)
            + &line("a", "fail", 9)
            + &line("a", "cancel", 1)
            + &line("b", "total", 10)
            + &line("b", "abandon", 1);
        let report = between(Source::Detect, "milvus_proxy_x 1\n", &page);
        assert_close(report.qps, 4.0);
        assert_close(report.error_rate, 0.25);
    }

    #[test]
    fn a_fleet_that_is_asked_over_rest_only_has_a_rate() {
        let page = "milvus_proxy_restful_api_req_count{path=\"/v2/vectordb/entities/search\"} 50\n\
                    milvus_proxy_restful_api_req_count{path=\"/v2/vectordb/collections/list\"} 9\n";
        let report = between(Source::Proxy, "milvus_x 1\n", page);
        assert_close(report.qps, 5.0);
        assert_eq!(report.error_rate, None);
    }

    #[test]
    fn hostile_values_and_bounds_do_not_spoil_the_figures() {
        let mut page = String::from("milvus_x 1\n");
        for number in 0..10_000 {
            writeln!(page, "milvus_proxy_sq_latency_bucket{{le=\"{number}\"}} 1").unwrap();
        }
        page += "milvus_proxy_sq_latency_bucket{le=\"NaN\"} 1\n";
        page += "milvus_proxy_req_count{function_name=\"Query\",status=\"total\"} NaN\n";
        page += "milvus_proxy_req_count{function_name=\"Query\",status=\"total\"} -Inf\n";
        page += "process_resident_memory_bytes -1\n";
        let totals = read(&page);
        assert!(totals.proxy.latency.bucket_count() < 100);
        let report = report(Source::Proxy, Some((&PageTotals::default(), TEN_SECONDS)), &totals);
        assert_close(report.qps, 0.0);
        assert_eq!(report.resident_memory_bytes, None);
    }

    #[test]
    fn a_page_of_something_else_says_so() {
        let report = between(Source::Proxy, "go_goroutines 1\n", "go_goroutines 1\n");
        assert_eq!(report.qps, None);
        assert!(report.error.is_some());
    }
}
