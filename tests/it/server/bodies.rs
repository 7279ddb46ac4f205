//! Clients that send the body of a request slowly or never.

use std::time::Duration;

use axum::Router;
use bocadillo::{App, Json, State, StatusCode, event_stream, generators, route, routes};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::Method;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tower_http::cors::CorsLayer;

use crate::support::http::{BOTH, Connection, Protocol, Raw, pieces};
use crate::support::memory::Memory;
use crate::support::{Server, Watch, wait, watch};

const SHORT: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_secs(3600);

#[route("/text", methods = [POST])]
async fn text(text: String) -> String {
    text
}

#[route("/bytes", methods = [POST])]
async fn whole(bytes: Bytes) -> Bytes {
    bytes
}

#[route("/json", methods = [POST])]
async fn json(Json(value): Json<serde_json::Value>) -> Json<serde_json::Value> {
    Json(value)
}

#[route("/form", methods = [POST])]
async fn form(axum::extract::RawForm(form): axum::extract::RawForm) -> Bytes {
    form
}

/// Reads the body without an extractor. Answers 400 to an error.
#[route("/stream", methods = [POST])]
async fn stream(body: axum::body::Body) -> Result<String, StatusCode> {
    let mut stream = body.into_data_stream();
    let mut length = 0;
    while let Some(chunk) = stream.next().await {
        length += chunk.map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?.len();
    }
    Ok(length.to_string())
}

/// Uses the part of the body that has arrived.
#[route("/part", methods = [POST])]
async fn part(body: axum::body::Body) -> String {
    let mut stream = body.into_data_stream();
    let mut length = 0;
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => length += chunk.len(),
            Err(error) => {
                let error = error.into_inner();
                let error = error.downcast_ref::<std::io::Error>().expect("an IO error");
                return format!("{length}, then {:?}", error.kind());
            }
        }
    }
    length.to_string()
}

#[route("/panics", methods = [POST])]
async fn panics(body: axum::body::Body) -> String {
    let body = body.collect().await.expect("the client sends all of it");
    format!("{:?}", body.to_bytes())
}

/// Answers without reading the body.
#[route("/unread", methods = [POST])]
async fn unread() -> &'static str {
    "answered"
}

/// Reports when it reads.
#[route("/told", methods = [POST])]
async fn told(State(watch): State<Watch>, body: axum::body::Body) -> Result<Bytes, StatusCode> {
    watch.say("reads");
    let body = body.collect().await;
    body.map(|body| body.to_bytes())
        .map_err(|_| StatusCode::BAD_REQUEST)
}

generators!(
    /// Has started its response when the body breaks off.
    #[route("/both", methods = [POST])]
    #[event_stream]
    async fn both(State(watch): State<Watch>, body: axum::body::Body) {
        yield "begun";
        let read = body.collect().await;
        watch.say(if read.is_err() { "broken off" } else { "whole" });
        yield "ended";
    }

    #[route("/events", methods = [POST])]
    #[event_stream]
    async fn events() {
        yield "begun";
        sleep(SHORT * 3).await;
        yield "ended";
    }
);

const READERS: [&str; 7] = [
    "/text", "/bytes", "/json", "/form", "/stream", "/panics", "/axum",
];

fn app(watch: &Watch) -> bocadillo::Server {
    let router = Router::new().route("/axum", axum::routing::post(async |text: String| text));
    let app = App::with_state(watch.clone())
        .routes(routes![text, whole, json, form, stream, part, panics])
        .routes(routes![unread, both, events, told])
        .fallback_service(router)
        .layer(CorsLayer::permissive());
    bocadillo::Server::new(app)
}

/// The headers of a body, and the part of it that is sent.
const BODIES: [(&str, &str); 4] = [
    ("content-length: 100", ""),
    ("content-length: 100", "some"),
    ("transfer-encoding: chunked", "4\r\nsome\r\n"),
    ("content-length: 100\r\nexpect: 100-continue", ""),
];

fn head(path: &str, announced: &str) -> String {
    let kind = match path {
        "/form" => "application/x-www-form-urlencoded",
        _ => "application/json",
    };
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\norigin: y\r\ncontent-type: {kind}\r\n{announced}\r\n\r\n"
    )
}

