//! `--scenario drain`: the load goes, and two of four query nodes with it, while clients query all
//! the time. falconer empties each before it takes it away; the plain rule does not.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::ScalingReport;
use super::queries::Counted;
use super::stage::{NODES, Seen, Stage, until};
use crate::sim::DataSettings;

/// Loading takes longer than a pod takes to end, as it does with real data.
const LOAD_TIME: Duration = Duration::from_millis(250);
/// Little enough for two nodes.
const SEGMENT_BYTES: u64 = 64 << 20;
/// The number of query nodes in the end.
const LEFT: u64 = 2;
/// How long both may take.
const WITHIN: Duration = Duration::from_secs(75);
/// How long it is looked on afterwards.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Plays it.
///
/// # Errors
/// When something cannot be started.
pub(super) async fn play() -> anyhow::Result<ScalingReport> {
    let data = DataSettings {
        segment_bytes: SEGMENT_BYTES,
        load_time: LOAD_TIME,
        ..DataSettings::default()
    };
    let mut stage = Stage::set(&data).await?;
    let began = Instant::now();
    stage.strike()?;
    let drained = || stage.said().iter().filter(|(kind, _)| kind == "drained").count();
    let done = |seen: &Seen| seen.replicas == LEFT && seen.serving.nodes.len() == LEFT as usize;
    let ours_done = until(WITHIN, || drained() == 2 && done(&stage.seen().0)).await;
    let took = began.elapsed();
    let theirs_done = until(WITHIN, || done(&stage.seen().1)).await;
    sleep(AFTERWARDS).await;
    let (ours, theirs) = stage.seen();
    let said = stage.said();
    let requests = stage.ours.pod_requests().all();
    let asked = |what: &str| requests.iter().filter(|one| one.path.ends_with(what)).count();
    let (suspensions, transfers) = (asked("node/suspend"), asked("transfer/segment"));
    stage.strike_down().await;

    let mut missing = Vec::new();
    let mut expect = |is_so: bool, what: &str| {
        if !is_so {
            missing.push(what.to_owned());
        }
    };
    expect(ours_done, "falconer empties two query nodes and takes them away");
    expect(ours.queries.failed == 0, "no query fails under falconer");
    expect(suspensions == 2 && transfers == 2, "each node is suspended and emptied once");
    expect(theirs_done, "the plain rule takes two query nodes away");
    expect(theirs.queries.failed > 0, "queries fail under the plain rule");
    let words: Vec<&String> = said.iter().map(|(_, words)| words).collect();
    let told = words.iter().map(|words| format!("  {words}")).collect::<Vec<_>>().join("\n");
    let row = |name: &str, seen: &Seen| {
        let replicas = format!("{NODES} → {}", seen.replicas);
        let Counted { queries, failed } = seen.queries;
        format!("{name:14} {replicas:>9} {queries:>9} {failed:>15}")
    };
    let text = format!(
        "what falconer said:\n{told}\n\n{:14} {:>9} {:>9} {:>15}\n{}\n{}",
        "",
        "replicas",
        "queries",
        "failed queries",
        row("falconer", &ours),
        row("plain rule", &theirs),
    );
    let side = |seen: &Seen| {
        json!({
            "replicas": seen.replicas,
            "queries": seen.queries.queries,
            "failed_queries": seen.queries.failed,
        })
    };
    let figures = json!({
        "replicas_at_first": NODES,
        "falconer_ms": took.as_millis() as u64,
        "suspended": suspensions,
        "said": words,
        "falconer": side(&ours),
        "plain_rule": side(&theirs),
    });
    let passed = missing.is_empty();
    Ok(ScalingReport { scenario: "drain", passed, missing, figures, text })
}
