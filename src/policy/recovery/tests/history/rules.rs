//! The rules, checked after every step against what was begun and what arrived.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::steps::Answer;
use super::truth::FORBIDDING;
use super::world::{Begun, World};

type Rule = fn(&World) -> Result<(), String>;

impl World {
    /// Whether every rule holds so far, or which does not.
    pub fn check(&self) -> Result<(), String> {
        let rules: [Rule; 9] = [
            seen_at_once,
            nothing_forbidden_was_done,
            at_most_so_many_at_once,
            cooldowns_hold,
            budgets_hold,
            one_key_is_one_action,
            no_pod_that_serves_was_removed,
            ladders_are_climbed_and_never_run_down,
            no_revision_is_returned_to_that_was_left,
        ];
        rules.iter().try_for_each(|rule| rule(self))
    }

    /// Whether the changes that were taken add up to the whole, but for how lately a component was
    /// sick, and whether it is read back as it is.
    pub fn is_saved(&self) -> Result<(), String> {
        let without = |stored: &BTreeMap<String, String>| -> BTreeMap<String, serde_json::Value> {
            let read = |text: &String| {
                let mut value: serde_json::Value = serde_json::from_str(text).expect("JSON");
                if let Some(fields) = value.as_object_mut() {
                    fields.remove("last_sick_at");
                }
                value
            };
            stored.iter().map(|(key, text)| (key.clone(), read(text))).collect()
        };
        let (saved, exported) = (without(&self.saved), without(&self.desk.ledger.export()));
        require(saved == exported, || format!("saved {saved:#?}\nbut is {exported:#?}"))?;
        let (back, problems) = RecoveryLedger::import(&self.desk.ledger.export());
        let same = problems.is_empty() && back.export() == self.desk.ledger.export();
        require(same, || format!("not read back as it was: {problems:?}"))
    }

