//! Time-outs for the head of a request and for the idle time between requests.
//!
//! In tests over sockets, one time-out is short and the other is much longer than the test. So no test depends on the
//! speed of the machine. The defaults are measured in paused time.

use std::time::Duration;

use bocadillo::{App, event_stream, generators, route, routes};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use crate::support::http::{BOTH, Connection, PREFACE, Protocol, Raw, empty, full, get};
use crate::support::memory::Memory;
use crate::support::{Server, wait};

const SHORT: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_secs(3600);

generators!(
    #[route("/feed")]
    #[event_stream]
    async fn feed() {
        yield "fine";
        // This is longer than both time-outs. They do not apply to streams.
        sleep(SHORT * 3).await;
        yield "still fine";
    }
);

#[route("/text")]
async fn text() -> &'static str {
    "text"
}

#[route("/echo", methods = [POST])]
async fn echo(text: String) -> String {
    text
}

#[route("/large")]
async fn large() -> String {
    "x".repeat(10_000)
}

fn app() -> bocadillo::Server {
    bocadillo::Server::new(App::new().routes(routes![feed, text, echo, large]))
}

/// The time-out for heads is short. Idle connections are never closed.
async fn short_heads() -> Server {
    Server::start(app().header_timeout(SHORT).idle_timeout(NEVER)).await
}

/// Idle connections are closed soon. Heads are never cut.
async fn short_idle() -> Server {
    Server::start(app().header_timeout(NEVER).idle_timeout(SHORT)).await
}

