//! `actors.toml` as people write it: what is valid, what is refused with which words, what is
//! printed, and what the command answers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use falconer::config::settings::{Components, LadderStep, Platform, ScaleRules, Settings};
use falconer::config::{self, ConfigErrors, Loaded, environment::Variables};
use falconer::model::ProberKind;
use proptest::prelude::*;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn parse(text: &str) -> Result<Loaded, ConfigErrors> {
    config::parse("actors.toml", text, &Variables::new())
}

fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let variables = variables.iter().map(|(name, text)| (name.into(), text.into())).collect();
    config::parse("actors.toml", text, &variables)
}

fn warnings(text: &str) -> Vec<String> {
    parse(text).unwrap().warnings.iter().map(ToString::to_string).collect()
}

/// `text` with every secret file it names moved to a folder where it exists.
fn with_secrets(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "milvus",
        "smtp",
        "slack",
        "pagerduty",
        "alertmanager",
        "hook-token",
        "milvus-ca.pem",
        "smtp-ca.pem",
        "alertmanager-ca.pem",
        "hook-ca.pem",
        "heartbeat",
        "heartbeat-ca.pem",
    ] {
        fs::write(folder.path().join(name), "https://127.0.0.1/secret\n").unwrap();
    }
    let text = text.replace("/run/secrets", folder.path().to_str().unwrap());
    (folder, text)
}

#[test]
fn every_bad_file_is_refused_with_exactly_its_errors() {
    let mut seen = 0;
    for entry in fs::read_dir(Path::new(ROOT).join("tests/data/config/bad")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let expected: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# error: ")).collect();
        let found = parse(&text).map(|_| ()).unwrap_err().to_string();
        let found: Vec<&str> = found.lines().collect();
        assert!(!expected.is_empty(), "{} expects no error", path.display());
        assert_eq!(found, expected, "{}", path.display());
        seen += 1;
    }
    assert!(seen > 100, "only {seen} files");
}

#[test]
fn the_contract_is_valid_where_its_secrets_are() {
    let contract = fs::read_to_string(format!("{ROOT}/tests/data/config/contract.toml")).unwrap();
    let (_folder, text) = with_secrets(&contract);
    let loaded = parse(&text).unwrap();
    let (settings, defaults) = (&loaded.settings, Settings::default());

    let cluster = &settings.clusters["milvus-ha"];
    assert_eq!(cluster.platform, Platform::Kubernetes);
    assert_eq!(cluster.components, Components::Auto);
    assert_eq!(settings.dependencies("milvus-ha"), ["etcd"]);
    assert_eq!(settings.prober("querynode").interval(), Duration::from_secs(10));
    assert_eq!(settings.prober("proxy").interval(), Duration::from_secs(30));
    assert_eq!(settings.prober("etcd").kind, Some(ProberKind::Http));
    assert_eq!(settings.prober("etcd").expect.body_contains, "true");
    assert_eq!(settings.alerter.receivers(), ["email", "slack", "log", "oncall"]);
    let ladder = [LadderStep::RolloutRestart, LadderStep::Escalate];
    assert_eq!(settings.recovery("standalone").ladder, ladder);

    assert_eq!(settings.probers.defaults, defaults.probers.defaults);
    assert_eq!(settings.supervisor, defaults.supervisor);
    assert_eq!(settings.anomaly, defaults.anomaly);
    assert_eq!(settings.alerter.repeat_interval, defaults.alerter.repeat_interval);
    assert_eq!(settings.alerter.group_wait, defaults.alerter.group_wait);
    assert_eq!(settings.alerter.email.port, defaults.alerter.email.port);
    assert_eq!(settings.recoverer.defaults.budget, defaults.recoverer.defaults.budget);
    assert_eq!(
        settings.recoverer.defaults.global_budget,
        defaults.recoverer.defaults.global_budget
    );
    assert_eq!(settings.scaler, defaults.scaler);
    assert_eq!(settings.recorder, defaults.recorder);
    assert_eq!(settings.leader_election, defaults.leader_election);
    assert_eq!(settings.server, defaults.server);
    assert_eq!(settings.telemetry, defaults.telemetry);
}

