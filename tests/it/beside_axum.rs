//! Our server with parts of axum: WebSockets in a route, and a router as the fallback.

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::get;
use bocadillo::{App, Response, route, routes};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::support::Server;
use crate::support::http::{self, BOTH, Protocol};
use crate::support::wait::within;

#[route("/echo")]
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            let _ = socket.send(message).await;
        }
    })
}

#[tokio::test]
async fn a_web_socket_works_over_our_server() {
    let server = Server::start(App::new().routes(routes![echo])).await;
    let stream = TcpStream::connect(server.address)
        .await
        .expect("the server listens");
    let url = format!("ws://{}/echo", server.address);
    let (mut socket, _) = within("the upgrade", client_async(url, stream))
        .await
        .expect("an upgrade");
    for text in ["one", "two"] {
        socket
            .send(Message::text(text))
            .await
            .expect("an open socket");
        let echo = within("the echo", socket.next()).await.expect("a message");
        assert_eq!(echo.expect("an open socket"), Message::text(text));
    }
}

#[tokio::test]
async fn a_router_of_axum_answers_paths_without_a_route() {
    let router = Router::new().route("/theirs", get(async || "theirs"));
    let app = App::new().routes(routes![echo]).fallback_service(router);
    let server = Server::start(app).await;
    for protocol in BOTH {
        let theirs = http::get(protocol, server.address, "/theirs").await;
        assert_eq!(theirs.text().await, "theirs");
        assert_eq!(
            http::get(protocol, server.address, "/nobodys").await.status,
            404
        );
    }
    let ours = http::get(Protocol::Http1, server.address, "/echo").await;
    assert_eq!(ours.status, 400, "the request is not an upgrade");
}
