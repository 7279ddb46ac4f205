//! A shutdown ends the streams of apps and routers inside other apps, and waits for their clean-ups.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use bocadillo::{
    App, AppService, Body, Client, EventStream, IntoResponse, Response, State, StreamOptions,
    event_stream, generators, route, routes, stream,
};
use futures_util::stream::pending;
use http::Request;
use tower::ServiceExt;
use tower::util::MapRequestLayer;

use crate::support::http::{BOTH, Protocol, get};
use crate::support::{Log, Server, Watch, watch};

generators!(
    #[route("/inner")]
    #[event_stream(raise_on_disconnect)]
    async fn inner(State(watch): State<Watch>, client: Client) {
        let _ = yield "one";
        client.disconnected().await;
        // The clean-up takes time. The shutdown has to wait for it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        watch.say("cleaned up");
    }

    #[route("/inner/bytes")]
    #[stream(raise_on_disconnect)]
    async fn bytes(State(watch): State<Watch>, client: Client) {
        let _ = yield "one\n\n";
        client.disconnected().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        watch.say("cleaned up");
    }
);

#[route("/outer")]
async fn outer() -> EventStream {
    EventStream::new(pending::<String>())
}

fn inner_app(watch: &Watch) -> App<Watch> {
    App::with_state(watch.clone()).routes(routes![inner, bytes])
}

fn inner_service(watch: &Watch) -> AppService {
    inner_app(watch)
        .into_service()
        .expect("the routes do not conflict")
}

fn outer_app() -> App {
    App::new().routes(routes![outer])
}

/// Opens streams of `app`, and stops the server. Checks that all streams end, and that their clean-ups have run when
/// the server has ended.
#[track_caller]
fn check<S: Clone + Send + Sync + 'static>(
    app: impl Fn(&Watch) -> App<S>,
) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        for protocol in BOTH {
            let (watch, mut reports) = watch();
            // The shutdown does not time out while the test waits for the streams.
            let server = bocadillo::Server::new(app(&watch));
            let server = server.shutdown_timeout(Duration::from_secs(600));
            let server = Server::start(server).await;
            let mut streams = Vec::new();
            for _ in 0..3 {
                let mut stream = get(protocol, server.address, "/inner").await;
                stream.until("data: one\n\n").await;
                streams.push(stream);
            }
            let mut bytes = get(protocol, server.address, "/inner/bytes").await;
            bytes.until("one\n\n").await;
            server.stop().await;
            assert_eq!(
                reports.so_far(),
                ["cleaned up"; 4],
                "{protocol:?}, called at {place}"
            );
            for stream in streams {
                assert_eq!(stream.text().await, "", "{protocol:?}, called at {place}");
            }
            assert!(
                bytes.end().await.1.is_err(),
                "a byte stream that is cut must not look complete"
            );
        }
    }
}

#[tokio::test]
async fn an_app_alone_ends_its_streams() {
    check(inner_app).await;
}

#[tokio::test]
async fn an_app_in_an_app_ends_its_streams() {
    check(|watch| outer_app().fallback_service(inner_service(watch))).await;
    // Two levels of apps.
    check(|watch| {
        let middle = App::new().fallback_service(inner_service(watch));
        outer_app().fallback_service(middle.into_service().expect("there are no routes"))
    })
    .await;
}

#[tokio::test]
async fn a_router_in_an_app_ends_its_streams() {
    check(|watch| {
        let router = Router::new()
            .route(
                "/inner",
                axum::routing::get(
                    async |axum::extract::State(watch): axum::extract::State<Watch>| {
                        inner(State(watch), Client::new())
                    },
                ),
            )
            .route(
                "/inner/bytes",
                axum::routing::get(
                    async |axum::extract::State(watch): axum::extract::State<Watch>| {
                        bytes(State(watch), Client::new())
                    },
                ),
            )
            .with_state(watch.clone());
        outer_app().fallback_service(router)
    })
    .await;
}

#[tokio::test]
async fn an_app_in_a_router_in_an_app_ends_its_streams() {
    check(|watch| {
        let router = Router::new().fallback_service(inner_service(watch));
        outer_app().fallback_service(router)
    })
    .await;
}

#[tokio::test]
async fn an_app_with_layers_in_an_app_with_layers_ends_its_streams() {
    let layer = || MapRequestLayer::new(|request: Request<_>| request);
    check(|watch| {
        let inner = inner_app(watch).layer(layer());
        let inner = inner.into_service().expect("the routes do not conflict");
        outer_app().layer(layer()).fallback_service(inner)
    })
    .await;
}