#[test]
fn the_contract_without_its_secrets_names_each_of_them() {
    let contract = fs::read_to_string(format!("{ROOT}/tests/data/config/contract.toml")).unwrap();
    let errors =
        parse(&contract.replace("/run/secrets", "no/such/folder")).unwrap_err().to_string();
    let places: Vec<&str> = errors.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(places, ["actors.toml:18:17:", "actors.toml:74:17:", "actors.toml:79:20:"]);
}

#[test]
fn the_shipped_file_is_valid_and_shows_the_defaults() {
    let shipped = fs::read_to_string(format!("{ROOT}/actors.toml")).unwrap();
    let mut loaded = parse(&shipped).unwrap();
    assert_eq!(loaded.warnings, []);

    let bare = parse("[clusters.milvus]\n").unwrap();
    assert_eq!(loaded.settings.clusters, bare.settings.clusters);
    loaded.settings.clusters.clear();
    assert_eq!(loaded.settings, Settings::default());
}

#[test]
fn the_examples_of_the_shipped_file_are_valid() {
    let shipped = fs::read_to_string(format!("{ROOT}/actors.toml")).unwrap();
    let is_example = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line != "#";
    let examples: Vec<&str> = shipped.lines().filter(|line| is_example(line)).collect();
    assert!(examples.len() > 40, "only {} lines", examples.len());
    let replaced = |line: &str| {
        let key = |line: &str| line.split('=').next().map(str::trim).map(str::to_owned);
        !line.starts_with('[') && examples.iter().any(|example| key(&example[1..]) == key(line))
    };
    // An example stands for the default of the same key in the line above it.
    let lines: Vec<&str> = shipped.lines().collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let next_is_same =
            lines.get(index + 1).is_some_and(|next| is_example(next) && replaced(line));
        if is_example(line) {
            text.push_str(&line[1..]);
        } else if !next_is_same {
            text.push_str(line);
        }
        text.push('\n');
    }
    let (_folder, text) = with_secrets(&text);
    let loaded = parse(&text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.settings.clusters.len(), 2);
    assert_eq!(loaded.settings.clusters["milvus"].depends_on.len(), 3);
    assert_eq!(loaded.settings.alerter.routes.len(), 3);
}

#[test]
fn a_partial_table_keeps_the_other_defaults() {
    let loaded = parse(
        "[probers]\nbackoff = { max = \"1m\" }\n\
         [probers.proxy]\nbackoff = { initial = \"2s\" }\n\
         [recoverer]\nglobal_budget = { per = \"2h\" }\n\
         [recoverer.proxy]\nbudget = { actions = 1 }\n\
         [scaler]\nscale_down = { policies = [{ type = \"pods\", value = 1 }] }\n",
    );
    let settings = loaded.unwrap().settings;
    let backoff = settings.prober("proxy").backoff;
    assert_eq!(backoff.initial.get(), Duration::from_secs(2));
    assert_eq!(backoff.max.get(), Duration::from_mins(1));
    assert_eq!(settings.recoverer.defaults.global_budget.actions, 10);
    assert_eq!(settings.recovery("proxy").budget.per.get(), Duration::from_hours(1));
    let down: &ScaleRules = &settings.scaler.defaults.scale_down;
    assert_eq!(down.stabilization.get(), Duration::from_mins(5));
    assert_eq!(down.policies.len(), 1);
}

#[test]
fn defaults_of_a_cluster_follow_from_its_name_and_platform() {
    let text = "[clusters.a]\n[clusters.b]\nplatform = \"process\"\nmetrics_port = 9092\n\
                [clusters.b.processes.standalone]\nstart = [\"milvus\"]\n";
    let settings = parse(text).unwrap().settings;
    assert_eq!(settings.clusters["a"].namespace, "a");
    assert_eq!(settings.clusters["a"].milvus, "http://milvus-proxy.a.svc.cluster.local:19530");
    assert_eq!(settings.clusters["b"].milvus, "http://127.0.0.1:19530");
    let process = &settings.clusters["b"].processes["standalone"];
    assert_eq!(process.health, "http://127.0.0.1:9092/healthz");
    assert_eq!(process.log_file, Path::new("standalone.log"));
}

