//! What is wrong with a kubeconfig, before or when it is used; never what is in it but for the names
//! of contexts and clusters.

use std::path::Path;

use kube::config::{Kubeconfig, KubeconfigError};

use crate::effects::small_file;

/// Larger ones are not read when they are checked, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Whether the file leads to an API: it can be read, and `context` (or, where that is empty, its
/// current one) names a cluster with an address. Contacts nobody.
///
/// # Errors
/// What is wrong, without the file's name.
pub fn check(file: &Path, context: &str) -> Result<(), String> {
    // What reads it has no limit of its own.
    small_file::read_now(file, LARGEST).map_err(|error| error.to_string())?;
    let config = Kubeconfig::read_from(file).map_err(|error| words(&error))?;
    let wanted = Some(context).filter(|context| !context.is_empty());
    let Some(name) = wanted.or(config.current_context.as_deref()) else {
        return Err("it has no current-context, and \"context\" names none".to_owned());
    };
    let Some(context) = config.contexts.iter().find(|context| context.name == name) else {
        return Err(format!("it has no context {name:?}{}", known(&config)));
    };
    let Some(context) = &context.context else {
        return Err(format!("its context {name:?} is empty"));
    };
    let cluster = config.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|cluster| cluster.cluster.as_ref());
    let Some(cluster) = cluster else {
        let cluster = &context.cluster;
        return Err(format!("its context {name:?} names a cluster {cluster:?}, which it lacks"));
    };
    if cluster.server.as_ref().is_none_or(|server| server.trim().is_empty()) {
        return Err(format!("its cluster {:?} has no server", context.cluster));
    }
    Ok(())
}

fn known(config: &Kubeconfig) -> String {
    let names: Vec<String> =
        config.contexts.iter().take(8).map(|context| format!("{:?}", context.name)).collect();
    if names.is_empty() { String::new() } else { format!("; it has {}", names.join(", ")) }
}

/// A YAML parser would quote the lines around, which may hold keys and tokens.
pub(super) fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(parse) => parse.location().map_or_else(
            || "it is not the YAML of a kubeconfig".to_owned(),
            |at| format!("line {}: it is not the YAML of a kubeconfig", at.line()),
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
        clusters:\n- name: c\n  cluster: {server: 'https://127.0.0.1:6443'}\n- name: bare\n  cluster: {}\n\
        contexts:\n- name: a\n  context: {cluster: c, user: u}\n- name: astray\n  context: {cluster: gone}\n\
        - name: nowhere\n  context: {cluster: bare}\n\
        users:\n- name: u\n  user: {token: hunter2}\n";

    #[test]
    fn what_is_wrong_is_said_and_no_secret_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let checked = |text: &str, context: &str| {
            std::fs::write(&path, text).unwrap();
            check(&path, context).err().unwrap_or_default()
        };
        for (text, context, expected) in [
            (GOOD, "", ""),
            (GOOD, "a", ""),
            (GOOD, "b", "it has no context \"b\"; it has \"a\", \"astray\", \"nowhere\""),
            (GOOD, "astray", "its context \"astray\" names a cluster \"gone\", which it lacks"),
            (GOOD, "nowhere", "its cluster \"bare\" has no server"),
            ("", "", "it has no current-context, and \"context\" names none"),
            ("", "a", "it has no context \"a\""),
            ("users: hunter2\n", "", "line 1: it is not the YAML of a kubeconfig"),
            (
                "users:\n- name: a\n  user: {token: hunter2\n",
                "",
                "it is not the YAML of a kubeconfig",
            ),
        ] {
            let words = checked(text, context);
            assert!(words.contains(expected) && words.is_empty() == expected.is_empty(), "{words}");
            assert!(!words.contains("hunter2"), "{words}");
        }
        let large = "#".repeat(usize::try_from(LARGEST).unwrap() + 1);
        assert_eq!(checked(&large, ""), "longer than 4194304 bytes");
        assert!(!checked(&"\u{0}".repeat(100), "").is_empty());
        std::fs::write(&path, [0xff_u8; 9]).unwrap();
        assert!(check(&path, "").is_err());
    }
}
