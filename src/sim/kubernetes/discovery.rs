//! What the API says about itself: version, groups, resources, schemas.
//!
//! Only the classic discovery: a client that asks for the aggregated one is answered in the
//! classic form, which by the rules of content negotiation makes it fall back.

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

use super::resource::{RESOURCES, Resource};
use super::status::{Failure, answer, raw};

const MINOR: &str = "32";
const GIT_VERSION: &str = "v1.32.0-sim";

/// An OpenAPI 2 document in protobuf that says `2.0`, a title and a version, and no schemas:
/// clients then skip their own validation.
const OPENAPI_V2: &[u8] = b"\x0a\x032.0\x12\x0c\x0a\x03sim\x12\x05v1.32";

/// Answers a path that is not about objects; `None` when it is about none of these either.
pub(in crate::sim) fn answer_path(
    segments: &[&str],
    accept: &str,
    is_served: &impl Fn(&Resource) -> bool,
) -> Option<Response> {
    let shown = |resource: &&Resource| is_served(resource);
    let response = match segments {
        [] => answer(200, &json!({"paths": ["/api", "/apis", "/version", "/healthz"]})),
        ["version"] => answer(200, &version()),
        ["healthz" | "livez" | "readyz"] => raw(200, "text/plain", Body::from("ok")),
        ["api"] => answer(200, &json!({"kind": "APIVersions", "versions": ["v1"]})),
        ["apis"] => answer(200, &groups(&shown)),
        ["openapi", "v3"] => answer(200, &json!({"paths": {}})),
        ["openapi", "v2"] if accept.contains("protobuf") => raw(
            200,
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
            Body::from(OPENAPI_V2),
        ),
        ["openapi", "v2"] => {
            let info = json!({"title": "sim", "version": GIT_VERSION});
            answer(200, &json!({"swagger": "2.0", "info": info, "paths": {}}))
        }
        ["api", version] => resources("", version, &shown),
        ["apis", group] => group_of(group, &shown)
            .map_or_else(|| Failure::no_such_path().response(), |group| answer(200, &group)),
        ["apis", group, version] => resources(group, version, &shown),
        _ => return None,
    };
    Some(response)
}

fn version() -> Value {
    json!({
        "major": "1", "minor": MINOR, "gitVersion": GIT_VERSION, "gitCommit": "", "compiler": "rustc",
        "gitTreeState": "clean", "buildDate": "2025-01-01T00:00:00Z", "goVersion": "none",
        "platform": "linux/amd64",
    })
}

fn groups(shown: &impl Fn(&&Resource) -> bool) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for resource in RESOURCES.iter().filter(shown).filter(|resource| !resource.group.is_empty()) {
        if !names.contains(&resource.group) {
            names.push(resource.group);
        }
    }
    names.extend(["authorization.k8s.io"]);
    let groups: Vec<Value> = names.iter().filter_map(|name| group_of(name, shown)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn group_of(name: &str, shown: &impl Fn(&&Resource) -> bool) -> Option<Value> {
    let version = if name == "authorization.k8s.io" {
        "v1"
    } else {
        RESOURCES.iter().filter(shown).find(|resource| resource.group == name)?.version
    };
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    Some(json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": [version],
        "preferredVersion": version,
    }))
}

fn resources(group: &str, version: &str, shown: &impl Fn(&&Resource) -> bool) -> Response {
    let mut listed = Vec::new();
    for resource in RESOURCES
        .iter()
        .filter(shown)
        .filter(|resource| resource.group == group && resource.version == version)
    {
        listed.push(entry(resource));
        listed.extend(resource.subresources.iter().map(|name| subresource(resource, name)));
    }
    if group == "authorization.k8s.io" && version == "v1" {
        listed.push(json!({
            "name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview",
            "namespaced": false, "kind": "SelfSubjectAccessReview", "verbs": ["create"],
        }));
    }
    if listed.is_empty() {
        return Failure::no_such_path().response();
    }
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": listed,
    });
    answer(200, &list)
}

fn entry(resource: &Resource) -> Value {
    let verbs: &[&str] = if resource.is_virtual() {
        &["get", "list"]
    } else {
        &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    };
    let categories: &[&str] = if resource.in_all { &["all"] } else { &[] };
    json!({
        "name": resource.plural, "singularName": resource.singular,
        "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs,
        "shortNames": resource.short_names, "categories": categories,
    })
}

fn subresource(resource: &Resource, name: &str) -> Value {
    let (group, version, kind, verbs): (&str, &str, &str, &[&str]) = match name {
        "scale" => ("autoscaling", "v1", "Scale", &["get", "patch", "update"]),
        "eviction" => ("policy", "v1", "Eviction", &["create"]),
        "log" => ("", "v1", resource.kind, &["get"]),
        _ => ("", "", resource.kind, &["get", "patch", "update"]),
    };
    let mut entry = json!({
        "name": format!("{}/{name}", resource.plural), "singularName": "",
        "namespaced": resource.namespaced, "kind": kind, "verbs": verbs,
    });
    if !version.is_empty() && !group.is_empty() {
        entry["group"] = json!(group);
        entry["version"] = json!(version);
    }
    entry
}
