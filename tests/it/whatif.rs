//! `falconer whatif scaling` as people call it: what it says of lines that it does not understand.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::{Value, json};

/// A question that has an answer, from the cases of the Kubernetes controller.
fn question() -> Value {
    let vectors = include_str!("../data/hpa/vectors.jsonl");
    let mut cases = vectors.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut question = cases.next().unwrap()["input"].take();
    question["pods"][0]["usage"] = json!({"cpu_milli": 300, "memory_bytes": null,
        "sampled_at": "2026-01-01T00:00:00Z", "window": "15s"});
    question
}

fn ask(input: Vec<u8>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_falconer"));
    command.args(["whatif", "scaling", "--input", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut falconer = command.spawn().expect("it starts");
    let mut stdin = falconer.stdin.take().expect("a pipe");
    let writing = thread::spawn(move || stdin.write_all(&input).expect("it reads"));
    let output = falconer.wait_with_output().expect("it ends");
    writing.join().expect("all was read");
    output
}

fn changed(change: fn(&mut Value)) -> Vec<u8> {
    let mut question = question();
    change(&mut question);
    question.to_string().into_bytes()
}

#[test]
fn each_line_that_is_not_understood_is_named_with_its_field_and_the_others_are_answered() {
    let good = question().to_string().into_bytes();
    let of_text = |from: &str, to: &str| {
        let text = question().to_string();
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1).into_bytes()
    };
    let in_name = |bytes: &[u8]| {
        let text = changed(|q| q["name"] = json!("NAME"));
        let at = text.windows(4).position(|part| part == b"NAME").expect("a name");
        [&text[..at], bytes, &text[at + 4..]].concat()
    };
    // A line, and what must be said of it; nothing where it is skipped.
    let lines: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), ""),
        (b" \t\r".to_vec(), ""),
        (b"not JSON".to_vec(), "expected ident (column 2)"),
        (b"{".to_vec(), "EOF while parsing an object"),
        (b"null".to_vec(), "invalid type: null"),
        (b"[[[[[[[[".to_vec(), ""),
        ([&good[..], b"}"].concat(), "trailing characters"),
        (changed(|q| q["now"] = json!("yesterday")), "now: "),
        (changed(|q| q["now"] = json!(7)), "now: invalid type: integer `7`"),
        (changed(|q| q["current_replicas"] = json!("3")), "current_replicas: invalid type: string"),
        (
            changed(|q| q["current_replicas"] = json!(1.5)),
            "current_replicas: invalid type: floating",
        ),
        (
            changed(|q| q["current_replicas"] = json!(-1)),
            "current_replicas: invalid value: integer `-1`",
        ),
        (
            changed(|q| q["current_replicas"] = json!(1_u64 << 40)),
            "current_replicas: invalid value",
        ),
        (changed(|q| q["pods"] = json!({})), "pods: invalid type: map"),
        (changed(|q| q["pods"][0]["ready"] = json!("yes")), "pods[0].ready: invalid type: string"),
        (
            changed(|q| q["pods"][0]["usage"]["cpu_milli"] = json!(-5)),
            "pods[0].usage.cpu_milli: invalid value: integer `-5`",
        ),
        (
            changed(|q| q["pods"][0]["usage"]["window"] = json!("-15s")),
            "pods[0].usage.window: invalid value",
        ),
        (
            changed(|q| drop(q["pods"][0].as_object_mut().unwrap().remove("phase"))),
            "pods[0]: missing field `phase`",
        ),
        (
            changed(|q| drop(q["settings"].as_object_mut().unwrap().remove("mode"))),
            "settings: missing field `mode`",
        ),
        (changed(|q| q["replicas"] = json!(3)), "replicas: unknown field `replicas`"),
        (changed(|q| q["settings"]["min"] = json!(3)), "settings.min: unknown field `min`"),
        (
            changed(|q| q["settings"]["tolerance"] = json!(-0.1)),
            "settings.tolerance: must be 0 or more",
        ),
        (of_text("\"now\":", "\"now\":\"2026-01-01T00:00:00Z\",\"now\":"), "duplicate field `now`"),
        (in_name(b"\xff\xfe"), "name: invalid unicode code point"),
        (in_name(b"\x00"), "name: control character"),
        (in_name(b"\xf0\x9f\xa6\x85"), "answered"),
        (in_name(&b"x".repeat(3_000_000)), "answered"),
    ];
    let mut input = [&good[..], b"\n"].concat();
    for (line, _) in &lines {
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    input.extend_from_slice(&good);
    let output = ask(input);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).expect("text");
    for (index, (_, words)) in lines.iter().enumerate() {
        let line = format!("falconer: line {}: ", index + 2);
        let found = said.lines().find_map(|said| said.strip_prefix(&line));
        match (*words, found) {
            ("answered", None) => {}
            (words, Some(found)) => assert!(found.contains(words), "{line}{words}: {found}"),
            (words, None) => assert_eq!(words, "", "{line}"),
        }
    }
    assert!(!said.contains(" line 2: ") && !said.contains(" line 3: "), "{said}");
    let answers = String::from_utf8(output.stdout).expect("text");
    assert_eq!(answers.lines().count(), 4, "the good ones");
    for answer in answers.lines() {
        let answer: Value = serde_json::from_str(answer).expect("JSON");
        assert_eq!(answer["error"], Value::Null, "{answer}");
    }
    assert!(said.len() < 10_000, "a long line is not repeated: {} bytes", said.len());
}

#[test]
fn no_more_than_a_hundred_bad_lines_are_shown_and_the_others_are_counted() {
    let output = ask(b"{}\n".repeat(1_000));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(said.lines().count(), 101);
    assert_eq!(said.lines().next(), Some("falconer: line 1: missing field `now` (column 2)"));
    assert!(said.ends_with("and 900 more lines that were not understood\n"), "{said}");
}
