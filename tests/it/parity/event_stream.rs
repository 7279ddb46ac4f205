//! `@res.event_stream` and `@res.stream` of the original framework.
//!
//! Other tests measure how soon a disconnect is noticed, and how a process drains.

use std::time::Duration;

use axum::extract::Request;
use bocadillo::{
    App, ClientDisconnect, EventName, EventStream, IntoResponse, Problem, Response, ServerEvent,
    State, StatusCode, StopReconnecting, StreamOptions, event_stream, generators, route, routes,
    stream,
};
use futures_util::StreamExt;
use http::{Method, Version};

use crate::support::http::{BOTH, Connection, Protocol, Raw, empty, get, pieces};
use crate::support::{Server, Watch, watch};

generators!(
    #[route("/bare")]
    #[event_stream]
    async fn bare() {
        yield "one";
        yield "two";
    }

    #[route("/raising")]
    #[event_stream(raise_on_disconnect = true)]
    async fn raising() -> Result<(), ClientDisconnect> {
        (yield "one")?;
        yield "two"
    }

    #[event_stream]
    async fn ends() {
        yield "one";
    }

    /// Reports what happens to it. After its first event it waits for ever.
    #[route("/idle", methods = [GET, POST])]
    #[event_stream]
    async fn idle(State(watch): State<Watch>) {
        watch.say("started");
        let _guard = watch.guard("dropped");
        yield "one";
        std::future::pending::<()>().await;
    }

    #[route("/endless")]
    #[event_stream(raise_on_disconnect)]
    async fn endless(State(watch): State<Watch>) {
        loop {
            if let Err(ClientDisconnect) = yield "tick" {
                break;
            }
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        watch.say("cleaned up");
    }

    #[route("/stubborn")]
    #[event_stream(raise_on_disconnect)]
    async fn stubborn(State(watch): State<Watch>) {
        while (yield "tick").is_ok() {
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            watch.say(format!("{:?}", yield "nobody reads this"));
        }
    }

    #[route("/question-mark")]
    #[event_stream(raise_on_disconnect)]
    async fn question_mark(State(watch): State<Watch>) -> Result<(), ClientDisconnect> {
        let _guard = watch.guard("ended");
        loop {
            (yield "tick")?;
            tokio::task::yield_now().await;
        }
    }

    #[route("/echo", methods = [POST])]
    #[event_stream]
    async fn echo(request: Request) -> Result<(), axum::Error> {
        yield "ready";
        let mut chunks = request.into_body().into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            // HTTP/2 may end a body by a frame of no bytes.
            if !chunk.is_empty() {
                yield String::from_utf8_lossy(&chunk).into_owned();
            }
        }
        yield "all read";
        Ok(())
    }

    #[route("/fails-at-once")]
    #[event_stream]
    async fn fails_at_once() -> Result<(), std::io::Error> {
        if true {
            return Err(std::io::Error::other("the sensor is off"));
        }
        yield "never";
        Ok(())
    }

    #[stream]
    async fn bytes(watch: Watch) {
        watch.say("started");
        yield "one";
    }

    #[route("/after")]
    #[event_stream]
    async fn after(State(watch): State<Watch>) {
        yield "one";
        watch.say("the work after the stream is done");
    }
);

#[route("/created")]
async fn created() -> impl IntoResponse {
    (StatusCode::CREATED, [("x-job", "7")], ends())
}

#[route("/accepted")]
async fn accepted() -> impl IntoResponse {
    (StatusCode::ACCEPTED, ends())
}

#[route("/headers")]
async fn headers() -> impl IntoResponse {
    let own = [
        ("content-type", "text/plain"),
        ("cache-control", "private, no-store"),
        ("x-own", "yes"),
    ];
    (own, ends())
}

#[route("/no-content")]
async fn no_content(State(watch): State<Watch>) -> impl IntoResponse {
    let own = [("set-cookie", "seen=1")];
    (StatusCode::NO_CONTENT, own, idle(State(watch)))
}

#[route("/no-content-of-bytes")]
async fn no_content_of_bytes(State(watch): State<Watch>) -> impl IntoResponse {
    (StatusCode::NO_CONTENT, bytes(watch))
}

#[route("/stop")]
async fn stop() -> StopReconnecting {
    StopReconnecting
}

#[route("/guarded/{who}")]
async fn guarded(who: String, watch: State<Watch>) -> Result<EventStream, Problem> {
    let stream = idle(watch);
    if who != "me" {
        return Err(Problem::new(StatusCode::FORBIDDEN).detail("this feed is not yours"));
    }
    Ok(stream)
}

#[route("/errs")]
async fn errs() -> Response {
    const FAILED: EventName = EventName::from_static("failed");
    let last = |_: &_| Some(ServerEvent::new("try again later").with_name(FAILED));
    fails_at_once()
        .with(StreamOptions::new().on_error(last))
        .into_response()
}

