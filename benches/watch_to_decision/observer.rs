//! What the simulated API says, and when: a watch of the bench's own, and a poller as the reference
//! is one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use falconer::sim::Simulation;
use futures::StreamExt;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::faults::Kind;

/// By which the bench's own requests are told from falconer's.
pub const USER_AGENT: &str = "watch-to-decision-bench";

/// Microseconds since the epoch: the clock that falconer's log goes by.
#[allow(clippy::disallowed_methods, reason = "the far side has a clock of its own")]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A client that says whose it is.
pub fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().user_agent(USER_AGENT).build()?)
}

fn pods_url(sim: &Simulation) -> String {
    format!("{}/api/v1/namespaces/{}/pods", sim.api_url(), sim.settings().namespace)
}

/// A pod was reported so.
struct Sighting {
    at: u64,
    pod: String,
    kind: Kind,
}

/// A watch of the pods. Ends when dropped.
pub struct Observer {
    seen: Arc<Mutex<Vec<Sighting>>>,
    task: JoinHandle<()>,
}

impl Observer {
    /// Watches from now on.
    pub async fn start(sim: &Simulation) -> anyhow::Result<Self> {
        let seen: Arc<Mutex<Vec<Sighting>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let url = format!("{}?watch=true&resourceVersion=0", pods_url(sim));
        let answer = client()?.get(url).send().await?.error_for_status()?;
        let task = tokio::spawn(async move {
            let mut chunks = answer.bytes_stream();
            let mut waiting = Vec::new();
            while let Some(Ok(chunk)) = chunks.next().await {
                let at = now_us();
                waiting.extend_from_slice(&chunk);
                while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = waiting.drain(..=end).collect();
                    lock(&kept).extend(sightings(&line, at));
                }
            }
        });
        Ok(Self { seen, task })
    }

    /// When `pod` was first reported as `kind` after `since`.
    pub fn first(&self, pod: &str, kind: Kind, since: u64) -> Option<u64> {
        let seen = lock(&self.seen);
        let wanted = |s: &&Sighting| s.pod == pod && s.kind == kind && s.at >= since;
        seen.iter().find(wanted).map(|sighting| sighting.at)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Nobody panics while holding one.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sightings(line: &[u8], at: u64) -> Vec<Sighting> {
    let Ok(event) = serde_json::from_slice::<Value>(line) else { return Vec::new() };
    let object = &event["object"];
    let gone = event["type"] == "DELETED" || !object["metadata"]["deletionTimestamp"].is_null();
    let waiting = &object["status"]["containerStatuses"][0]["state"]["waiting"];
    let ready = object["status"]["conditions"].as_array().into_iter().flatten();
    let is_ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
    let found = [
        (Kind::Gone, gone),
        (Kind::CrashLoop, waiting["reason"] == "CrashLoopBackOff"),
        (Kind::NotReady, !gone && !ready.clone().any(is_ready)),
    ];
    let pod = object["metadata"]["name"].as_str().unwrap_or_default();
    let found = found.into_iter().filter(|(_, is_so)| *is_so);
    found.map(|(kind, _)| Sighting { at, pod: pod.to_owned(), kind }).collect()
}

/// Lists the pods, sleeps, and so on. Ends when dropped.
pub struct Poller {
    rounds: Arc<Mutex<Vec<(u64, u64)>>>,
    task: JoinHandle<()>,
}

impl Poller {
    /// Begins its first round now.
    pub fn start(sim: &Simulation, pause: Duration) -> anyhow::Result<Self> {
        let rounds: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
        let (kept, client, url) = (Arc::clone(&rounds), client()?, pods_url(sim));
        let task = tokio::spawn(async move {
            loop {
                let begun = now_us();
                if let Ok(answer) = client.get(&url).send().await
                    && answer.json::<Value>().await.is_ok()
                {
                    lock(&kept).push((begun, now_us()));
                }
                tokio::time::sleep(pause).await;
            }
        });
        Ok(Self { rounds, task })
    }

    /// Beginning and end of every round so far.
    pub fn rounds(&self) -> Vec<(u64, u64)> {
        lock(&self.rounds).clone()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// When the poller would see what has been there since `at`.
pub fn would_see(rounds: &[(u64, u64)], at: u64, pause: Duration) -> u64 {
    let next = rounds.iter().find(|(begun, _)| *begun >= at);
    let pause = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
    next.or(rounds.last()).map_or(at, |(begun, ended)| {
        if *begun >= at { *ended } else { ended + pause + (ended - begun) }
    })
}
