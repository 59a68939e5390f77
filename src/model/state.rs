//! The essential state, which survives that falconer is killed, as plain data: small texts by key,
//! such as `breaker/<cluster>`.

use std::collections::BTreeMap;

use super::component::ComponentId;

/// Everything that is kept.
pub type StoredState = BTreeMap<String, String>;

/// What has become different; `None` removes a key.
pub type StateChanges = BTreeMap<String, Option<String>>;

/// `<kind>/<cluster>/<component>`; a `%` or `/` within a name is written `%25` or `%2F`.
pub fn component_key(kind: &str, id: &ComponentId) -> String {
    format!("{kind}/{}/{}", escape(&id.cluster), escape(&id.component))
}

fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

/// The entries of one kind, whose keys begin with `<kind>/`.
pub fn of_kind<'a>(
    state: &'a StoredState,
    kind: &'a str,
) -> impl Iterator<Item = (&'a String, &'a String)> {
    let is_of_kind =
        move |key: &str| key.strip_prefix(kind).is_some_and(|rest| rest.starts_with('/'));
    let first = state
        .range(kind.to_owned()..)
        .skip_while(move |(key, _)| !is_of_kind(key) && key.starts_with(kind));
    first.take_while(move |(key, _)| is_of_kind(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_kind_are_found_by_their_keys_alone() {
        let keys = ["alert", "alert-x/a", "alert/a", "alert/b/c", "alerts/a", "breaker/a"];
        let state: StoredState =
            keys.iter().map(|key| ((*key).to_owned(), String::new())).collect();
        let found: Vec<&str> = of_kind(&state, "alert").map(|(key, _)| key.as_str()).collect();
        assert_eq!(found, ["alert/a", "alert/b/c"]);
        let id = ComponentId::new("a/b", "50%");
        assert_eq!(component_key("incident", &id), "incident/a%2Fb/50%25");
    }
}