#[track_caller]
fn check_refused(answer: &str, what: &str) {
    let answer = answer
        .strip_prefix("HTTP/1.1 100 Continue\r\n\r\n")
        .unwrap_or(answer);
    let lines = answer.to_lowercase();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{what}: {answer}");
    for header in [
        "content-type: application/problem+json",
        "connection: close",
        "access-control-allow-origin: *",
    ] {
        assert_eq!(lines.matches(header).count(), 1, "{what}: {answer}");
    }
    assert_eq!(lines.matches("content-type").count(), 1, "{what}: {answer}");
    assert!(answer.ends_with('}'), "{what}: {answer}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_with_408_and_the_connection_is_closed() {
    let (watch, _reports) = watch();
    let server = &Server::start(app(&watch).body_timeout(SHORT)).await;
    let cases = READERS
        .into_iter()
        .flat_map(|path| BODIES.map(|body| (path, body)));
    join_all(cases.map(|(path, (announced, sent))| async move {
        let request = head(path, announced) + sent;
        let answer = Raw::exchange(server.address, &request).await;
        check_refused(&answer, &request);
    }))
    .await;
    // An HTTP/2 connection stays open.
    let mut connection = Connection::open(Protocol::Http2, server.address).await;
    for path in READERS {
        let (sender, body) = pieces();
        sender.send(Ok("some")).expect("the body is there");
        let kind = if path == "/form" {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        let reply = connection
            .send(
                Method::POST,
                path,
                &[("content-type", kind), ("origin", "y")],
                body,
            )
            .await;
        assert_eq!(reply.status, 408, "{path}");
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("connection"), None);
        assert_eq!(reply.json().await["status"], 408, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_arrives_too_slowly_is_refused() {
    let (watch, _reports) = watch();
    // Only the minimum rate can cut it. Each byte arrives before the time-out.
    let server = &Server::start(app(&watch).body_timeout(SHORT * 4).min_body_rate(1_000_000)).await;
    let http1 = [
        ("content-length: 1000000", "x"),
        ("transfer-encoding: chunked", "1\r\nx\r\n"),
    ]
    .map(|(announced, piece)| async move {
        let mut raw = Raw::connect(server.address).await;
        raw.send(head("/text", announced)).await;
        let (mut reads, mut writes) = raw.connection.split();
        let trickle = async {
            while writes.write_all(piece.as_bytes()).await.is_ok() {
                sleep(SHORT / 10).await;
            }
            std::future::pending::<()>().await;
        };
        let mut answer = vec![0; 12];
        tokio::select! {
            () = trickle => {}
            read = wait::within("an answer", reads.read_exact(&mut answer)) => {
                read.expect("an answer");
            }
        }
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
    });
    let http2 = async {
        let mut connection = Connection::open(Protocol::Http2, server.address).await;
        let (sender, body) = pieces();
        tokio::spawn(async move {
            while sender.send(Ok("x")).is_ok() {
                sleep(SHORT / 10).await;
            }
        });
        let reply = connection.send(Method::POST, "/text", &[], body).await;
        assert_eq!(reply.status, 408);
    };
    tokio::join!(join_all(http1), http2);
}

#[tokio::test]
async fn a_handler_may_answer_after_a_part_of_the_body() {
    let (watch, _reports) = watch();
    let server = Server::start(app(&watch).body_timeout(SHORT)).await;
    let request = head("/part", "content-length: 100") + "some";
    let answer = Raw::exchange(server.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n4, then TimedOut"), "{answer}");
}

#[tokio::test]
async fn a_body_that_times_out_during_the_response_is_an_error_for_the_handler() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(&watch).body_timeout(SHORT)).await;
    let request = head("/both", "content-length: 100") + "some";
    let answer = Raw::exchange(server.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("data: ended\n\n"), "{answer}");
    assert_eq!(reports.next().await, "broken off");
    let mut connection = Connection::open(Protocol::Http2, server.address).await;
    let (sender, body) = pieces();
    let reply = connection.send(Method::POST, "/both", &[], body).await;
    assert_eq!(reply.text().await, "data: begun\n\ndata: ended\n\n");
    assert_eq!(reports.next().await, "broken off");
    drop(sender);
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_hold_the_connection() {
    let (watch, _reports) = watch();
    // No time-out of the server applies here.
    let app = app(&watch)
        .body_timeout(NEVER)
        .header_timeout(NEVER)
        .idle_timeout(NEVER);
    let server = &Server::start(app).await;
    let cases = ["/unread", "/events", "/nowhere"]
        .into_iter()
        .flat_map(|path| BODIES.map(|body| (path, body)));
    join_all(cases.map(|(path, (announced, sent))| async move {
        let mut raw = Raw::connect(server.address).await;
        raw.send(head(path, announced)).await;
        let answer = raw.until("\r\n\r\n").await;
        assert!(!answer.starts_with("HTTP/1.1 408"), "{answer}");
        let (mut reads, mut writes) = raw.connection.split();
        let trickle = async {
            while !sent.is_empty() && writes.write_all(b"x").await.is_ok() {
                sleep(SHORT / 10).await;
            }
            std::future::pending::<()>().await;
        };
        let mut rest = Vec::new();
        tokio::select! {
            () = trickle => {}
            _ = wait::within("the end", reads.read_to_end(&mut rest)) => {}
        }
    }))
    .await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_slow_bodies() {
    for protocol in BOTH {
        let (watch, mut reports) = watch();
        let app = app(&watch).body_timeout(NEVER).shutdown_timeout(NEVER);
        let server = Server::start(app).await;
        let mut senders: Vec<mpsc::UnboundedSender<_>> = Vec::new();
        let mut requests = Vec::new();
        for _ in 0..20 {
            let mut connection = Connection::open(protocol, server.address).await;
            let (sender, body) = pieces();
            sender.send(Ok("some")).expect("the body is there");
            senders.push(sender);
            requests.push(tokio::spawn(async move {
                connection
                    .send(Method::POST, "/told", &[], body)
                    .await
                    .status
            }));
        }
        // A single byte from time to time does not prevent it.
        let trickle = tokio::spawn(async move {
            while !senders.is_empty() {
                senders.retain(|sender| sender.send(Ok("x")).is_ok());
                sleep(SHORT).await;
            }
        });
        for _ in 0..20 {
            assert_eq!(reports.next().await, "reads");
        }
        server.stop().await;
        for request in requests {
            assert_eq!(request.await.expect("it is answered"), 408, "{protocol:?}");
        }
        trickle.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn the_defaults_are_30_seconds_and_240_bytes_a_second() {
    let (watch, _reports) = watch();
    let memory = &Memory::serve(app(&watch));
    // The pause between pieces, their length, and the time of the response. Before 200 seconds the response is 408.
    for (interval, length, expected) in [
        (3600, 1, 30),
        (29, 1, 30),
        (10, 2400, 200),
        (1, 239, 200),
        (1, 120, 60),
    ] {
        let mut pipe = memory.connect(1 << 16);
        let request = head("/text", "content-length: 1000000");
        pipe.write_all(request.as_bytes())
            .await
            .expect("the server reads");
        let start = Instant::now();
        let (mut reads, mut writes) = tokio::io::split(pipe);
        let piece = "x".repeat(length);
        let sending = async {
            while start.elapsed() < Duration::from_secs(200) {
                sleep(Duration::from_secs(interval)).await;
                if writes.write_all(piece.as_bytes()).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut answer = [0; 12];
        tokio::select! {
            read = reads.read_exact(&mut answer) => {
                read.expect("an answer");
                assert_eq!(&answer, b"HTTP/1.1 408");
            }
            () = sending => {}
        }
        let time = start.elapsed().as_secs_f64();
        assert!(
            (time - f64::from(expected)).abs() < 2.0,
            "{interval} {length}: {time}"
        );
    }
}

/// The handler waits between two pieces. The client sends them at once.
#[tokio::test(start_paused = true)]
async fn the_time_that_a_handler_takes_does_not_count_against_the_client() {
    #[route("/slow", methods = [POST])]
    async fn slow(mut body: axum::body::Body) -> String {
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame
                .expect("it is in time")
                .into_data()
                .expect("data")
                .len();
            sleep(Duration::from_secs(100)).await;
        }
        length.to_string()
    }
    let memory = &Memory::serve(App::new().routes(routes![slow]));
    let chunks = "a\r\n0123456789\r\n".repeat(10) + "0\r\n\r\n";
    let announced = "connection: close\r\ntransfer-encoding: chunked";
    let request = head("/slow", announced) + &chunks;
    let mut pipe = memory.connect(1 << 16);
    let written = pipe.write_all(request.as_bytes()).await;
    written.expect("the server reads");
    let mut answer = String::new();
    let read = pipe.read_to_string(&mut answer).await;
    read.expect("the server answers");
    assert!(answer.ends_with("\r\n\r\n100"), "{answer}");

    let pipe = TokioIo::new(memory.connect(1 << 16));
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), pipe)
        .await
        .expect("the server speaks HTTP/2");
    tokio::spawn(connection);
    let (sender, body) = pieces();
    for _ in 0..10 {
        sender.send(Ok("0123456789")).expect("the body is there");
    }
    drop(sender);
    let request = http::Request::post("http://x/slow").body(body);
    let request = request.expect("it is a request");
    let response = client.send_request(request).await;
    let body = response.expect("an answer").into_body().collect().await;
    assert_eq!(body.expect("a body").to_bytes(), "100");
}
