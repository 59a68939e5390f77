//! The table for people: plain text of at most 100 columns, without colours.

use std::collections::BTreeSet;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::{Usage, in_order};
use crate::model::{CollectionProbe, Outcome, Percent, PodUsage, ProbeReport, TargetReport};

/// Widest line.
const WIDTH: u16 = 100;
/// Widest name of a component or pod before it wraps.
const NAME_WIDTH: u16 = 30;
const HEADER: [&str; 7] = ["COMPONENT", "POD", "HEALTHY", "LATENCY", "CPU", "MEMORY", "REASON"];
/// The columns that hold names, and those that hold figures.
const NAME_COLUMNS: [usize; 2] = [0, 1];
const FIGURE_COLUMNS: [usize; 3] = [3, 4, 5];

/// How rows that are too wide are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Folded into a hundred columns.
    Folded,
    /// As wide as they are.
    OneLinePerRow,
}

/// The table of `reports`, one line per component and one per pod of those that have several.
/// CPU and memory are shares of the request and, behind the stroke, of the limit; without either
/// the absolute figure. Folded to a readable width for people; for a pipe each row is one line, so
/// that names can be searched for.
pub fn table(reports: &[ProbeReport], layout: Layout) -> String {
    let mut table = Table::new();
    let arrangement = match layout {
        Layout::Folded => ContentArrangement::Dynamic,
        Layout::OneLinePerRow => ContentArrangement::Disabled,
    };
    table
        .load_style(NOTHING)
        .set_content_arrangement(arrangement)
        .set_width(WIDTH)
        .force_no_tty()
        .set_header(HEADER);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for index in NAME_COLUMNS.into_iter().filter(|_| layout == Layout::Folded) {
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(NAME_WIDTH)));
        }
    }
    for index in FIGURE_COLUMNS {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let usage = Usage::of(reports);
    let clusters: BTreeSet<&str> = reports.iter().map(|report| &*report.id.cluster).collect();
    for report in in_order(reports) {
        let name = if clusters.len() > 1 {
            report.id.to_string()
        } else {
            report.id.component.to_string()
        };
        table.add_rows(rows(report, name, &usage));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

type Row = [String; HEADER.len()];

fn rows(report: &ProbeReport, name: String, usage: &Usage<'_>) -> Vec<Row> {
    let observation = &report.observation;
    if let [only] = observation.targets.as_slice() {
        let [_, pod, healthy, latency, cpu, memory, reason] =
            target_row(only, usage.pod(report, &only.name));
        let reason = observation.outcome.reason().map_or(reason, |reason| reason.text.clone());
        let healthy = if observation.outcome == only.outcome {
            healthy
        } else {
            verdict(&observation.outcome)
        };
        return vec![[name, pod, healthy, latency, cpu, memory, reason]];
    }
    let mut rows = vec![component_row(report, name)];
    rows.extend(
        observation
            .targets
            .iter()
            .map(|target| target_row(target, usage.pod(report, &target.name))),
    );
    let canaries = observation.milvus.iter().flat_map(|milvus| &milvus.canaries);
    rows.extend(canaries.map(canary_row));
    rows
}

fn component_row(report: &ProbeReport, name: String) -> Row {
    let observation = &report.observation;
    let parts = observation.targets.len();
    let pods = if parts > 0 {
        let healthy = observation.targets.iter().filter(|target| target.outcome.is_healthy());
        format!("{}/{parts}", healthy.count())
    } else {
        let version = observation.milvus.as_ref().and_then(|milvus| milvus.version.clone());
        version.unwrap_or_default()
    };
    let outcome = &observation.outcome;
    let latency = milliseconds(report.duration);
    let blank = String::new;
    [name, pods, verdict(outcome), latency, blank(), blank(), reason(outcome)]
}

fn target_row(target: &TargetReport, usage: Option<&PodUsage>) -> Row {
    let cpu = usage.map_or_else(String::new, |pod| {
        let shares = (pod.cpu_percent_of_request, pod.cpu_percent_of_limit);
        figure(shares, pod.cpu_milli.map(|milli| format!("{milli}m")))
    });
    let memory = usage.map_or_else(String::new, |pod| {
        let shares = (pod.memory_percent_of_request, pod.memory_percent_of_limit);
        figure(shares, pod.memory_bytes.map(|bytes| format!("{}Mi", bytes >> 20)))
    });
    let outcome = &target.outcome;
    // Nothing was asked where there is no address, so there is no time to show.
    let latency =
        if target.address.is_empty() { String::new() } else { milliseconds(target.latency) };
    let name = target.name.to_string();
    [String::new(), name, verdict(outcome), latency, cpu, memory, reason(outcome)]
}

fn canary_row(canary: &CollectionProbe) -> Row {
    let healthy = if canary.error.is_none() { "yes" } else { "no" };
    let said = match (&canary.error, canary.rows) {
        (Some(error), _) => error.clone(),
        (None, Some(rows)) => format!("{rows} rows"),
        (None, None) => String::new(),
    };
    let blank = String::new;
    let name = format!("collection {}", canary.collection);
    [blank(), name, healthy.to_owned(), milliseconds(canary.latency), blank(), blank(), said]
}

fn verdict(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Healthy => "yes",
        Outcome::Degraded { .. } => "degraded",
        Outcome::Failed { .. } => "no",
    }
    .to_owned()
}

fn reason(outcome: &Outcome) -> String {
    outcome.reason().map(|reason| reason.text.clone()).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// `62/31%` of request and limit, `62%` of the request alone, else the absolute figure.
fn figure(shares: (Option<Percent>, Option<Percent>), absolute: Option<String>) -> String {
    match shares {
        (Some(request), Some(limit)) => format!("{request}/{limit}%"),
        (Some(request), None) => format!("{request}%"),
        (None, Some(limit)) => format!("-/{limit}%"),
        (None, None) => absolute.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cluster, report};
    use super::*;
    use crate::model::{ProberKind, ReasonKind};

    #[test]
    fn a_sick_pod_stands_under_its_component_with_its_reason() {
        let text = table(&cluster(), Layout::Folded);
        let line = |start: &str| {
            text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_default()
        };
        assert!(line("querynode ").contains("1/2"), "{text}");
        assert!(line("querynode-b  ").contains(" no "), "{text}");
        assert!(line("proxy").contains("proxy-a") && line("proxy").contains("62/31%"), "{text}");
        assert!(line("collection products").contains("1000 rows"), "{text}");
        assert!(line("milvus").contains("v2.3.5"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_a_hundred_columns_and_none_has_colours() {
        let long = "x".repeat(90) + " " + &"word ".repeat(40);
        let mut reports = cluster();
        reports.push(report(
            "a-component-with-a-name-that-is-longer-than-anybody-wants",
            ProberKind::Http,
            Outcome::failed(ReasonKind::Connection, long),
        ));
        let text = table(&reports, Layout::Folded);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        let name = "a-component-with-a-name-that-is-longer-than-anybody-wants";
        assert!(!text.contains(name) && table(&reports, Layout::OneLinePerRow).contains(name));
    }

    #[test]
    fn the_service_comes_first_and_the_figures_last() {
        let text = table(&cluster(), Layout::Folded);
        let position =
            |name: &str| text.lines().position(|line| line.split_whitespace().next() == Some(name));
        assert!(position("milvus") < position("proxy"), "{text}");
        assert!(position("querynode") < position("resources"), "{text}");
    }

    #[test]
    fn clusters_are_named_where_there_are_several() {
        let mut other = report("proxy", ProberKind::Pods, Outcome::Healthy);
        other.id.cluster = "laptop".into();
        let text =
            table(&[other, report("proxy", ProberKind::Pods, Outcome::Healthy)], Layout::Folded);
        assert!(text.contains("laptop/proxy") && text.contains("milvus-ha/proxy"), "{text}");
    }
}
