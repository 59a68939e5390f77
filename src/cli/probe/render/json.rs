//! The JSON for programs. Reasons are texts beside their closed-set kinds; times are milliseconds.

use serde_json::{Value, json};

use super::{Usage, all_healthy, in_order};
use crate::model::{Outcome, ProbeReport, TargetReport};

/// `{"healthy": …, "components": […]}`, each component with its pods and, for the service itself,
/// what Milvus said.
pub fn json(reports: &[ProbeReport]) -> Value {
    let usage = Usage::of(reports);
    let components: Vec<Value> =
        in_order(reports).into_iter().map(|report| component(report, &usage)).collect();
    json!({ "healthy": all_healthy(reports), "components": components })
}

fn component(report: &ProbeReport, usage: &Usage<'_>) -> Value {
    let observation = &report.observation;
    let pods: Vec<Value> =
        observation.targets.iter().map(|target| pod(report, target, usage)).collect();
    let mut value = json!({
        "cluster": report.id.cluster,
        "component": report.id.component,
        "kind": report.kind,
        "probed_at": report.started_at,
        "latency_ms": (report.duration.as_secs_f64() * 1e6).round() / 1e3,
        "pods": pods,
        "milvus": observation.milvus,
    });
    add_verdict(&mut value, &observation.outcome);
    value
}

fn pod(report: &ProbeReport, target: &TargetReport, usage: &Usage<'_>) -> Value {
    let usage = usage.pod(report, &target.name);
    let mut value = json!({
        "pod": target.name,
        "address": target.address,
        "latency_ms": (target.latency.as_secs_f64() * 1e6).round() / 1e3,
        "cpu_milli": usage.and_then(|pod| pod.cpu_milli),
        "memory_bytes": usage.and_then(|pod| pod.memory_bytes),
        "cpu_percent_of_request": usage.and_then(|pod| pod.cpu_percent_of_request),
        "cpu_percent_of_limit": usage.and_then(|pod| pod.cpu_percent_of_limit),
        "memory_percent_of_request": usage.and_then(|pod| pod.memory_percent_of_request),
        "memory_percent_of_limit": usage.and_then(|pod| pod.memory_percent_of_limit),
        "performance": target.performance,
    });
    add_verdict(&mut value, &target.outcome);
    value
}

fn add_verdict(value: &mut Value, outcome: &Outcome) {
    let reason = outcome.reason();
    value["healthy"] = json!(outcome.is_healthy());
    value["outcome"] = json!(outcome.as_str());
    value["reason"] = json!(reason.map(|reason| &reason.text));
    value["reason_kind"] = json!(reason.map(|reason| reason.kind));
}

#[cfg(test)]
mod tests {
    use super::super::tests::cluster;
    use super::*;

    #[test]
    fn usage_is_merged_into_the_pods_by_name() {
        let value = json(&cluster());
        assert_eq!(value["healthy"], false);
        let components = value["components"].as_array().unwrap();
        let named = |name: &str| {
            components.iter().find(|component| component["component"] == name).unwrap()
        };
        let pods = &named("querynode")["pods"];
        assert_eq!(pods[0]["cpu_milli"], Value::Null, "no sample is not zero load");
        assert_eq!(pods[1]["cpu_percent_of_limit"], 31);
        assert_eq!(pods[1]["healthy"], false);
        assert_eq!(pods[1]["reason_kind"], "timeout");
        assert_eq!(named("querynode")["outcome"], "failed");
        assert_eq!(named("milvus")["latency_ms"], 3.4);
        let canary = &named("milvus")["milvus"]["canaries"][0];
        assert_eq!(canary["rows"], 1_000);
        assert_eq!(canary["latency_ms"], 7.0);
    }
}
