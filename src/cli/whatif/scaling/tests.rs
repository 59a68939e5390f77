use serde_json::{Value, json};

use super::*;

fn ask(input: &str) -> (Vec<Value>, usize) {
    let (mut answers, mut problems) = (Vec::new(), Problems::default());
    answer_all(input.as_bytes(), &mut answers, &mut problems).unwrap();
    let lines = String::from_utf8(answers).unwrap();
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), problems.count)
}

/// Cases of the tables in the unit tests of the Kubernetes 1.36 controller; each line names the test.
const VECTORS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/hpa/vectors.jsonl"));

fn vectors() -> impl Iterator<Item = Value> {
    VECTORS.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn matches(expected: &Value, answer: &Value) -> bool {
    match expected {
        Value::Object(fields) => fields.iter().all(|(key, value)| matches(value, &answer[key])),
        other => other == answer,
    }
}

#[test]
fn every_case_of_the_kubernetes_controller_has_its_answer() {
    let mut count = 0;
    for case in vectors() {
        let (answers, problems) = ask(&case["input"].to_string());
        assert_eq!((answers.len(), problems), (1, 0), "{}", case["source"]);
        let (expected, answer) = (&case["expect"], &answers[0]);
        assert!(matches(expected, answer), "{}:\n{expected}\n{answer}", case["source"]);
        count += 1;
    }
    assert_eq!(count, 74);
}

fn question() -> Value {
    vectors().next().unwrap()["input"].clone()
}

#[test]
fn a_single_object_may_take_several_lines() {
    let pretty = serde_json::to_string_pretty(&question()).unwrap();
    let (answers, problems) = ask(&format!("\n{pretty}\n"));
    assert_eq!((answers.len(), problems), (1, 0));
}

#[test]
fn a_bad_line_does_not_keep_the_others_from_their_answers() {
    let good = question().to_string();
    let (answers, problems) = ask(&format!("{good}\n\n{{\"now\": 1}}\nnot JSON\n{good}"));
    assert_eq!((answers.len(), problems), (2, 2));
}

#[test]
fn a_first_line_that_is_cut_off_does_not_swallow_the_others() {
    let good = question().to_string();
    let cut = &good[..good.len() / 2];
    let (answers, problems) = ask(&format!("{cut}\n{good}\n\n{good}"));
    assert_eq!((answers.len(), problems), (2, 1));
    let odd = good.replacen("\"settings\":", "\"settings\":\n", 1);
    assert_ne!(odd, good);
    let (answers, problems) = ask(&odd);
    assert_eq!((answers.len(), problems), (1, 0), "an object may go on with an object");
}

#[test]
fn a_line_that_is_too_long_is_skipped() {
    let (good, long) = (question().to_string(), " ".repeat(usize::try_from(LONGEST).unwrap()));
    let (answers, problems) = ask(&format!("{good}\n{{{long}}}\n{good}\n{long}x"));
    assert_eq!((answers.len(), problems), (2, 2));
}

#[test]
fn a_problem_names_its_field() {
    let broken = |change: fn(&mut Value)| {
        let mut question = question();
        change(&mut question);
        Question::read(question.to_string().as_bytes()).unwrap_err().to_string()
    };
    #[allow(clippy::type_complexity, reason = "a table, and nothing else has its type")]
    let cases: [(fn(&mut Value), &str); 8] = [
        (|q| q["settings"]["min_replicas"] = json!(-1), "settings.min_replicas: invalid value"),
        (
            |q| q["settings"]["max_replicas"] = json!(0),
            "settings.max_replicas: must not be smaller",
        ),
        (|q| q["settings"]["cpu_threshold"] = json!(0), "settings.cpu_threshold: must be at least"),
        (|q| q["settings"]["mode"] = json!("magic"), "settings.mode: unknown variant `magic`"),
        (|q| q["pods"][0]["requests"]["cpu"] = json!(1), "pods[0].requests.cpu: unknown field"),
        (|q| q["pods"][0]["phase"] = json!("Gone"), "pods[0].phase: unknown variant"),
        (
            |q| q["settings"]["scale_up"]["policies"][0]["period"] = json!("soon"),
            "settings.scale_up.policies[0].period: invalid value",
        ),
        (|q| drop(q.as_object_mut().unwrap().remove("pods")), "missing field `pods`"),
    ];
    for (change, words) in cases {
        let problem = broken(change);
        assert!(problem.contains(words), "{words}: {problem}");
    }
}

#[test]
fn a_value_that_may_be_null_must_be_there() {
    for field in ["raw_desired", "recommendations", "scale_events"] {
        let mut question = question();
        question.as_object_mut().unwrap().remove(field);
        let problem = Question::read(question.to_string().as_bytes()).unwrap_err().to_string();
        assert!(problem.contains(&format!("missing field `{field}`")), "{problem}");
    }
}

#[test]
fn mode_step_moves_by_one() {
    let mut question = question();
    question["settings"]["mode"] = json!("step");
    question["settings"]["cpu_threshold"] = json!(50);
    question["settings"]["max_replicas"] = json!(3);
    question["current_replicas"] = json!(2);
    let pod = |name: &str, used: u64| {
        json!({"name": name, "phase": "Running", "ready": true, "ready_since": null,
            "started_at": "2025-12-31T23:00:00Z", "terminating": false,
            "requests": {"cpu_milli": 1000, "memory_bytes": null},
            "usage": {"cpu_milli": used, "memory_bytes": null,
                "sampled_at": "2026-01-01T00:00:00Z", "window": "15s"}})
    };
    for (used, desired, reason) in
        [(900, 3, "above_threshold"), (400, 2, "within_band"), (100, 1, "below_half")]
    {
        question["pods"] = json!([pod("a", used), pod("b", used)]);
        let (answers, _) = ask(&question.to_string());
        assert_eq!(answers[0]["desired_replicas"], desired, "{}", answers[0]);
        assert_eq!(answers[0]["reason"], reason);
        assert_eq!(answers[0]["utilization"]["cpu"], used / 10);
    }
}
