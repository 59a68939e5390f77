//! `--scenario scale-in-unsafe`: hardly any load, and data that three query nodes could not hold
//! below 80 % of their memory. The plain rule goes by the load; falconer refuses and says why.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::ScalingReport;
use super::stage::{NODES, Stage, until};
use crate::sim::DataSettings;

/// 24 segments: 2.6 GiB on each of four nodes, 3.4 GiB on three, 4.9 GiB on two, of 4 GiB.
const SEGMENT_BYTES: u64 = 400 << 20;
/// How long falconer may take to refuse, and the rule to go too far.
const WITHIN: Duration = Duration::from_secs(25);
/// How long it is looked on afterwards.
const AFTERWARDS: Duration = Duration::from_secs(6);

/// Plays it.
///
/// # Errors
/// When something cannot be started.
pub(super) async fn play() -> anyhow::Result<ScalingReport> {
    let data = DataSettings { segment_bytes: SEGMENT_BYTES, ..DataSettings::default() };
    let mut stage = Stage::set(&data).await?;
    let limit = memory_limit(&stage);
    stage.strike()?;
    let refusal = |stage: &Stage| {
        let said = stage.said();
        said.into_iter().find(|(kind, _)| kind == "memory_would_not_fit").map(|(_, words)| words)
    };
    let refused = until(WITHIN, || refusal(&stage).is_some()).await;
    let too_far = || stage.seen().1.serving.out_of_memory > 0;
    let went_too_far = until(WITHIN, too_far).await;
    sleep(AFTERWARDS).await;
    let (ours, theirs) = stage.seen();
    let words = refusal(&stage).unwrap_or_default();
    stage.strike_down().await;

    let mut missing = Vec::new();
    let mut expect = |is_so: bool, what: &str| {
        if !is_so {
            missing.push(what.to_owned());
        }
    };
    expect(
        refused && words.contains("memory limit"),
        "falconer refuses and names the memory limit",
    );
    expect(ours.replicas == u64::from(NODES), "falconer leaves the query nodes as they are");
    expect(ours.serving.out_of_memory == 0, "no query node of falconer's runs out of memory");
    expect(ours.queries.failed == 0, "no query fails under falconer");
    expect(went_too_far, "the plain rule's query nodes run out of memory");
    let percent = |bytes: u64| bytes * 100 / limit;
    let text = format!(
        "falconer: {words}\n\n\
         {:14} {:>9} {:>16} {:>14} {:>15}\n\
         {:14} {:>9} {:>15}% {:>14} {:>15}\n\
         {:14} {:>9} {:>15}% {:>14} {:>15}",
        "",
        "replicas",
        "fullest of limit",
        "out of memory",
        "failed queries",
        "falconer",
        format!("{NODES} → {}", ours.replicas),
        percent(ours.serving.fullest_bytes),
        ours.serving.out_of_memory,
        format!("{} / {}", ours.queries.failed, ours.queries.queries),
        "plain rule",
        format!("{NODES} → {}", theirs.replicas),
        percent(theirs.serving.fullest_bytes),
        theirs.serving.out_of_memory,
        format!("{} / {}", theirs.queries.failed, theirs.queries.queries),
    );
    let side = |seen: &super::stage::Seen| {
        json!({
            "replicas": seen.replicas,
            "fullest_percent_of_limit": percent(seen.serving.fullest_bytes),
            "out_of_memory": seen.serving.out_of_memory,
            "queries": seen.queries.queries,
            "failed_queries": seen.queries.failed,
        })
    };
    let figures = json!({
        "replicas_at_first": NODES,
        "refusal": words,
        "falconer": side(&ours),
        "plain_rule": side(&theirs),
    });
    let passed = missing.is_empty();
    Ok(ScalingReport { scenario: "scale-in-unsafe", passed, missing, figures, text })
}

fn memory_limit(stage: &Stage) -> u64 {
    let components = stage.ours.settings().components.iter();
    components.map(|one| one.memory_limit_bytes).max().unwrap_or(1)
}
