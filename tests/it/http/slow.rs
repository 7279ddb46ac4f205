//! Clients that take their time with the head of a request, or never send one.

use std::time::{Duration, Instant};

use bocadillo::{App, event_stream, generators, route, routes};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::http::{PREFACE, Protocol, Raw, get};
use crate::support::{Server, wait};

const TIMEOUT: Duration = Duration::from_millis(500);
/// Far more than a cut takes, and less than hyper's own time-out of 30 seconds.
const SOON: Duration = Duration::from_secs(20);

generators!(
    #[route("/feed")]
    #[event_stream]
    async fn feed() {
        yield "fine";
        // Longer than a head may take: the time-out is not the stream's.
        sleep(TIMEOUT * 3).await;
        yield "still fine";
    }
);

async fn serve() -> Server {
    let app = App::new().routes(routes![feed]).header_timeout(TIMEOUT);
    Server::start(app).await
}

/// Sends `start`, and then one byte of `rest` after the other, until the server has cut the connection.
async fn cut_after(server: &Server, start: &[u8], rest: &[u8]) -> Duration {
    let mut raw = Raw::connect(server.address).await;
    let begin = Instant::now();
    raw.send(start).await;
    let (mut reads, mut writes) = raw.connection.split();
    let trickle = async {
        for byte in rest {
            sleep(TIMEOUT / 10).await;
            if writes.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let closed = wait::within("the cut", reads.read_to_end(&mut answer));
    tokio::select! {
        () = trickle => {}
        _ = closed => {}
    }
    assert_eq!(
        String::from_utf8_lossy(&answer),
        "",
        "it has asked for nothing"
    );
    begin.elapsed()
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_head_is_cut() {
    let server = serve().await;
    let endless = b"x: y\r\n".repeat(100);
    let cases: [(&[u8], &[u8]); 6] = [
        // Nothing at all.
        (b"", b""),
        (b"GET /feed HTTP/1.1\r\n", b""),
        (b"GET /feed HTTP/1.1\r\nhost: x\r\n", &endless),
        (
            b"",
            b"GET /feed HTTP/1.1\r\nhost: x\r\nand so on, byte by byte",
        ),
        // The preface of HTTP/2, byte by byte; the last one has all of it but the end.
        (b"", PREFACE),
        (&PREFACE[..PREFACE.len() - 1], b""),
    ];
    let times = join_all(cases.map(|(start, rest)| cut_after(&server, start, rest))).await;
    for time in times {
        // At once would be wrong too. The two looks at the head, for the protocol and at the request, may take the
        // time-out each.
        assert!(time >= TIMEOUT && time < SOON, "{time:?}");
    }
    // Others are served meanwhile and afterwards, for longer than the time-out.
    let reply = get(Protocol::Http1, server.address, "/feed").await;
    assert_eq!(reply.text().await, "data: fine\n\ndata: still fine\n\n");
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_more_is_cut() {
    let server = serve().await;
    let mut raw = Raw::connect(server.address).await;
    for _ in 0..2 {
        raw.send("GET /feed HTTP/1.1\r\nhost: x\r\n\r\n").await;
        raw.until("data: still fine\n\n\r\n0\r\n\r\n").await;
    }
    let begin = Instant::now();
    assert_eq!(raw.rest().await, "");
    let time = begin.elapsed();
    assert!(time >= TIMEOUT / 2 && time < SOON, "{time:?}");
}

#[tokio::test]
async fn a_slow_body_is_not_a_slow_head() {
    #[route("/body", methods = [POST])]
    async fn body(text: String) -> String {
        text
    }
    let app = App::new().routes(routes![body]).header_timeout(TIMEOUT);
    let server = Server::start(app).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\n")
        .await;
    for byte in ["s", "l", "o", "w"] {
        sleep(TIMEOUT / 2).await;
        raw.send(byte).await;
    }
    assert!(raw.rest().await.ends_with("\r\n\r\nslow"));
}
