//! The layer of `Streams` with other layers, and nested services, under `axum::serve` and our server.

use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::routing::get;
use bocadillo::{
    App, AppService, Client, EventStream, IntoResponse, Response, StreamOptions, Streams,
    event_stream, generators, route, routes,
};
use http::{Method, StatusCode};
use tokio::time::sleep;
use tower::ServiceExt;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use super::AxumServer;
use crate::support::http::{BOTH, Connection, Protocol, empty, get as request};
use crate::support::{Log, Server, Watch, watch};

generators!(
    #[event_stream(raise_on_disconnect)]
    async fn until_left(watch: Watch, client: Client) {
        let _ = yield "one";
        client.disconnected().await;
        sleep(Duration::from_millis(50)).await;
        watch.say("cleaned up");
    }
);

#[route("/events")]
async fn events(bocadillo::State(watch): bocadillo::State<Watch>) -> EventStream {
    until_left(watch, Client::new())
}

#[route("/spawned")]
async fn spawned(bocadillo::State(watch): bocadillo::State<Watch>) -> Response {
    tokio::spawn(async move { until_left(watch, Client::new()).into_response() })
        .await
        .expect("the task does not panic")
}

const PATHS: [&str; 2] = ["/events", "/spawned"];

fn router(watch: &Watch) -> Router {
    Router::new()
        .route(
            "/events",
            get(async |State(watch): State<Watch>| until_left(watch, Client::new())),
        )
        .route(
            "/spawned",
            get(async |State(watch): State<Watch>| spawned(bocadillo::State(watch)).await),
        )
        .with_state(watch.clone())
}

fn app(watch: &Watch) -> App<Watch> {
    App::with_state(watch.clone()).routes(routes![events, spawned])
}

fn service<S: Clone + Send + Sync + 'static>(app: App<S>) -> AppService {
    app.into_service().expect("the routes do not conflict")
}

/// The time-out of shutdowns. A test that reaches it fails.
const NEVER: Duration = Duration::from_secs(600);

fn streams() -> Streams {
    Streams::new()
        .drain_timeout(NEVER)
        .defaults(StreamOptions::new().retry(Duration::from_secs(9)))
}

/// Opens streams of both paths in the router, and shuts down. Checks that they end in order, that their clean-ups have
/// run, and that they have the options of `streams`.
async fn check(name: &str, protocols: &[Protocol], build: impl Fn(&Watch, &Streams) -> Router) {
    for protocol in protocols {
        let (watch, mut reports) = watch();
        let streams = streams();
        let server = AxumServer::start(build(&watch, &streams), &streams).await;
        let mut replies = Vec::new();
        for path in PATHS {
            let mut connection = Connection::open(*protocol, server.address).await;
            let headers = [("origin", "https://example.org")];
            let mut reply = connection.send(Method::GET, path, &headers, empty()).await;
            assert_eq!(reply.status, StatusCode::OK, "{name} {protocol:?} {path}");
            let first = reply.until("data: one\n\n").await;
            assert_eq!(first, "retry: 9000\ndata: one\n\n", "{name} {path}");
            replies.push((reply, connection));
        }
        assert_eq!(streams.open_streams(), 2, "{name}");
        server.stop().await;
        assert_eq!(reports.so_far(), ["cleaned up"; 2], "{name} {protocol:?}");
        for (reply, _) in replies {
            assert_eq!(reply.text().await, "", "{name} {protocol:?}");
        }
        assert_eq!(streams.open_streams(), 0, "{name}");
    }
}

#[tokio::test]
async fn the_layer_works_inside_and_outside_of_other_layers() {
    macro_rules! around {
        ($name:literal, $layer:expr) => {
            check(concat!($name, " outside"), &BOTH, |watch, streams| {
                router(watch).layer(streams.layer()).layer($layer)
            })
            .await;
            check(concat!($name, " inside"), &BOTH, |watch, streams| {
                router(watch).layer($layer).layer(streams.layer())
            })
            .await;
        };
    }
    around!("cors", CorsLayer::permissive());
    around!("trace", TraceLayer::new_for_http());
    around!("compression", CompressionLayer::new());
    around!(
        "timeout",
        TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, NEVER)
    );
    around!(
        "a layer that calls the service in another task",
        from_fn(async |request, next: axum::middleware::Next| {
            tokio::spawn(next.run(request)).await.expect("no panic")
        })
    );
}

