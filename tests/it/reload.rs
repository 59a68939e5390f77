//! Reading the configuration again while falconer runs: the real binary, a real file, real signals
//! and requests.

mod fixture;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use fixture::{Falconer, Targets};
use serde_json::{Value, json};
use tokio::time::Instant;

/// What a test may count on.
fn names(reload: &Value, what: &str) -> Value {
    reload["touched"][what]["names"].clone()
}

fn is_watched(falconer: &Falconer, component: &str) -> bool {
    falconer.status()["clusters"]["test"]["components"].get(component).is_some()
}

#[test]
fn a_signal_and_a_file_that_is_renamed_into_place_change_what_differs_and_nothing_else() {
    let targets = Targets::start();
    let falconer = Falconer::start(&targets.probers(&[("a", 200), ("b", 200)]));
    assert_eq!(falconer.status()["reload"], Value::Null);

    falconer.replace(&targets.probers(&[("a", 200), ("b", 300)]));
    falconer.signal();
    let by_signal = falconer.reloaded(&Value::Null);
    assert_eq!(
        (&by_signal["trigger"], &by_signal["outcome"]),
        (&json!("signal"), &json!("applied"))
    );
    assert_eq!(names(&by_signal, "changed"), json!(["prober test/b"]));
    assert_eq!(by_signal["touched"]["changed"]["count"], 1);
    assert_eq!((names(&by_signal, "added"), names(&by_signal, "removed")), (json!([]), json!([])));

    falconer.replace(&targets.probers(&[("b", 300), ("c", 200)]));
    let by_file = falconer.reloaded(&by_signal);
    assert_eq!((&by_file["trigger"], &by_file["outcome"]), (&json!("file"), &json!("applied")));
    assert_eq!(names(&by_file, "added"), json!(["prober test/c"]));
    assert_eq!(names(&by_file, "removed"), json!(["prober test/a"]));
    falconer.wait_for("a probe of c", |_| !targets.asked("c").is_empty());
    assert!(!is_watched(&falconer, "a") && is_watched(&falconer, "c"));

    falconer.signal();
    let again = falconer.reloaded(&by_file);
    assert_eq!((&again["trigger"], &again["outcome"]), (&json!("signal"), &json!("unchanged")));
    assert_eq!(falconer.metric("falconer_config_reloads_total{outcome=\"applied\"}"), Some(2.0));
    assert_eq!(falconer.metric("falconer_config_reloads_total{outcome=\"unchanged\"}"), Some(1.0));
    assert_eq!(falconer.metric("falconer_config_last_reload_successful"), Some(1.0));
}

