//! What of the state fits into a store that has an end, as a ConfigMap has: what is newest. Pure.

use std::collections::BTreeSet;

use crate::model::StoredState;

/// What may be left out where there is no room for everything: how the messages of a group hang
/// together, what people were told of incidents, and that there are such incidents. Without the first a
/// new thread begins after a failover, and without the rest people are told once more; what was done,
/// which must not be done twice, always stays.
const DISPENSABLE: [&str; 3] = ["group/", "alert/", "incident/"];
/// How much longer a key may become when it is written there.
const KEY_GROWS: usize = 2;

fn size(key: &str, text: &str) -> usize {
    key.len() * KEY_GROWS + text.len()
}

/// The keys that are left out so that the others fit into `room` bytes: those of groups, then those of
/// the oldest incidents.
pub(super) fn left_out(state: &StoredState, room: usize) -> BTreeSet<String> {
    let total: usize = state.iter().map(|(key, text)| size(key, text)).sum();
    let mut left_out = BTreeSet::new();
    let Some(mut excess) = total.checked_sub(room).filter(|excess| *excess > 0) else {
        return left_out;
    };
    let is_dispensable = |key: &str| DISPENSABLE.iter().any(|kind| key.starts_with(kind));
    let mut oldest_first: Vec<(&str, &String, &String)> = state
        .iter()
        .filter(|(key, _)| is_dispensable(key))
        .map(|(key, text)| (begun_at(key), key, text))
        .collect();
    oldest_first.sort_unstable();
    for (_, key, text) in oldest_first {
        left_out.insert(key.clone());
        match excess.checked_sub(size(key, text)) {
            Some(left) if left > 0 => excess = left,
            Some(_) | None => break,
        }
    }
    left_out
}

/// When the incident of a key began, as text that sorts like time; the oldest of all where it does not
/// say, as of a group.
fn begun_at(key: &str) -> &str {
    key.rsplit_once('@').map_or("", |(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(keys: &[&str]) -> StoredState {
        keys.iter().map(|key| ((*key).to_owned(), "x".repeat(100))).collect()
    }

    #[test]
    fn everything_stays_where_there_is_room() {
        let state = state(&["alert/a/b@2026-01-01", "recovery/a/b"]);
        assert!(left_out(&state, 1_000).is_empty());
    }

    #[test]
    fn the_oldest_incidents_go_first_and_what_was_done_never() {
        let keys = [
            "alert/a/new@2026-01-03",
            "alert/z/old@2026-01-01",
            "incident/m/middle@2026-01-02",
            "group/email/cluster=a",
            "recovery/a/b",
        ];
        let gone = |room| left_out(&state(&keys), room).into_iter().collect::<Vec<_>>();
        let (group, alert) = ("group/email/cluster=a", "alert/z/old@2026-01-01");
        assert_eq!(gone(600), [group]);
        assert_eq!(gone(500), [alert, group]);
        assert_eq!(gone(400), [alert, group, "incident/m/middle@2026-01-02"]);
        assert_eq!(gone(0).len(), 4, "all that may go");
    }
}
