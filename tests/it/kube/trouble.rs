//! An API that cuts, expires, refuses, hangs or talks nonsense: the adapter says so, keeps what it
//! knows, and recovers by itself.

use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::cluster::kube::{ClientSource, KubeCluster};
use falconer::effects::probe::resources::ResourcesProbe;
use falconer::effects::{Cluster, ClusterError, Probe};
use falconer::model::{PodCondition, ReasonKind, WorkloadKind};
use serde_json::json;

use super::fake_api::{FakeApi, Mode, NAMESPACE, pods, samples};
use super::{api_with_proxy, pod_names, pod_object, settings, start, synced, until, workload};

#[tokio::test]
async fn watches_follow_what_happens() {
    let api = api_with_proxy().await;
    let cluster = start(&api);
    assert_eq!(pod_names(&*synced(&cluster).await, "proxy"), ["proxy-1"]);
    let mut sick = pod_object("proxy-2", "proxy", "ha");
    sick["status"]["conditions"][0]["status"] = json!("False");
    api.put(&pods(), sick);
    let inventory = until(&cluster, "the new pod is not seen", |inventory| {
        pod_names(inventory, "proxy").len() == 2
    })
    .await;
    assert_eq!(inventory.components["proxy"].pods[1].condition, PodCondition::NotReady);
    api.remove(&pods(), "proxy-1");
    until(&cluster, "the pod is not gone", |inventory| {
        pod_names(inventory, "proxy") == ["proxy-2"]
    })
    .await;
}

#[tokio::test]
async fn a_cut_watch_goes_on_where_it_was() {
    let api = api_with_proxy().await;
    let cluster = start(&api);
    synced(&cluster).await;
    for index in 2..5 {
        api.watched(&pods(), index - 1).await;
        api.cut_watches();
        api.put(&pods(), pod_object(&format!("proxy-{index}"), "proxy", "ha"));
        until(&cluster, "the pod behind the cut is not seen", |inventory| {
            pod_names(inventory, "proxy").len() == index
        })
        .await;
    }
    synced(&cluster).await;
}

#[tokio::test]
async fn an_expired_watch_lists_anew_and_shows_no_error() {
    let api = api_with_proxy().await;
    let cluster = start(&api);
    synced(&cluster).await;
    api.watched(&pods(), 1).await;
    // No event tells of this pod: only a new list can.
    api.put_quietly(&pods(), pod_object("proxy-2", "proxy", "ha"));
    api.expire_watches();
    let inventory = until(&cluster, "nothing was listed anew", |inventory| {
        pod_names(inventory, "proxy").len() == 2
    })
    .await;
    assert_eq!(inventory.error, None);
}

#[tokio::test]
async fn every_refusal_is_shown_keeps_the_last_state_and_passes() {
    let api = api_with_proxy().await;
    let cluster = start(&api);
    synced(&cluster).await;
    for (code, kind, text) in [
        (401, ReasonKind::Unauthorized, "does not accept the credentials"),
        (403, ReasonKind::Unauthorized, "deploy/base/access"),
        (429, ReasonKind::PlatformUnavailable, "throttles"),
        (503, ReasonKind::PlatformUnavailable, "503"),
    ] {
        api.set_mode(Mode::Status(code));
        api.cut_watches();
        let inventory =
            until(&cluster, "the refusal is not shown", |inventory| inventory.error.is_some())
                .await;
        let error = inventory.error.clone().expect("an error");
        assert_eq!(error.kind, kind, "{code}");
        assert!(error.text.contains(text), "{code}: {error}");
        assert_eq!(pod_names(&inventory, "proxy"), ["proxy-1"]);
        api.set_mode(Mode::Normal);
        synced(&cluster).await;
    }
}

#[tokio::test]
async fn nonsense_from_the_start_is_shown_and_passes() {
    for (mode, text) in [
        (Mode::Garbage, "cannot be talked to"),
        (Mode::Html, "instead of JSON"),
        (Mode::Redirect, "redirect"),
        (Mode::Endless, "larger than"),
    ] {
        let api = api_with_proxy().await;
        api.set_mode(mode);
        let cluster = start(&api);
        let inventory =
            until(&cluster, "nonsense is not shown", |inventory| inventory.error.is_some()).await;
        assert!(!inventory.synced);
        let error = inventory.error.clone().expect("an error");
        assert!(error.text.contains(text), "{mode:?}: {error}");
        api.set_mode(Mode::Normal);
        synced(&cluster).await;
    }
}