/// The way Kubernetes mounts a ConfigMap: `actors.toml -> ..data/actors.toml`, `..data -> ..N`.
fn mount(file: &Path, version: &str, text: &str) {
    let folder = file.parent().unwrap();
    fs::create_dir(folder.join(version)).unwrap();
    fs::write(folder.join(version).join("actors.toml"), text).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[test]
fn the_switch_of_a_mounted_config_map_is_noticed_and_what_the_command_line_and_the_environment_say_holds()
 {
    let targets = Targets::start();
    let falconer = Falconer::start_with(
        &targets.probers(&[("a", 200)]),
        &["--dry-run"],
        &[("FALCONER__PROBERS__A__INTERVAL", "250ms")],
        |file, text| {
            mount(file, "..1", text);
            symlink("..data/actors.toml", file).unwrap();
        },
    );
    let file = falconer.folder().join("actors.toml");
    mount(&file, "..2", &falconer.text(&targets.probers(&[("a", 400), ("b", 200)])));
    let reload = falconer.reloaded(&Value::Null);
    assert_eq!((&reload["trigger"], &reload["outcome"]), (&json!("file"), &json!("applied")));
    assert_eq!(names(&reload, "added"), json!(["prober test/b"]));
    // The environment says 250 ms, before and after.
    assert_eq!(names(&reload, "changed"), json!([]));
    // So the recoverer, which --dry-run keeps from acting, is the same as before.
    assert!(reload["touched"]["untouched"].as_u64().unwrap() >= 7, "{reload}");
}

#[test]
fn a_faulty_file_changes_nothing_and_is_told_in_the_log_the_metrics_and_the_status() {
    let targets = Targets::start();
    let good = targets.probers(&[("a", 200), ("b", 200)]);
    let falconer = Falconer::start(&good);
    let before = falconer.status();
    let bad = format!("{}\n[alerter]\ngroup_wait = 7\n", targets.probers(&[("c", 200)]));
    falconer.replace(&bad);
    let reload = falconer.reloaded(&Value::Null);
    assert_eq!((&reload["trigger"], &reload["outcome"]), (&json!("file"), &json!("rejected")));
    let line = falconer.text(&bad).lines().count();
    let place = format!("actors.toml:{line}:14: \"group_wait\" in [alerter]");
    let problem = reload["problems"][0].as_str().unwrap();
    assert!(problem.contains(&place), "{problem} at {place}");
    assert_eq!(reload["touched"]["changed"]["count"], 0);

    let log = falconer.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("is faulty")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains(&place) && told[0].contains("ERROR"), "{}", told[0]);
    assert_eq!(falconer.metric("falconer_config_reloads_total{outcome=\"rejected\"}"), Some(1.0));
    assert_eq!(falconer.metric("falconer_config_last_reload_successful"), Some(0.0));
    assert!(falconer.get("/").contains("is faulty"));

    let status = falconer.status();
    assert_eq!(status["configured_at"], before["configured_at"]);
    assert!(is_watched(&falconer, "a") && is_watched(&falconer, "b"));
    assert!(!is_watched(&falconer, "c") && targets.asked("c").is_empty());
    let since =
        |status: &Value| status["clusters"]["test"]["components"]["a"]["health"]["since"].clone();
    assert_eq!(since(&status), since(&before), "it keeps its state");
    assert_eq!(falconer.status_of("/readyz"), 200);
    let asked = targets.asked("a").len();
    falconer.wait_for("more probes", |_| targets.asked("a").len() > asked + 3);

    fs::remove_file(falconer.folder().join("actors.toml")).unwrap();
    falconer.signal();
    let missing = falconer.reloaded(&reload);
    assert!(missing["problems"][0].as_str().unwrap().contains("no such file"), "{missing}");

    falconer.replace(&format!("{good}\n[telemetry]\nlog_level = \"warn\"\n"));
    let mended = falconer.reloaded(&missing);
    assert_eq!(mended["outcome"], "applied");
    assert_eq!(mended["touched"]["changed"]["count"], 0);
    let waits = "[telemetry] log_level has changed: takes effect at the next start of falconer";
    assert_eq!(mended["at_next_start"], json!([waits]));
    assert!(falconer.log().contains(waits));
    assert_eq!(falconer.status()["at_next_start"], json!([waits]));
    assert_eq!(falconer.metric("falconer_config_last_reload_successful"), Some(1.0));
}