/// The task-local connects the stream although the extension is lost.
#[tokio::test]
async fn a_layer_may_make_a_new_response_of_the_body() {
    let streams = streams();
    let (watch, mut reports) = watch();
    let app = router(&watch)
        .layer(from_fn(async |request, next: axum::middleware::Next| {
            axum::response::Response::new(next.run(request).await.into_body())
        }))
        .layer(streams.layer());
    let server = AxumServer::start(app, &streams).await;
    let mut reply = request(Protocol::Http1, server.address, "/events").await;
    assert_eq!(
        reply.until("data: one\n\n").await,
        "retry: 9000\ndata: one\n\n"
    );
    server.stop().await;
    assert_eq!(reports.so_far(), ["cleaned up"]);
    assert_eq!(reply.text().await, "");
}

#[tokio::test]
async fn a_drain_reaches_every_nesting() {
    check("an app in a router", &BOTH, |watch, streams| {
        Router::new()
            .fallback_service(service(app(watch)))
            .layer(streams.layer())
    })
    .await;
    check(
        "an app with these streams in a router",
        &BOTH,
        |watch, streams| {
            Router::new()
                .fallback_service(service(app(watch).streams(streams.clone())))
                .layer(streams.layer())
        },
    )
    .await;
    check(
        "an app with these streams alone",
        &BOTH,
        |watch, streams| {
            Router::new().fallback_service(service(app(watch).streams(streams.clone())))
        },
    )
    .await;
    check("a router in an app in a router", &BOTH, |watch, streams| {
        let inner = App::new().fallback_service(router(watch));
        Router::new()
            .fallback_service(service(inner))
            .layer(streams.layer())
    })
    .await;
    check("an app in an app in a router", &BOTH, |watch, streams| {
        let inner = App::new().fallback_service(service(app(watch)));
        Router::new()
            .fallback_service(service(inner))
            .layer(streams.layer())
    })
    .await;
    check("the layer twice", &BOTH, |watch, streams| {
        router(watch).layer(streams.layer()).layer(streams.layer())
    })
    .await;
    check("other streams inside", &BOTH, |watch, streams| {
        router(watch)
            .layer(Streams::new().layer())
            .layer(streams.layer())
    })
    .await;
    check("other streams outside", &BOTH, |watch, streams| {
        router(watch)
            .layer(streams.layer())
            .layer(Streams::new().layer())
    })
    .await;
    check(
        "an app in another task",
        &[Protocol::Http1],
        |watch, streams| {
            let inner = service(app(watch));
            let elsewhere = tower::service_fn(move |request: axum::extract::Request| {
                let inner = inner.clone();
                async move {
                    tokio::spawn(inner.oneshot(request))
                        .await
                        .expect("no panic")
                }
            });
            Router::new()
                .fallback_service(elsewhere)
                .layer(streams.layer())
        },
    )
    .await;
}

