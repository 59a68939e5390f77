//! `POST …/pods/NAME/eviction`: a deletion that PodDisruptionBudgets must agree to.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::deletion::{self, DeleteOptions};
use super::json::{self, condition, list, number, set, set_condition, text};
use super::request::Call;
use super::resource::{BUDGETS, Resource};
use super::server::Api;
use super::status::{Failure, success};
use super::store::{Key, Store};
use crate::sim::controllers::disruption;

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// Takes an Eviction.
pub(in crate::sim) fn evict(
    api: &Api,
    resource: &Resource,
    key: &Key,
    call: &Call,
) -> Result<Response, Failure> {
    let eviction = call.json()?;
    check_eviction(&eviction, key)?;
    let pod = api.store.get(key).ok_or_else(|| Failure::not_found(resource, &key.name))?;
    let mut options = DeleteOptions::of(eviction.get("deleteOptions").unwrap_or(&Value::Null));
    options.dry_run |= call.is_dry_run();
    options.check(resource, &pod)?;
    if needs_permission(&pod) {
        ask_budgets(&api.store, &pod, options.dry_run)?;
    }
    if options.dry_run {
        return Ok(success(201));
    }
    let now = api.store.now();
    api.store.update(key, |pod| {
        set_condition(
            pod,
            json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting", "lastTransitionTime": now,
                "lastProbeTime": null}),
        );
    });
    deletion::remove(&api.store, key, options.grace);
    Ok(success(201))
}

fn check_eviction(eviction: &Value, key: &Key) -> Result<(), Failure> {
    let kind = text(eviction, "/kind");
    let version = text(eviction, "/apiVersion");
    let known = matches!(kind, "" | "Eviction") && matches!(version, "" | "policy/v1");
    if !known {
        let message = format!(
            "no kind \"{kind}\" is registered for version \"{version}\" in scheme \
             \"pkg/api/legacyscheme/scheme.go\""
        );
        return Err(Failure::bad_request(message));
    }
    if text(eviction, "/metadata/name") != key.name {
        return Err(Failure::bad_request("name in URL does not match name in Eviction object"));
    }
    let namespace = text(eviction, "/metadata/namespace");
    if !namespace.is_empty() && namespace != key.namespace {
        return Err(Failure::other_namespace());
    }
    Ok(())
}

/// A pod that does not run any more, or does not run yet, is missed by nobody.
fn needs_permission(pod: &Value) -> bool {
    !json::is_terminating(pod)
        && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed" | "Pending")
}

/// Takes one disruption from the budget of the pod.
fn ask_budgets(store: &Store, pod: &Value, dry_run: bool) -> Result<(), Failure> {
    let (_, budgets) = store.list(BUDGETS, Some(json::namespace(pod)));
    let budgets: Vec<Arc<Value>> =
        budgets.into_iter().filter(|budget| disruption::covers(budget, pod)).collect();
    let budget = match budgets.as_slice() {
        [] => return Ok(()),
        [budget] => budget,
        _ => {
            return Err(Failure::new(
                500,
                "",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource \
                 does not support.",
            ));
        }
    };
    let status = |field: &str| number(budget, &format!("/status/{field}")).unwrap_or(0);
    let (healthy, needed) = (status("currentHealthy"), status("desiredHealthy"));
    // A pod that is not ready protects nothing.
    let always = text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
    let enough = needed > 0 && healthy >= needed;
    if condition(pod, "Ready") != "True" && (always || enough) {
        return Ok(());
    }
    let name = json::name(budget);
    if status("observedGeneration") < number(budget, "/metadata/generation").unwrap_or(0) {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refusal(&why).retry_after(10));
    }
    if status("disruptionsAllowed") <= 0 {
        let why = format!(
            "The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"
        );
        return Err(refusal(&why));
    }
    if !dry_run {
        spend(store, budget, json::name(pod));
    }
    Ok(())
}

fn refusal(why: &str) -> Failure {
    let failure = Failure::new(429, "TooManyRequests", REFUSED);
    failure.with_causes(&[json!({"reason": "DisruptionBudget", "message": why})])
}

/// The controller learns of the eviction from the budget before it sees the pod go.
fn spend(store: &Store, budget: &Value, pod: &str) {
    let now = store.now();
    store.update(&Key::of(BUDGETS, budget), |budget| {
        let left = number(budget, "/status/disruptionsAllowed").unwrap_or(0) - 1;
        set(budget, &["status", "disruptionsAllowed"], left);
        set(budget, &["status", "disruptedPods", pod], now);
        if left <= 0 {
            let conditions = list(budget, "/status/conditions").to_vec();
            let condition =
                conditions.into_iter().find(|entry| text(entry, "/type") == "DisruptionAllowed");
            if let Some(mut condition) = condition {
                set(&mut condition, &["status"], "False");
                set(&mut condition, &["reason"], "InsufficientPods");
                set_condition(budget, condition);
            }
        }
    });
}
