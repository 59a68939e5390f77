//! A believable /metrics page: families, labels and units as Milvus has them, with counters that
//! advance with the simulated traffic.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::clock::Clock;
use crate::sim::load::Load;
use crate::sim::serving::Held;

/// Upper bounds of the latency buckets, in milliseconds: powers of two, as Milvus has them.
const BUCKETS: usize = 18;
/// Requests per second that a pod serves at normal load.
const NORMAL_RATE: f64 = 40.0;
/// The median latency at normal load, in milliseconds.
const NORMAL_LATENCY: f64 = 4.0;
/// How the traffic is made up.
const SEARCH_SHARE: f64 = 0.7;
const QUERY_SHARE: f64 = 0.2;
const INSERT_SHARE: f64 = 0.1;
/// The share of failures of a sick pod.
const SICK_FAILURES: f64 = 0.3;

/// The page of one pod.
#[derive(Debug)]
pub(super) struct Page {
    component: String,
    load: Load,
    clock: Clock,
    node: u32,
    traffic: Mutex<Traffic>,
}

#[derive(Debug)]
struct Traffic {
    started: Instant,
    counted_until: Instant,
    requests: f64,
    failures: f64,
    cpu_seconds: f64,
    latency_sum: f64,
    /// Cumulative, one for each bucket.
    at_most: [f64; BUCKETS],
}

impl Page {
    pub(super) fn new(component: &str, load: Load, clock: Clock) -> Self {
        let now = clock.monotonic();
        let traffic = Traffic {
            started: now,
            counted_until: now,
            requests: 0.0,
            failures: 0.0,
            cpu_seconds: 0.0,
            latency_sum: 0.0,
            at_most: [0.0; BUCKETS],
        };
        let node = fastrand::u32(1..1_000);
        Self { component: component.to_owned(), load, clock, node, traffic: Mutex::new(traffic) }
    }

    /// The page as of now.
    pub(super) fn render(&self, sick: bool) -> String {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let factor = self.load.factor(&self.component);
        traffic.advance(self.clock.monotonic(), factor, sick);
        let mut text = String::with_capacity(16 << 10);
        self.process(&mut text, &traffic);
        match self.component.as_str() {
            "proxy" => self.proxy(&mut text, &traffic),
            "querynode" => self.query_node(&mut text, &traffic, factor),
            "standalone" => {
                self.proxy(&mut text, &traffic);
                self.query_node(&mut text, &traffic, factor);
            }
            "rootcoord" => self.coordinator(&mut text),
            "mixcoord" => {
                self.coordinator(&mut text);
                self.query_coordinator(&mut text);
            }
            "querycoord" => self.query_coordinator(&mut text),
            _ => {}
        }
        text
    }

    fn process(&self, text: &mut String, traffic: &Traffic) {
        let memory = self.load.usage(&self.component, 1, false).memory_bytes;
        let up = traffic.counted_until.duration_since(traffic.started);
        let started = self.clock.now().minus(up).as_millis() / 1_000;
        family(text, "go_goroutines", "gauge", &[("", 400.0)]);
        family(text, "process_cpu_seconds_total", "counter", &[("", traffic.cpu_seconds)]);
        family(text, "process_resident_memory_bytes", "gauge", &[("", memory as f64)]);
        family(text, "process_start_time_seconds", "gauge", &[("", started as f64)]);
        family(text, "process_open_fds", "gauge", &[("", 74.0)]);
        let labels = format!("node_id=\"{}\",role_name=\"{}\"", self.node, self.component);
        family(text, "milvus_num_node", "gauge", &[(&labels, 1.0)]);
    }

    fn proxy(&self, text: &mut String, traffic: &Traffic) {
        let node = self.node;
        let mut samples = Vec::new();
        for (function, share) in
            [("Insert", INSERT_SHARE), ("Query", QUERY_SHARE), ("Search", SEARCH_SHARE)]
        {
            let total = (traffic.requests * share).floor();
            let failed = (traffic.failures * share).floor();
            for (status, count) in [("fail", failed), ("success", total - failed), ("total", total)]
            {
                let labels =
                    format!("function_name=\"{function}\",node_id=\"{node}\",status=\"{status}\"");
                samples.push((labels, count));
            }
        }
        let samples: Vec<(&str, f64)> =
            samples.iter().map(|(labels, count)| (labels.as_str(), *count)).collect();
        family(text, "milvus_proxy_req_count", "counter", &samples);
        let labels = format!("node_id=\"{node}\",query_type=");
        let shares = [
            (format!("{labels}\"query\""), QUERY_SHARE),
            (format!("{labels}\"search\""), SEARCH_SHARE),
        ];
        histogram(text, "milvus_proxy_sq_latency", traffic, &shares);
        let mutation = [(format!("msg_type=\"insert\",node_id=\"{node}\""), INSERT_SHARE)];
        histogram(text, "milvus_proxy_mutation_latency", traffic, &mutation);
        let node = format!("node_id=\"{node}\"");
        let searched = (traffic.requests * SEARCH_SHARE).floor();
        family(text, "milvus_proxy_search_vectors_count", "counter", &[(&node, searched)]);
        let inserted = (traffic.requests * INSERT_SHARE).floor() * 100.0;
        family(text, "milvus_proxy_insert_vectors_count", "counter", &[(&node, inserted)]);
    }

