//! What the fake API does with single pods: evictions, deletions with a condition, logs.

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{FakeApi, Inner, Recorded, json_text, status};

/// How pods are removed and what they have logged.
#[derive(Debug, Default)]
pub(super) struct Removal {
    /// The words of the budget that refuses evictions.
    budget: Option<String>,
    /// Logs by pod, container and query, e.g. `p/proxy?previous=true`.
    logs: Vec<(String, Vec<u8>)>,
}

impl FakeApi {
    /// Every eviction is refused with these words.
    pub(crate) fn set_budget(&self, words: &str) {
        self.change(|inner| inner.removal.budget = Some(words.to_owned()));
    }

    /// What a container has logged; `run` is empty or `previous`.
    pub(crate) fn set_log(&self, pod: &str, container: &str, run: &str, log: &[u8]) {
        let key = format!("{pod}/{container}/{run}");
        self.change(|inner| inner.removal.logs.push((key, log.to_vec())));
    }
}

/// Answers what is about one pod; `None` where it is about something else.
pub(super) fn answer(
    inner: &mut Inner,
    base: &str,
    (name, subresource): (&str, &[String]),
    request: &Recorded,
) -> Option<Response> {
    let object = inner.objects.get(base).and_then(|all| all.get(name)).cloned();
    let subresource = subresource.first().map(String::as_str);
    match (request.method.as_str(), subresource) {
        ("POST", Some("eviction")) => {
            Some(remove(inner, base, object, &request.body["deleteOptions"], true))
        }
        ("DELETE", None) => Some(remove(inner, base, object, &request.body, false)),
        ("GET", Some("log")) => Some(log(inner, name, &request.query)),
        _ => None,
    }
}

fn remove(
    inner: &mut Inner,
    base: &str,
    object: Option<Value>,
    options: &Value,
    is_eviction: bool,
) -> Response {
    let Some(mut object) = object else { return status(404, "pods \"p\" not found") };
    let wanted = &options["preconditions"]["uid"];
    if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
        return status(409, "the UID in the precondition does not match the UID in record");
    }
    if let Some(words) = inner.removal.budget.as_ref().filter(|_| is_eviction) {
        let causes = json!([{"reason": "DisruptionBudget", "message": words}]);
        let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 429,
            "reason": "TooManyRequests", "details": {"causes": causes},
            "message": "Cannot evict pod as it would violate the pod's disruption budget."});
        let code = axum::http::StatusCode::TOO_MANY_REQUESTS;
        return (code, json_text(body.to_string())).into_response();
    }
    if options["gracePeriodSeconds"] == 0 {
        let name = object["metadata"]["name"].as_str().expect("a name");
        inner.objects.get_mut(base).expect("pods").remove(name);
    } else {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-31T00:00:00Z");
        object["metadata"]["deletionGracePeriodSeconds"] = json!(2_592_000);
        inner.put(base, object.clone());
    }
    if is_eviction {
        json_text(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}).to_string())
    } else {
        json_text(object.to_string())
    }
}

fn log(inner: &Inner, pod: &str, query: &str) -> Response {
    let container = query.split('&').find_map(|pair| pair.strip_prefix("container="));
    let run = if query.contains("previous=true") { "previous" } else { "" };
    let key = format!("{pod}/{}/{run}", container.unwrap_or_default());
    match inner.removal.logs.iter().find(|(of, _)| *of == key) {
        Some((_, log)) => log.clone().into_response(),
        None => status(400, "previous terminated container not found"),
    }
}
