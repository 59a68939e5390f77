//! What bears on everything falconer does, as sentences: who leads, whether a cluster's recovery is
//! stopped, whether the journal can be written. The same on the page and in an explanation.

use crate::actors::status::{ActorsStatus, LeadershipSnapshot};
use crate::model::{ComponentId, Leadership};

/// A sentence about who leads; nothing where there is no election.
pub(super) fn leadership(shown: &LeadershipSnapshot) -> Option<String> {
    Some(match &shown.leadership {
        Leadership::Standalone => return None,
        Leadership::Leader { since, .. } => format!("This falconer is the leader since {since}."),
        Leadership::Follower { leader: Some(leader), since } => {
            format!("{leader} is the leader since {since}; this falconer watches and does nothing.")
        }
        Leadership::Follower { leader: None, .. } => {
            "There is no leader yet; this falconer watches and does nothing.".to_owned()
        }
        Leadership::Unknown { why, since, .. } => {
            format!("Nothing is acted upon: who leads is not known since {since}: {why}")
        }
    })
}

/// A sentence about each cluster in which nothing more is done, with what ends that.
pub(super) fn breakers(actors: &ActorsStatus) -> impl Iterator<Item = (&str, String)> {
    actors.recoverer.breakers.iter().map(|(cluster, tripped)| {
        let words = format!(
            "Recovery of {cluster} is stopped since {}: {}. Look at the cluster, then: falconer \
             resume {cluster}",
            tripped.at, tripped.why
        );
        (&**cluster, words)
    })
}

/// A sentence about a journal that cannot be written.
pub(super) fn journal(actors: &ActorsStatus) -> Option<String> {
    let trouble = actors.journal.trouble.as_ref()?;
    let (path, in_memory) = (&actors.journal.path, actors.journal.in_memory);
    let lost = match actors.journal.dropped {
        0 => String::new(),
        dropped => format!(", {dropped} were lost"),
    };
    Some(format!(
        "The journal {path} cannot be written since {}: {}; {in_memory} entries wait in memory{lost}.",
        trouble.since, trouble.why
    ))
}

/// A sentence about each action that is under way.
pub(super) fn under_way(actors: &ActorsStatus) -> impl Iterator<Item = (&ComponentId, String)> {
    actors.recoverer.in_flight.iter().map(|action| {
        let target = match &action.pod {
            Some(pod) => format!("pod {} of {}", pod.name, action.workload),
            None => action.workload.to_string(),
        };
        let stage = match action.accepted_at {
            Some(at) => format!("accepted at {at}, {}", action.rollout),
            None => format!("asked for at {}, not answered yet", action.requested_at),
        };
        let words = format!("{}: {} of {target}: {stage}", action.component, action.step.as_str());
        (&action.component, words)
    })
}

/// A sentence about each workload whose replicas may be set back by somebody else.
pub(super) fn scaling(actors: &ActorsStatus) -> impl Iterator<Item = (&ComponentId, String)> {
    let warnings = actors.scaler.warnings.iter();
    warnings
        .map(|warning| (&warning.component, format!("{}: {}", warning.component, warning.words)))
}

/// The guard that decided the newest decision about a component, where one objected.
pub(super) fn objecting_guard<'a>(actors: &'a ActorsStatus, id: &ComponentId) -> Option<&'a str> {
    let newest = actors.recoverer.assessments.get(&id.to_string())?;
    let mut objections =
        newest.verdicts.iter().filter(|one| !matches!(one.verdict, "pass" | "not_asked"));
    objections.next().map(|one| one.guard)
}

/// Everything that bears on one component.
pub(super) fn about(id: &ComponentId, actors: &ActorsStatus) -> Vec<String> {
    let stopped = breakers(actors).filter(|(cluster, _)| *cluster == &*id.cluster);
    let acting = under_way(actors).filter(|(component, _)| *component == id);
    let scaled = scaling(actors).filter(|(component, _)| *component == id);
    let recoverer = &actors.recoverer;
    let dry_run = recoverer.dry_run.then(|| "Dry run: actions are only shown.".to_owned());
    let draining = recoverer.draining.then(|| "falconer is ending: it decides nothing.".to_owned());
    stopped
        .map(|(_, words)| words)
        .chain(acting.map(|(_, words)| format!("Under way: {words}")))
        .chain(leadership(&actors.leadership))
        .chain(dry_run)
        .chain(draining)
        .chain(journal(actors))
        .chain(scaled.map(|(_, words)| words))
        .collect()
}
