//! The status page: plain HTML that refreshes itself. Pure; everything shown is escaped.

mod figures;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::{About, notices};
use crate::actors::status::{ActorsStatus, ClusterSnapshot, ComponentSnapshot, StatusSnapshot};
use crate::model::{ComponentId, HealthState, Percent, PodUsage, Timestamp};
use figures::{bytes, cores, latency, short};

/// The page's style sheet.
pub(super) const STYLE: &str = include_str!("style.css");

/// Seconds between two refreshes.
const REFRESH_SECONDS: u32 = 5;
/// Shown where there is no figure.
const NOTHING: &str = "–";

/// The CPU and memory of every pod of a cluster, by the pod's name.
type UsageByPod<'a> = BTreeMap<&'a str, &'a PodUsage>;

/// The page as of `now`.
pub(super) fn render(
    status: &StatusSnapshot,
    about: &About,
    now: Timestamp,
    uptime: Duration,
) -> String {
    let mut page = String::with_capacity(16 * 1_024);
    // Writing into a String cannot fail.
    let _infallible = write_page(&mut page, status, about, now, uptime);
    page
}

fn write_page(
    page: &mut String,
    status: &StatusSnapshot,
    about: &About,
    now: Timestamp,
    uptime: Duration,
) -> fmt::Result {
    let summary = Summary::of(status);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\">\
         <title>{title}</title><link rel=\"stylesheet\" href=\"/style.css\"></head><body>\
         <header><h1>falconer</h1><p class=\"summary {class}\">{text}</p></header>\n<main>",
        title = Escaped(&summary.title()),
        class = summary.worst.as_str(),
        text = Escaped(&summary.text()),
    )?;
    let actors = status.actors_status();
    write_notices(page, &actors)?;
    if let Some(reload) = about.rejected() {
        let at = reload.at;
        write!(page, "<p class=\"note\">The configuration file was read at {at} and is faulty; ")?;
        page.push_str("what was read before still holds.");
        for problem in &reload.problems {
            write!(page, "<br>{}", Escaped(problem))?;
        }
        page.push_str("</p>");
    }
    for warning in about.warnings.iter().chain(&about.at_next_start) {
        write!(page, "<p class=\"note\">{}</p>", Escaped(warning))?;
    }
    for (name, cluster) in &status.clusters {
        write_cluster(page, name, cluster, &actors, now)?;
    }
    if status.clusters.is_empty() {
        page.push_str("<p class=\"note\">No cluster has reported yet.</p>");
    }
    let config = about
        .config_path
        .as_ref()
        .map_or_else(|| "built-in configuration".to_owned(), |path| path.display().to_string());
    write!(
        page,
        "</main>\n<footer>falconer {version} · up {uptime} · {config} · as of {now} · \
         <a href=\"/metrics\">metrics</a> · <a href=\"/api/v1/status\">status as JSON</a> · \
         <a href=\"/readyz\">readiness</a></footer></body></html>\n",
        version = env!("CARGO_PKG_VERSION"),
        uptime = short(uptime),
        config = Escaped(&config),
    )
}

/// What bears on everything, the worst first: where nothing is done any more until a person looks.
fn write_notices(page: &mut String, actors: &ActorsStatus) -> fmt::Result {
    for (_, words) in notices::breakers(actors) {
        write!(page, "<p class=\"note alarm\">{}</p>", Escaped(&words))?;
    }
    let general =
        notices::leadership(&actors.leadership).into_iter().chain(notices::journal(actors));
    let scaling = notices::scaling(actors).map(|(_, words)| words);
    for words in general.chain(scaling) {
        write!(page, "<p class=\"note\">{}</p>", Escaped(&words))?;
    }
    for (_, words) in notices::under_way(actors) {
        write!(page, "<p class=\"note acting\">Under way: {}</p>", Escaped(&words))?;
    }
    Ok(())
}

/// How all components together are.
struct Summary {
    worst: HealthState,
    total: usize,
    by_state: BTreeMap<HealthState, usize>,
}

impl Summary {
    fn of(status: &StatusSnapshot) -> Self {
        let mut by_state = BTreeMap::new();
        let clusters = status.clusters.values();
        for component in clusters.flat_map(|cluster| cluster.components.values()) {
            *by_state.entry(component.health.state).or_default() += 1;
        }
        let severity = |state: &HealthState| match state {
            HealthState::Healthy => 0,
            HealthState::Unknown => 1,
            HealthState::Degraded => 2,
            HealthState::Unhealthy => 3,
        };
        let worst = by_state.keys().copied().max_by_key(severity).unwrap_or_default();
        Self { worst, total: by_state.values().sum(), by_state }
    }

    fn text(&self) -> String {
        if self.total == 0 {
            return "nothing is watched yet".to_owned();
        }
        if self.worst == HealthState::Healthy {
            return format!("all {} components are healthy", self.total);
        }
        let parts: Vec<String> = HealthState::ALL
            .iter()
            .rev()
            .filter_map(|state| Some(format!("{} {}", self.by_state.get(state)?, state.as_str())))
            .collect();
        parts.join(", ")
    }

