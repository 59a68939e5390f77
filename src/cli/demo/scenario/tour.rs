//! The scenarios of the tour: one thing of each kind.

use std::time::Duration;

use super::{DEFAULT, Deed, Expectation, Scenario, Setup, Step, Trouble, Verdict};

/// What is well after one pod was replaced.
pub(super) const HUNG_POD: Step = Step {
    name: "hung-pod",
    component: "querynode",
    trouble: Trouble::OnePodHangs,
    expects: &[
        Expectation::Unhealthy,
        Expectation::AlertMail,
        Expectation::AlertWebhook,
        Expectation::Done(Deed::Eviction),
        Expectation::KubernetesEvent,
        Expectation::SickPodReplaced,
        Expectation::HealthyAgain,
        Expectation::ResolvedMail,
    ],
    afterwards: Duration::ZERO,
    verdicts: &[Verdict::OnlyDone(&[Deed::Eviction])],
    limit: Duration::from_secs(24),
};

const COMPONENT_500: Step = Step {
    name: "component-500",
    component: "datanode",
    trouble: Trouble::AllPodsAnswer500,
    expects: &[
        Expectation::Unhealthy,
        Expectation::AlertMail,
        Expectation::AlertWebhook,
        Expectation::Done(Deed::Restart),
        Expectation::KubernetesEvent,
        Expectation::PodsReplaced,
        Expectation::HealthyAgain,
        Expectation::ResolvedMail,
    ],
    afterwards: Duration::ZERO,
    verdicts: &[Verdict::OnlyDone(&[Deed::Restart])],
    limit: Duration::from_secs(20),
};

/// Longer than the prober's timeout, shorter than twice that: exactly one probe fails.
const STALL: Duration = Duration::from_millis(5_500);

const STALLED_PROBER: Step = Step {
    name: "stalled-prober",
    component: "indexnode",
    trouble: Trouble::Stalls(STALL),
    expects: &[Expectation::ProbeFails, Expectation::HealthyAgain],
    afterwards: Duration::ZERO,
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
    afterwards: Duration::ZERO,
    verdicts: &[Verdict::NobodyTold],
    limit: Duration::from_secs(20),
};

const CPU_SURGE_END: Step = Step {
    name: "cpu-surge-end",
    component: "proxy",
    trouble: Trouble::Ends,
    expects: &[Expectation::CpuBelow(35), Expectation::ScalePatch, Expectation::ReadyPods(2)],
    afterwards: Duration::ZERO,
    verdicts: &[Verdict::NobodyTold],
    limit: Duration::from_secs(20),
};

/// The tour and its parts.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: DEFAULT,
        summary: "a tour of five troubles, one after the other, in under a minute",
        setup: Setup::TOUR,
        compared: false,
        steps: &[HUNG_POD, COMPONENT_500, STALLED_PROBER, CPU_SURGE, CPU_SURGE_END],
    },
    Scenario {
        name: "component-500",
        summary: "all datanode pods answer 500",
        setup: Setup::TOUR,
        compared: false,
        steps: &[COMPONENT_500],
    },
    Scenario {
        name: "stalled-prober",
        summary: "one prober's target stalls while its siblings stay on time",
        setup: Setup::TOUR,
        compared: false,
        steps: &[STALLED_PROBER],
    },
    Scenario {
        name: "cpu-surge",
        summary: "the proxy's load rises and falls, and its replicas follow",
        setup: Setup::TOUR,
        compared: false,
        steps: &[CPU_SURGE, CPU_SURGE_END],
    },
];
