//! The scenarios, as data: what goes wrong, and what must then be seen.

use std::time::Duration;

/// The scenario that is played when none is named.
pub(super) const DEFAULT: &str = "default";

/// A sequence of troubles.
#[derive(Debug)]
pub(super) struct Scenario {
    /// Its name on the command line and in the report.
    pub(super) name: &'static str,
    /// What it shows, in a line.
    pub(super) summary: &'static str,
    /// What happens, one after the other.
    pub(super) steps: &'static [Step],
}

impl Scenario {
    /// The scenario of this name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}

/// One trouble and what must be seen of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Its name in the report.
    pub(super) name: &'static str,
    /// The component that it happens to.
    pub(super) component: &'static str,
    /// What happens.
    pub(super) trouble: Trouble,
    /// What must be seen, in any order.
    pub(super) expects: &'static [Expectation],
    /// What must be true once everything has been seen.
    pub(super) verdicts: &'static [Verdict],
    /// How long all of it may take.
    pub(super) limit: Duration,
}

/// What happens to a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its first pod accepts connections and never answers.
    OnePodHangs,
    /// All its pods answer 500.
    AllPodsAnswer500,
    /// All its pods keep silent for a while.
    Stalls(Duration),
    /// It needs this much CPU in all, in thousandths of a core.
    Load(u64),
    /// Its load is normal again.
    NormalLoad,
}

/// To which of the measured times an expectation belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Milestone {
    Detect,
    Alert,
    Act,
    Recover,
}

/// Something that must be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expectation {
    /// The status board calls the component unhealthy.
    Unhealthy,
    /// The status board shows a failed probe, healthy as the component may still be called.
    ProbeFails,
    /// The status board shows an average CPU of at least this, per cent of the request.
    CpuAbove(u32),
    /// The status board shows an average CPU of at most this, per cent of the request.
    CpuBelow(u32),
    /// The mail sink has the alert.
    AlertMail,
    /// The webhook sink has the alert.
    AlertWebhook,
    /// The Kubernetes API has accepted the restart annotation.
    RestartPatch,
    /// The Kubernetes API has a new event about it.
    KubernetesEvent,
    /// The Kubernetes API has accepted a new number of replicas.
    ScalePatch,
    /// All pods that there were are replaced and all new ones are ready.
    PodsReplaced,
    /// This many pods are ready and there are no others.
    ReadyPods(usize),
    /// The status board calls the component healthy.
    HealthyAgain,
    /// The mail sink has the message that it is over.
    ResolvedMail,
}

impl Expectation {
    /// The time that it counts towards.
    pub(super) const fn milestone(self) -> Milestone {
        match self {
            Self::Unhealthy | Self::ProbeFails | Self::CpuAbove(_) | Self::CpuBelow(_) => {
                Milestone::Detect
            }
            Self::AlertMail | Self::AlertWebhook => Milestone::Alert,
            Self::RestartPatch | Self::KubernetesEvent | Self::ScalePatch => Milestone::Act,
            Self::PodsReplaced | Self::ReadyPods(_) | Self::HealthyAgain | Self::ResolvedMail => {
                Milestone::Recover
            }
        }
    }

    /// In words, for the timeline and for what is missing.
    pub(super) fn words(self, component: &str) -> String {
        match self {
            Self::Unhealthy => format!("{component} is called unhealthy"),
            Self::ProbeFails => format!("a probe of {component} fails"),
            Self::CpuAbove(percent) => format!("CPU of {component} is seen above {percent} %"),
            Self::CpuBelow(percent) => format!("CPU of {component} is seen below {percent} %"),
            Self::AlertMail => format!("alert mail about {component} is in the sink"),
            Self::AlertWebhook => format!("alert about {component} is in the webhook sink"),
            Self::RestartPatch => format!("restart of {component} is accepted by the API"),
            Self::KubernetesEvent => format!("Kubernetes event about {component} is in the API"),
            Self::ScalePatch => format!("new replicas of {component} are accepted by the API"),
            Self::PodsReplaced => format!("all pods of {component} are new and ready"),
            Self::ReadyPods(count) => format!("{count} pods of {component} are ready"),
            Self::HealthyAgain => format!("{component} is called healthy again"),
            Self::ResolvedMail => format!("mail about the end for {component} is in the sink"),
        }
    }
}

