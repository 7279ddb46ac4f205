use std::process::Command;

use http::Method;

use super::{check, get};
use crate::support::Example;
use crate::support::http::{Connection, Protocol, full};

#[tokio::test]
async fn an_axum_app_streams_its_rooms_and_ends_in_order_at_a_signal() {
    let mut example = Example::start("axum_rooms");
    let mut connection = Connection::open(Protocol::Http1, example.address).await;
    for text in ["hello", "anybody here?"] {
        let headers = [("content-type", "text/plain")];
        let said = connection
            .send(Method::POST, "/rooms/7", &headers, full(text))
            .await;
        assert_eq!(said.status, 200);
        said.text().await;
    }
    let mut room = get(&example, "/rooms/7").await;
    check(&room, 200, "text/event-stream");
    assert!(room.until("\n\n").await.ends_with("data: hello\n\n"));
    assert!(
        room.until("\n\n")
            .await
            .ends_with("data: anybody here?\n\n")
    );
    let refused = get(&example, "/rooms/%01").await;
    check(&refused, 400, "application/problem+json");

    let signal = Command::new("kill")
        .args(["-TERM", &example.pid().to_string()])
        .status();
    assert!(signal.expect("`kill` is installed").success());
    let (rest, end) = room.end().await;
    assert!(end.is_ok(), "{rest:?}, {end:?}");
    assert!(example.wait().success());
}