#[tokio::test]
async fn an_api_that_falls_silent_is_noticed_and_nobody_waits_for_it() {
    let api = api_with_proxy().await;
    let mut settings = settings(&api);
    settings.timing.request = Duration::from_millis(500);
    let cluster = KubeCluster::start(settings, Clock::system());
    synced(&cluster).await;
    api.set_mode(Mode::Hang);
    let status = cluster.rollout_status(&workload(WorkloadKind::Deployment, "milvus-proxy")).await;
    assert!(matches!(status, Err(ClusterError::Timeout { .. })), "{status:?}");
    let inventory =
        until(&cluster, "silence is not noticed", |inventory| inventory.error.is_some()).await;
    assert!(inventory.error.as_ref().is_some_and(|error| error.text.contains("does not answer")));
    assert_eq!(pod_names(&inventory, "proxy"), ["proxy-1"]);
    api.set_mode(Mode::Normal);
    synced(&cluster).await;
}

#[tokio::test]
async fn nobody_listening_is_an_error_that_passes_when_somebody_does() {
    let api = api_with_proxy().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("kubeconfig");
    let mut settings = settings(&api);
    settings.source = ClientSource::Infer {
        kubeconfig: path.to_string_lossy().into_owned(),
        context: String::new(),
    };
    let cluster = KubeCluster::start(settings, Clock::system());
    let inventory =
        until(&cluster, "a missing file is not shown", |inventory| inventory.error.is_some()).await;
    let error = inventory.error.clone().expect("an error");
    assert!(error.text.contains("kubeconfig"), "{error}");

    // A token that has expired, in a file that somebody renews.
    api.require_token("new");
    std::fs::write(&path, kubeconfig(&api, "old")).expect("a kubeconfig");
    until(&cluster, "the old token is not refused", |inventory| {
        inventory.error.as_ref().is_some_and(|error| error.kind == ReasonKind::Unauthorized)
    })
    .await;
    std::fs::write(&path, kubeconfig(&api, "new")).expect("a kubeconfig");
    assert_eq!(pod_names(&*synced(&cluster).await, "proxy"), ["proxy-1"]);
}

fn kubeconfig(api: &FakeApi, token: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", api.address)}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}],
    })
    .to_string()
}

#[tokio::test]
async fn of_two_instances_the_user_has_to_choose() {
    let api = api_with_proxy().await;
    api.put(&pods(), pod_object("other-1", "proxy", "staging"));
    let cluster = start(&api);
    let inventory =
        until(&cluster, "not noticed", |inventory| inventory.synced && inventory.error.is_some())
            .await;
    let error = inventory.error.clone().expect("an error");
    assert!(error.text.contains("ha, staging"), "{error}");
    assert!(inventory.components.is_empty());

    let mut chosen = settings(&api);
    chosen.selection.instance = "staging".to_owned();
    let cluster = KubeCluster::start(chosen, Clock::system());
    assert_eq!(pod_names(&*synced(&cluster).await, "proxy"), ["other-1"]);
}

#[tokio::test]
async fn missing_metrics_are_degraded_and_never_zero_load() {
    let api = api_with_proxy().await;
    let cluster = start(&api);
    synced(&cluster).await;
    let probe = ResourcesProbe::new(cluster.clone());
    let kind = async |api: &FakeApi, status: u16| {
        api.deny("metrics.k8s.io", status);
        let seen = probe.probe(Duration::from_secs(5)).await;
        assert!(seen.usage.is_empty());
        assert!(!seen.outcome.is_failed());
        seen.outcome.reason().map(|reason| reason.kind)
    };
    assert_eq!(kind(&api, 0).await, Some(ReasonKind::Unsupported));
    assert_eq!(kind(&api, 503).await, Some(ReasonKind::Unsupported));
    assert_eq!(kind(&api, 403).await, Some(ReasonKind::Unauthorized));
    assert_eq!(kind(&api, 500).await, Some(ReasonKind::PlatformUnavailable));
    api.serve(&samples());
    assert_eq!(kind(&api, 0).await, Some(ReasonKind::Unsupported));

    api.set_mode(Mode::Hang);
    let seen = probe.probe(Duration::from_millis(100)).await;
    assert_eq!(
        seen.outcome.reason().map(|reason| reason.kind),
        Some(ReasonKind::PlatformUnavailable)
    );
}
