//! The scenarios, as data: what goes wrong, and what must then be seen.

mod expectation;
mod incidents;
mod tour;

use std::time::Duration;

pub(super) use expectation::{Expectation, Milestone, Verdict};

use super::deeds::Deed;
use crate::model::Role;

/// The scenario that is played when none is named.
pub(super) const DEFAULT: &str = "default";

/// A sequence of troubles.
#[derive(Debug)]
pub(super) struct Scenario {
    /// Its name on the command line and in the report.
    pub(super) name: &'static str,
    /// What it shows, in a line.
    pub(super) summary: &'static str,
    /// With what falconer and the simulation begin.
    pub(super) setup: Setup,
    /// Whether the reference's rule has to bear the same, beside falconer.
    pub(super) compared: bool,
    /// What happens, one after the other.
    pub(super) steps: &'static [Step],
}

impl Scenario {
    /// The scenario of this name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        all().find(|scenario| scenario.name == name)
    }
}

/// All scenarios; a new one is a new entry in one of the lists.
pub(super) fn all() -> impl Iterator<Item = &'static Scenario> {
    tour::SCENARIOS.iter().chain(incidents::SCENARIOS)
}

/// With what falconer and the simulation begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    /// `[recoverer]` and the tables of its components.
    pub(super) recoverer: &'static str,
    /// How long the first message of an incident waits for more evidence.
    pub(super) group_wait: &'static str,
    /// Components that have another number of pods than usual.
    pub(super) replicas: &'static [(Role, u32)],
    /// Whether the kubelet probes every second; else as the Helm chart has it.
    pub(super) quick_kubelet: bool,
}

impl Setup {
    /// Quick, with room for all of the tour.
    const TOUR: Self = Self {
        recoverer: r#"[recoverer]
cooldown = "1s"
verify_timeout = "30s"
budget = { actions = 10, per = "1h" }
global_budget = { actions = 20, per = "1h" }
"#,
        group_wait: "100ms",
        replicas: &[],
        quick_kubelet: false,
    };
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
    /// How long it is looked on afterwards, for what must not come.
    pub(super) afterwards: Duration,
    /// What must be true in the end.
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
    /// All its pods answer 500, and for a while the Kubernetes API answers nobody.
    AllPodsAnswer500WithoutApi(Duration),
    /// All its pods keep silent for a while.
    Stalls(Duration),
    /// It needs this much CPU in all, in thousandths of a core.
    Load(u64),
    /// etcd answers nobody, so that nothing else works either.
    EtcdOutage,
    /// Somebody gives it an image that does not work.
    BadRollout,
    /// Its pods end soon after they have begun, whatever is done about it.
    CrashLoop,
    /// Its pods and those of these others are well only for a while after each start.
    RestartStorm(&'static [&'static str], Duration),
    /// Its load is normal again, and nothing is wrong any more.
    Ends,
}

impl Trouble {
    /// Whether it begins once everything is well.
    pub(super) fn comes_alone(self, previous: Option<Self>) -> bool {
        let lasts = previous.is_some_and(|previous| !matches!(previous, Self::Load(_)));
        !(self == Self::Ends && lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_own_name() {
        for scenario in all() {
            let found = Scenario::find(scenario.name).expect("is there");
            assert_eq!(found.summary, scenario.summary);
            assert!(!found.steps.is_empty());
        }
        assert!(Scenario::find("nothing").is_none());
    }

    #[test]
    fn an_outage_ends_without_waiting_for_better_times_and_a_load_with_it() {
        assert!(Trouble::EtcdOutage.comes_alone(None));
        assert!(!Trouble::Ends.comes_alone(Some(Trouble::EtcdOutage)));
        assert!(Trouble::Ends.comes_alone(Some(Trouble::Load(1))));
    }
}
