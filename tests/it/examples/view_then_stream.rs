use http::Method;

use super::check;
use crate::support::Example;
use crate::support::http::{Connection, Protocol, Reply, empty};

async fn ask(example: &Example, sensor: &str, token: Option<&str>) -> Reply {
    let path = format!("/sensors/{sensor}/temperature-feed");
    let token = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = token
        .iter()
        .map(|token| ("authorization", &**token))
        .collect();
    let mut connection = Connection::open(Protocol::Http1, example.address).await;
    connection.send(Method::GET, &path, &headers, empty()).await
}

#[tokio::test]
async fn a_refusal_has_its_own_status_and_a_reason() {
    let example = Example::start("view_then_stream");
    for (sensor, token, status, detail) in [
        (
            "cellar",
            None,
            401,
            "say who you are: `Authorization: Bearer ada`",
        ),
        ("cellar", Some("bo"), 403, "this sensor is not bo's to read"),
        ("attic", Some("ada"), 404, "there is no sensor `attic`"),
    ] {
        let refusal = ask(&example, sensor, token).await;
        check(&refusal, status, "application/problem+json");
        assert_eq!(
            refusal.header("www-authenticate"),
            (status == 401).then_some("Bearer")
        );
        let problem = refusal.json().await;
        assert_eq!(
            (&problem["status"], &problem["detail"]),
            (&status.into(), &detail.into())
        );
    }
}

#[tokio::test]
async fn a_user_with_permission_gets_the_stream() {
    let example = Example::start("view_then_stream");
    let mut feed = ask(&example, "cellar", Some("ada")).await;
    check(&feed, 200, "text/event-stream");
    for _ in 0..2 {
        assert!(
            feed.until("\n\n")
                .await
                .starts_with(r#"data: {"temperature":10."#)
        );
    }
}
