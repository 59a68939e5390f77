//! CPU and memory samples of pods from metrics.k8s.io. Owns the shape of its answer.

use std::time::Duration;

use kube::api::{DynamicObject, ListParams};
use serde_json::Value;
use tokio::time::timeout;

use crate::model::{Reason, ReasonKind, Timestamp};

use super::labels::INSTANCE;
use super::problem::Problem;
use super::quantity;
use super::settings::Layout;
use super::sources::pod_metrics;
use super::state::Shared;

/// What one pod uses, summed over its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSample {
    /// The pod's name.
    pub pod: String,
    /// CPU in thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Memory (working set) in bytes.
    pub memory_bytes: Option<u64>,
    /// When it was taken.
    pub sampled_at: Option<Timestamp>,
    /// The time that it was averaged over; zero where that is not known.
    pub window: Duration,
}

/// Lists the samples of the namespace within `budget`.
///
/// # Errors
/// The reason says what is missing: the API (`Unsupported`), a permission (`Unauthorized`), or the
/// whole Kubernetes API (`PlatformUnavailable`).
pub async fn list(shared: &Shared, budget: Duration) -> Result<Vec<PodSample>, Reason> {
    let deadline = budget.min(shared.settings.timing.request);
    let problem = match timeout(deadline, request(shared)).await {
        Ok(Ok(objects)) => return Ok(objects.iter().map(sample).collect()),
        Ok(Err(problem)) => problem,
        Err(_) => {
            let message = format!("no answer within {} s", deadline.as_secs_f64());
            Problem::Silent { message }
        }
    };
    Err(match &problem {
        Problem::Api { code: 404 | 503, message } => Reason::new(
            ReasonKind::Unsupported,
            format!(
                "CPU and memory are not known: there is no working metrics API \
                 (metrics.k8s.io: {message}); install metrics-server"
            ),
        ),
        Problem::Api { .. }
        | Problem::Budget { .. }
        | Problem::Silent { .. }
        | Problem::Credentials { .. }
        | Problem::Configuration { .. }
        | Problem::Broken { .. } => {
            let reason = problem.reason();
            Reason::new(reason.kind, format!("CPU and memory are not known: {}", reason.text))
        }
    })
}

async fn request(shared: &Shared) -> Result<Vec<DynamicObject>, Problem> {
    let lease = shared.client.lease().await?;
    let api = pod_metrics(lease.client, &shared.settings.namespace);
    match api.list(&params(shared)).await {
        Ok(list) => Ok(list.items),
        Err(error) => {
            let problem = Problem::from(&error);
            // A slow metrics-server behind the API says nothing about our connections.
            if matches!(problem, Problem::Api { code: 401, .. }) {
                shared.client.discard(lease.generation).await;
            }
            Err(problem)
        }
    }
}

fn params(shared: &Shared) -> ListParams {
    let instance = shared.state().instance.clone().filter(|instance| !instance.is_empty());
    let has_label = match shared.settings.selection.layout {
        Layout::Helm | Layout::Operator => true,
        // Plain manifests may lack the label.
        Layout::Auto | Layout::Reference => false,
    };
    match instance {
        Some(instance) if has_label => {
            ListParams::default().labels(&format!("{INSTANCE}={instance}"))
        }
        _ => ListParams::default(),
    }
}

fn sample(object: &DynamicObject) -> PodSample {
    let containers = object.data["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let taken = object.data["timestamp"].as_str().and_then(|text| text.parse().ok());
    PodSample {
        pod: object.metadata.name.clone().unwrap_or_default(),
        cpu_milli: sum(containers, "cpu", quantity::milli),
        memory_bytes: sum(containers, "memory", quantity::units),
        window: window(object),
        sampled_at: taken.and_then(|taken: k8s_openapi::jiff::Timestamp| {
            u64::try_from(taken.as_millisecond()).ok().map(Timestamp::from_millis)
        }),
    }
}

/// The time that the sample was averaged over, as Go writes a duration: `15.064s`, `1m0s`.
fn window(object: &DynamicObject) -> Duration {
    let text = object.data["window"].as_str().unwrap_or_default();
    let window = text.parse().ok().and_then(|window: jiff::SignedDuration| window.try_into().ok());
    window.unwrap_or_default()
}

/// The sum over the containers; `None` where there are none or one has no readable value.
fn sum(containers: &[Value], key: &str, parse: fn(&str) -> Option<u64>) -> Option<u64> {
    if containers.is_empty() {
        return None;
    }
    containers.iter().try_fold(0_u64, |sum, container| {
        sum.checked_add(parse(container["usage"][key].as_str()?)?)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(containers: Value) -> PodSample {
        let object = json!({"metadata": {"name": "p"}, "timestamp": "2026-01-01T00:00:00Z",
            "window": "15s", "containers": containers});
        sample(&serde_json::from_value(object).expect("pod metrics"))
    }

    #[test]
    fn containers_are_summed_in_any_notation() {
        let seen = read(json!([
            {"name": "querynode", "usage": {"cpu": "123456789n", "memory": "1Gi"}},
            {"name": "sidecar", "usage": {"cpu": "12m", "memory": "1024Ki"}},
        ]));
        assert_eq!(seen.cpu_milli, Some(124 + 12));
        assert_eq!(seen.memory_bytes, Some((1 << 30) + (1 << 20)));
        assert_eq!(seen.sampled_at, Some(Timestamp::from_millis(1_767_225_600_000)));
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_not_zero() {
        assert_eq!(read(json!([])).cpu_milli, None);
        let seen = read(json!([{"name": "a", "usage": {"cpu": "5m"}}]));
        assert_eq!((seen.cpu_milli, seen.memory_bytes), (Some(5), None));
        assert_eq!(read(json!("garbage")).memory_bytes, None);
    }
}
