//! A client that stops reading uses a bounded amount of memory, and does not delay other clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bocadillo::{App, State, event_stream, generators, route, routes};
use tokio::net::TcpSocket;

use crate::support::http::{Connection, Protocol, Raw, get};
use crate::support::{Server, wait};

const EVENT: usize = 1000;

#[derive(Clone, Debug, Default)]
struct Yielded(Arc<AtomicUsize>);

generators!(
    #[route("/flood")]
    #[event_stream]
    async fn flood(State(yielded): State<Yielded>) {
        let event = "x".repeat(EVENT);
        loop {
            yield &*event;
            yielded.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[route("/others")]
    #[event_stream]
    async fn others() {
        for n in 0..1000 {
            yield n.to_string();
        }
    }
);

/// Waits until the generator stops making progress. Returns the number of bytes that it has made.
async fn stalled(yielded: &Yielded) -> usize {
    let mut before = 0;
    let mut still = 0;
    wait::within("the flood to stall", async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = yielded.0.load(Ordering::Relaxed);
            still = if now == before && now > 0 {
                still + 1
            } else {
                0
            };
            before = now;
            if still == 10 {
                return now * EVENT;
            }
        }
    })
    .await
}

#[tokio::test]
async fn over_http_1_a_client_that_does_not_read_blocks_only_its_generator() {
    let yielded = Yielded::default();
    let server =
        Server::start(App::with_state(yielded.clone()).routes(routes![flood, others])).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    // The size of the kernel's buffer is set, so that the test can compute the rest.
    socket
        .set_recv_buffer_size(4096)
        .expect("the socket is not connected yet");
    let mut raw = Raw::over(
        socket
            .connect(server.address)
            .await
            .expect("the server listens"),
    );
    raw.send("GET /flood HTTP/1.1\r\nHost: here\r\n\r\n").await;

    let bytes = stalled(&yielded).await;
    println!("HTTP/1.1: {bytes} bytes were made for a client that does not read");
    // The kernel's send buffer, which grows to 4 MiB (`tcp_wmem`), and some tens of KiB in the server.
    assert!(bytes < 5 << 20, "{bytes}");
    let body = get(Protocol::Http1, server.address, "/others")
        .await
        .text()
        .await;
    assert!(body.ends_with("data: 999\n\n"));
}

#[tokio::test]
async fn over_http_2_a_client_that_does_not_read_blocks_only_its_stream() {
    let yielded = Yielded::default();
    let server =
        Server::start(App::with_state(yielded.clone()).routes(routes![flood, others])).await;
    let mut connection = Connection::open(Protocol::Http2, server.address).await;
    let mut unread = connection.get("/flood").await;
    unread.until("\n\n").await;

    let bytes = stalled(&yielded).await;
    println!("HTTP/2: {bytes} bytes were made for a client that does not read");
    // The client's window of 2 MiB (hyper's default), a send buffer of 64 KiB, and one frame.
    assert!(bytes < 3 << 20, "{bytes}");
    // Another stream on the same connection has its own window.
    let body = connection.get("/others").await.text().await;
    assert!(body.ends_with("data: 999\n\n"));
}
