use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::{check, get};
use crate::support::Example;
use crate::support::wait::within;

#[tokio::test]
async fn a_handler_of_axum_streams_events() {
    let example = Example::start("in_axum");
    let mut feed = get(&example, "/ticks/40").await;
    check(&feed, 200, "text/event-stream");
    for event in ["data: 40\n\n", "data: 41\n\n", "data: 42\n\n"] {
        assert_eq!(feed.until("\n\n").await, event);
    }
}

#[tokio::test]
async fn a_route_of_ours_takes_extractors_of_axum_and_web_sockets() {
    let example = Example::start("in_axum");
    let refused = get(&example, "/echo").await;
    assert_eq!(
        refused.status, 400,
        "the query's extractor wants a greeting"
    );
    let refused = get(&example, "/echo?greeting=hello").await;
    assert_eq!(refused.status, 400, "a request that is no upgrade");

    let stream = TcpStream::connect(example.address)
        .await
        .expect("the server listens");
    let url = format!("ws://{}/echo?greeting=hello", example.address);
    let (mut socket, _) = within("the upgrade", client_async(url, stream))
        .await
        .expect("a web socket");
    let greeting = within("the greeting", socket.next()).await;
    assert_eq!(
        greeting.expect("a message").expect("an open socket"),
        Message::text("hello")
    );
    for message in [Message::text("¿qué tal?"), Message::binary(vec![0, 255])] {
        socket.send(message.clone()).await.expect("an open socket");
        let echo = within("the echo", socket.next()).await;
        assert_eq!(echo.expect("a message").expect("an open socket"), message);
    }
}