/// Calls `service` in another task, as `tower::buffer` does.
fn spawning<S>(
    service: S,
) -> impl tower::Service<
    Request<axum::body::Body>,
    Response = Response,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
+ 'static
where
    S: tower::Service<Request<axum::body::Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Response: IntoResponse + Send,
{
    tower::service_fn(move |request| {
        let answer = service.clone().oneshot(request);
        let task = tokio::spawn(async { answer.await.map(IntoResponse::into_response) });
        async { task.await.expect("the service does not panic") }
    })
}

#[tokio::test]
async fn streams_from_another_task_end_too() {
    // Between the two apps.
    check(|watch| outer_app().fallback_service(spawning(inner_service(watch)))).await;
    // In a layer of the inner app.
    check(|watch| {
        let inner = inner_app(watch).layer(tower::layer::layer_fn(spawning));
        outer_app().fallback_service(inner.into_service().expect("the routes do not conflict"))
    })
    .await;
    // In a layer of the outer app.
    check(|watch| {
        outer_app()
            .layer(tower::layer::layer_fn(spawning))
            .fallback_service(inner_service(watch))
    })
    .await;
}

#[tokio::test]
async fn streams_of_a_handler_that_answers_from_another_task_end_too() {
    #[route("/inner")]
    async fn events(State(watch): State<Watch>) -> Response {
        let made = tokio::spawn(async { inner(State(watch), Client::new()).into_response() });
        made.await.expect("the task does not panic")
    }
    #[route("/inner/bytes")]
    async fn chunks(State(watch): State<Watch>) -> Response {
        let made = tokio::spawn(async { bytes(State(watch), Client::new()).into_response() });
        made.await.expect("the task does not panic")
    }
    let app = |watch: &Watch| App::with_state(watch.clone()).routes(routes![events, chunks]);
    check(|watch| app(watch)).await;
    check(|watch| {
        outer_app().fallback_service(app(watch).into_service().expect("there is no conflict"))
    })
    .await;
}

#[tokio::test]
async fn streams_of_a_handler_that_calls_an_app_end_too() {
    #[route("/{*path}")]
    async fn hand_on(
        path: String,
        State(inner): State<AppService>,
        request: axum::extract::Request,
    ) -> Response {
        assert!(path.starts_with("inner"));
        let Ok(response) = inner.oneshot(request).await;
        response.map(Body::into_axum)
    }
    check(|watch| App::with_state(inner_service(watch)).routes(routes![hand_on])).await;
    // The layer of the inner app answers from another task.
    check(|watch| {
        let inner = inner_app(watch).layer(tower::layer::layer_fn(spawning));
        let inner = inner.into_service().expect("the routes do not conflict");
        App::with_state(inner).routes(routes![hand_on])
    })
    .await;
}

#[tokio::test]
async fn an_inner_app_keeps_its_options_and_takes_the_rest_from_the_outer_app() {
    #[route("/fails")]
    async fn fails() -> EventStream {
        let error = io::Error::other("broken");
        EventStream::new(futures_util::stream::iter([Err::<String, _>(error)]))
    }
    let shows =
        |text: &'static str| move |_: &bocadillo::Error| Some(bocadillo::ServerEvent::new(text));
    let inner = App::new()
        .routes(routes![fails])
        .stream_options(StreamOptions::new().on_error(shows("the inner one's")));
    let app = outer_app()
        .stream_options(StreamOptions::new().retry(Duration::from_millis(7)))
        .stream_options(StreamOptions::new().on_error(shows("the outer one's")))
        .fallback_service(inner.into_service().expect("there is one route"));
    let server = Server::start(app).await;
    let reply = get(Protocol::Http1, server.address, "/fails").await;
    assert_eq!(reply.text().await, "retry: 7\ndata: the inner one's\n\n");
}

#[tokio::test]
async fn the_log_lists_the_routes_of_an_inner_app_at_the_start() {
    let log = Log::at(tracing::Level::INFO);
    let (watch, _reports) = watch();
    let middle = App::new().fallback_service(inner_service(&watch));
    let app = outer_app().fallback_service(middle.into_service().expect("there are no routes"));
    let patterns: Vec<_> = app.route_infos().map(|info| info.pattern.clone()).collect();
    assert_eq!(patterns, ["/outer", "/inner", "/inner/bytes"]);
    Server::start(app).await.stop().await;
    for pattern in patterns {
        assert_eq!(log.lines(&format!("GET {pattern} (")).len(), 1, "{pattern}");
    }
}
