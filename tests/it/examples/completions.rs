use std::process::{Command, Stdio};

use http::Method;
use serde_json::{Value, json};

use super::check;
use crate::support::http::{Connection, Protocol, Reply, full};
use crate::support::{Example, target};

/// Runs the official client. Prints its results as one JSON object.
const CLIENT: &str = include_str!("completions.py");

#[test]
fn the_official_client_reads_answers_and_errors() {
    let example = Example::start("completions");
    let python = target().join("python/bin/python");
    assert!(
        python.exists(),
        "the client in Python is not installed: `cargo xtask test` installs it"
    );
    let run = Command::new(python)
        .args(["-c", CLIENT, &example.url("/v1")])
        .stderr(Stdio::inherit())
        .output()
        .expect("python starts");
    assert!(run.status.success(), "{}", run.status);
    let found: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let answer = found["whole"].as_str().expect("text");
    assert!(
        answer.starts_with("A bocadillo is a Spanish sandwich"),
        "{answer}"
    );
    assert_eq!(
        found,
        json!({
            "whole": answer,
            "streamed": answer,
            "finish": "stop",
            "no such model": ["NotFoundError", 404, "model_not_found"],
            "no messages": ["BadRequestError", 400, null],
            "another shape": ["UnprocessableEntityError", 422, null],
            "broken off": ["APIError", "A bocadillo is a Spanish ", "the model broke down"],
            "async": answer,
        }),
    );
}

#[tokio::test]
async fn the_work_stops_when_the_client_disconnects() {
    let example = Example::start("completions");
    let mut answer = ask(
        &example,
        json!({"model": "canned", "messages": [{}], "stream": true}),
    )
    .await;
    check(&answer, 200, "text/event-stream");
    answer.until("\n\n").await;
    drop(answer);
    let line = example.stdout.line("tokens").await;
    assert!(line.starts_with("stopped after "), "{line:?}");
}

#[tokio::test]
async fn a_stream_ends_with_done() {
    let example = Example::start("completions");
    let answer = ask(
        &example,
        json!({"model": "canned", "messages": [{}], "stream": true}),
    )
    .await;
    let text = answer.text().await;
    assert!(text.ends_with("\n\ndata: [DONE]\n\n"), "{text}");
    example.stdout.line("finished after").await;
}

async fn ask(example: &Example, body: Value) -> Reply {
    let mut connection = Connection::open(Protocol::Http1, example.address).await;
    let headers = [("content-type", "application/json")];
    let body = full(body.to_string());
    connection
        .send(Method::POST, "/v1/chat/completions", &headers, body)
        .await
}
