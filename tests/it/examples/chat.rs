//! The chat without its page. `browser/chat.rs` tests the page.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::check;
use crate::support::http::{Connection, Protocol, Reply, empty, full};
use crate::support::{Example, Nats, Redis, wait};

/// Sends a message to a room, and returns the id of its event.
pub(crate) async fn say(example: &Example, room: &str, text: &str) -> String {
    let answer = post(example, room, &json!({"from": "ada", "text": text})).await;
    check(&answer, 201, "application/json");
    let id = answer.json().await["id"].clone();
    id.as_str().expect("an id is text").to_owned()
}

/// The same as [`say`], but repeats until the node is connected to its broker.
pub(crate) async fn say_until_taken(example: &Example, room: &str, text: &str) -> String {
    let message = json!({"from": "ada", "text": text});
    let taken = async {
        loop {
            let answer = post(example, room, &message).await;
            if answer.status == 201 {
                return answer.json().await["id"].as_str().map(str::to_owned);
            }
            check(&answer, 503, "application/problem+json");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let id = wait::within("the broker to be found", taken).await;
    id.expect("an id is text")
}

pub(crate) async fn post(example: &Example, room: &str, message: &Value) -> Reply {
    send(example, room, &message.to_string()).await
}

async fn send(example: &Example, room: &str, body: &str) -> Reply {
    let mut connection = Connection::open(Protocol::Http1, example.address).await;
    let json = [("content-type", "application/json")];
    let body = full(body.to_owned());
    connection
        .send(Method::POST, &format!("/rooms/{room}"), &json, body)
        .await
}

async fn enter(example: &Example, path: &str, last: &str) -> Reply {
    let mut connection = Connection::open(Protocol::Http1, example.address).await;
    // An empty header counts as no header.
    let last = [("last-event-id", last)];
    let reply = connection.send(Method::GET, path, &last, empty()).await;
    check(&reply, 200, "text/event-stream");
    reply
}

fn message(id: &str, text: &str) -> String {
    format!("id: {id}\ndata: {{\"from\":\"ada\",\"text\":\"{text}\"}}\n\n")
}

#[tokio::test]
async fn a_new_client_gets_earlier_messages_and_then_new_ones() {
    let example = Example::start("chat");
    let one = say(&example, "lobby", "one").await;
    let two = say(&example, "lobby", "two").await;
    say(&example, "cellar", "elsewhere").await;

    let mut lobby = enter(&example, "/rooms/lobby", "").await;
    assert_eq!(lobby.until("\n\n").await, message(&one, "one"));
    assert_eq!(lobby.until("\n\n").await, message(&two, "two"));
    let three = say(&example, "lobby", "three").await;
    assert_eq!(lobby.until("\n\n").await, message(&three, "three"));
}

#[tokio::test]
async fn a_client_that_reconnects_gets_only_the_missed_messages() {
    let example = Example::start("chat");
    let one = say(&example, "lobby", "one").await;
    let two = say(&example, "lobby", "two").await;
    let three = say(&example, "lobby", "three").await;
    // An `EventSource` that reconnects, a page that opens a new one, and both together.
    for (path, last, next) in [
        ("/rooms/lobby".to_owned(), &*one, (&two, "two")),
        (
            format!("/rooms/lobby?lastEventId={two}"),
            "",
            (&three, "three"),
        ),
        (
            format!("/rooms/lobby?lastEventId={two}"),
            &one,
            (&two, "two"),
        ),
    ] {
        let mut lobby = enter(&example, &path, last).await;
        assert_eq!(lobby.until("\n\n").await, message(next.0, next.1), "{path}");
    }
}

#[tokio::test]
async fn a_client_that_reconnects_to_a_new_server_gets_a_reset() {
    let example = Example::start("chat");
    let port = example.address.port();
    let old = say(&example, "lobby", "before").await;
    example.kill();

    let example = Example::start_on("chat", port);
    let new = say(&example, "lobby", "after").await;
    let mut lobby = enter(&example, "/rooms/lobby", &old).await;
    let reset = lobby.until("\n\n").await;
    assert!(
        reset.contains("event: reset\ndata: {\"reason\":\"epoch\"}\n"),
        "{reset}"
    );
    assert_eq!(lobby.until("\n\n").await, message(&new, "after"));
}

#[tokio::test]
async fn invalid_input_is_refused_with_a_reason() {
    let example = Example::start("chat");
    let length = "`text` takes 1 to 2000 characters, and not spaces alone";
    let name = "`from` takes 1 to 40 characters, and not spaces alone";
    let room = "a room is called by 1 to 40 letters, digits, `-` and `_`";
    let long = "é".repeat(2_001);
    let unfit = json!({"from": "ada"}).to_string();
    for (at, body, status, detail) in [
        (
            "lobby",
            json!({"from": "ada", "text": ""}).to_string(),
            422,
            length,
        ),
        (
            "lobby",
            json!({"from": "ada", "text": " \n"}).to_string(),
            422,
            length,
        ),
        (
            "lobby",
            json!({"from": "ada", "text": long}).to_string(),
            422,
            length,
        ),
        (
            "lobby",
            json!({"from": "", "text": "hi"}).to_string(),
            422,
            name,
        ),
        ("lobby", unfit, 422, "missing field `text`"),
        ("lobby", "{\"from\": ".to_owned(), 400, "JSON is malformed"),
        (
            "lo%20bby",
            json!({"from": "ada", "text": "hi"}).to_string(),
            400,
            room,
        ),
        (
            &"x".repeat(41),
            json!({"from": "ada", "text": "hi"}).to_string(),
            400,
            room,
        ),
        ("lobby", " ".repeat(3 << 20), 413, "length limit"),
    ] {
        let refusal = send(&example, at, &body).await;
        check(&refusal, status, "application/problem+json");
        let problem = refusal.json().await;
        let said = problem["detail"].as_str().unwrap_or_default();
        assert!(said.contains(detail), "{said:?} instead of {detail:?}");
    }
    let mut lobby = enter(&example, "/rooms/lobby", "").await;
    let first = say(&example, "lobby", "fine").await;
    assert_eq!(lobby.until("\n\n").await, message(&first, "fine"));
}

/// Three processes share one broker. A message to one arrives at all. A client that reconnects to another process has
/// lost nothing.
async fn three_nodes_share_their_rooms(hub: &str) {
    let nodes = [(); 3].map(|()| Example::start_with("chat", 0, &["--hub", hub]));
    let mut listeners = Vec::new();
    for node in &nodes {
        listeners.push(enter(node, "/rooms/lobby", "").await);
    }
    let mut last = String::new();
    for (node, text) in nodes.iter().zip(["one", "two", "three"]) {
        last = say(node, "lobby", text).await;
        for listener in &mut listeners {
            assert_eq!(listener.until("\n\n").await, message(&last, text));
        }
    }
    drop(listeners);
    let next = say(&nodes[0], "lobby", "four").await;
    for node in &nodes {
        let mut listener = enter(node, "/rooms/lobby", &last).await;
        assert_eq!(listener.until("\n\n").await, message(&next, "four"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_share_their_rooms_over_redis() {
    three_nodes_share_their_rooms(&Redis::start().url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_share_their_rooms_over_nats() {
    three_nodes_share_their_rooms(&Nats::start().url()).await;
}

/// A message that the broker has not confirmed is refused. It is not lost without an error.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_broker_the_chat_refuses_messages() {
    let mut redis = Redis::start();
    let example = Example::start_with("chat", 0, &["--hub", &redis.url()]);
    let one = say(&example, "lobby", "one").await;
    let mut lobby = enter(&example, "/rooms/lobby", "").await;
    assert_eq!(lobby.until("\n\n").await, message(&one, "one"));

    redis.kill();
    let refusal = post(&example, "lobby", &json!({"from": "ada", "text": "two"})).await;
    check(&refusal, 503, "application/problem+json");

    redis.restart();
    let three = say_until_taken(&example, "lobby", "three").await;
    assert_eq!(lobby.until("\n\n").await, message(&three, "three"));
}

#[test]
fn an_error_names_an_invalid_hub() {
    for (arguments, expected) in [
        (
            &["--hub", "mysql://127.0.0.1"][..],
            "no hub is at `mysql://127.0.0.1`",
        ),
        (&["--hub"], "usage: chat [--hub redis://"),
        (
            &["--hup", "redis://127.0.0.1"],
            "usage: chat [--hub redis://",
        ),
    ] {
        let said = Example::refuses("chat", arguments);
        assert!(said.contains(expected), "{said}");
    }
}
