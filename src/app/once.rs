//! Probes everything once, without actors and without changing anything.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::{ClusterPlanner, Purpose, start_platform};
use crate::actors::pacer::Pacer;
use crate::actors::supervisor::{ComponentPlan, Planner};
use crate::clock::Clock;
use crate::config::Settings;
use crate::effects::Cluster;
use crate::model::{
    ComponentId, Outcome, ProbeObservation, ProbeReport, ProbeTrigger, ProberKind, ReasonKind,
};

/// What the first list from a platform may take beyond the probers' time-out.
const FIRST_LIST: Duration = Duration::from_secs(5);

/// One report for each component of each cluster.
pub async fn probe_once(settings: Arc<Settings>) -> Vec<ProbeReport> {
    crate::effects::tls::install_tls_provider();
    let clock = Clock::system();
    let pacer = Pacer::default();
    let clusters =
        settings.clusters.keys().map(|name| probe_cluster(name, &settings, clock, pacer.clone()));
    join_all(clusters).await.into_iter().flatten().collect()
}

async fn probe_cluster(
    name: &str,
    settings: &Arc<Settings>,
    clock: Clock,
    pacer: Pacer,
) -> Vec<ProbeReport> {
    let Some(cluster) = settings.clusters.get(name) else {
        return Vec::new();
    };
    let platform = start_platform(name, cluster, Purpose::Observe, clock);
    let handle = Arc::clone(&platform.cluster);
    let name: Arc<str> = name.into();
    let planner = ClusterPlanner::new(
        Arc::clone(&name),
        Arc::clone(settings),
        cluster.clone(),
        platform,
        clock,
    );
    let patience = settings.probers.defaults.timeout.get() + FIRST_LIST;
    let mut plans = planner.fixed();
    plans.extend(discovered(handle.as_ref(), &planner, patience).await);
    let (last, first): (Vec<_>, Vec<_>) =
        plans.into_iter().partition(|plan| plan.kind == ProberKind::Resources);
    let ask = |plan| probe(&name, plan, clock, &pacer);
    let mut reports = join_all(first.into_iter().map(ask)).await;
    // CPU is a difference of two readings; the other probes are the time between them.
    reports.extend(join_all(last.into_iter().map(ask)).await);
    handle.shutdown(Duration::from_secs(1)).await;
    reports
}

async fn discovered(
    cluster: &dyn Cluster,
    planner: &ClusterPlanner,
    patience: Duration,
) -> Vec<ComponentPlan> {
    let mut inventory = cluster.inventory();
    let known = inventory.wait_for(|newest| newest.synced || newest.error.is_some());
    // What goes wrong here is what the platform's own probe reports.
    let Ok(Ok(newest)) = tokio::time::timeout(patience, known).await else {
        return Vec::new();
    };
    newest.components.keys().filter_map(|name| planner.discovered(name)).collect()
}

async fn probe(
    cluster: &Arc<str>,
    plan: ComponentPlan,
    clock: Clock,
    pacer: &Pacer,
) -> ProbeReport {
    let (_seat, place) = pacer.join(plan.prober.interval, clock.uptime());
    tokio::time::sleep(place.first_in).await;
    let started_at = clock.now();
    let started = clock.monotonic();
    let budget = plan.prober.timeout;
    let work = tokio::time::timeout(budget * 2, plan.probe.probe(budget));
    let observation = work.await.unwrap_or_else(|_| {
        let text = format!("timeout after {}", humantime::format_duration(budget));
        ProbeObservation::of(Outcome::failed(ReasonKind::Timeout, text))
    });
    ProbeReport {
        id: ComponentId::new(Arc::clone(cluster), plan.component),
        kind: plan.kind,
        trigger: ProbeTrigger::default(),
        started_at,
        duration: clock.monotonic() - started,
        observation,
    }
}