    fn query_node(&self, text: &mut String, traffic: &Traffic, factor: f64) {
        let node = self.node;
        let labels =
            |kind: &str| format!("node_id=\"{node}\",query_type=\"{kind}\",scope=\"FromLeader\"");
        let shares = [(labels("query"), QUERY_SHARE), (labels("search"), SEARCH_SHARE)];
        histogram(text, "milvus_querynode_sq_req_latency", traffic, &shares);
        let labels = |kind: &str| format!("node_id=\"{node}\",query_type=\"{kind}\"");
        let shares = [(labels("query"), QUERY_SHARE), (labels("search"), SEARCH_SHARE)];
        histogram(text, "milvus_querynode_sq_core_latency", traffic, &shares);
        histogram(text, "milvus_querynode_sq_queue_latency", traffic, &shares);
        let node = format!("node_id=\"{node}\"");
        let waiting = ((factor - 1.0) * 8.0).max(0.0).floor();
        family(text, "milvus_querynode_read_task_ready_len", "gauge", &[(&node, waiting)]);
        family(text, "milvus_querynode_read_task_concurrency", "gauge", &[(&node, factor)]);
        family(text, "milvus_querynode_read_task_unsolved_len", "gauge", &[(&node, 0.0)]);
    }

    fn query_coordinator(&self, text: &mut String) {
        let tasks = self.load.held().map_or(0, Held::tasks) as f64;
        let kinds = ["channel_move", "segment_grow", "segment_move"];
        let labels = kinds.map(|kind| format!("querycoord_task_type=\"{kind}\""));
        let samples = [(&*labels[0], 0.0), (&*labels[1], 0.0), (&*labels[2], tasks)];
        family(text, "milvus_querycoord_task_num", "gauge", &samples);
        let nodes = self.load.held().map_or(1, |held| held.view().nodes.len()) as f64;
        family(text, "milvus_querycoord_querynode_num", "gauge", &[("", nodes)]);
    }

    fn coordinator(&self, text: &mut String) {
        let states = ["DiskQuotaExhausted", "MemoryQuotaExhausted", "TimeTickLongDelay"];
        let labels = states.map(|state| format!("quota_states=\"{state}\""));
        let samples = labels.each_ref().map(|label| (label.as_str(), 0.0));
        family(text, "milvus_rootcoord_quota_states", "gauge", &samples);
        let node = format!("node_id=\"{}\"", self.node);
        family(text, "milvus_rootcoord_collection_num", "gauge", &[(&node, 2.0)]);
    }
}

impl Traffic {
    /// Adds the traffic since the last time.
    fn advance(&mut self, now: Instant, factor: f64, sick: bool) {
        let seconds = now.duration_since(self.counted_until).as_secs_f64();
        self.counted_until = now;
        let requests = seconds * NORMAL_RATE * factor;
        // Up to its normal load a server answers at its normal speed.
        let latency = NORMAL_LATENCY * factor.max(1.0);
        self.requests += requests;
        self.failures += if sick { requests * SICK_FAILURES } else { 0.0 };
        self.cpu_seconds += seconds * 0.4 * factor;
        self.latency_sum += requests * latency;
        let mut bound = 1.0;
        for at_most in &mut self.at_most {
            *at_most += requests * (1.0 - (-(bound / latency) * std::f64::consts::LN_2).exp());
            bound *= 2.0;
        }
    }
}

fn family(text: &mut String, name: &str, kind: &str, samples: &[(&str, f64)]) {
    let _ = writeln!(text, "# HELP {name} of the simulation\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn histogram(text: &mut String, name: &str, traffic: &Traffic, shares: &[(String, f64)]) {
    let _ = writeln!(text, "# HELP {name} of the simulation\n# TYPE {name} histogram");
    for (labels, share) in shares {
        let mut bound = 1_u64;
        for at_most in &traffic.at_most {
            let count = (at_most * share).floor();
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
            bound *= 2;
        }
        let count = (traffic.requests * share).floor();
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", traffic.latency_sum * share);
        let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Role;
    use crate::sim::settings::ComponentSettings;

    fn value(page: &str, sample: &str) -> f64 {
        let line = page.lines().find(|line| line.starts_with(sample)).expect("the sample is there");
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    }

    #[tokio::test(start_paused = true)]
    async fn counters_advance_with_the_load_and_buckets_stay_cumulative() {
        let settings = ComponentSettings::of(Role::Proxy, 1);
        let load = Load::new(std::slice::from_ref(&settings));
        let page = Page::new("proxy", load.clone(), Clock::system());
        tokio::time::advance(Duration::from_secs(10)).await;
        let first = value(&page.render(false), "milvus_proxy_search_vectors_count");
        assert!((first - 280.0).abs() < 2.0, "{first}");
        load.set("proxy", Some(settings.load_cpu_milli * 3));
        tokio::time::advance(Duration::from_secs(10)).await;
        let text = page.render(false);
        let second = value(&text, "milvus_proxy_search_vectors_count");
        assert!((second - 1_120.0).abs() < 2.0, "{second}");
        let buckets: Vec<f64> = text
            .lines()
            .filter(|line| line.contains("sq_latency_bucket") && line.contains("search"))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        assert_eq!(buckets.len(), BUCKETS + 1);
        assert!(buckets.is_sorted(), "{buckets:?}");
    }
}
