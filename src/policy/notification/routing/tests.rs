//! Tests of routes: who is told, and with what else together.

use std::time::Duration;

use super::*;

fn settings(routes: Vec<Route>) -> NotificationSettings {
    NotificationSettings {
        routes,
        receivers: ["email", "slack", "webhook.oncall"].map(Arc::from).to_vec(),
        ..NotificationSettings::default()
    }
}

fn route(to: &[&str]) -> Route {
    Route { to: to.iter().map(ToString::to_string).collect(), ..Route::default() }
}

fn querynode() -> ComponentId {
    ComponentId::new("milvus-ha", "querynode")
}

fn told(settings: &NotificationSettings, severity: Severity) -> Vec<String> {
    settings.receivers_for(&querynode(), severity).iter().map(ToString::to_string).collect()
}

fn critical(to: &[&str]) -> Route {
    Route { severity: Some(Severity::Critical), ..route(to) }
}

#[test]
fn without_routes_every_receiver_is_told() {
    let settings = settings(Vec::new());
    assert_eq!(told(&settings, Severity::Warning), ["email", "slack", "webhook.oncall"]);
}

#[test]
fn the_first_matching_route_decides_and_all_its_receivers_are_told() {
    let settings =
        settings(vec![critical(&["email", "oncall", "webhook.oncall"]), route(&["slack"])]);
    assert_eq!(told(&settings, Severity::Critical), ["email", "webhook.oncall"]);
    assert_eq!(told(&settings, Severity::Warning), ["slack"]);
}

#[test]
fn a_severity_that_no_route_matches_goes_to_everybody() {
    let settings = settings(vec![critical(&["email"])]);
    assert_eq!(told(&settings, Severity::Warning), ["email", "slack", "webhook.oncall"]);
}

#[test]
fn a_route_to_an_unknown_receiver_is_reported_and_loses_nothing() {
    let settings = settings(vec![route(&["pager"])]);
    assert_eq!(settings.unknown_receivers(), ["pager"]);
    assert_eq!(told(&settings, Severity::Critical), ["email", "slack", "webhook.oncall"]);
}

#[test]
fn a_route_that_goes_on_adds_to_the_next_one() {
    let on = Route { goes_on: true, ..critical(&["oncall"]) };
    let settings = settings(vec![on, route(&["slack"]), route(&["email"])]);
    assert_eq!(told(&settings, Severity::Critical), ["slack", "webhook.oncall"]);
    assert_eq!(told(&settings, Severity::Warning), ["slack"]);
}

#[test]
fn routes_match_clusters_and_components_by_patterns() {
    let of = |cluster: &[&str], component: &[&str]| Route {
        cluster: cluster.iter().map(ToString::to_string).collect(),
        component: component.iter().map(ToString::to_string).collect(),
        ..route(&["slack"])
    };
    for (route, matches) in [
        (of(&[], &["querynode*"]), true),
        (of(&["milvus-??"], &[]), true),
        (of(&["other", "milvus-*"], &["datanode", "query*"]), true),
        (of(&["other"], &["querynode"]), false),
        (of(&["milvus-ha"], &["datanode"]), false),
    ] {
        assert_eq!(route.matches(&querynode(), Severity::Warning), matches, "{route:?}");
    }
}

#[test]
fn the_first_route_that_names_a_receiver_says_how_it_is_grouped_there() {
    let first = Route {
        goes_on: true,
        group_by: Some(vec![GroupLabel::Component]),
        group_wait: Some(Duration::from_secs(1)),
        ..critical(&["email"])
    };
    let settings = settings(vec![first, route(&["email", "slack"])]);
    let places = settings.places(&querynode(), Severity::Critical);
    let email = &places["email"];
    assert_eq!(&*email.key, "severity=critical|component=querynode");
    assert_eq!(email.timing.group_wait, Duration::from_secs(1));
    assert_eq!(email.timing.group_interval, settings.group_interval);
    assert_eq!(&*places["slack"].key, "cluster=milvus-ha");
    assert_eq!(
        &*settings.places(&querynode(), Severity::Warning)["email"].key,
        "cluster=milvus-ha"
    );
}

#[test]
fn no_label_is_one_group_for_all_and_every_label_one_for_each() {
    let mut settings = settings(vec![Route { group_by: Some(Vec::new()), ..route(&["email"]) }]);
    let key = |settings: &NotificationSettings| {
        settings.places(&querynode(), Severity::Warning)["email"].key.to_string()
    };
    assert_eq!(key(&settings), "all");
    settings.routes[0].group_by = Some(GroupLabel::ALL.to_vec());
    assert_eq!(key(&settings), "cluster=milvus-ha,component=querynode,severity=warning");
}

#[test]
fn a_group_of_a_route_with_many_conditions_or_of_long_names_still_has_a_short_name() {
    let place = |last: &str, component: &ComponentId| {
        let names = (0..100).map(|n| format!("component-{n}"));
        let component_patterns = names.chain([last.to_owned(), "*".to_owned()]).collect();
        let route = Route { component: component_patterns, ..route(&["email"]) };
        let settings = settings(vec![route]);
        settings.places(component, Severity::Warning)["email"].key.to_string()
    };
    let long = ComponentId::new("ß".repeat(300), "querynode");
    let (one, other, third) =
        (place("a", &querynode()), place("b", &querynode()), place("a", &long));
    for name in [&one, &other, &third] {
        assert!(name.len() <= LONGEST_NAME, "{name}");
    }
    assert!(one != other && one != third);
}
