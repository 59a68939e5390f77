//! Which of a component's workloads an action would be for. Never guesses between two.

use std::fmt;

use crate::model::{Workload, WorkloadRef};

/// Why no workload can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoChoice {
    /// Nothing runs the component.
    NoWorkload,
    /// Every workload has zero replicas: somebody switched the component off.
    ScaledToZero {
        /// The workload, or the first of them.
        workload: WorkloadRef,
    },
    /// More than one has replicas. milvus-operator moves replicas between two deployments during a
    /// rollout, and neither is the right one until it has finished.
    Several {
        /// Those that have replicas.
        workloads: Vec<WorkloadRef>,
    },
}

impl NoChoice {
    /// A closed-set name for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoWorkload => "no_workload",
            Self::ScaledToZero { .. } => "scaled_to_zero",
            Self::Several { .. } => "several_workloads",
        }
    }
}

impl fmt::Display for NoChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkload => f.write_str("no workload runs it"),
            Self::ScaledToZero { workload } => {
                write!(f, "{workload} is scaled to zero: it is switched off on purpose")
            }
            Self::Several { workloads } => {
                let names: Vec<String> = workloads.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "{} have replicas at the same time: a rollout may be in progress",
                    names.join(" and ")
                )
            }
        }
    }
}

/// The one workload that has replicas.
///
/// # Errors
/// When there is none, or more than one.
pub fn choose(workloads: &[Workload]) -> Result<&Workload, NoChoice> {
    let mut running = workloads.iter().filter(|workload| workload.desired_replicas > 0);
    match (running.next(), running.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(workloads.first().map_or(NoChoice::NoWorkload, |first| {
            NoChoice::ScaledToZero { workload: first.reference.clone() }
        })),
        (Some(_), Some(_)) => Err(NoChoice::Several {
            workloads: workloads
                .iter()
                .filter(|workload| workload.desired_replicas > 0)
                .map(|workload| workload.reference.clone())
                .collect(),
        }),
    }
}