    /// When what arrived did, with what it was.
    fn arrivals(&self) -> impl Iterator<Item = (&Begun, Timestamp)> {
        self.arrived.iter().map(|(index, at)| (&self.begun[*index], *at))
    }
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn seen_at_once(world: &World) -> Result<(), String> {
    world.broken.clone().map_or(Ok(()), Err)
}

/// The newest action, which is the only one that was not checked yet.
fn newest(world: &World) -> Option<&Begun> {
    world.begun.last()
}

fn nothing_forbidden_was_done(world: &World) -> Result<(), String> {
    let Some(begun) = newest(world) else { return Ok(()) };
    let id = &begun.request.component;
    require(begun.forbidden.is_none(), || {
        let what = begun.forbidden.map_or("", |what| FORBIDDING[usize::from(what)]);
        format!("{id} was acted on in spite of {what}")
    })?;
    let open = world.desk.ledger.breaker(&id.cluster).is_some_and(|tripped| tripped.at < begun.at);
    require(!open, || format!("{id} was acted on with an open breaker"))?;
    let incident = &begun.request.incident;
    let left = world.escalated.contains(incident) && world.begun.len() > 1;
    let later =
        left && world.desk.ledger.escalated_at(id, incident).is_some_and(|at| at < begun.at);
    require(!later, || format!("{incident} was left to a person"))
}

fn at_most_so_many_at_once(world: &World) -> Result<(), String> {
    let most = world.desk.global.max_concurrent;
    let Some(begun) = newest(world) else { return Ok(()) };
    require(begun.beside < most, || {
        format!("{} was begun beside {} others", begun.plan.idempotency_key, begun.beside)
    })
}

fn cooldowns_hold(world: &World) -> Result<(), String> {
    let Some(begun) = newest(world) else { return Ok(()) };
    let id = &begun.request.component;
    let cooldown = world.desk.settings.cooldown;
    for (earlier, at) in world.arrivals() {
        let is_other = earlier.plan.idempotency_key != begun.plan.idempotency_key;
        if is_other && earlier.request.component == *id && at <= begun.at {
            require(begun.at.since(at) >= cooldown, || {
                let after = begun.at.since(at);
                format!("{} only {after:?} after the last action", begun.plan.idempotency_key)
            })?;
        }
    }
    Ok(())
}

fn budgets_hold(world: &World) -> Result<(), String> {
    let (settings, global) = (&world.desk.settings, &world.desk.global);
    let all: Vec<(&ComponentId, Timestamp)> =
        world.arrivals().map(|(begun, at)| (&begun.request.component, at)).collect();
    let times = |chosen: &dyn Fn(&ComponentId) -> bool, reset: Option<Timestamp>| {
        let chosen = all.iter().filter(|(id, _)| chosen(id)).map(|(_, at)| *at);
        // What was begun before a reset in the same instant was forgiven as well.
        let forgiven = |at: Timestamp| reset.is_some_and(|reset| at <= reset);
        chosen.filter(|at| !forgiven(*at)).collect::<Vec<_>>()
    };
    let last_reset = world.resets.iter().map(|(_, at)| *at).max();
    within("global", &times(&|_| true, last_reset), global.budget)?;
    for cluster in ["a", "b"] {
        let resets = world.resets.iter().filter(|(name, _)| &**name == cluster);
        let reset = resets.map(|(_, at)| *at).max();
        within(cluster, &times(&|id| &*id.cluster == cluster, reset), global.cluster_budget)?;
    }
    for truth in &world.components {
        within(&truth.id.to_string(), &times(&|id| *id == truth.id, None), settings.budget)?;
    }
    Ok(())
}

fn within(whose: &str, times: &[Timestamp], budget: Budget) -> Result<(), String> {
    for start in times {
        let inside = times.iter().filter(|at| *at >= start && at.since(*start) < budget.per);
        let count = inside.count();
        require(count <= budget.actions, || {
            format!("{whose}: {count} actions in an hour, {} allowed", budget.actions)
        })?;
    }
    Ok(())
}

/// Whatever has the same key does the same, and is begun again only as a retry.
fn one_key_is_one_action(world: &World) -> Result<(), String> {
    let Some(begun) = newest(world) else { return Ok(()) };
    let key = &begun.plan.idempotency_key;
    let may_have_arrived =
        |answer: Answer| !matches!(answer, Answer::Shown | Answer::Refused | Answer::Withheld);
    let earlier = world.begun[..world.begun.len() - 1].iter();
    let same_key = earlier.filter(|other| other.plan.idempotency_key == *key);
    for other in same_key.filter(|other| may_have_arrived(other.answer)) {
        let (first, second) = (&other.plan, &begun.plan);
        let same = first.step == second.step
            && first.pod == second.pod
            && first.revisions == second.revisions
            && first.at == second.at;
        require(same, || format!("{key} is not the same action: {first:?}, {second:?}"))?;
    }
    // Once it has arrived it is begun anew only by one who cannot know that.
    let has_arrived =
        world.arrivals().any(|(other, at)| other.plan.idempotency_key == *key && at < begun.at);
    require(!has_arrived || begun.retry, || format!("{key} was done already"))
}

fn no_pod_that_serves_was_removed(world: &World) -> Result<(), String> {
    let Some(Begun { plan, request, .. }) = newest(world) else { return Ok(()) };
    let well = |one: &&PodState| one.is_well();
    match plan.step {
        ActionStep::RolloutRestart => {
            require(!request.serves, || format!("{} serves", request.component))
        }
        ActionStep::Rollback => Ok(()),
        ActionStep::DeletePod | ActionStep::ForceDelete => {
            let target = plan.pod.as_ref().ok_or("no pod")?;
            let pod = request
                .pods
                .iter()
                .find(|one| one.pod.name == target.name)
                .ok_or("a pod that does not exist")?;
            let expendable = match plan.step {
                ActionStep::ForceDelete => pod.is_terminating(),
                _ => pod.sick.is_some() && !pod.is_terminating(),
            };
            require(expendable, || format!("{} is no pod to remove", target.name))?;
            let stays = request.pods.iter().filter(well).count();
            require(!request.serves || stays > 0, || format!("{} was the last", target.name))
        }
    }
}

/// In one incident each rung is taken once, each pod is removed once, and never an earlier rung
/// after a later one.
fn ladders_are_climbed_and_never_run_down(world: &World) -> Result<(), String> {
    let Some(begun) = newest(world) else { return Ok(()) };
    let Begun { plan, request, .. } = begun;
    let incident = &request.incident;
    let rungs = world.desk.settings.ladder.len();
    require(plan.index < rungs || !plan.step.is_rung(), || "beyond the ladder".to_owned())?;
    let in_incident = || world.arrivals().filter(|(one, _)| one.request.incident == *incident);
    let taken: BTreeSet<(usize, &str)> = in_incident()
        .filter(|(one, _)| one.plan.step.is_rung())
        .map(|(one, _)| (one.plan.index, one.plan.step.as_str()))
        .collect();
    require(taken.len() <= rungs, || format!("{taken:?} are more steps than the ladder has"))?;
    for (other, at) in in_incident() {
        let is_other = other.plan.idempotency_key != plan.idempotency_key;
        // One whose answer was lost has no end that could be followed.
        let has_end = !matches!(other.answer, Answer::Lost { .. });
        let are_rungs = other.plan.step.is_rung() && plan.step.is_rung();
        if !is_other || !has_end || !are_rungs || at > begun.at {
            continue;
        }
        let per_pod = plan.step == ActionStep::DeletePod && other.plan.step == plan.step;
        let twice = per_pod && plan.pod == other.plan.pod;
        require(!twice, || format!("{:?} was removed twice", plan.pod))?;
        let climbs = other.plan.index < plan.index || (per_pod && other.plan.index == plan.index);
        require(climbs, || {
            format!("{} after {}", plan.idempotency_key, other.plan.idempotency_key)
        })?;
    }
    Ok(())
}

fn no_revision_is_returned_to_that_was_left(world: &World) -> Result<(), String> {
    let Some(begun) = newest(world) else { return Ok(()) };
    let Some(change) = begun.plan.revisions else { return Ok(()) };
    let id = &begun.request.component;
    let mut back = 0;
    for (other, _) in world.arrivals() {
        let Some(earlier) = other.plan.revisions else { continue };
        if other.request.component != *id {
            continue;
        }
        require(earlier.from != change.to, || {
            format!("{id} goes back to revision {}, which was left", change.to)
        })?;
        back += usize::from(other.request.incident == begun.request.incident);
    }
    require(back <= 1, || format!("{} was rolled back twice", begun.request.incident))
}
