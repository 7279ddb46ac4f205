//! A real nginx in front of the server. It keeps its connections to the server open.

use std::collections::HashSet;
use std::time::Duration;

use bocadillo::{App, Peer, StatusCode, route, routes};
use futures_util::future::join_all;
use http::Method;
use tokio::time::sleep;

use crate::support::http::{Connection, Protocol, full};
use crate::support::{Nginx, Server};

const HEAD: Duration = Duration::from_millis(300);

#[route("/echo", methods = [POST])]
async fn echo(Peer(peer): Peer, text: String) -> String {
    format!("{text} over {}", peer.expect("TCP has addresses"))
}

#[tokio::test]
async fn a_post_over_a_connection_that_nginx_kept_idle_is_answered() {
    let app = App::new().routes(routes![echo]);
    let server = Server::start(bocadillo::Server::new(app).header_timeout(HEAD)).await;
    let upstream = server.address;
    let nginx = tokio::task::spawn_blocking(move || Nginx::start(upstream));
    let nginx = nginx.await.expect("the task does not panic");
    let address = nginx.address;
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(Connection::open(Protocol::Http1, address).await);
    }
    // All requests are sent at once, so that nginx uses all of its connections. They are sent when the time-out for
    // heads passes. If the server closed idle connections then, a request would fail.
    let mut connections = HashSet::new();
    for wave in 0..10 {
        let answers = join_all(clients.iter_mut().map(async |client| {
            let reply = client.send(Method::POST, "/echo", &[], full("text")).await;
            (reply.status, reply.text().await)
        }));
        for (status, answer) in answers.await {
            assert_eq!(status, StatusCode::OK, "wave {wave}: {answer}");
            connections.insert(answer);
        }
        sleep(HEAD - Duration::from_millis(6) + Duration::from_millis(wave)).await;
    }
    // No connection was closed between the waves.
    assert!(connections.len() <= clients.len(), "{connections:?}");
    drop(nginx);
    server.stop().await;
}