#[test]
fn a_route_names_a_webhook_with_or_without_its_table() {
    let text = "[clusters.a]\n[alerter]\nroutes = [{ to = [\"oncall\"] }, { to = \
                [\"webhook.oncall\"] }]\n[alerter.webhook.oncall]\nurl = \"http://127.0.0.1/\"\n";
    assert_eq!(parse(text).unwrap().settings.alerter.routes.len(), 2);
    assert!(parse(&text.replace("webhook.oncall\"]", "webhook.log\"]")).is_err());
}

#[test]
fn a_dependency_belongs_to_the_cluster_that_names_it() {
    let text = "[clusters.a]\ndepends_on = [\"etcd\"]\n[clusters.b]\n\
                [probers.etcd]\nkind = \"tcp\"\naddress = \"etcd:2379\"\n\
                [probers.minio]\nkind = \"tcp\"\naddress = \"minio:9000\"\ncluster = \"b\"\n\
                [probers.kafka]\nkind = \"tcp\"\naddress = \"kafka:9092\"\n";
    let loaded = parse(text).unwrap();
    assert_eq!(loaded.settings.dependencies("a"), ["etcd"]);
    assert_eq!(loaded.settings.dependencies("b"), ["minio"]);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "actors.toml:11:10: [probers.kafka] has no effect: it is in no cluster's depends_on and \
         names no \"cluster\""
    );
    let alone = parse(&text.replace("[clusters.b]", "").replace("cluster = \"b\"", "")).unwrap();
    assert_eq!(alone.settings.dependencies("a"), ["etcd", "kafka", "minio"]);
}

