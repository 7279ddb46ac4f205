//! A real nginx in front, which keeps its connections to the server open.

use std::time::Duration;

use bocadillo::{App, route, routes};
use futures_util::future::join_all;
use http::Method;
use tokio::time::sleep;

use crate::support::http::{Connection, Protocol, full};
use crate::support::{Nginx, Server};

const HEAD: Duration = Duration::from_millis(300);

#[route("/echo", methods = [POST])]
async fn echo(text: String) -> String {
    text
}

#[tokio::test]
async fn a_post_that_meets_a_connection_which_was_idle_for_the_time_of_a_head_is_answered() {
    let app = App::new().routes(routes![echo]).header_timeout(HEAD);
    let server = Server::start(app).await;
    let upstream = server.address;
    let nginx = tokio::task::spawn_blocking(move || Nginx::start(upstream));
    let nginx = nginx.await.expect("it does not panic");
    let address = nginx.address;
    let clients = (0..16).map(|client| async move {
        let mut connection = Connection::open(Protocol::Http1, address).await;
        for round in 0..8 {
            let reply = connection
                .send(Method::POST, "/echo", &[], full("text"))
                .await;
            assert_eq!(reply.status, 200, "client {client} in round {round}");
            assert_eq!(reply.text().await, "text");
            // Around the moment at which the time of a head is over, where a connection would be closed under a request.
            sleep(HEAD - Duration::from_millis(8) + Duration::from_millis(client)).await;
        }
    });
    join_all(clients).await;
    drop(nginx);
    server.stop().await;
}
