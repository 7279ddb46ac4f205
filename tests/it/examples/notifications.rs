use http::Method;
use serde_json::json;

use super::check;
use crate::browser::Browser;
use crate::support::Example;
use crate::support::http::{Connection, Protocol, Reply, empty, full};

async fn ask(example: &Example, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut connection = Connection::open(Protocol::Http1, example.address).await;
    connection.send(Method::GET, path, headers, empty()).await
}

async fn post(
    example: &Example,
    path: &str,
    headers: &[(&str, &str)],
    body: serde_json::Value,
) -> Reply {
    let mut connection = Connection::open(Protocol::Http1, example.address).await;
    let body = full(body.to_string());
    connection.send(Method::POST, path, headers, body).await
}

const ADA: (&str, &str) = ("authorization", "Bearer secret-of-ada");
const BO: (&str, &str) = ("authorization", "Bearer secret-of-bo");

/// Bo sends a notification to ada. Returns its id.
async fn tell(example: &Example, text: &str) -> String {
    let answer = post(example, "/users/ada", &[BO], json!({"text": text})).await;
    check(&answer, 201, "application/json");
    answer.json().await["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

#[tokio::test]
async fn a_user_without_permission_is_refused_with_a_reason() {
    let example = Example::start("notifications");
    for (headers, status, detail) in [
        (&[][..], 401, "say who you are"),
        (
            &[("authorization", "Bearer nonsense")],
            401,
            "say who you are",
        ),
        (
            &[("authorization", "Basic secret-of-ada")],
            401,
            "say who you are",
        ),
        (
            &[("cookie", "other=1; secret=nonsense")],
            401,
            "say who you are",
        ),
        (&[BO], 403, "these notifications are not bo's to read"),
        (
            &[("cookie", "secret=secret-of-bo")],
            403,
            "these notifications are not bo's to read",
        ),
    ] {
        let refusal = ask(&example, "/users/ada", headers).await;
        check(&refusal, status, "application/problem+json");
        let needed = refusal.header("www-authenticate").map(str::to_owned);
        assert_eq!(needed.as_deref(), (status == 401).then_some("Bearer"));
        let problem = refusal.json().await;
        let said = problem["detail"].as_str().unwrap_or_default();
        assert!(said.contains(detail), "{said:?} instead of {detail:?}");
    }
    let refusal = post(&example, "/users/ada", &[], json!({"text": "hi"})).await;
    check(&refusal, 401, "application/problem+json");
    let refusal = post(&example, "/users/eve", &[BO], json!({"text": "hi"})).await;
    check(&refusal, 404, "application/problem+json");
    let refusal = post(&example, "/login", &[], json!({"secret": "nonsense"})).await;
    check(&refusal, 401, "application/problem+json");
}

#[tokio::test]
async fn a_missed_notification_arrives_after_the_reconnect() {
    let example = Example::start("notifications");
    let login = post(&example, "/login", &[], json!({"secret": "secret-of-ada"})).await;
    assert_eq!(login.status, 204);
    let cookie = login.header("set-cookie").expect("a cookie").to_owned();
    let cookie = cookie.split(';').next().expect("there is a first part");

    let mut stream = ask(&example, "/users/ada", &[("cookie", cookie)]).await;
    check(&stream, 200, "text/event-stream");
    let first = tell(&example, "one").await;
    let event = format!("id: {first}\ndata: {{\"from\":\"bo\",\"text\":\"one\"}}\n\n");
    assert_eq!(stream.until("\n\n").await, event);
    drop(stream);

    let second = tell(&example, "two").await;
    let event = format!("id: {second}\ndata: {{\"from\":\"bo\",\"text\":\"two\"}}\n\n");
    let mut stream = ask(&example, "/users/ada", &[ADA, ("last-event-id", &first)]).await;
    assert_eq!(stream.until("\n\n").await, event);
    let mut stream = ask(&example, &format!("/users/ada?lastEventId={first}"), &[ADA]).await;
    assert_eq!(stream.until("\n\n").await, event);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_gets_notifications_that_were_sent_while_it_was_closed() {
    let example = Example::start("notifications");
    let browser = Browser::start();
    browser.open(&example.url("/"));
    browser.eval("document.querySelector('[value=ada]').click()");
    browser.wait_until("document.querySelector('#state').textContent === 'live'");
    tell(&example, "one").await;
    browser.wait_until("document.querySelector('#list').textContent === 'boone'");

    browser.eval("document.querySelector('#away').click()");
    browser.wait_until("document.querySelector('#state').textContent === 'away'");
    tell(&example, "two").await;
    tell(&example, "three").await;
    browser.eval("document.querySelector('#away').click()");
    browser.wait_until("document.querySelector('#list').textContent === 'bothreebotwoboone'");

    // The form on the page sends to the topic of another user.
    browser.eval("document.querySelector('#text').value = 'Lunch?'; document.querySelector('#tell .main').click()");
    browser.wait_until("document.querySelector('#text').value === ''");
    browser.eval("document.querySelector('[value=bo]').click()");
    browser.wait_until("document.querySelector('#list').textContent === 'adaLunch?'");
}