/// Sends `start`, and then one byte of `rest` after the other, until the server has cut the connection. Returns what
/// the server sent.
async fn until_cut(raw: &mut Raw, start: &[u8], rest: &[u8]) -> Vec<u8> {
    raw.send(start).await;
    let (mut reads, mut writes) = raw.connection.split();
    let trickle = async {
        for byte in rest {
            sleep(SHORT / 10).await;
            if writes.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = trickle => {}
        _ = wait::within("the cut", reads.read_to_end(&mut answer)) => {}
    }
    answer
}

const GET_TEXT: &str = "GET /text HTTP/1.1\r\nhost: x\r\n\r\n";
const POST_ECHO: &str = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\ntext";
const POST_CHUNKED: &str =
    "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\ntext\r\n0\r\n\r\n";

#[tokio::test]
async fn a_slow_head_is_cut() {
    let server = short_heads().await;
    let endless = b"x: y\r\n".repeat(1000);
    let cases: [(&[u8], &[u8]); 6] = [
        // The client sends nothing.
        (b"", b""),
        (b"GET /feed HTTP/1.1\r\n", b""),
        (b"GET /feed HTTP/1.1\r\nhost: x\r\n", &endless),
        (b"", &endless),
        // The preface of HTTP/2, byte by byte. The last one lacks only the end.
        (b"", &PREFACE.repeat(100)),
        (&PREFACE[..PREFACE.len() - 1], b""),
    ];
    let server = &server;
    let first = cases.map(|(start, rest)| async move {
        let mut raw = Raw::connect(server.address).await;
        assert_eq!(until_cut(&mut raw, start, rest).await, b"");
    });
    // The same on a connection that was idle for longer than the time-out for heads. An empty head is not cut there.
    let later = cases[1..4].iter().flat_map(|(start, rest)| {
        [GET_TEXT, POST_ECHO, POST_CHUNKED].map(|request| async move {
            let mut raw = Raw::connect(server.address).await;
            for _ in 0..2 {
                raw.send(request).await;
                raw.until("\r\n\r\ntext").await;
                sleep(SHORT * 2).await;
            }
            assert_eq!(until_cut(&mut raw, start, rest).await, b"");
        })
    });
    tokio::join!(join_all(first), join_all(later));
    // Other clients are served at the same time and later, for longer than the time-out.
    let reply = get(Protocol::Http1, server.address, "/feed").await;
    assert_eq!(reply.text().await, "data: fine\n\ndata: still fine\n\n");
}

#[tokio::test]
async fn a_part_of_a_head_that_comes_with_another_request_is_cut() {
    let server = &short_heads().await;
    let chunked_part = format!("{POST_CHUNKED}GET /te");
    let cases = [
        format!("{GET_TEXT}GET /text HTTP/1.1\r\nho"),
        format!("{GET_TEXT}{GET_TEXT}GET /text HTTP/1.1\r\n"),
        chunked_part,
        format!("{POST_ECHO}GET /te"),
        format!("{POST_ECHO}\r\nG"),
        format!("\r\n{POST_ECHO}G"),
    ];
    join_all(cases.map(|start| async move {
        let mut raw = Raw::connect(server.address).await;
        let answer = until_cut(&mut raw, start.as_bytes(), b"").await;
        assert!(
            answer.ends_with(b"\r\n\r\ntext"),
            "the part is not answered"
        );
    }))
    .await;
}

#[tokio::test]
async fn a_part_of_a_head_that_comes_during_a_stream_is_cut_after_the_stream() {
    let server = short_heads().await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("GET /feed HTTP/1.1\r\nhost: x\r\n\r\n").await;
    raw.until("data: fine\n\n").await;
    let answer = until_cut(&mut raw, b"GET /fe", b"").await;
    assert!(answer.ends_with(b"data: still fine\n\n\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn an_idle_connection_is_answered_after_the_time_out_for_heads() {
    let server = &short_heads().await;
    let http1 = [GET_TEXT, POST_ECHO, POST_CHUNKED, "stream"].map(|request| async move {
        let mut raw = Raw::connect(server.address).await;
        for _ in 0..2 {
            if request == "stream" {
                raw.send("GET /feed HTTP/1.1\r\nhost: x\r\n\r\n").await;
                raw.until("data: still fine\n\n\r\n0\r\n\r\n").await;
            } else {
                // Two requests at once.
                raw.send(request.repeat(2)).await;
                raw.until("\r\n\r\ntext").await;
                raw.until("\r\n\r\ntext").await;
            }
            sleep(SHORT * 2).await;
        }
    });
    let both = BOTH.map(|protocol| async move {
        let mut connection = Connection::open(protocol, server.address).await;
        for _ in 0..2 {
            assert_eq!(connection.get("/text").await.text().await, "text");
            sleep(SHORT * 2).await;
            let reply = connection
                .send(http::Method::POST, "/echo", &[], full("text"))
                .await;
            assert_eq!(reply.text().await, "text");
        }
    });
    tokio::join!(join_all(http1), join_all(both));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = &short_idle().await;
    let requests = [
        (GET_TEXT, "\r\n\r\ntext"),
        (POST_ECHO, "\r\n\r\ntext"),
        (POST_CHUNKED, "\r\n\r\ntext"),
        (
            "GET /feed HTTP/1.1\r\nhost: x\r\n\r\n",
            "data: still fine\n\n\r\n0\r\n\r\n",
        ),
    ];
    join_all(requests.map(|(request, end)| async move {
        let mut raw = Raw::connect(server.address).await;
        for _ in 0..2 {
            raw.send(request).await;
            raw.until(end).await;
        }
        assert_eq!(raw.rest().await, "", "{request}");
    }))
    .await;
}

/// A frame of HTTP/2 (RFC 9113, section 4.1), of fewer than 256 bytes, on stream `stream`.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let header = [0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
    [&header, payload].concat()
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// GET, http, /text and an authority of one letter, as HPACK (RFC 7541) has them without its table.
const REQUEST: &[u8] = b"\x82\x86\x04\x05/text\x41\x01x";

fn opening() -> Vec<u8> {
    let acknowledged = frame(SETTINGS, ACK, 0, b"");
    [PREFACE, &frame(SETTINGS, 0, 0, b""), &acknowledged].concat()
}

/// Whether the server has answered in `bytes`: a HEADERS frame, with all of the head.
fn has_answer(mut bytes: &[u8]) -> bool {
    while let [_, high, low, kind, _, _, _, _, _, rest @ ..] = bytes {
        if *kind == HEADERS {
            return true;
        }
        let length = usize::from(*high) << 8 | usize::from(*low);
        bytes = rest.get(length..).unwrap_or_default();
    }
    false
}

#[tokio::test]
async fn a_slow_head_of_http2_is_cut() {
    let server = &short_heads().await;
    let pings = frame(PING, 0, 0, b"12345678").repeat(100);
    let whole = frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST);
    let part = frame(HEADERS, END_STREAM, 1, &REQUEST[..2]);
    let continued = frame(CONTINUATION, 0, 1, b"").repeat(100);
    let cases = [
        // The client sends no SETTINGS.
        (PREFACE.to_vec(), vec![]),
        (PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[0; 240])),
        // An incomplete frame.
        ([opening(), whole[..5].to_vec()].concat(), vec![]),
        ([opening(), whole[..12].to_vec()].concat(), vec![]),
        (opening(), [&part[..], &pings].concat()),
        // A head without its last frame.
        ([opening(), part.clone()].concat(), vec![]),
        ([opening(), part].concat(), continued),
    ];
    join_all(cases.map(|(start, rest)| async move {
        let mut raw = Raw::connect(server.address).await;
        let answer = until_cut(&mut raw, &start, &rest).await;
        assert!(!has_answer(&answer));
    }))
    .await;
}

#[tokio::test]
async fn a_connection_of_http2_without_streams_is_closed_after_the_idle_time() {
    let server = &short_idle().await;
    // One connection without a request, and one that was answered.
    let whole = frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST);
    let cases = [(opening(), false), ([opening(), whole].concat(), true)];
    join_all(cases.map(|(start, answered)| async move {
        let mut raw = Raw::connect(server.address).await;
        // Before the server closes, it waits for the answer to a ping. This client does not answer, and is cut when it
        // closes its side.
        raw.send(&start).await;
        let mut bytes = Vec::new();
        let goes_away = async {
            while !bytes.windows(5).any(|part| part == [0, 0, 8, 7, 0]) {
                let read = raw.connection.read_buf(&mut bytes).await;
                assert!(matches!(read, Ok(1..)), "{read:?} before GOAWAY");
            }
        };
        wait::within("GOAWAY", goes_away).await;
        assert_eq!(has_answer(&bytes), answered);
    }))
    .await;
    // This client answers pings. Its connection is closed only after its stream has ended.
    let mut connection = Connection::open(Protocol::Http2, server.address).await;
    let reply = connection.get("/feed").await;
    assert_eq!(reply.text().await, "data: fine\n\ndata: still fine\n\n");
    let closed = async {
        while connection
            .try_send(http::Method::GET, "/text", &[], empty())
            .await
            .is_ok()
        {
            sleep(SHORT * 2).await;
        }
    };
    wait::within("the connection to be closed", closed).await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_slow_heads_or_silent_clients() {
    let whole = frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST);
    let pings = frame(PING, 0, 0, b"12345678").repeat(1000);
    let cases: [(&[u8], &[u8], &[u8]); 8] = [
        // What the client sends, the answer of the server, and the bytes that the client then sends one by one.
        (b"", b"", b""),
        (b"GET / HT", b"", b""),
        (
            b"GET / HTTP/1.1\r\n",
            b"",
            b"x: y\r\nx: y\r\nx: y\r\nx: y\r\nx: y\r\n",
        ),
        (GET_TEXT.as_bytes(), b"\r\n\r\ntext", b""),
        (
            GET_TEXT.as_bytes(),
            b"\r\n\r\ntext",
            b"GET /text HTTP/1.1\r\nhost: x\r\nand so on",
        ),
        (&opening(), &frame(SETTINGS, ACK, 0, b""), b""),
        (&[opening(), whole.clone()].concat(), b"text", b""),
        (
            &[opening(), whole[..12].to_vec()].concat(),
            &frame(SETTINGS, ACK, 0, b""),
            &pings,
        ),
    ];
    let app = app().header_timeout(NEVER).idle_timeout(NEVER);
    let server = Server::start(app.shutdown_timeout(NEVER)).await;
    let mut clients = Vec::new();
    for (start, answer, rest) in cases {
        let mut raw = Raw::connect(server.address).await;
        raw.send(start).await;
        let mut bytes = Vec::new();
        let answered = async {
            while !bytes
                .windows(answer.len().max(1))
                .any(|part| part == answer)
                && answer != b""
            {
                let read = raw.connection.read_buf(&mut bytes).await;
                assert!(matches!(read, Ok(1..)), "{read:?}");
            }
        };
        wait::within("an answer", answered).await;
        let rest = rest.to_vec();
        clients.push(tokio::spawn(async move {
            until_cut(&mut raw, b"", &rest).await;
        }));
    }
    // The server has also read the request that arrived in parts.
    sleep(SHORT).await;
    server.stop().await;
    for client in clients {
        wait::within("the cut", client).await.expect("no panic");
    }
}

