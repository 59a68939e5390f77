//! Incidents in which too much zeal does harm: each is also left to the reference's rule.

use std::time::Duration;

use super::tour::HUNG_POD;
use super::{Deed, Expectation, Scenario, Setup, Step, Trouble, Verdict};
use crate::model::Role;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Longer than it takes to tell of everything, so that no message is sent before its cause shows.
const PATIENT: Setup = Setup { group_wait: "3s", ..Setup::TOUR };

const ETCD_OUTAGE: Step = Step {
    name: "etcd-outage",
    component: "etcd",
    trouble: Trouble::EtcdOutage,
    expects: &[Expectation::Unhealthy, Expectation::AlertMail, Expectation::AlertWebhook],
    afterwards: seconds(15),
    verdicts: &[Verdict::OnlyDone(&[]), Verdict::OneMailNamesIt],
    limit: seconds(35),
};

const ETCD_BACK: Step = Step {
    name: "etcd-back",
    component: "etcd",
    trouble: Trouble::Ends,
    expects: &[Expectation::AllWell, Expectation::ResolvedMail],
    afterwards: Duration::ZERO,
    verdicts: &[Verdict::OnlyDone(&[])],
    limit: seconds(30),
};

const BAD_ROLLOUT: Step = Step {
    name: "bad-rollout",
    component: "querynode",
    trouble: Trouble::BadRollout,
    expects: &[
        Expectation::Ailing,
        Expectation::AlertMail,
        Expectation::Done(Deed::Rollback),
        Expectation::EarlierImage,
        Expectation::AllWell,
        Expectation::ResolvedMail,
    ],
    afterwards: seconds(5),
    verdicts: &[Verdict::OnlyDone(&[Deed::Rollback])],
    limit: seconds(60),
};

const CRASH_LOOP: Step = Step {
    name: "crash-loop",
    component: "datanode",
    trouble: Trouble::CrashLoop,
    expects: &[
        Expectation::Unhealthy,
        Expectation::AlertMail,
        Expectation::Done(Deed::Eviction),
        Expectation::Done(Deed::Restart),
        Expectation::LastWord("left to a person"),
    ],
    afterwards: seconds(8),
    verdicts: &[Verdict::OnlyDone(&[Deed::Eviction, Deed::Restart]), Verdict::WithinBudgets],
    limit: seconds(75),
};

const RESTART_STORM: Step = Step {
    name: "restart-storm",
    component: "datanode",
    trouble: Trouble::RestartStorm(&["datanode", "querynode"], seconds(7)),
    expects: &[
        Expectation::Unhealthy,
        Expectation::AlertMail,
        Expectation::Done(Deed::Restart),
        Expectation::BreakerOpen,
        Expectation::LastWord("falconer resume demo"),
    ],
    afterwards: seconds(8),
    verdicts: &[Verdict::WithinBudgets],
    limit: seconds(85),
};

const OUTAGE: Duration = seconds(15);

const API_OUTAGE: Step = Step {
    name: "api-outage",
    component: "datanode",
    trouble: Trouble::AllPodsAnswer500WithoutApi(OUTAGE),
    expects: &[
        Expectation::Unhealthy,
        Expectation::AlertMail,
        Expectation::MailSays("the platform cannot be asked"),
        Expectation::Done(Deed::Restart),
        Expectation::PodsReplaced,
        Expectation::AllWell,
        Expectation::ResolvedMail,
    ],
    afterwards: seconds(3),
    verdicts: &[Verdict::NothingAskedFor(OUTAGE), Verdict::OnlyDone(&[Deed::Restart])],
    limit: seconds(80),
};

/// The incidents, each beside the reference's rule.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "hung-pod",
        summary: "a querynode pod accepts connections and never answers; it alone is replaced",
        setup: Setup::TOUR,
        compared: true,
        steps: &[HUNG_POD],
    },
    Scenario {
        name: "etcd-outage",
        summary: "etcd is gone and everything is sick: nothing is restarted, one alert names etcd",
        setup: PATIENT,
        compared: true,
        steps: &[ETCD_OUTAGE, ETCD_BACK],
    },
    Scenario {
        name: "bad-rollout",
        summary: "somebody rolls out a broken image, and falconer rolls it back",
        setup: Setup {
            recoverer: r#"[recoverer]
ladder = ["delete_pod", "rollout_restart", "rollback", "escalate"]
cooldown = "1s"
verify_timeout = "20s"
"#,
            quick_kubelet: true,
            ..Setup::TOUR
        },
        compared: true,
        steps: &[BAD_ROLLOUT],
    },
    Scenario {
        name: "crash-loop",
        summary: "a pod crashes whatever is done: the ladder is climbed, then a person is called",
        setup: Setup {
            recoverer: r#"[recoverer]
cooldown = "1s"
verify_timeout = "8s"
budget = { actions = 3, per = "1h" }
"#,
            replicas: &[(Role::DataNode, 1)],
            quick_kubelet: true,
            ..Setup::TOUR
        },
        compared: true,
        steps: &[CRASH_LOOP],
    },
    Scenario {
        name: "restart-storm",
        summary: "restarts help for seconds only: the breaker opens once the budget is spent",
        setup: Setup {
            // What comes back later than this counts as a new sickness: only the budgets are left.
            recoverer: r#"[recoverer]
cooldown = "1s"
verify_timeout = "15s"
recurrence_window = "1s"
budget = { actions = 3, per = "1h" }
cluster_budget = { actions = 4, per = "1h" }
"#,
            ..Setup::TOUR
        },
        compared: true,
        steps: &[RESTART_STORM],
    },
    Scenario {
        name: "api-outage",
        summary: "the Kubernetes API is gone while a component is sick: nothing until it is back",
        setup: PATIENT,
        compared: true,
        steps: &[API_OUTAGE],
    },
];
