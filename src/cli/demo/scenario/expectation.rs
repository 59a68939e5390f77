//! What can be expected of a step: what must be seen once, and what must be true of it as a whole.

use std::time::Duration;

use super::Deed;

/// To which of the measured times an expectation belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::demo) enum Milestone {
    Detect,
    Alert,
    Act,
    Recover,
    /// falconer leaves it to a person.
    Stop,
}

/// Something that must be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::demo) enum Expectation {
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
    /// The mail sink has an alert about it with these words.
    MailSays(&'static str),
    /// The Kubernetes API has done something of this kind to it.
    Done(Deed),
    /// The Kubernetes API has a new event about it.
    KubernetesEvent,
    /// The Kubernetes API has accepted a new number of replicas.
    ScalePatch,
    /// All pods that there were are replaced and all new ones are ready.
    PodsReplaced,
    /// The sick pod is replaced, all others are the same, and all are ready.
    SickPodReplaced,
    /// All its pods run the image of before and are ready.
    EarlierImage,
    /// This many pods are ready and there are no others.
    ReadyPods(usize),
    /// The status board calls the component healthy.
    HealthyAgain,
    /// The status board calls everything healthy, and so does the cluster.
    AllWell,
    /// The mail sink has the message that it is over.
    ResolvedMail,
    /// The mail sink has an alert with these words, about whichever component: no more is done.
    LastWord(&'static str),
    /// The circuit breaker of the cluster is open.
    BreakerOpen,
}

impl Expectation {
    /// The time that it counts towards.
    pub(in crate::cli::demo) const fn milestone(self) -> Milestone {
        match self {
            Self::Unhealthy | Self::ProbeFails | Self::CpuAbove(_) | Self::CpuBelow(_) => {
                Milestone::Detect
            }
            Self::AlertMail | Self::AlertWebhook | Self::MailSays(_) => Milestone::Alert,
            Self::Done(_) | Self::KubernetesEvent | Self::ScalePatch => Milestone::Act,
            Self::PodsReplaced
            | Self::SickPodReplaced
            | Self::EarlierImage
            | Self::ReadyPods(_)
            | Self::HealthyAgain
            | Self::AllWell
            | Self::ResolvedMail => Milestone::Recover,
            Self::LastWord(_) | Self::BreakerOpen => Milestone::Stop,
        }
    }

    /// In words, for the timeline and for what is missing.
    pub(in crate::cli::demo) fn words(self, component: &str) -> String {
        match self {
            Self::Unhealthy => format!("{component} is called unhealthy"),
            Self::ProbeFails => format!("a probe of {component} fails"),
            Self::CpuAbove(percent) => format!("CPU of {component} is seen above {percent} %"),
            Self::CpuBelow(percent) => format!("CPU of {component} is seen below {percent} %"),
            Self::AlertMail => format!("alert mail about {component} is in the sink"),
            Self::AlertWebhook => format!("alert about {component} is in the webhook sink"),
            Self::MailSays(text) => format!("alert mail about {component} says \"{text}\""),
            Self::Done(deed) => format!("{} of {component} is accepted by the API", deed.as_str()),
            Self::KubernetesEvent => format!("Kubernetes event about {component} is in the API"),
            Self::ScalePatch => format!("new replicas of {component} are accepted by the API"),
            Self::PodsReplaced => format!("all pods of {component} are new and ready"),
            Self::SickPodReplaced => {
                format!("the sick pod of {component}, and no other, is replaced")
            }
            Self::EarlierImage => format!("all pods of {component} run the image of before"),
            Self::ReadyPods(count) => format!("{count} pods of {component} are ready"),
            Self::HealthyAgain => format!("{component} is called healthy again"),
            Self::AllWell => "everything is called healthy again".to_owned(),
            Self::ResolvedMail => format!("mail about the end for {component} is in the sink"),
            Self::LastWord(text) => format!("alert mail says \"{text}\""),
            Self::BreakerOpen => "the cluster's circuit breaker is open".to_owned(),
        }
    }
}

/// Something that must be true of a step as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::demo) enum Verdict {
    /// The component itself was not probed for a good while: its prober was really stuck.
    ProberWasStuck,
    /// Every other component was probed in its interval throughout.
    SiblingsOnTime,
    /// Nobody was told about the component.
    NobodyTold,
    /// The component's workload was left alone.
    NothingDone,
    /// These were the disruptions in the whole cluster, and no others, in this order.
    OnlyDone(&'static [Deed]),
    /// No more was done than the budgets of the component and of the cluster allow, but something.
    WithinBudgets,
    /// Nothing disruptive was even asked for in so much time from the beginning.
    NothingAskedFor(Duration),
    /// One mail is about the component, and each about another one has its name in the text.
    OneMailNamesIt,
}