#[tokio::test]
async fn our_server_drains_the_streams_of_a_router_with_a_layer() {
    for protocol in BOTH {
        let (watch, mut reports) = watch();
        let streams = streams();
        let inner = router(&watch).layer(streams.layer());
        let server = Server::start(App::new().fallback_service(inner)).await;
        let mut replies = Vec::new();
        for path in PATHS {
            let mut reply = request(protocol, server.address, path).await;
            let first = reply.until("data: one\n\n").await;
            assert_eq!(first, "retry: 9000\ndata: one\n\n", "{path}");
            replies.push(reply);
        }
        server.stop().await;
        assert_eq!(reports.so_far(), ["cleaned up"; 2], "{protocol:?}");
        for reply in replies {
            assert_eq!(reply.text().await, "", "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_drain_of_inner_streams_ends_only_those_streams() {
    let (watch, mut reports) = watch();
    let (inner, outer) = (streams(), streams());
    let app = Router::new()
        .route(
            "/outside",
            get(async || EventStream::new(futures_util::stream::once(async { "two" }))),
        )
        .merge(router(&watch).layer(inner.layer()))
        .layer(outer.layer());
    let server = AxumServer::start(app, &outer).await;
    let mut reply = request(Protocol::Http1, server.address, "/events").await;
    reply.until("data: one\n\n").await;
    inner.drain().await;
    assert_eq!(reports.so_far(), ["cleaned up"]);
    assert_eq!(reply.text().await, "");
    assert!(!outer.is_draining());
    let outside = request(Protocol::Http1, server.address, "/outside").await;
    assert_eq!(outside.text().await, "retry: 9000\ndata: two\n\n");
}

#[tokio::test]
async fn options_of_inner_streams_override_those_of_outer_streams() {
    let outer = Streams::new().defaults(
        StreamOptions::new()
            .retry(Duration::from_secs(1))
            .charset(true),
    );
    let inner = Streams::new().defaults(StreamOptions::new().retry(Duration::from_secs(2)));
    let one = || EventStream::new(futures_util::stream::once(async { "one" }));
    let own = StreamOptions::new()
        .retry(Duration::from_secs(3))
        .charset(false);
    let app = Router::new()
        .route("/inner", get(async move || one()))
        .route("/own", get(async move || one().with(own)))
        .layer(inner.layer())
        .route("/outer", get(async move || one()))
        .layer(outer.layer());
    let server = AxumServer::start(app, &outer).await;
    for (path, retry, content_type) in [
        ("/outer", 1000, "text/event-stream; charset=utf-8"),
        ("/inner", 2000, "text/event-stream; charset=utf-8"),
        ("/own", 3000, "text/event-stream"),
    ] {
        let reply = request(Protocol::Http1, server.address, path).await;
        assert_eq!(reply.header("content-type"), Some(content_type), "{path}");
        assert_eq!(reply.text().await, format!("retry: {retry}\ndata: one\n\n"));
    }
}

#[tokio::test]
async fn a_cancelled_request_leaves_nothing_behind() {
    let streams = streams().end_timeout(Duration::from_millis(1));
    let app = Router::new()
        .route(
            "/never",
            get(async || {
                pending::<()>().await;
            }),
        )
        .layer(streams.layer());
    let server = AxumServer::start(app, &streams).await;
    let mut raw = crate::support::http::Raw::connect(server.address).await;
    raw.send("GET /never HTTP/1.1\r\nHost: here\r\n\r\n").await;
    sleep(Duration::from_millis(50)).await;
    drop(raw);
    server.stop().await;
}

/// The warning is logged once in a process, so this test runs in a child process.
#[test]
fn a_stream_that_belongs_to_no_streams_is_logged_once() {
    const CHILD: &str = "BOCADILLO_TEST_WITHOUT_STREAMS";
    const NAME: &str = "streams::stack::a_stream_that_belongs_to_no_streams_is_logged_once";
    if std::env::var_os(CHILD).is_some() {
        return in_the_process();
    }
    let child = std::process::Command::new(std::env::current_exe().expect("it runs"))
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it starts");
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}");
    assert!(output.contains("1 passed"), "the test has been renamed");

    fn in_the_process() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let log = Log::start();
            let streams = streams();
            let (watch, _reports) = watch();
            // In the task of the request the stream does not need the extension.
            let app = router(&watch)
                .layer(from_fn(async |request, next: axum::middleware::Next| {
                    axum::response::Response::new(next.run(request).await.into_body())
                }))
                .layer(streams.layer());
            let server = AxumServer::start(app, &streams).await;
            let mut reply = request(Protocol::Http1, server.address, "/events").await;
            reply.until("data: one\n\n").await;
            assert!(log.lines("belongs to no `Streams`").is_empty());
            for _ in 0..3 {
                let mut reply = request(Protocol::Http1, server.address, "/spawned").await;
                assert_eq!(reply.until("\n\n").await, "data: one\n\n");
                assert_eq!(log.lines("belongs to no `Streams`").len(), 1);
            }
        });
    }
}