#[test]
fn who_has_the_admin_token_can_ask_for_a_reload_and_is_told_what_it_did() {
    let targets = Targets::start();
    let server = |token: &str| format!("[server]\nadmin_token_file = \"{token}\"\n");
    let probers = |interval| targets.probers(&[("a", interval)]);
    // Without a token there is nothing that a client could change.
    let falconer = Falconer::start(&probers(200));
    let (code, answer) = falconer.post(Some("anything"));
    assert_eq!(code, 403);
    assert!(answer["error"].as_str().unwrap().contains("admin_token_file"), "{answer}");

    let token = falconer.folder().join("token");
    fs::write(&token, "s3cret\n").unwrap();
    let with_token = |text: &str| {
        let listen = falconer.text("").replace("[server]\n", &server(token.to_str().unwrap()));
        let draft = falconer.folder().join("draft");
        fs::write(&draft, format!("{listen}{text}")).unwrap();
        fs::rename(draft, falconer.folder().join("actors.toml")).unwrap();
    };
    with_token(&probers(200));
    falconer.signal();
    let first = falconer.reloaded(&Value::Null);
    assert_eq!(first["outcome"], "applied");

    with_token(&probers(300));
    for wrong in [None, Some("s3cre"), Some("s3crett"), Some("")] {
        assert_eq!(falconer.post(wrong).0, 401, "{wrong:?}");
    }
    assert_eq!(falconer.status_of("/api/v1/reload"), 405);
    assert_eq!(falconer.status()["reload"]["at"], first["at"], "nobody reloaded");
    let (code, answer) = falconer.post(Some("s3cret"));
    assert_eq!((code, &answer["outcome"]), (200, &json!("applied")));
    assert_eq!(answer["trigger"], "api");
    assert_eq!(names(&answer, "changed"), json!(["prober test/a"]));

    // The file is read at each use, and the body of a request never.
    fs::write(&token, "n3w").unwrap();
    assert_eq!(falconer.post(Some("s3cret")).0, 401);
    let head = "POST /api/v1/reload HTTP/1.1\r\nAuthorization: Bearer n3w\r\n";
    let (code, _) = falconer.request(&format!("{head}Content-Length: 9\r\n"), "{\"a\": 1}\n");
    assert_eq!(code, 200);
    let (code, _) = falconer.request(&format!("{head}Content-Length: 1073741824\r\n"), "x");
    assert_eq!(code, 200, "a gigabyte that nobody reads");

    with_token("[probers.a]\nintervall = \"1s\"\n");
    let (code, answer) = falconer.post(Some("n3w"));
    assert_eq!((code, &answer["outcome"]), (422, &json!("rejected")));
    assert!(answer["problems"].to_string().contains("intervall"), "{answer}");
    fs::remove_file(&token).unwrap();
    assert_eq!(falconer.post(Some("n3w")).0, 503);
    assert!(!falconer.log().contains("n3w") && !falconer.log().contains("s3cret"));
}

/// Prints what it measured: `cargo nextest run --test it reload::of_1000 --no-capture`.
#[test]
fn of_1000_targets_the_one_whose_interval_changes_is_touched_and_no_other_misses_a_probe() {
    const INTERVAL: u64 = 2_000;
    let names_of_all: Vec<String> = (0..1_000).map(|index| format!("t{index}")).collect();
    let probers = |of_t500: u64| -> Vec<(&str, u64)> {
        let interval = |name: &str| if name == "t500" { of_t500 } else { INTERVAL };
        names_of_all.iter().map(|name| (name.as_str(), interval(name))).collect()
    };
    let targets = Targets::start();
    let falconer = Falconer::start(&targets.probers(&probers(INTERVAL)));
    let settled = Instant::now() + Duration::from_millis(2 * INTERVAL);
    std::thread::sleep(Duration::from_millis(4 * INTERVAL));
    falconer.replace(&targets.probers(&probers(INTERVAL / 2)));
    let reloaded_at = Instant::now();
    falconer.signal();
    let reload = falconer.reloaded(&Value::Null);
    let took = reloaded_at.elapsed();
    assert_eq!(names(&reload, "changed"), json!(["prober test/t500"]));
    assert_eq!(reload["touched"]["changed"]["count"], 1);
    assert_eq!(names(&reload, "added"), json!([]));
    std::thread::sleep(Duration::from_millis(4 * INTERVAL));

    let longest = |from: Instant, to: Instant| {
        let gaps = names_of_all.iter().filter(|name| *name != "t500").flat_map(|name| {
            let asked: Vec<Instant> =
                targets.asked(name).into_iter().filter(|at| (from..to).contains(at)).collect();
            let gaps: Vec<Duration> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
            gaps
        });
        gaps.max().unwrap()
    };
    let end = Instant::now();
    let (before, during) = (
        longest(settled, reloaded_at),
        longest(reloaded_at - Duration::from_millis(INTERVAL), end),
    );
    println!(
        "1000 targets every {INTERVAL} ms; actors touched: {}, untouched: {}; longest gap of the \
         other 999 before the reload {} ms, over it {} ms; reload seen in the status after {} ms",
        reload["touched"]["changed"]["count"],
        reload["touched"]["untouched"],
        before.as_millis(),
        during.as_millis(),
        took.as_millis(),
    );
    assert!(during < Duration::from_millis(2 * INTERVAL), "a probe was missed: {during:?}");
    let late = targets.asked("t500");
    let late: Vec<_> = late.into_iter().filter(|at| *at > reloaded_at).collect();
    assert!(late.len() >= 6, "{} probes of t500 after its interval was halved", late.len());
}
