//! What holds in any history of reports, platform answers, rollouts, kills, failovers, breaker
//! resets and people's interventions, in two clusters at once.

mod rules;
mod steps;
mod truth;
mod world;

use proptest::prelude::*;

use self::steps::{Answer, Step};
use self::world::{Setting, World};

const COMPONENTS: usize = 6;

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Accepted),
        1 => Just(Answer::Refused),
        2 => Just(Answer::Lost { arrived: true }),
        1 => Just(Answer::Lost { arrived: false }),
        1 => Just(Answer::Shown),
        1 => Just(Answer::Withheld),
        1 => any::<bool>().prop_map(|arrived| Answer::None { arrived }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    // Some are in the thick of it.
    let which = || prop_oneof![0..COMPONENTS, Just(0), Just(1), Just(4)];
    prop_oneof![
        14 => (which(), any::<bool>(), 0..4_u8, 0..16_u8, answer()).prop_map(
            |(component, anew, serves, pods, answer)| {
                Step::Report { component, anew, serves: serves == 0, pods, answer }
            }
        ),
        8 => prop_oneof![1..60_u64, 60..900_u64, Just(300), Just(600), Just(3600)]
            .prop_map(|seconds| Step::Pass { seconds }),
        3 => which().prop_map(|component| Step::Cure { component }),
        2 => which().prop_map(|component| Step::Healthy { component }),
        3 => (which(), any::<bool>())
            .prop_map(|(component, complete)| Step::Rollout { component, complete }),
        1 => which().prop_map(|component| Step::Deploy { component }),
        1 => (which(), 0..8_u8).prop_map(|(component, what)| Step::Forbid { component, what }),
        1 => Just(Step::Allow),
        1 => Just(Step::Respawn),
        1 => Just(Step::Kill),
        1 => (0..2_usize).prop_map(|cluster| Step::Reset { cluster }),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    (
        prop::collection::vec(0..3_u8, 1..5),
        (1..4_usize, 1..5_usize, 1..6_usize),
        1..3_usize,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(ladder, budgets, max_concurrent, force, repeats)| Setting {
            ladder,
            budgets,
            max_concurrent,
            force,
            repeats,
        })
}

proptest! {
    #[test]
    fn every_limit_holds_in_any_history(
        setting in setting(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new(&setting);
        for step in &steps {
            world.take(step);
            if let Err(broken) = world.check() {
                prop_assert!(false, "{}\n{}", broken, world.story());
            }
        }
        if let Err(broken) = world.is_saved() {
            prop_assert!(false, "{}\n{}", broken, world.story());
        }
    }
}

/// The generated histories are worth something only if things happen in them.
#[test]
fn the_histories_are_eventful() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let histories = (setting(), prop::collection::vec(step(), 150..200));
    let mut story = String::new();
    for _ in 0..150 {
        let (setting, steps) = histories.new_tree(&mut runner).expect("a history").current();
        let mut world = World::new(&setting);
        for step in &steps {
            world.take(step);
        }
        story.push_str(&world.story());
    }
    for event in [
        "delete_pod",
        "force_delete",
        "rollout_restart",
        "rollback",
        "Lost { arrived: true }",
        "None { arrived: true }",
        "Shown",
        "Withheld",
        "retries",
        "recovered",
        "pod replaced",
        "not recovered",
        "escalates",
        "breaker opens",
        "breaker is reset",
        "killed",
        "respawned",
        "another_in_flight",
        "component_budget_spent",
        "cluster_budget_spent",
        "global_budget_spent",
        "cooldown",
        "still_serves",
        "dependency_sick",
        "breaker_open",
    ] {
        assert!(story.contains(event), "{event} never happens");
    }
}
