//! `falconer probe --json` against a real Milvus, measured by what its own client says.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::laptop::{Collection, Laptop, eventually};
use super::running::{Configuration, probe, write_configuration};

/// A prober counts with the default consistency and on a fresh connection, the client with a strong
/// one on a warm connection: the times are of one order, not equal.
const LATENCY_LIMIT_MS: f64 = 4000.0;
const PATIENCE: Duration = Duration::from_secs(90);

fn configure(laptop: &Laptop, name: &str, auth: String) -> PathBuf {
    let path = laptop.path(name);
    let wanted = Configuration { failure_threshold: 3, on_exit: "stop", mail_port: 25, auth };
    write_configuration(laptop, &path, &wanted);
    path
}

/// The first value under `key` that says anything, however deep.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => match fields.get(key) {
            Some(found) if !found.is_null() && found.as_array().is_none_or(|a| !a.is_empty()) => {
                Some(found)
            }
            _ => fields.values().find_map(|field| find(field, key)),
        },
        Value::Array(items) => items.iter().find_map(|item| find(item, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn canaries(answer: &Value) -> Vec<(String, Collection)> {
    let found = find(answer, "canaries").and_then(Value::as_array).expect("canaries");
    let mut found: Vec<_> = found
        .iter()
        .map(|canary| {
            assert_eq!(canary["error"], Value::Null);
            let collection = Collection {
                rows: canary["rows"].as_u64().expect("rows"),
                query_ms: canary["latency_ms"].as_f64().expect("latency"),
            };
            (canary["collection"].as_str().unwrap().to_owned(), collection)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn a_probe_says_of_a_real_milvus_what_its_own_client_says() {
    let mut laptop = Laptop::new(&[]);
    laptop.start_milvus();
    let seeded = laptop.seed(None);
    let configuration = configure(&laptop, "probe.toml", String::new());
    let (mut answer, mut code) = probe(&configuration);
    // CheckHealth of a Milvus that has just been started may still block.
    eventually("the service is healthy", PATIENCE, || {
        (answer, code) = probe(&configuration);
        code == 0
    });
    println!("exit code {code}: {answer:#}");
    let version = find(&answer, "version").and_then(Value::as_str).unwrap_or_default();
    assert!(version.starts_with("v2.3.5"), "{version}");
    for ((name, probed), (seeded_name, seeded)) in canaries(&answer).iter().zip(&seeded) {
        println!("{name}: falconer {probed:?}, pymilvus {seeded:?}");
        assert_eq!((name, probed.rows), (seeded_name, seeded.rows));
        assert!(probed.query_ms > 0.0 && probed.query_ms < LATENCY_LIMIT_MS, "{probed:?}");
    }
    assert_eq!(canaries(&answer).len(), 2);
}

#[test]
fn a_probe_logs_in_with_the_right_password_and_tells_a_wrong_one() {
    let mut laptop = Laptop::new(&["authorization_enabled=true"]);
    laptop.start_milvus();
    let seeded = laptop.seed(Some("root:Milvus"));
    let with_password = |name: &str, password: &str| {
        let file = laptop.path(&format!("{name}.password"));
        fs::write(&file, password).unwrap();
        let auth = format!("username = \"root\"\npassword_file = \"{}\"\n", file.display());
        configure(&laptop, &format!("{name}.toml"), auth)
    };
    let right = with_password("right", "Milvus\n");
    let mut answer = Value::Null;
    let mut code = -1;
    eventually("the service is healthy", PATIENCE, || {
        (answer, code) = probe(&right);
        code == 0
    });
    let rows: Vec<u64> = canaries(&answer).iter().map(|(_, found)| found.rows).collect();
    assert_eq!(rows, seeded.values().map(|said| said.rows).collect::<Vec<_>>());

    for (name, configuration) in [
        ("wrong", with_password("wrong", "not-the-password")),
        ("none", configure(&laptop, "none.toml", String::new())),
    ] {
        let (answer, code) = probe(&configuration);
        println!("{name} password: exit code {code}: {answer:#}");
        assert_eq!(code, 1);
        let text = answer.to_string();
        assert!(text.contains("unauthorized"), "{text}");
        assert!(!text.contains("not-the-password"), "a password is never shown");
    }
}
