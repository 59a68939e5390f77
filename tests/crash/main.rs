//! falconer is killed at random instants, again and again, while things break, are healed and people
//! are told. Whatever the instant: nothing is done twice, nobody is told twice but of what was being
//! sent, and nothing is forgotten. Judged from outside, by what the API and the receivers have seen.
//!
//! `FALCONER_KILLS` says how often (12 if it does not), `FALCONER_SEED` repeats a run as far as real
//! time allows.

mod life;
mod surgeon;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use falconer::model::Role;
use falconer::sim::{ComponentSettings, Probing, SimSettings, Simulation};

use life::{Death, Life};
use surgeon::Surgeon;
use verdict::{Collector, Verdict};

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(90);

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn simulation() -> Simulation {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let roles = [
        (Role::Proxy, 2),
        (Role::QueryNode, 3),
        (Role::DataNode, 2),
        (Role::IndexNode, 2),
        (Role::StreamingNode, 2),
        (Role::MixCoord, 1),
    ];
    let components = roles.map(|(role, replicas)| ComponentSettings::of(role, replicas));
    let settings = SimSettings {
        components: components.to_vec(),
        metrics_port: Some(0),
        startup: Duration::from_millis(300),
        termination: Duration::from_millis(200),
        probing: Some(Probing::QUICK),
        ..SimSettings::default()
    };
    Simulation::start(settings).expect("a simulation")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_it_does_nothing_twice_and_forgets_nothing() {
    let kills = variable("FALCONER_KILLS").unwrap_or(12);
    let seed = variable("FALCONER_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("FALCONER_SEED={seed} FALCONER_KILLS={kills}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let sim = Arc::new(simulation());
    assert!(sim.settled(PATIENCE).await, "the pods become ready");
    let collector = Collector::start(&sim);
    let is_over = Arc::new(AtomicBool::new(false));
    let surgeon = Surgeon::new(Arc::clone(&sim), dice.fork(), Arc::clone(&is_over));
    let operating = tokio::spawn(surgeon.operate());

    let mut deaths = Vec::new();
    let mut life = Life::new(&sim);
    for number in 0..kills {
        // Every other time nothing but the ConfigMap is left.
        let death = Death::at_random(&mut dice, number % 2 == 1);
        deaths.push(life.live(&sim, death).await);
    }
    is_over.store(true, Ordering::SeqCst);
    // It lives on, and whatever is still to be done or told comes about.
    life.begin();
    let operations = operating.await.expect("the surgeon comes to an end");
    tokio::time::sleep(Duration::from_secs(3)).await;
    life.end();

    let verdict = Verdict::of(&sim, collector.finish(), &operations, &deaths);
    println!("{verdict}");
    let log = life.log();
    assert!(verdict.complaints.is_empty(), "{verdict}\n{log}");
}
