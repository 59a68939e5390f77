//! The gauges of components, as a table: name, help, labels, and where the value comes from. On the
//! metrics page they are written straight from the table of present values; only where they are
//! pushed as well do they go through the exporter, which keeps a copy of every series.

use std::fmt::{self, Write as _};
use std::io;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::instruments::Naming;
use super::table::{ComponentSeries, SharedTable, Spread};
use crate::model::{ComponentId, HealthState, PerformanceReport};

/// Receives the values of one gauge for one component, each with its own labels.
type Emit<'a> = &'a mut dyn FnMut(f64, &[(&'static str, &str)]);

/// Which labels the series carry besides those given with each value.
#[derive(Debug, Clone, Copy)]
enum Labels {
    /// `component`, as the reference has it, and `cluster` with several clusters.
    ReferenceComponent,
    /// None, as the reference has it, and `cluster` with several clusters.
    Reference,
    /// `cluster` and `component`.
    Own,
}

/// One gauge.
pub(super) struct Specification {
    /// The name of the family.
    pub(super) name: &'static str,
    help: &'static str,
    labels: Labels,
    observe: fn(&ComponentSeries, Emit<'_>),
}

/// Every gauge that ends with its component.
pub(super) const SPECIFICATIONS: &[Specification] = &[
    Specification {
        name: "milvus_component_health",
        help: "Whether the component serves: 1 healthy or degraded, 0 unhealthy; absent while unknown",
        labels: Labels::ReferenceComponent,
        observe: |series, emit| match series.state {
            Some(HealthState::Healthy | HealthState::Degraded) => emit(1.0, &[]),
            Some(HealthState::Unhealthy) => emit(0.0, &[]),
            Some(HealthState::Unknown) | None => {}
        },
    },
    Specification {
        name: "milvus_collection_size",
        help: "Rows of a canary collection as of its newest successful query",
        labels: Labels::Reference,
        observe: |series, emit| {
            for (collection, rows) in &series.collections {
                emit(*rows as f64, &[("collection", collection)]);
            }
        },
    },
    Specification {
        name: "falconer_component_state",
        help: "The judged state of a component: 1 for the state it is in, 0 for the others",
        labels: Labels::Own,
        observe: |series, emit| {
            let Some(current) = series.state else { return };
            for state in HealthState::ALL {
                emit(f64::from(u8::from(state == current)), &[("state", state.as_str())]);
            }
        },
    },
    Specification {
        name: "falconer_replicas",
        help: "Replicas of a component: desired by its workloads, and ready",
        labels: Labels::Own,
        observe: |series, emit| {
            let Some((desired, ready)) = series.replicas else { return };
            emit(f64::from(desired), &[("state", "desired")]);
            emit(f64::from(ready), &[("state", "ready")]);
        },
    },
    Specification {
        name: "falconer_component_qps",
        help: "Searches, queries, inserts, upserts and deletes a second, over all pods",
        labels: Labels::Own,
        observe: |series, emit| figure(series, emit, |report| report.qps),
    },
    Specification {
        name: "falconer_component_error_ratio",
        help: "Share of a component's requests that failed, 0 to 1",
        labels: Labels::Own,
        observe: |series, emit| figure(series, emit, |report| report.error_rate),
    },
    Specification {
        name: "falconer_component_latency_seconds",
        help: "Search and query latency of a component's slowest pod since the previous scrape",
        labels: Labels::Own,
        observe: |series, emit| {
            let Some(report) = &series.performance else { return };
            let percentiles = [("50", report.latency_p50_ms), ("99", report.latency_p99_ms)];
            for (percentile, milliseconds) in percentiles {
                if let Some(milliseconds) = milliseconds {
                    emit(milliseconds / 1_000.0, &[("percentile", percentile)]);
                }
            }
        },
    },
    Specification {
        name: "falconer_component_read_queue_length",
        help: "Requests that wait to be executed, over all pods",
        labels: Labels::Own,
        observe: |series, emit| figure(series, emit, |report| report.read_queue_length),
    },
    Specification {
        name: "falconer_component_cpu_request_ratio",
        help: "CPU used by a component's pods as a share of their requests",
        labels: Labels::Own,
        observe: |series, emit| spread(series.usage.as_ref().and_then(|usage| usage.cpu), emit),
    },
    Specification {
        name: "falconer_component_memory_request_ratio",
        help: "Memory used by a component's pods as a share of their requests",
        labels: Labels::Own,
        observe: |series, emit| spread(series.usage.as_ref().and_then(|usage| usage.memory), emit),
    },
];

fn figure(
    series: &ComponentSeries,
    emit: Emit<'_>,
    figure: impl Fn(&PerformanceReport) -> Option<f64>,
) {
    if let Some(value) = series.performance.as_deref().and_then(figure) {
        emit(value, &[]);
    }
}

fn spread(spread: Option<Spread>, emit: Emit<'_>) {
    let Some(Spread { average, max }) = spread else { return };
    emit(average, &[("over_pods", "average")]);
    emit(max, &[("over_pods", "max")]);
}

/// The gauges as the metrics page shows them. Clones are one and the same.
#[derive(Debug, Clone)]
pub(super) struct GaugesPage {
    pub(super) table: SharedTable,
    pub(super) naming: Naming,
}

impl GaugesPage {
    /// Appends every gauge that has a value, in Prometheus' text format.
    ///
    /// # Errors
    /// When `page` cannot take it.
    pub(super) fn write(&self, page: &mut impl io::Write) -> io::Result<()> {
        for specification in SPECIFICATIONS {
            let Specification { name, help, labels, observe } = specification;
            let mut is_begun = false;
            let mut line = String::new();
            let mut written = Ok(());
            self.table.for_each(|id, series| {
                observe(series, &mut |value, extra| {
                    line.clear();
                    if !std::mem::replace(&mut is_begun, true) {
                        let _infallible =
                            write!(line, "# HELP {name} {help}\n# TYPE {name} gauge\n");
                    }
                    self.line(&mut line, name, *labels, id, value, extra);
                    if written.is_ok() {
                        written = page.write_all(line.as_bytes());
                    }
                });
            });
            written?;
        }
        Ok(())
    }

    fn line(
        &self,
        line: &mut String,
        name: &str,
        labels: Labels,
        id: &ComponentId,
        value: f64,
        extra: &[(&'static str, &str)],
    ) {
        let cluster = match labels {
            Labels::Own => true,
            Labels::Reference | Labels::ReferenceComponent => self.naming.are_clusters_apart(),
        };
        let component = match labels {
            Labels::Own | Labels::ReferenceComponent => true,
            Labels::Reference => false,
        };
        let own = [
            cluster.then_some(("cluster", &*id.cluster)),
            component.then_some(("component", &*id.component)),
        ];
        let mut labels: Vec<(&str, &str)> =
            own.into_iter().flatten().chain(extra.iter().copied()).collect();
        labels.sort_unstable();
        line.push_str(name);
        for (index, (key, value)) in labels.into_iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            let _infallible = write!(line, "{separator}{key}=\"{}\"", Escaped(value));
        }
        let _infallible = writeln!(line, "}} {value}");
    }
}

/// The value of a label, as the text format wants it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Makes every gauge of the table known to `meter`.
pub(super) fn register(meter: &Meter, page: &GaugesPage) {
    for specification in SPECIFICATIONS {
        let GaugesPage { table, naming } = page.clone();
        let (labels, observe) = (specification.labels, specification.observe);
        let _registered = meter
            .f64_observable_gauge(specification.name)
            .with_description(specification.help)
            .with_callback(move |observer| {
                table.for_each(|id, series| {
                    observe(series, &mut |value, extra| {
                        let extra = extra
                            .iter()
                            .map(|(key, value)| KeyValue::new(*key, (*value).to_owned()));
                        let labels = match labels {
                            Labels::Own => Naming::own(id).into_iter().chain(extra).collect(),
                            Labels::Reference => naming.reference(id, extra),
                            Labels::ReferenceComponent => naming
                                .reference(id, [Naming::component(id)].into_iter().chain(extra)),
                        };
                        observer.observe(value, &labels);
                    });
                });
            })
            .build();
    }
}
