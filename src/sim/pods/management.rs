//! The management pages of the proxy, as far as they are about query nodes.

use serde_json::json;

use super::Head;
use crate::sim::serving::Held;

type Answer = (&'static str, String);

const NOT_FOUND: &str = "404 Not Found";

/// What a pod of `component` answers to a request that is for none of its other pages.
pub(super) fn answer(component: &str, held: Option<&Held>, head: &Head) -> Answer {
    let not_found = || (NOT_FOUND, "404 page not found".to_owned());
    let Some(path) = head.path.strip_prefix("/management/querycoord/") else { return not_found() };
    let Some(held) = held.filter(|_| matches!(component, "proxy" | "standalone")) else {
        return not_found();
    };
    match held.management_status() {
        Some(401) => return ("401 Unauthorized", String::new()),
        Some(403) => return ("403 Forbidden", String::new()),
        Some(503) => return ("503 Service Unavailable", String::new()),
        Some(500) => return ("500 Internal Server Error", String::new()),
        Some(_) => return not_found(),
        None => {}
    }
    let node = |key: &str| -> Option<i64> {
        let mut pairs = head.form.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == key)?.1.parse().ok()
    };
    match path {
        "node/list" => {
            let nodes = held.view().nodes.into_iter().map(|node| {
                json!({"ID": node.id, "address": format!("{}:21123", node.ip), "state": node.state})
            });
            ("200 OK", json!({"nodeInfos": nodes.collect::<Vec<_>>()}).to_string())
        }
        "distribution/get" => match node("node_id").and_then(|id| held.distribution(id)) {
            Some((channels, segments)) => {
                let body = json!({"channel_names": channels, "sealed_segmentIDs": segments});
                ("200 OK", body.to_string())
            }
            None => refused("node not found"),
        },
        "balance/status" => ("200 OK", json!({"msg": "OK", "status": "active"}).to_string()),
        "node/suspend" => done(node("node_id").is_some_and(|id| held.suspend(id, true))),
        "node/resume" => done(node("node_id").is_some_and(|id| held.suspend(id, false))),
        "transfer/segment" | "transfer/channel" => {
            let channels = path.ends_with("channel");
            done(node("source_node_id").is_some_and(|id| held.empty(id, channels)))
        }
        _ => not_found(),
    }
}

fn done(did: bool) -> Answer {
    if did { ("200 OK", json!({"msg": "OK"}).to_string()) } else { refused("node not found") }
}

fn refused(why: &str) -> Answer {
    ("500 Internal Server Error", json!({"msg": why}).to_string())
}