/// The parts that a client sends, each with the seconds that it waits before.
type Parts<'a> = &'a [(u64, &'a [u8])];

/// Writes each of `parts` after its pause, and returns how long after the last of them the server closed.
async fn closed_after(mut pipe: DuplexStream, parts: Parts<'_>) -> Duration {
    let mut last = Instant::now();
    for (pause, part) in parts {
        sleep(Duration::from_secs(*pause)).await;
        pipe.write_all(part).await.expect("the server reads");
        last = Instant::now();
    }
    let mut bytes = Vec::new();
    let closed = timeout(NEVER, pipe.read_to_end(&mut bytes)).await;
    let _ = closed.expect("the server closes");
    last.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_defaults_are_10_seconds_for_a_head_and_75_between_requests() {
    let memory = Memory::serve(app());
    let get = GET_TEXT.as_bytes();
    let opening = opening();
    let part = frame(HEADERS, END_STREAM, 1, &REQUEST[..2]);
    let cases: [(Parts<'_>, u64); 11] = [
        // The time of the first head is counted from the start of the connection.
        (&[(0, b"")], 10),
        (&[(4, b"GET"), (5, b" ")], 1),
        (&[(9, b"PRI * ")], 1),
        // The time of the second head is counted from its first byte.
        (&[(0, get), (60, b"GET")], 10),
        (&[(0, get), (60, b"GET"), (9, b" ")], 1),
        // The idle time between requests.
        (&[(0, get)], 75),
        (&[(0, get), (74, get)], 75),
        // HTTP/2: no SETTINGS, and a head without its end. This client does not answer pings, so it cannot wait for
        // long.
        (&[(0, PREFACE)], 10),
        (&[(9, PREFACE)], 1),
        (&[(4, &PREFACE[..20]), (4, &PREFACE[20..])], 2),
        (&[(0, &opening), (15, &part)], 10),
    ];
    for (parts, expected) in cases {
        let time = closed_after(memory.connect(1 << 16), parts).await;
        assert_eq!(time.as_secs_f64().round() as u64, expected, "{parts:?}");
    }
    // The idle time of HTTP/2 between requests. The client of hyper answers pings.
    let pipe = memory.connect(1 << 16);
    let mut connection = Connection::over(Protocol::Http2, pipe, "x").await;
    for (pause, is_open) in [(0, true), (74, true), (76, false)] {
        sleep(Duration::from_secs(pause)).await;
        let sent = connection
            .try_send(http::Method::GET, "/text", &[], empty())
            .await;
        assert_eq!(sent.is_ok(), is_open, "after {pause} seconds");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_idle_while_the_client_does_not_read_a_response() {
    let memory = Memory::serve(app());
    let mut pipe = memory.connect(1000);
    let get = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n";
    pipe.write_all(get).await.expect("the server reads");
    sleep(Duration::from_secs(600)).await;
    let mut bytes = vec![0; 5000];
    pipe.read_exact(&mut bytes).await.expect("it is not cut");
    sleep(Duration::from_secs(600)).await;
    let start = Instant::now();
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).await.expect("it is not cut");
    assert!(
        bytes.len() + rest.len() > 10_000,
        "the client has read everything"
    );
    // The time is counted from the moment at which the client had read everything.
    assert_eq!(start.elapsed().as_secs_f64().round() as u64, 75);
}

#[tokio::test(start_paused = true)]
async fn the_largest_duration_disables_a_time_out() {
    let app = app()
        .header_timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .body_timeout(Duration::MAX);
    let memory = Memory::serve(app);
    for request in [GET_TEXT, POST_ECHO] {
        let mut pipe = memory.connect(1000);
        let (head, tail) = request.as_bytes().split_at(request.len() - 2);
        for part in [head, tail] {
            pipe.write_all(part).await.expect("the server reads");
            sleep(Duration::from_secs(1_000_000)).await;
        }
        let mut bytes = [0; 15];
        pipe.read_exact(&mut bytes).await.expect("it is answered");
        assert_eq!(&bytes, b"HTTP/1.1 200 OK");
    }
}
