//! The shutdown of streams under `axum::serve`.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use bocadillo::testing::TestClient;
use bocadillo::topic::{History, Hub, SlowPolicy};
use bocadillo::{
    Client, EventStream, IntoResponse, Response, StreamOptions, Streams, event_stream, generators,
    stream,
};
use futures_util::StreamExt;
use http::{Method, StatusCode};
use tokio::time::sleep;

use super::AxumServer;
use crate::support::http::{BOTH, Connection, Protocol, Raw, empty, get as request};
use crate::support::wait::within;
use crate::support::{Watch, watch};

generators!(
    #[event_stream(raise_on_disconnect)]
    async fn until_left(watch: Watch, client: Client) {
        let _ = yield "one";
        client.disconnected().await;
        // The clean-up takes time. The drain has to wait for it.
        sleep(Duration::from_millis(50)).await;
        watch.say("cleaned up");
    }

    #[stream(raise_on_disconnect)]
    async fn bytes_until_left(watch: Watch, client: Client) {
        let _ = yield "one\n\n";
        client.disconnected().await;
        sleep(Duration::from_millis(50)).await;
        watch.say("cleaned up");
    }
);

/// The time-out of shutdowns. A test that reaches it fails.
const NEVER: Duration = Duration::from_secs(600);

/// The handlers return streams to axum in the ways that programs use.
fn app(watch: &Watch) -> Router {
    async fn in_the_handler(State(watch): State<Watch>) -> EventStream {
        until_left(watch, Client::new())
    }

    /// The task-local of the layer is not set in the task.
    async fn in_a_spawned_task(State(watch): State<Watch>) -> Response {
        tokio::spawn(async move { until_left(watch, Client::new()).into_response() })
            .await
            .expect("the task does not panic")
    }

    async fn bytes(State(watch): State<Watch>) -> Response {
        bytes_until_left(watch, Client::new()).into_response()
    }

    Router::new()
        .route("/events", get(in_the_handler))
        .route("/spawned", get(in_a_spawned_task))
        .route("/bytes", get(bytes))
        .with_state(watch.clone())
}

