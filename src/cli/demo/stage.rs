//! Starts the simulated world and falconer, lets the scenario be played, and hands over the report.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::configuration::{actors_toml, simulation};
use super::observer::{Budgets, Observer};
use super::player::Player;
use super::reference::{CHECK_INTERVAL, Reference};
use super::report::{Comparison, EventReport, Report};
use super::scenario::{Scenario, Step};
use super::scratch::Scratch;
use super::screen::Screen;
use crate::app::{App, Options, descriptors};
use crate::config;
use crate::sim::Simulation;

/// The tour and its parts never take longer than this, whatever happens.
const TIME_LIMIT: Duration = Duration::from_secs(58);
/// Nor does anything that is compared take longer than this.
const LONG_TIME_LIMIT: Duration = Duration::from_secs(110);
/// How long falconer may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// Plays `scenario` and hands the report to `deliver` as soon as there is one; with `keep` only
/// then waits for Ctrl-C. Must be called inside an actix system.
///
/// # Errors
/// When something cannot be started, or the report cannot be delivered.
pub(super) async fn play(
    scenario: &'static Scenario,
    keep: bool,
    deliver: impl FnOnce(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let sim = Simulation::start(simulation(&scenario.setup))?;
    let reference = || Reference::start(simulation(&scenario.setup));
    let reference = scenario.compared.then(reference).transpose()?;
    let scratch = Scratch::new().context("cannot make a directory for temporary files")?;
    let kubeconfig = scratch.write("kubeconfig", &sim.kubeconfig());
    let kubeconfig = kubeconfig.context("cannot write the kubeconfig")?;
    let text = actors_toml(&sim, &kubeconfig, &scenario.setup);
    let path = scratch.write("actors.toml", &text).context("cannot write actors.toml")?;
    let loaded = config::parse("actors.toml", &text, &config::environment::Variables::new())?;
    let mut screen = Screen::new(sim.clock().now());
    screen.say(sim.clock().now(), &format!("scenario {}: {}", scenario.name, scenario.summary));
    let options = Options { config_path: Some(path), ..Options::default() };
    // A demo is small enough for any limit.
    let _ = descriptors::raise_limit(&loaded.settings);
    let budgets = budgets(&loaded.settings, scenario);
    let falconer = App::start(loaded.settings, options)?;

    let board = falconer.status();
    let observer = Observer { sim: &sim, board: &board, budgets };
    let limit = if scenario.compared { LONG_TIME_LIMIT } else { TIME_LIMIT };
    let ends = Instant::now() + limit;
    let mut player = Player { observer, screen, reference, struck_at: None, ends };
    let started = player.observer.now();
    let outcome = tokio::select! {
        events = player.all(scenario) => Some(events),
        ended = asked_to_end() => ended.map(|()| None)?,
    };
    let keep = keep && outcome.is_some();
    let events = outcome.unwrap_or_else(|| scenario.steps.iter().map(interrupted).collect());
    let report = Report {
        scenario: scenario.name,
        passed: events.iter().all(|event| event.missing.is_empty()),
        wall_ms: player.observer.now().since(started).as_millis() as u64,
        events,
        actions: comparison(&player),
    };
    // Its cluster is not needed any more.
    player.reference = None;
    player.screen.print(&format!("\n{}", report.summary()));
    let delivered = deliver(&report);
    if keep {
        let addresses = addresses(&sim, &falconer, scratch.path());
        player.screen.print(&addresses);
        // Without a way to hear of it there is no sense in waiting for it.
        let _ = asked_to_end().await;
    }
    drop(player);
    falconer.shutdown(GRACE).await;
    delivered.map(|()| report)
}

fn budgets(settings: &config::Settings, scenario: &Scenario) -> Budgets {
    let component = scenario.steps.first().map_or("", |step| step.component);
    let component = settings.recoverer.component(component).budget.actions as usize;
    let cluster = settings.recoverer.defaults.cluster_budget.actions as usize;
    Budgets { component, cluster }
}

fn comparison(player: &Player<'_>) -> Option<Comparison> {
    let (reference, since) = (player.reference.as_ref()?, player.struck_at?);
    Some(Comparison {
        falconer: player.observer.deeds(since).len(),
        reference_rule: reference.actions(),
        check_interval_ms: CHECK_INTERVAL.as_millis() as u64,
    })
}

/// Ends with Ctrl-C or SIGTERM.
async fn asked_to_end() -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminated.recv() => Ok(()),
    }
}

fn interrupted(step: &Step) -> EventReport {
    let missing = vec!["interrupted".to_owned()];
    EventReport { name: step.name, missing, ..EventReport::default() }
}

fn addresses(sim: &Simulation, app: &App, scratch: &std::path::Path) -> String {
    let server = app.server_addr();
    let kubeconfig = scratch.join("kubeconfig");
    format!(
        "\nThe demo goes on until Ctrl-C.\n\
         \x20 Kubernetes API    {}\n\
         \x20 Milvus (gRPC)     {}\n\
         \x20 dependency        {}\n\
         \x20 mail sink         {}\n\
         \x20 webhook sink      {}\n\
         \x20 falconer metrics  http://{server}/metrics\n\
         \x20 falconer status   http://{server}/api/v1/status\n\
         \x20 configuration     {}\n\
         \x20 kubeconfig        {}\n\n\
         Try:\n  kubectl --kubeconfig {} get pods,deployments,events\n",
        sim.api_url(),
        sim.milvus_url(),
        sim.dependency_url(),
        sim.smtp().address(),
        sim.webhook().url("/alerts"),
        scratch.join("actors.toml").display(),
        kubeconfig.display(),
        kubeconfig.display(),
    )
}