    /// For the browser's tab: bad news first.
    fn title(&self) -> String {
        match self.by_state.get(&HealthState::Unhealthy) {
            Some(count) => format!("({count} unhealthy) falconer"),
            None => "falconer".to_owned(),
        }
    }
}

fn write_cluster(
    page: &mut String,
    name: &str,
    cluster: &ClusterSnapshot,
    actors: &ActorsStatus,
    now: Timestamp,
) -> fmt::Result {
    write!(page, "<section><h2>{}</h2>", Escaped(name))?;
    if let Some(error) = &cluster.platform_error {
        write!(
            page,
            "<p class=\"note\">The platform cannot be asked: {}</p>",
            Escaped(&error.text)
        )?;
    } else if !cluster.synced {
        page.push_str("<p class=\"note\">Discovery is not complete yet.</p>");
    }
    page.push_str(
        "<div class=\"scroll\"><table><thead><tr><th>Component<th>State<th>Since<th>Reason\
         <th class=\"number\">Pods<th class=\"number\">Latency<th class=\"number\">CPU\
         <th class=\"number\">Memory<th>What falconer does</tr></thead><tbody>",
    );
    let reports = cluster.components.values().flat_map(|component| &component.usage);
    let usage: UsageByPod<'_> = reports.map(|usage| (usage.pod.as_str(), usage)).collect();
    for (component, snapshot) in &cluster.components {
        let is_sick = !matches!(snapshot.health.state, HealthState::Healthy | HealthState::Unknown);
        let id = ComponentId::new(name, Arc::clone(component));
        let guard = notices::objecting_guard(actors, &id).filter(|_| is_sick);
        write_component(page, component, snapshot, &usage, guard, now)?;
    }
    page.push_str("</tbody></table></div></section>\n");
    Ok(())
}

fn write_component(
    page: &mut String,
    name: &str,
    component: &ComponentSnapshot,
    usage: &UsageByPod<'_>,
    guard: Option<&str>,
    now: Timestamp,
) -> fmt::Result {
    let health = &component.health;
    let usage = usage_of(component, usage);
    let latency = component.latency_ms.map_or_else(|| NOTHING.to_owned(), latency);
    let reason = health.reason.as_ref().map_or("", |reason| reason.text.as_str());
    let guard = guard.map(|guard| format!("guard: {guard}"));
    let words: Vec<&str> = [&component.recovery, &guard, &component.scaling]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    write!(
        page,
        "<tr><th scope=\"row\">{name}<td><span class=\"state {state}\">{state}</span>\
         <td title=\"{since}\">{ago}<td class=\"words\">{reason}<td class=\"number\">{pods}\
         <td class=\"number\">{latency}<td class=\"number\">{cpu}<td class=\"number\">{memory}\
         <td class=\"words\">{does}</tr>",
        name = Escaped(name),
        state = health.state.as_str(),
        since = health.since,
        ago = short(now.since(health.since)),
        reason = Escaped(reason),
        pods = pods(component),
        cpu = share(&usage, |pod| pod.cpu_percent_of_request, |pod| Some(cores(pod.cpu_milli?))),
        memory = share(
            &usage,
            |pod| pod.memory_percent_of_request,
            |pod| Some(bytes(pod.memory_bytes?))
        ),
        does = Escaped(&words.join("; ")),
    )
}

/// Its own figures, or those of its pods where one prober reads the figures of all.
fn usage_of<'a>(component: &'a ComponentSnapshot, usage: &UsageByPod<'a>) -> Vec<&'a PodUsage> {
    if !component.usage.is_empty() {
        return component.usage.iter().collect();
    }
    component.targets.iter().filter_map(|target| usage.get(&*target.name).copied()).collect()
}

/// Healthy of all, where the component has parts.
fn pods(component: &ComponentSnapshot) -> String {
    if let Some(inventory) = &component.inventory
        && component.targets.is_empty()
    {
        return format!("0/{}", inventory.pods.len());
    }
    if component.targets.is_empty() {
        return NOTHING.to_owned();
    }
    let healthy = component.targets.iter().filter(|target| target.outcome.is_healthy()).count();
    format!("{healthy}/{}", component.targets.len())
}

/// The highest share of a request over the pods; without requests the highest absolute figure.
fn share(
    usage: &[&PodUsage],
    percent: impl Fn(&PodUsage) -> Option<Percent>,
    absolute: impl Fn(&PodUsage) -> Option<String>,
) -> String {
    if let Some(highest) = usage.iter().filter_map(|pod| percent(pod)).max() {
        return format!("{highest} %");
    }
    let figures: Vec<String> = usage.iter().filter_map(|pod| absolute(pod)).collect();
    match figures.as_slice() {
        [] => NOTHING.to_owned(),
        [only] => only.clone(),
        [first, ..] => format!("{first} …"),
    }
}

/// Text that cannot become markup.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