/// Something that must be true of a step as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The component itself was not probed for a good while: its prober was really stuck.
    ProberWasStuck,
    /// Every other component was probed in its interval throughout.
    SiblingsOnTime,
    /// Nobody was told about the component.
    NobodyTold,
    /// The component's workload was left alone.
    NothingDone,
}

const HUNG_POD: Step = Step {
    name: "hung-pod",
    component: "querynode",
    trouble: Trouble::OnePodHangs,
    expects: RESTART,
    verdicts: &[],
    limit: Duration::from_secs(24),
};

const COMPONENT_500: Step = Step {
    name: "component-500",
    component: "datanode",
    trouble: Trouble::AllPodsAnswer500,
    expects: RESTART,
    verdicts: &[],
    limit: Duration::from_secs(20),
};

const RESTART: &[Expectation] = &[
    Expectation::Unhealthy,
    Expectation::AlertMail,
    Expectation::AlertWebhook,
    Expectation::RestartPatch,
    Expectation::KubernetesEvent,
    Expectation::PodsReplaced,
    Expectation::HealthyAgain,
    Expectation::ResolvedMail,
];

/// Longer than the prober's timeout, shorter than twice that: exactly one probe fails.
const STALL: Duration = Duration::from_millis(5_500);

const STALLED_PROBER: Step = Step {
    name: "stalled-prober",
    component: "indexnode",
    trouble: Trouble::Stalls(STALL),
    expects: &[Expectation::ProbeFails, Expectation::HealthyAgain],
    verdicts: &[
        Verdict::ProberWasStuck,
        Verdict::SiblingsOnTime,
        Verdict::NobodyTold,
        Verdict::NothingDone,
    ],
    limit: Duration::from_secs(12),
};

const CPU_SURGE: Step = Step {
    name: "cpu-surge",
    component: "proxy",
    // 80 % of the request of two replicas, 53 % of that of three.
    trouble: Trouble::Load(1_600),
    expects: &[Expectation::CpuAbove(70), Expectation::ScalePatch, Expectation::ReadyPods(3)],
    verdicts: &[Verdict::NobodyTold],
    limit: Duration::from_secs(20),
};

const CPU_SURGE_END: Step = Step {
    name: "cpu-surge-end",
    component: "proxy",
    trouble: Trouble::NormalLoad,
    expects: &[Expectation::CpuBelow(35), Expectation::ScalePatch, Expectation::ReadyPods(2)],
    verdicts: &[Verdict::NobodyTold],
    limit: Duration::from_secs(20),
};

/// All scenarios; a new one is a new entry.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: DEFAULT,
        summary: "all of the following, one after the other, in under a minute",
        steps: &[HUNG_POD, COMPONENT_500, STALLED_PROBER, CPU_SURGE, CPU_SURGE_END],
    },
    Scenario {
        name: "hung-pod",
        summary: "a querynode pod accepts connections and never answers",
        steps: &[HUNG_POD],
    },
    Scenario {
        name: "component-500",
        summary: "all datanode pods answer 500",
        steps: &[COMPONENT_500],
    },
    Scenario {
        name: "stalled-prober",
        summary: "one prober's target stalls while its siblings stay on time",
        steps: &[STALLED_PROBER],
    },
    Scenario {
        name: "cpu-surge",
        summary: "the proxy's load rises and falls, and its replicas follow",
        steps: &[CPU_SURGE, CPU_SURGE_END],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_own_name() {
        for scenario in SCENARIOS {
            let found = Scenario::find(scenario.name).expect("is there");
            assert_eq!(found.summary, scenario.summary);
            assert!(!found.steps.is_empty());
        }
        assert!(Scenario::find("nothing").is_none());
    }
}