fn app(watch: Watch) -> App<Watch> {
    App::with_state(watch).routes(routes![
        bare,
        raising,
        idle,
        endless,
        stubborn,
        question_mark,
        echo,
        fails_at_once,
        after,
        created,
        accepted,
        headers,
        no_content,
        no_content_of_bytes,
        stop,
        guarded,
        errs,
    ])
}

#[tokio::test]
async fn both_forms_of_a_generator_send_their_events_and_end() {
    let server = Server::start(app(watch().0)).await;
    for protocol in BOTH {
        for path in ["/bare", "/raising"] {
            let reply = get(protocol, server.address, path).await;
            assert_eq!(reply.text().await, "data: one\n\ndata: two\n\n");
        }
    }
}

#[tokio::test]
async fn the_headers_are_those_of_an_event_stream() {
    let server = Server::start(app(watch().0)).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/bare").await;
        assert_eq!(reply.status, 200);
        let mut names: Vec<_> = reply.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let common = [
            "cache-control",
            "content-type",
            "date",
            "incremental",
            "x-accel-buffering",
        ];
        match protocol {
            Protocol::Http1 => {
                assert_eq!(reply.version, Version::HTTP_11);
                let own = ["connection", "transfer-encoding"];
                let mut expected: Vec<_> = common.into_iter().chain(own).collect();
                expected.sort_unstable();
                assert_eq!(names, expected);
                assert_eq!(reply.header("connection"), Some("keep-alive"));
                assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
            }
            Protocol::Http2 => {
                assert_eq!(reply.version, Version::HTTP_2);
                assert_eq!(names, common);
            }
        }
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(
            reply.header("cache-control"),
            Some("no-cache, no-transform")
        );
        assert_eq!(reply.header("x-accel-buffering"), Some("no"));
        assert_eq!(reply.header("incremental"), Some("?1"));
    }
}

#[tokio::test]
async fn a_view_may_set_headers_but_not_the_content_type() {
    let server = Server::start(app(watch().0)).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/headers").await;
        assert_eq!(reply.header("cache-control"), Some("private, no-store"));
        assert_eq!(reply.header("x-own"), Some("yes"));
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(reply.headers.get_all("content-type").iter().count(), 1);
        assert_eq!(reply.text().await, "data: one\n\n");
    }
}

#[tokio::test]
async fn a_view_may_set_the_status_of_a_stream() {
    let server = Server::start(app(watch().0)).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/created").await;
        assert_eq!(reply.status, 201);
        assert_eq!(reply.header("x-job"), Some("7"));
        assert_eq!(reply.text().await, "data: one\n\n");
        let reply = get(protocol, server.address, "/accepted").await;
        assert_eq!(reply.status, 202);
        assert_eq!(reply.text().await, "data: one\n\n");
    }
}

#[tokio::test]
async fn a_204_has_no_body_and_starts_no_generator() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(watch)).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let reply = connection.get("/no-content").await;
        assert_eq!(reply.status, 204);
        assert_eq!(reply.header("content-type"), None);
        assert_eq!(reply.header("content-length"), None);
        assert_eq!(reply.header("set-cookie"), Some("seen=1"));
        assert_eq!(reply.text().await, "");
        // The connection can still be used.
        for path in ["/no-content-of-bytes", "/stop"] {
            let reply = connection.get(path).await;
            assert_eq!(reply.status, 204);
            assert_eq!(reply.text().await, "");
        }
    }
    assert_eq!(reports.so_far(), [""; 0]);
}

#[tokio::test]
async fn an_idle_generator_is_dropped_when_its_client_leaves() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(watch)).await;
    for protocol in BOTH {
        let mut reply = get(protocol, server.address, "/idle").await;
        // The event of the current `yield` has arrived. Nothing is lost.
        assert_eq!(reply.until("\n\n").await, "data: one\n\n");
        assert_eq!(reports.next().await, "started");
        assert_eq!(reports.so_far(), [""; 0]);
        drop(reply);
        assert_eq!(reports.next().await, "dropped");
    }
}

#[tokio::test]
async fn a_disconnect_is_raised_at_yield_and_the_clean_up_finishes() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(watch)).await;
    for protocol in BOTH {
        let mut reply = get(protocol, server.address, "/endless").await;
        reply.until("\n\n").await;
        assert_eq!(reports.so_far(), [""; 0]);
        drop(reply);
        assert_eq!(reports.next().await, "cleaned up");
    }
}

#[tokio::test]
async fn a_disconnect_is_raised_again_at_each_later_yield() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(watch)).await;
    for protocol in BOTH {
        get(protocol, server.address, "/stubborn")
            .await
            .until("\n\n")
            .await;
        for _ in 0..3 {
            assert_eq!(reports.next().await, "Err(ClientDisconnect)");
        }
    }
}