#[tokio::test]
async fn a_drain_ends_the_streams_and_waits_for_their_clean_ups() {
    for protocol in BOTH {
        let (watch, mut reports) = watch();
        let streams = Streams::new().drain_timeout(NEVER);
        let server = AxumServer::start(app(&watch).layer(streams.layer()), &streams).await;
        let mut events = Vec::new();
        for path in ["/events", "/spawned", "/events"] {
            let mut reply = request(protocol, server.address, path).await;
            reply.until("data: one\n\n").await;
            events.push(reply);
        }
        let mut bytes = request(protocol, server.address, "/bytes").await;
        bytes.until("one\n\n").await;
        server.stop().await;
        assert_eq!(reports.so_far(), ["cleaned up"; 4], "{protocol:?}");
        for reply in events {
            assert_eq!(reply.text().await, "", "{protocol:?}");
        }
        assert!(
            bytes.end().await.1.is_err(),
            "a byte stream that is cut must not look complete"
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_delays_neither_the_generator_nor_the_server() {
    for protocol in BOTH {
        let (watch, mut reports) = watch();
        let client = Client::new();
        let (handler_client, handler_watch) = (client.clone(), watch.clone());
        let flood = get(async move || {
            let held = handler_watch.clone();
            EventStream::new(futures_util::stream::repeat_with(move || {
                let _ = &held;
                "x".repeat(10_000)
            }))
            .bind(handler_client)
        });
        let streams = Streams::new().drain_timeout(NEVER);
        let app = Router::new().route("/flood", flood).layer(streams.layer());
        let server = AxumServer::start(app, &streams).await;
        let mut connection = Connection::open(protocol, server.address).await;
        let mut reply = connection.send(Method::GET, "/flood", &[], empty()).await;
        reply.frame().await;
        // The client does not read from here on. The stream is pending once the buffers are full.
        sleep(Duration::from_millis(300)).await;
        assert!(!client.is_disconnected(), "{protocol:?}");
        let start = Instant::now();
        server.begin_shutdown();
        within("the release of the source", client.disconnected()).await;
        assert!(start.elapsed() < Duration::from_millis(400), "{protocol:?}");
        server.ended().await;
        assert!(start.elapsed() < Duration::from_secs(5), "{protocol:?}");
        drop(watch);
        assert!(reports.so_far().is_empty());
        drop(reply);
    }
}

#[tokio::test]
async fn a_stream_that_is_opened_during_the_drain_ends_at_once_in_order() {
    let streams = Streams::new()
        .drain_timeout(NEVER)
        .defaults(StreamOptions::new().retry(Duration::from_millis(1500)));
    let (watch, mut reports) = watch();
    let server = AxumServer::start(app(&watch).layer(streams.layer()), &streams).await;
    // A task keeps the drain and the server open.
    let hold = tokio_util::sync::CancellationToken::new();
    streams.spawn(hold.clone().cancelled_owned());
    // The connection was opened before the drain.
    let mut kept = Connection::open(Protocol::Http1, server.address).await;
    server.begin_shutdown();
    within("the drain", streams.draining()).await;

    for path in ["/events", "/spawned"] {
        let late = request(Protocol::Http1, server.address, path).await;
        assert_eq!(late.status, StatusCode::OK);
        assert_eq!(late.header("connection"), Some("close"));
        assert_eq!(late.text().await, "retry: 1500\n");
        let late = request(Protocol::Http2, server.address, path).await;
        assert_eq!(late.status, StatusCode::OK);
        assert_eq!(late.header("connection"), None);
        assert_eq!(late.text().await, "retry: 1500\n");
    }
    let late = kept.get("/events").await;
    assert_eq!(late.header("connection"), Some("close"));
    assert_eq!(late.text().await, "retry: 1500\n");

    hold.cancel();
    server.ended().await;
    assert!(reports.so_far().is_empty(), "no generator has started");
}

#[tokio::test]
async fn a_stream_opened_during_the_drain_has_a_default_retry_of_three_seconds() {
    let streams = Streams::new().drain_timeout(NEVER);
    let (watch, _) = watch();
    let server = AxumServer::start(app(&watch).layer(streams.layer()), &streams).await;
    let hold = tokio_util::sync::CancellationToken::new();
    streams.spawn(hold.clone().cancelled_owned());
    server.begin_shutdown();
    within("the drain", streams.draining()).await;
    let late = request(Protocol::Http1, server.address, "/events").await;
    assert_eq!(late.text().await, "retry: 3000\n");
    hold.cancel();
    server.ended().await;
}

#[tokio::test]
async fn a_drain_ends_after_its_time_out() {
    let streams = Streams::new().drain_timeout(Duration::from_millis(100));
    let task = streams.spawn(std::future::pending::<()>());
    within("the drain", streams.drain()).await;
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test]
async fn a_drain_waits_for_work_that_a_handler_has_started() {
    let (watch, mut reports) = watch();
    let streams = Streams::new().drain_timeout(NEVER);
    let handler = {
        let streams = streams.clone();
        get(async move || {
            streams.spawn({
                let streams = streams.clone();
                async move {
                    streams.draining().await;
                    sleep(Duration::from_millis(50)).await;
                    watch.say("saved");
                }
            });
            StatusCode::ACCEPTED
        })
    };
    let app = Router::new().route("/jobs", handler).layer(streams.layer());
    let server = AxumServer::start(app, &streams).await;
    let reply = request(Protocol::Http1, server.address, "/jobs").await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    server.stop().await;
    assert_eq!(reports.so_far(), ["saved"]);
}

#[tokio::test]
async fn the_deadline_of_a_shutdown_waits_for_other_responses() {
    let streams = Streams::new()
        .drain_timeout(NEVER)
        .end_timeout(Duration::from_millis(1));
    let slow_answer = get(async || {
        sleep(Duration::from_millis(300)).await;
        "answered"
    });
    let slow_body = get(async || {
        let pieces = futures_util::stream::iter(["a", "b", "c"]).then(async |piece| {
            sleep(Duration::from_millis(100)).await;
            Ok::<_, std::convert::Infallible>(piece)
        });
        axum::body::Body::from_stream(pieces)
    });
    let app = Router::new()
        .route("/answer", slow_answer)
        .route("/body", slow_body)
        .layer(streams.layer());
    let server = AxumServer::start(app, &streams).await;
    let body = request(Protocol::Http1, server.address, "/body").await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("GET /answer HTTP/1.1\r\nHost: here\r\n\r\n").await;
    sleep(Duration::from_millis(50)).await;
    server.stop().await;
    assert_eq!(body.text().await, "abc");
    assert!(raw.rest().await.ends_with("answered"));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_released_by_its_policy_although_nobody_polls_its_body() {
    let hub = Hub::builder()
        .history(History::new().max_events(1))
        .slow_clients(SlowPolicy::disconnect().max_buffered_bytes(10_000))
        .memory();
    let topic = hub.topic("x").expect("a name");
    let client = Client::new();
    let handler = {
        let (topic, client) = (topic.clone(), client.clone());
        get(async move || EventStream::from(topic.subscribe()).bind(client))
    };
    let app = Router::new()
        .route("/", handler)
        .layer(Streams::new().layer());
    let mut response = TestClient::of(app).get("/").send().await;
    topic.publish("first").await.expect("the hub is in memory");
    assert_eq!(response.next_event().await.expect("one").data, "first");
    for _ in 0..100 {
        let published = topic.publish("x".repeat(1000)).await;
        published.expect("the hub is in memory");
    }
    assert!(!client.is_disconnected());
    sleep(Duration::from_secs(6)).await;
    assert!(client.is_disconnected());
}
