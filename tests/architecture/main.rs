//! The house plan of `ARCHITECTURE.md`, enforced: who may import whom, how long a file may be, who
//! reads the time. What is allowed stands in `rules.rs` as data.

mod paths;
mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use paths::Mention;
use rules::{Externals, GIVES_WAY, LAYERS, Layer, MAX_LINES, TIME_READS, WAITS};
use source::Source;

/// Every `.rs` file below `src`, with its path relative to `src`.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
        .iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Everything in `files` that breaks a rule, one line each.
fn violations(files: &[(String, String)]) -> Vec<String> {
    let parsed: Vec<Source> = files.iter().map(|(name, text)| Source::parse(name, text)).collect();
    let test_modules: Vec<String> = parsed.iter().flat_map(Source::test_module_files).collect();
    let is_test = |name: &str| {
        test_modules
            .iter()
            .any(|module| name == format!("{module}.rs") || name.starts_with(&format!("{module}/")))
    };
    let mut found = Vec::new();
    for source in parsed.iter().filter(|source| !is_test(&source.name)) {
        check_shape(source, &mut found);
        check_layer(source, &mut found);
        check_time(source, &mut found);
        check_waiting(source, &mut found);
    }
    found
}

fn check_shape(source: &Source, found: &mut Vec<String>) {
    let name = &source.name;
    if !source.opens_with_documentation {
        found.push(format!("{name}: does not open with //! (what it owns, what it never does)"));
    }
    if source.code_lines > MAX_LINES {
        found.push(format!(
            "{name}: {} lines without tests, at most {MAX_LINES}",
            source.code_lines
        ));
    }
    if name.ends_with("mod.rs") {
        found.push(format!("{name}: foo.rs beside foo/, no mod.rs"));
    }
}

fn check_layer(source: &Source, found: &mut Vec<String>) {
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == source.layer()) else {
        found.push(format!("{}: no rule for the layer {:?}", source.name, source.layer()));
        return;
    };
    for mention in source.mentions() {
        let path = mention.path.join("::");
        if !is_allowed(layer, &mention) {
            let place = format!("{}:{}", source.name, mention.line);
            found.push(format!("{place}: {} must not use {path}", layer.name));
        }
    }
}

fn is_allowed(layer: &Layer, mention: &Mention) -> bool {
    if mention.path[0] == "crate" {
        return layer.internals.iter().any(|allowed| allowed.covers(&mention.path[1..]));
    }
    let external = mention.path[0].as_str();
    match layer.externals {
        Externals::Any => true,
        Externals::Only(allowed) => allowed.contains(&external),
        Externals::Except(forbidden) => !forbidden.contains(&external),
    }
}

fn check_time(source: &Source, found: &mut Vec<String>) {
    for mention in source.mentions() {
        let path = mention.path.join("::");
        let read = TIME_READS.iter().find(|read| path == read.path);
        if let Some(read) = read.filter(|read| !read.layers.contains(&source.layer())) {
            let place = format!("{}:{}", source.name, mention.line);
            found.push(format!("{place}: reads the time through {}, not the clock", read.path));
        }
    }
}

/// An actor that waits for a future takes no message and no timer of its own meanwhile, and no
/// heartbeat shows it. None may, but for giving way to the others for one turn.
fn check_waiting(source: &Source, found: &mut Vec<String>) {
    if source.layer() != "actors" {
        return;
    }
    let gives_way = source.lines_with(GIVES_WAY);
    for wait in WAITS {
        for line in source.lines_with(wait).into_iter().filter(|line| !gives_way.contains(line)) {
            found.push(format!("{}:{line}: an actor must not wait: {wait}", source.name));
        }
    }
}