#[tokio::test]
async fn a_disconnect_that_is_returned_ends_the_generator() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(watch)).await;
    for protocol in BOTH {
        get(protocol, server.address, "/question-mark")
            .await
            .until("\n\n")
            .await;
        assert_eq!(reports.next().await, "ended");
    }
}

#[tokio::test]
async fn a_request_body_is_read_while_its_stream_runs() {
    let server = Server::start(app(watch().0)).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let (body, received) = pieces();
        let mut reply = connection.send(Method::POST, "/echo", &[], received).await;
        assert_eq!(reply.until("\n\n").await, "data: ready\n\n");
        for (piece, event) in [("one", "data: one\n\n"), ("two", "data: two\n\n")] {
            body.send(Ok(piece)).expect("the request is still sent");
            assert_eq!(reply.until("\n\n").await, event);
        }
        drop(body);
        assert_eq!(reply.text().await, "data: all read\n\n");
    }
}

#[tokio::test]
async fn a_client_may_disconnect_during_its_request_body() {
    let (watch, mut reports) = watch();
    // In HTTP/1 an unread request body hides the disconnect until a comment is written.
    let app = app(watch).stream_options(StreamOptions::new().keep_alive(Duration::from_millis(10)));
    let server = Server::start(app).await;

    let mut raw = Raw::connect(server.address).await;
    raw.send("POST /idle HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\npart")
        .await;
    raw.until("data: one\n\n").await;
    assert_eq!(reports.next().await, "started");
    drop(raw);
    assert_eq!(reports.next().await, "dropped");

    let mut connection = Connection::open(Protocol::Http2, server.address).await;
    let (body, received) = pieces();
    body.send(Ok("part"))
        .expect("the request is about to be sent");
    let mut reply = connection.send(Method::POST, "/idle", &[], received).await;
    reply.until("\n\n").await;
    assert_eq!(reports.next().await, "started");
    body.send(Err(std::io::Error::other("the user has gone on")))
        .expect("the request is still sent");
    assert_eq!(reports.next().await, "dropped");
}

#[tokio::test]
async fn an_error_before_the_first_event_ends_the_stream_in_order() {
    let server = Server::start(app(watch().0)).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/fails-at-once").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.text().await, "");
        let reply = get(protocol, server.address, "/errs").await;
        assert_eq!(
            reply.text().await,
            "event: failed\ndata: try again later\n\n"
        );
    }
}

#[tokio::test]
async fn a_view_that_refuses_sends_a_status_without_a_stream() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(watch)).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/guarded/you").await;
        assert_eq!(reply.status, 403);
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        let problem = serde_json::json!({
            "title": "Forbidden", "status": 403, "detail": "this feed is not yours",
        });
        assert_eq!(reply.json().await, problem);
        assert_eq!(reports.so_far(), [""; 0]);
        let mut reply = get(protocol, server.address, "/guarded/me").await;
        assert_eq!(reply.until("\n\n").await, "data: one\n\n");
        drop(reply);
        assert_eq!(reports.next().await, "started");
        assert_eq!(reports.next().await, "dropped");
    }
}

#[tokio::test]
async fn head_has_the_headers_and_never_starts_the_generator() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(watch)).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let reply = connection.send(Method::HEAD, "/idle", &[], empty()).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(
            reply.header("cache-control"),
            Some("no-cache, no-transform")
        );
        assert_eq!(reply.header("content-length"), None);
        assert_eq!(reply.text().await, "");
        // The connection can still be used, because no byte of a body was sent.
        assert_eq!(
            connection.get("/bare").await.text().await,
            "data: one\n\ndata: two\n\n"
        );
    }
    assert_eq!(reports.so_far(), [""; 0]);
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_chunks_and_the_connection_is_closed() {
    let server = Server::start(app(watch().0)).await;
    for connection in ["", "connection: keep-alive\r\n"] {
        let request = format!("GET /bare HTTP/1.0\r\n{connection}\r\n");
        let answer = Raw::exchange(server.address, request).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert!(!head.contains("keep-alive"), "{head}");
        assert_eq!(body, "data: one\n\ndata: two\n\n");
    }
}

#[tokio::test]
async fn a_drain_ends_open_streams_in_order() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(watch)).await;
    let mut http1 = get(Protocol::Http1, server.address, "/idle").await;
    let mut http2 = get(Protocol::Http2, server.address, "/idle").await;
    for reply in [&mut http1, &mut http2] {
        reply.until("\n\n").await;
        assert_eq!(reports.next().await, "started");
    }
    server.stop().await;
    assert_eq!(http1.text().await, "");
    assert_eq!(http2.text().await, "");
    assert_eq!(reports.so_far(), ["dropped", "dropped"]);
}

#[tokio::test]
async fn code_after_the_last_event_runs() {
    let (watch, mut reports) = watch();
    let server = Server::start(app(watch)).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/after").await;
        assert_eq!(reply.text().await, "data: one\n\n");
        assert_eq!(reports.next().await, "the work after the stream is done");
    }
}