#[test]
fn the_environment_wins_over_the_file_and_takes_the_type_of_the_key() {
    let text = "[clusters.milvus-ha]\n[probers]\ninterval = \"10s\"\n[probers.proxy]\n";
    let loaded = parse_with(
        text,
        &[
            ("FALCONER__PROBERS__INTERVAL", "20s"),
            ("FALCONER__PROBERS__PROXY__FAILURE_THRESHOLD", "7"),
            ("FALCONER__CLUSTERS__MILVUS_HA__COMPONENTS", "proxy,querynode"),
            ("FALCONER__CLUSTERS__MILVUS_HA__METRICS_PORT", "9092"),
            ("FALCONER__SCALER__SCALE_UP", "{ stabilization = \"5s\" }"),
            ("FALCONER__ALERTER__SEND_RESOLVED", "false"),
            ("FALCONER__TELEMETRY__LOG_LEVEL", "debug"),
            ("FALCONER_PORT", "tcp://10.0.0.1:80"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.prober("proxy").interval(), Duration::from_secs(20));
    assert_eq!(settings.prober("proxy").failure_threshold, 7);
    assert_eq!(settings.prober("querynode").failure_threshold, 3);
    let cluster = &settings.clusters["milvus-ha"];
    assert_eq!(cluster.components, Components::List(vec!["proxy".into(), "querynode".into()]));
    assert_eq!(cluster.metrics_port, 9092);
    assert_eq!(settings.scaler.defaults.scale_up.stabilization.get(), Duration::from_secs(5));
    assert_eq!(
        settings.scaler.defaults.scale_up.policies,
        Settings::default().scaler.defaults.scale_up.policies
    );
    assert!(!settings.alerter.send_resolved);
    assert_eq!(settings.telemetry.log_level, "debug");
}

#[test]
fn an_error_of_the_environment_names_the_variable() {
    let errors = parse_with(
        "[probers]\nmailbox = 0\n",
        &[
            ("FALCONER__PROBERS__INTERVAL", "0s"),
            ("FALCONER__PROBERS__INTERVALL", "1s"),
            ("FALCONER__PROBERS__ETCD__KIND", "http"),
            ("FALCONER__SCALER__MIN_REPLICAS", "many"),
            ("FALCONER__SCALER__MAX_REPLICAS", "0"),
            ("FALCONER__", "1"),
        ],
    )
    .unwrap_err()
    .to_string();
    let expected = [
        "actors.toml:2:11: \"mailbox\" in [probers] must be from 1 to 65536, not 0",
        "FALCONER__: names no key; write FALCONER__TABLE__KEY",
        "FALCONER__PROBERS__ETCD__KIND: [probers.etcd] is of kind \"http\" and needs \"url\"",
        "FALCONER__PROBERS__INTERVAL: \"interval\" in [probers] must be from 10ms to 1d, not 0s",
        "FALCONER__PROBERS__INTERVALL: unknown key \"intervall\" in [probers]; did you mean \
         \"interval\"?",
        "FALCONER__SCALER__MAX_REPLICAS: \"max_replicas\" in [scaler] leaves no choice: \
         min_replicas 2 > max_replicas 0",
        "FALCONER__SCALER__MAX_REPLICAS: \"max_replicas\" in [scaler] must be from 1 to 10000, not 0",
        "FALCONER__SCALER__MIN_REPLICAS: \"min_replicas\" in [scaler] must be a whole number from \
         0 to 4294967295, not \"many\"",
    ];
    assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt as _;
    let name = OsString::from("FALCONER__TELEMETRY__LOG_LEVEL");
    let variables = BTreeMap::from([(name, OsString::from_vec(vec![0xff]))]);
    let errors = config::parse("actors.toml", "", &variables).unwrap_err().to_string();
    assert_eq!(errors, "FALCONER__TELEMETRY__LOG_LEVEL: the value is not UTF-8 text");
}

#[test]
fn what_does_nothing_is_a_warning_only_where_it_was_written() {
    assert_eq!(warnings("[clusters.a]\n"), [""; 0]);
    let text = "[clusters.a]\nplatform = \"process\"\nnamespace = \"x\"\ndepends_on = [\"etcd\"]\n\
                [clusters.a.processes.p]\nstart = [\"a\"]\nrestart = [\"b\"]\n\
                [anomaly]\nenabled = false\n\
                [alerter]\ngroup_wait = \"1m\"\n[alerter.email]\nport = 25\n\
                [recoverer]\nladder = [\"delete_pod\", \"escalate\"]\n[scaler]\nmode = \"target\"\n\
                [recorder]\npath = \"no/such/folder/journal.db\"\n[leader_election]\n";
    let expected = [
        "3:13: \"namespace\" in [clusters.a] has no effect with platform = \"process\"",
        "4:15: \"depends_on[0]\" in [clusters.a] has no effect: \"etcd\" is not watched without \
         [probers.etcd]",
        "7:11: \"restart\" in [clusters.a.processes.p] has no effect beside \"start\": falconer owns \
         the process",
        "8:2: [anomaly] has no effect in this version",
        "12:10: [alerter.email] has no \"host\", so no mail is sent",
        "15:11: \"ladder[0]\" in [recoverer] is \"delete_pod\", which is passed over: a process has \
         neither pods nor revisions",
        "19:8: \"path\" in [recorder] cannot be written, so the journal is kept in memory: there is no \
         folder no/such/folder",
        "20:2: [leader_election] has no effect without a cluster on Kubernetes",
    ]
    .map(|line| format!("actors.toml:{line}"));
    assert_eq!(warnings(text), expected);
}

#[test]
fn a_figure_that_the_mode_does_not_look_at_is_a_warning() {
    let unseen = "[clusters.a]\n[scaler]\nqps_threshold = 50\nread_queue_threshold = 0\n\
                  [scaler.querynode]\nlatency_p99_threshold = \"200ms\"\n";
    let what = "has no effect in mode \"step\": it takes mode = \"target\"";
    let expected = [
        format!("actors.toml:3:17: \"qps_threshold\" in [scaler] {what}"),
        format!("actors.toml:6:25: \"latency_p99_threshold\" in [scaler.querynode] {what}"),
    ];
    assert_eq!(warnings(unseen), expected);
    let seen = format!("{unseen}mode = \"target\"\n");
    assert_eq!(warnings(&seen), [""; 0], "the component has the figure of [scaler] too");
}

#[test]
fn a_ladder_is_a_components_own_only_where_it_was_written_for_it() {
    let text = "[clusters.a]\n[recoverer]\nladder = [\"rollout_restart\"]\n\
                [recoverer.mixcoord]\nladder = [\"rollout_restart\"]\n\
                [recoverer.proxy]\ncooldown = \"1m\"\n";
    let variables = [("FALCONER__RECOVERER__STANDALONE__LADDER", "rollout_restart,escalate")];
    let settings = parse_with(text, &variables).unwrap().settings;
    for (component, expected) in
        [("mixcoord", true), ("standalone", true), ("proxy", false), ("querynode", false)]
    {
        let recovery = settings.recovery(component);
        assert_eq!(recovery.explicit_ladder, expected, "{component}");
        assert_eq!(recovery.ladder[0], LadderStep::RolloutRestart, "{component}");
    }
}

#[test]
fn never_is_an_empty_text_or_no_time() {
    let after = |value: &str| {
        let text = format!("[recoverer.querynode]\nforce_delete_after = \"{value}\"\n");
        parse(&text).unwrap().settings.recovery("querynode").force_delete_after
    };
    assert!(after("").is_zero() && after("0s").is_zero());
    assert_eq!(after("15m").get(), Duration::from_mins(15));
}

#[test]
fn maintenance_windows_are_read_in_either_form_of_toml() {
    let inline = "[recoverer]\nmaintenance = [{ days = [\"sat\"], from = \"02:00\", duration = \
                  \"2h\", comment = \"disks\" }]\n";
    let tables = "[[recoverer.maintenance]]\ndays = [\"sat\"]\nfrom = \"02:00\"\n\
                  duration = \"2h\"\ncomment = \"disks\"\n";
    let inline = parse(inline).unwrap();
    assert_eq!(inline.settings, parse(tables).unwrap().settings);
    let printed = inline.print().unwrap();
    assert!(printed.contains("[[recoverer.maintenance]]"), "{printed}");
    assert_eq!(parse(&printed).unwrap().settings, inline.settings);
}

#[test]
fn windows_in_any_time_zone_are_read_and_printed() {
    let text = "[[maintenance]]\ncron = \"0 2 * * sat\"\nduration = \"2h\"\n\
                time_zone = \"Europe/Berlin\"\nmatchers = { component = \"query*\" }\n\
                holds = [\"alerts\", \"recovery\"]\ncomment = \"storage\"\n\
                [[maintenance]]\ndays = [\"sun\"]\nfrom = \"04:30\"\n\
                [alerter]\nroutes = [{ to = [\"log\"], mute = [\"nights\"] }]\n\
                escalation = [{ after = \"15m\", to = [\"log\"] }]\n\
                [alerter.mute.nights]\ncron = \"0 20 * * *\"\nduration = \"11h\"\n";
    let loaded = parse(text).unwrap();
    let printed = loaded.print().unwrap();
    assert_eq!(parse(&printed).unwrap().settings, loaded.settings, "{printed}");
    let windows = &loaded.settings.maintenance;
    let first = windows[0].to_policy().unwrap();
    assert_eq!(first.name(), "maintenance window \"storage\"");
    assert_eq!(first.time.to_string(), "0 2 * * sat Europe/Berlin for 2h");
    assert_eq!(windows[1].to_policy().unwrap().time.to_string(), "sun 04:30 UTC for 1h");
    assert_eq!(windows[1].holds.len(), 3);
}

#[test]
fn times_that_make_no_sense_are_refused_in_clear_words() {
    let table = [
        (
            "cron = \"0 2 * * *\"\ntime_zone = \"Europe/Berlyn\"",
            "\"time_zone\" in [maintenance[0]] is no \
          time zone of the IANA database, such as \"Europe/Berlin\" or \"UTC\": \"Europe/Berlyn\"; did you \
          mean \"Europe/Berlin\"?",
        ),
        (
            "cron = \"61 2 * * *\"",
            "\"cron\" in [maintenance[0]] is no cron expression of five fields",
        ),
        ("cron = \"0 2 30 2 *\"", "\"cron\" in [maintenance[0]] never comes: no day is like that"),
        (
            "cron = \"0 * * * *\"\nduration = \"2h\"",
            "\"duration\" in [maintenance[0]] is longer (2h) than the \
          1h until it begins again",
        ),
        (
            "from = \"02:00\"\nduration = \"8d\"",
            "\"duration\" in [maintenance[0]] must be from 1m to 7d",
        ),
        ("cron = \"0 2 * * *\"\nfrom = \"02:00\"", "\"days\" and \"from\" do not go with it"),
        ("duration = \"2h\"", "[maintenance[0]] needs \"cron\", or \"from\""),
        ("from = \"02:00\"\nholds = []", "\"holds\" in [maintenance[0]] must name something"),
        (
            "from = \"02:00\"\nmatchers = { severity = \"warning\" }",
            "\"matchers\" in [maintenance[0]] cannot \
          be so: a severity is about alerts",
        ),
        (
            "from = \"02:00\"\n[alerter]\nroutes = [{ to = [\"log\"], mute = [\"night\"] }]\n\
          [alerter.mute.nights]\nfrom = \"20:00\"",
            "names \"night\", but there is no [alerter.mute.night]",
        ),
        (
            "from = \"02:00\"\n[alerter]\nescalation = [{ after = \"1h\", to = [\"log\"] }, { after = \"15m\", \
          to = [\"nobody\"] }]",
            "must be longer than that of the level before",
        ),
    ];
    for (text, words) in table {
        let error = parse(&format!("[[maintenance]]\n{text}\n")).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(words), "{text}\n{error}\n{words}");
    }
    let week = "[clusters.a]\n[[maintenance]]\nfrom = \"00:00\"\nduration = \"1d\"\nholds = [\"alerts\"]\n";
    let found = warnings(week).join("\n");
    assert!(found.contains("covers the whole week: nobody is ever told anything"), "{found}");
}

#[test]
fn what_cannot_work_together_in_recovery_is_a_warning() {
    let text = "[clusters.a]\nplatform = \"process\"\n\
                [clusters.a.processes.p]\nstart = [\"a\"]\n\
                [recoverer]\nladder = [\"rollout_restart\", \"rollback\"]\n\
                budget = { actions = 20 }\nforce_delete_after = \"20m\"\n\
                maintenance = [{ duration = \"1d\" }]\n\
                [recoverer.p]\nladder = [\"delete_pod\"]\nrollback_window = \"2h\"\n";
    let expected = [
        "6:30: \"ladder[1]\" in [recoverer] is \"rollback\", which is passed over: a process has \
         neither pods nor revisions",
        "7:10: \"budget\" in [recoverer] can never be spent: 20 actions, but cluster_budget ends at 10",
        "8:22: \"force_delete_after\" in [recoverer] has no effect: a process has no pods",
        "9:15: \"maintenance\" in [recoverer] covers the whole week: nothing is ever done",
        "11:11: \"ladder[0]\" in [recoverer.p] is \"delete_pod\", which is passed over: a process has \
         neither pods nor revisions",
        "12:19: \"rollback_window\" in [recoverer.p] has no effect: the ladder has no step \"rollback\"",
    ]
    .map(|line| format!("actors.toml:{line}"));
    assert_eq!(warnings(text), expected);
    let text = "[clusters.a]\n[recoverer]\nladder = [\"rollback\"]\nrollback_window = \"2h\"\n\
                [recoverer.proxy]\nladder = [\"escalate\"]\nforce_delete_after = \"5m\"\n";
    assert_eq!(
        warnings(text),
        ["actors.toml:7:22: \"force_delete_after\" in [recoverer.proxy] is shorter than \
          hung_pod_after in [supervisor] (10m), before which a pod that hangs is not noticed"]
    );
}

#[test]
fn two_clusters_that_are_the_same_one_are_a_warning() {
    let with =
        |rest: &str| warnings(&format!("[clusters.a]\nnamespace = \"m\"\n[clusters.b]\n{rest}"));
    let expected = "actors.toml:3:11: [clusters.b] watches what [clusters.a] watches, with the same \
                    namespace and instance: both would restart and scale it";
    assert_eq!(with("namespace = \"m\"\n"), [expected]);
    assert_eq!(with("namespace = \"m\"\ncomponents = [\"proxy\"]\n"), [expected]);
    assert_eq!(with("namespace = \"n\"\n"), [""; 0]);
    assert_eq!(with("namespace = \"m\"\ninstance = \"i\"\n"), [""; 0]);
    assert_eq!(with("namespace = \"m\"\ncontext = \"other\"\n"), [""; 0]);
}

#[test]
fn print_shows_every_key_with_its_origin_and_no_secret() {
    let text = "[clusters.a]\nplatform = \"process\"\n[clusters.a.processes.p]\n\
                start = [\"milvus\"]\nenv = { PASSWORD = \"hunter2\" }\n\
                [probers]\ntimeout = \"3s\"\n[probers.proxy]\ninterval = \"7s\"\n\
                [alerter.webhook.w]\nurl = \"https://127.0.0.1/\"\nheaders = { Token = \"hunter2\" }\n";
    let loaded = parse_with(text, &[("FALCONER__SERVER__LISTEN", "127.0.0.1:1")]).unwrap();
    let printed = loaded.print().unwrap();
    let line = |key: &str, after: &str| {
        let from = printed.find(after).unwrap_or_else(|| panic!("no {after} in {printed}"));
        let line = printed[from..].lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("interval", "[probers]"), "interval = \"30s\" # default");
    assert_eq!(line("interval", "[probers.proxy]"), "interval = \"7s\" # actors.toml:9");
    assert_eq!(line("timeout", "[probers.proxy]"), "timeout = \"3s\" # actors.toml:7");
    assert_eq!(
        line("listen", "[server]"),
        "listen = \"127.0.0.1:1\" # environment FALCONER__SERVER__LISTEN"
    );
    assert_eq!(line("PASSWORD", "processes.p.env]"), "PASSWORD = \"***\" # actors.toml:5");
    assert!(!printed.contains("hunter2"));
    for line in printed.lines().filter(|line| !line.is_empty() && !line.starts_with('[')) {
        assert!(line.contains(" # "), "{line}");
    }
    // Redacted values apart, what is printed means what was read.
    let reread = parse(&printed).unwrap();
    assert_eq!(reread.print().unwrap().lines().count(), printed.lines().count());
    assert_eq!(reread.settings.probers, loaded.settings.probers);
    assert_eq!(reread.settings.scaler, loaded.settings.scaler);
}

#[test]
fn a_file_without_clusters_is_valid_but_nothing_to_run() {
    let loaded = parse("").unwrap();
    assert!(loaded.warnings[0].to_string().starts_with("actors.toml: [clusters] has no cluster"));
    let error = loaded.require_clusters().unwrap_err().to_string();
    assert!(error.starts_with("actors.toml: there is no cluster to watch; write"), "{error}");
    assert!(parse("[clusters.a]").unwrap().require_clusters().is_ok());
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let error = |name: &str| {
        let loaded = config::load_with(&folder.path().join(name), &Variables::new());
        let text = loaded.unwrap_err().to_string();
        text.rsplit('/').next().unwrap().to_owned()
    };
    assert!(error("missing.toml").starts_with("missing.toml: no such file; name another with"));
    fs::create_dir(folder.path().join("folder")).unwrap();
    assert_eq!(error("folder"), "folder: is a directory");
    fs::write(folder.path().join("latin"), b"# a\n# \xe4\n").unwrap();
    assert_eq!(error("latin"), "latin:2:3: the file is not UTF-8 text from here on");
    fs::write(folder.path().join("long"), vec![b'#'; 2_000_000]).unwrap();
    assert_eq!(error("long"), "long: longer than 1048576 bytes");
}

#[test]
fn hostile_nesting_is_refused_without_exhausting_the_stack() {
    let deep = [
        format!("{} = 1", vec!["a"; 100_000].join(".")),
        format!("[{}]", vec!["a"; 100_000].join(".")),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{ a = ".repeat(100_000)),
        format!("a = {}1{}", "{ a.b.c.d.e.f = ".repeat(70), " }".repeat(70)),
    ];
    for text in deep {
        let errors = parse(&text).unwrap_err();
        assert!(!errors.problems().is_empty());
    }
}

#[test]
fn very_many_errors_are_counted_rather_than_listed() {
    use std::fmt::Write as _;
    let mut text = "[probers]\n".to_owned();
    for number in 0..500 {
        writeln!(text, "wrong_{number} = 1").unwrap();
    }
    let errors = parse(&text).unwrap_err();
    assert_eq!(errors.problems().len(), 500);
    assert!(errors.to_string().ends_with("\n… and 400 more"));
}

fn falconer(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_falconer"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn check_exits_with_0_or_2_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let output = falconer(&["check"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("actors.toml: no such file"));

    fs::write(folder.path().join("actors.toml"), "[clusters.a]\n[anomaly]\n").unwrap();
    let output = falconer(&["check"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        "actors.toml: valid; 1 cluster, 0 probers configured\n  cluster a: kubernetes, namespace a, \
         milvus at http://milvus-proxy.a.svc.cluster.local:19530\n  alerts go to log\n"
    );
    assert_eq!(
        text(&output.stderr),
        "warning: actors.toml:2:2: [anomaly] has no effect in this version\n"
    );

    fs::write(folder.path().join("bad.toml"), "[probers.proxy]\nintervall = \"1s\"\n").unwrap();
    let output = falconer(&["check", "--config", "bad.toml"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "bad.toml:2:1: unknown key \"intervall\" in [probers.proxy]; did you mean \"interval\"?\n"
    );
    assert_eq!(text(&output.stdout), "");

    let output = falconer(&["check", "--print"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("[clusters.a]\nplatform = \"kubernetes\""));
}

#[test]
fn wrong_arguments_exit_with_2_and_help_with_0() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [&["chekc"][..], &["check", "--prnt"], &["run", "extra"], &[]] {
        assert_eq!(falconer(wrong, folder.path()).status.code(), Some(2), "{wrong:?}");
    }
    for right in [&["--help"][..], &["--version"], &["help", "run"], &["demo", "--help"]] {
        assert_eq!(falconer(right, folder.path()).status.code(), Some(0), "{right:?}");
    }
}

/// Pieces from which texts are made that are nearly right.
const PIECES: [&str; 40] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    " = ",
    ".",
    ",",
    "\n",
    "\n",
    "\"",
    "'",
    "\"\"\"",
    "#",
    "clusters",
    "probers",
    "recoverer",
    "scaler",
    "alerter",
    "email",
    "webhook",
    "routes",
    "proxy",
    "milvus",
    "interval",
    "backoff",
    "ladder",
    "processes",
    "components",
    "to",
    "\"30s\"",
    "0",
    "-1",
    "1e400",
    "nan",
    "true",
    "1979-05-27",
    "\u{fffd}ä\u{0}",
];

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn nearly_right_text_never_panics(pieces in prop::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        if let Ok(loaded) = parse(&text) {
            prop_assert!(loaded.print().is_ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_value_for_any_key_never_panics(
        path in prop::collection::vec(16..32_usize, 1..4),
        value in prop_oneof![(32..39_usize).prop_map(|piece| PIECES[piece].to_owned()),
                             Just("[1, \"a\", {}]".to_owned()), Just("{ a = {} }".to_owned())],
    ) {
        let keys: Vec<&str> = path.into_iter().map(|piece| PIECES[piece]).collect();
        let _ = parse(&format!("{} = {value}\n", keys.join(".")));
        let name = format!("FALCONER__{}", keys.join("__").to_uppercase());
        let _ = parse_with("", &[(&name, &value)]);
    }
}

#[test]
fn a_component_has_scaler_settings_of_its_own_over_those_of_all() {
    let text = "[scaler]\nmax_replicas = 20\n[scaler.caution]\nmemory_limit = 70\n\
                [scaler.querynode]\nmin_replicas = 3\nmode = \"target\"\n\
                caution = { drain = false }\n";
    let settings = config::parse("actors.toml", text, &Variables::new()).unwrap().settings;
    let own = &settings.scaler.components["querynode"];
    assert_eq!((own.min_replicas, own.max_replicas), (3, 20));
    assert!(!own.caution.drain && settings.scaler.defaults.caution.drain);
    assert_eq!(own.caution.memory_limit, 70);
    for (text, expected) in [
        ("[scaler.querynodes]\nmin_replicas = 3\n", "names no Milvus component"),
        ("[scaler.querynode]\ninterval = \"1s\"\n", "interval"),
        ("[scaler.querynode]\nmin_replicas = 30\n", "min_replicas 30 > max_replicas 10"),
        ("[scaler.caution]\nmemory_limit = 101\n", "memory_limit"),
        ("[scaler]\nlatency_p99_threshold = \"10us\"\n", "must be from 1ms"),
        ("[scaler.querynode]\nqps_threshold = 99999999\n", "qps_threshold"),
        ("[scaler.proxy]\nread_queue_threshold = 5\n", "proxy has no such figure"),
        ("[scaler.caution]\nurgent_pressure = 0.5\n", "urgent_pressure"),
        ("[scaler.caution]\ndrian = true\n", "drain"),
    ] {
        let error = config::parse("actors.toml", text, &Variables::new()).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}