#[test]
fn the_code_keeps_to_the_house_plan() {
    let files = sources();
    assert!(files.len() > 30, "only {} files were found", files.len());
    let found = violations(&files);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_layer_of_the_plan_exists() {
    let files = sources();
    for layer in LAYERS {
        let exists =
            files.iter().any(|(name, text)| Source::parse(name, text).layer() == layer.name);
        assert!(exists, "there is a rule for {} but no such layer", layer.name);
    }
}

/// What is found in one file.
fn found_in(name: &str, text: &str) -> Vec<String> {
    violations(&[(name.to_owned(), format!("//! A file.\n{text}"))])
}

#[test]
fn a_planted_violation_is_found_however_it_is_written() {
    let planted = [
        ("policy/a.rs", "use tokio::time::Duration;"),
        ("policy/a.rs", "use crate::{model::Reason, clock::Clock};"),
        ("policy/a.rs", "fn f() { tracing::info!(\"x\"); }"),
        ("policy/a.rs", "use super::super::effects::Probe;"),
        ("policy.rs", "pub use self::super::actors;"),
        ("actors/a.rs", "use kube::Client;"),
        ("actors/a.rs", "fn f() -> tonic::Status { todo!() }"),
        ("actors/a.rs", "use crate::effects::milvus::client::Client;"),
        ("actors/a.rs", "use crate::effects; type T = effects::cluster::kube::Kube;"),
        ("actors/a.rs", "use crate::{model::{self, Reason}, effects::{Probe, probe::http}};"),
        ("actors/a.rs", "use ::reqwest as http;"),
        ("effects/a.rs", "extern crate actix;"),
        ("effects/a/b.rs", "use super::super::super::policy::health;"),
        ("model/a.rs", "type T = crate::metrics::Metrics;"),
        ("server/a.rs", "use crate::actors::alerter::RaiseAlert;"),
        ("effects/a.rs", "fn f() { std::time::SystemTime::now(); }"),
        ("effects/a.rs", "use std::time::{self, Duration}; fn f() { time::Instant::now(); }"),
        ("effects/a.rs", "use std::time::Instant as I; fn f() { I::now (); }"),
        ("actors/a.rs", "use tokio::time::Instant; fn f() { Instant::now(); }"),
        ("actors/a.rs", "fn f() { ctx.wait(async {}.into_actor(self)); }"),
        ("actors/a.rs", "type Result = AtomicResponse<Self, ()>;"),
        ("nonsense/a.rs", ""),
        ("actors/mod.rs", ""),
    ];
    for (name, text) in planted {
        let found = found_in(name, text);
        assert_eq!(found.len(), 1, "{name}: {text}: {found:?}");
    }
    assert_eq!(violations(&[("policy/a.rs".into(), "// no head".into())]).len(), 1);
    let long = "\n".repeat(MAX_LINES + 1);
    assert_eq!(found_in("policy/a.rs", &long).len(), 1);
}

#[test]
fn what_is_allowed_or_only_looks_forbidden_passes() {
    let innocent = [
        ("policy/a.rs", "use std::time::Duration; use crate::model::{Reason, Timestamp as T};"),
        ("policy/a.rs", "// use tokio::time;\n/* crate::clock /* nested */ kube::Client */"),
        ("policy/a.rs", "const TEXT: &str = \"tokio::spawn \\\" kube::Client\";"),
        ("policy/a.rs", "const TEXT: &str = r#\"tokio::spawn \" kube::Client\"#;"),
        ("policy/a.rs", "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' }"),
        ("policy/a.rs", "#[cfg(test)]\nmod tests { use tokio::time; fn f() { kube::x(); } }"),
        ("policy/a.rs", "#[cfg(test)] use tokio::time;\nuse crate::model::Reason;"),
        ("policy/a.rs", "mod kube { pub fn f() {} } fn g() { kube::f(); }"),
        ("actors/a.rs", "use crate::effects::{Cluster, Probe, cluster::ClusterError};"),
        ("effects/a.rs", "use tokio::time::Instant; fn f() { Instant::now(); }"),
        ("actors/a.rs", "fn f() { ctx.wait(tokio::task::yield_now().into_actor(self)); }"),
        ("clock.rs", "fn f() { std::time::SystemTime::now(); }"),
        ("server/a.rs", "use crate::actors::status::StatusBoard;"),
    ];
    for (name, text) in innocent {
        assert_eq!(found_in(name, text), Vec::<String>::new(), "{name}: {text}");
    }
    let lines_of_tests = format!("#[cfg(test)]\nmod tests {{ {} }}", "\n".repeat(MAX_LINES));
    assert_eq!(found_in("policy/a.rs", &lines_of_tests), Vec::<String>::new());
}

#[test]
fn a_file_that_only_tests_include_is_free() {
    let files = [
        ("actors/a.rs".to_owned(), "//! A.\n#[cfg(test)]\nmod tests;\n".to_owned()),
        ("actors/a/tests.rs".to_owned(), "use kube::Client;".to_owned()),
        ("actors/a/tests/more.rs".to_owned(), "use kube::Client;".to_owned()),
    ];
    assert_eq!(violations(&files), Vec::<String>::new());
}
