//! `App::nest`: paths, conflicts, layers, fallbacks, state and streams of apps under a prefix.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bocadillo::testing::TestClient;
use bocadillo::{
    App, Client, EventStream, RouteInfo, Server as BocadilloServer, State, StreamOptions, Streams,
    event_stream, generators, route, routes,
};
use http::{Method, StatusCode, Uri};
use tower::ServiceExt;
use tower::layer::layer_fn;
use tower::util::MapRequestLayer;

use crate::support::http::{BOTH, get};
use crate::support::{Server, Watch, watch};

/// Returns the whole pattern of the route, and the path that the handler sees.
#[route("/")]
async fn index(info: axum::Extension<Arc<RouteInfo>>, uri: Uri) -> String {
    format!("{} at {uri}", info.pattern)
}

#[route("/rooms/{room}")]
async fn room(room: String, info: axum::Extension<Arc<RouteInfo>>, uri: Uri) -> String {
    format!("{room} by {} at {uri}", info.pattern)
}

#[route("/files/{*rest}")]
async fn files(rest: String) -> String {
    rest
}

#[route("/name")]
async fn name(State(name): State<String>) -> String {
    name
}

#[route("/number")]
async fn number(State(number): State<u32>) -> String {
    number.to_string()
}

fn client<S: Clone + Send + Sync + 'static>(app: App<S>) -> TestClient {
    TestClient::new(app).expect("the routes do not conflict")
}

#[track_caller]
fn refused<S: Clone + Send + Sync + 'static>(app: App<S>, parts: &[&str]) {
    let error = app.into_service().expect_err("it is refused");
    assert!(error.is_route());
    let text = error.chain().to_string();
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

async fn check(client: &TestClient, path: &str, expected: &str) {
    let answer = client.get(path).send().await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    assert_eq!(answer.text().await, expected, "{path}");
}

async fn check_status(client: &TestClient, path: &str, expected: u16) {
    let answer = client.get(path).send().await;
    assert_eq!(answer.status(), expected, "{path}");
}

fn api() -> App {
    App::new().routes(routes![index, room, files])
}

#[tokio::test]
async fn a_route_answers_under_the_prefix_and_sees_the_whole_path() {
    let client = client(App::new().nest("/api", api()));
    check(&client, "/api", "/api at /api").await;
    check(&client, "/api?x=1", "/api at /api?x=1").await;
    let room = "red by /api/rooms/{room} at /api/rooms/red";
    check(&client, "/api/rooms/red", room).await;
    check(&client, "/api/files/a/b%20c", "a/b c").await;
    for path in [
        "/",
        "/rooms/red",
        "/apirooms/red",
        "/api/",
        "/api/rooms/",
        "/api/rooms/red/",
    ] {
        check_status(&client, path, 404).await;
    }
}

#[tokio::test]
async fn a_prefix_may_end_with_a_slash_or_be_a_slash() {
    let slash = client(App::new().nest("/api/", api()));
    check(&slash, "/api/", "/api/ at /api/").await;
    check(
        &slash,
        "/api/rooms/x",
        "x by /api/rooms/{room} at /api/rooms/x",
    )
    .await;
    check_status(&slash, "/api", 404).await;

    let root = client(App::new().nest("/", api()));
    check(&root, "/", "/ at /").await;
    check(&root, "/rooms/x", "x by /rooms/{room} at /rooms/x").await;

    let deep = App::new().nest("/v1", App::new().nest("/api", api()));
    let patterns: Vec<_> = deep
        .route_infos()
        .map(|info| info.pattern.clone())
        .collect();
    let expected = ["/v1/api", "/v1/api/rooms/{room}", "/v1/api/files/{*rest}"];
    assert_eq!(patterns, expected);
    let deep = client(deep);
    check(&deep, "/v1/api", "/v1/api at /v1/api").await;
}

#[tokio::test]
async fn a_prefix_is_compared_as_the_client_sends_it() {
    let client = client(App::new().nest("/caf%C3%A9", api()).nest("/api", api()));
    check(&client, "/caf%C3%A9", "/caf%C3%A9 at /caf%C3%A9").await;
    // The prefix is compared byte by byte, without decoding. Parameters are decoded.
    for path in [
        "/caf%c3%a9",
        "/%61pi",
        "/API",
        "//api",
        "/api//rooms/x",
        "/api/../api",
    ] {
        check_status(&client, path, 404).await;
    }
    let room = "a/b by /api/rooms/{room} at /api/rooms/a%2Fb";
    check(&client, "/api/rooms/a%2Fb", room).await;
}

#[test]
fn an_error_names_the_place_of_an_invalid_prefix() {
    for (prefix, why) in [
        ("", "a prefix begins with `/`"),
        ("api", "a prefix begins with `/`"),
        ("/{tenant}", "a prefix has no parameters"),
        ("/a b", "write it percent-encoded"),
        ("/caf\u{e9}", "write it percent-encoded"),
        ("/a?b", "write it percent-encoded"),
        ("/a#b", "write it percent-encoded"),
    ] {
        let app = App::new().nest(prefix, api());
        refused(app, &[why, "nest.rs:", &format!("`{prefix}`")]);
        // A nested app does not hide this route.
        let app = App::new().nest("/x", App::new().nest(prefix, api()));
        refused(app, &[why]);
    }
}

#[test]
fn conflicts_across_apps_name_both_places() {
    #[route("/api/rooms/{name}")]
    async fn other_name(name: String) -> String {
        name
    }
    #[route("/api/rooms/{room}")]
    async fn same(room: String) -> String {
        room
    }
    #[route("/rooms/{room}", methods = [POST, GET])]
    async fn twice(room: String) -> String {
        room
    }
    let places = ["nest.rs:", "GET /api/rooms/{room} (it::app::nest::room"];
    refused(
        App::new().routes(routes![same]).nest("/api", api()),
        &[
            &places[..],
            &["two routes answer the same requests", "::same"],
        ]
        .concat(),
    );
    refused(
        App::new().routes(routes![other_name]).nest("/api", api()),
        &[
            &places[..],
            &["two routes match the same paths", "::other_name"],
        ]
        .concat(),
    );
    refused(
        App::new()
            .nest("/api", api())
            .nest("/api", App::new().routes(routes![twice])),
        &[&places[..], &["POST|GET /api/rooms/{room}", "::twice"]].concat(),
    );
    refused(
        App::new()
            .nest("/api", api())
            .nest("/", App::new().nest("/api", api())),
        &["GET /api (it::app::nest::index", "nest.rs:"],
    );
}

#[tokio::test]
async fn apps_share_paths_by_methods_and_by_the_most_specific_pattern() {
    #[route("/rooms/{room}", methods = [POST])]
    async fn make(room: String) -> String {
        format!("made {room}")
    }
    #[route("/api/rooms/red")]
    async fn red() -> &'static str {
        "the outer red"
    }
    let app = App::new()
        .routes(routes![red])
        .nest("/api", api())
        .nest("/api", App::new().routes(routes![make]));
    let client = client(app);
    check(&client, "/api/rooms/red", "the outer red").await;
    let blue = "blue by /api/rooms/{room} at /api/rooms/blue";
    check(&client, "/api/rooms/blue", blue).await;
    let made = client.post("/api/rooms/blue").send().await;
    assert_eq!(made.text().await, "made blue");
    let refused = client.request(Method::PUT, "/api/rooms/blue").send().await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.header("allow"), Some("GET, HEAD, POST"));
    let head = client.request(Method::HEAD, "/api/rooms/blue").send().await;
    assert_eq!(head.status(), StatusCode::OK);
}

#[tokio::test]
async fn each_app_has_a_state_of_its_own() {
    let numbers = App::with_state(7_u32).routes(routes![number]).nest(
        "/names",
        App::with_state("inner".to_owned()).routes(routes![name]),
    );
    let app = App::with_state("outer".to_owned())
        .routes(routes![name])
        .nest("/numbers", numbers);
    let client = client(app);
    check(&client, "/name", "outer").await;
    check(&client, "/numbers/number", "7").await;
    check(&client, "/numbers/names/name", "inner").await;
}

/// A layer that appends its name to the names of the layers that ran before.
fn named(name: &'static str) -> MapRequestLayer<impl FnMut(Request) -> Request + Clone> {
    MapRequestLayer::new(move |mut request: Request| {
        let before = request.extensions().get::<Names>().cloned();
        let names = [before.unwrap_or_default().0, vec![name]].concat();
        request.extensions_mut().insert(Names(names));
        request
    })
}

#[derive(Clone, Default)]
struct Names(Vec<&'static str>);

#[route("/layers", methods = [GET])]
async fn layers(request: Request) -> String {
    let names = request.extensions().get::<Names>().cloned();
    names.unwrap_or_default().0.join(" ")
}

/// Answers each unknown path with the names of the layers that ran.
fn names()
-> impl tower::Service<Request, Response = Response, Error = std::convert::Infallible, Future: Send>
+ Clone
+ Send
+ Sync {
    tower::service_fn(async |request: Request| {
        let names = request.extensions().get::<Names>().cloned();
        let names = names.unwrap_or_default().0.join(" ");
        Ok((StatusCode::IM_A_TEAPOT, names).into_response())
    })
}

#[tokio::test]
async fn layers_of_a_nested_app_wrap_only_its_routes_and_its_unknown_paths() {
    let leaf = || App::new().routes(routes![layers]);
    let inner = leaf()
        .layer(named("second"))
        .layer(named("first"))
        .nest("/deep", leaf().layer(named("deep")))
        .nest("/bare", leaf());
    let app = leaf()
        .layer(named("outer"))
        .nest("/in", inner)
        .nest("/plain", leaf())
        .fallback_service(names());
    let client = client(app);
    check(&client, "/layers", "outer").await;
    check(&client, "/plain/layers", "outer").await;
    check(&client, "/in/layers", "outer first second").await;
    check(&client, "/in/deep/layers", "outer first second deep").await;
    check(&client, "/in/bare/layers", "outer first second").await;
    for (path, expected) in [
        ("/unknown", "outer"),
        ("/inner", "outer"),
        ("/in", "outer first second"),
        ("/in/unknown", "outer first second"),
        ("/in/deep/unknown", "outer first second deep"),
        ("/in/deeper", "outer first second"),
    ] {
        let answer = client.get(path).send().await;
        assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(answer.text().await, expected, "{path}");
    }
}

#[tokio::test]
async fn an_answer_of_405_goes_through_the_layers_of_the_app_of_the_path() {
    let marked = tower_http::set_header::SetResponseHeaderLayer::overriding(
        http::header::SERVER,
        http::HeaderValue::from_static("nested"),
    );
    let app = App::new().nest("/in", App::new().routes(routes![layers]).layer(marked));
    let answer = client(app).post("/in/layers").send().await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("server"), Some("nested"));
}

#[tokio::test]
async fn a_layer_of_a_nested_app_refuses_only_requests_of_that_app() {
    let guarded = App::new().routes(routes![layers]).layer(layer_fn(|_| {
        tower::service_fn(async |_: Request| {
            Ok::<_, std::convert::Infallible>(StatusCode::UNAUTHORIZED.into_response())
        })
    }));
    let app = App::new().routes(routes![layers]).nest("/in", guarded);
    let client = client(app);
    check(&client, "/layers", "").await;
    check_status(&client, "/in/layers", 401).await;
    // The client cannot find out which paths exist.
    check_status(&client, "/in/unknown", 401).await;
}

#[tokio::test]
async fn a_layer_does_not_change_the_route_by_the_path_unless_it_makes_a_new_request() {
    let to = |path: &'static str, keeps: bool| {
        MapRequestLayer::new(move |request: Request| {
            let (mut parts, body) = request.into_parts();
            parts.uri = Uri::from_static(path);
            if !keeps {
                parts.extensions.clear();
            }
            Request::from_parts(parts, body)
        })
    };
    let app = |path, keeps| {
        let inner = api().layer(to(path, keeps)).routes(routes![layers]);
        client(App::new().nest("/in", inner).routes(routes![layers]))
    };
    let kept = app("/in/rooms/blue", true);
    let red = "red by /in/rooms/{room} at /in/rooms/blue";
    check(&kept, "/in/rooms/red", red).await;
    let made = app("/in/files/x", false);
    check(&made, "/in/layers", "x").await;
    // The path stays in the nested app.
    check_status(&app("/layers", false), "/in/layers", 404).await;
}

#[tokio::test]
async fn the_fallback_of_the_longest_prefix_answers_or_that_of_the_outer_app() {
    let inner = App::new()
        .fallback_service(names())
        .layer(named("inner"))
        .nest("/deep", App::new().layer(named("deep")));
    let app = App::new().nest("/in", inner).nest("/none", api());
    let client = client(app);
    for (path, expected) in [
        ("/in/x", "inner"),
        ("/in", "inner"),
        ("/in/deep/x", "inner deep"),
    ] {
        let answer = client.get(path).send().await;
        assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT, "{path}");
        assert_eq!(answer.text().await, expected, "{path}");
    }
    check_status(&client, "/none/x", 404).await;
    check_status(&client, "/x", 404).await;
}

#[test]
fn two_fallbacks_for_the_same_paths_are_refused() {
    let with = || App::new().fallback_service(names());
    let why = "has a fallback";
    refused(
        App::new().nest("/a", with()).nest("/a", with()),
        &[why, "`/a`"],
    );
    refused(App::new().nest("/", with()), &[why, "`/`"]);
    refused(
        App::new().nest("/a", App::new().nest("/", with())),
        &[why, "`/a`"],
    );
    // Only one of two apps at the same prefix may have a fallback.
    for app in [
        App::new().nest("/a", with()).nest("/a", api()),
        App::new().nest("/a", api()).nest("/a", with()),
        with().nest("/a", with()),
    ] {
        assert!(app.into_service().is_ok());
    }
}

#[tokio::test]
async fn a_router_of_axum_as_the_fallback_sees_the_whole_path() {
    let router = axum::Router::new().route("/in/axum", axum::routing::get(async || "axum"));
    let app = App::new().nest("/in", App::new().fallback_service(router));
    check(&client(app), "/in/axum", "axum").await;
}

/// The documentation of `App::nest` says what axum does. This checks it.
#[tokio::test]
async fn axum_removes_the_prefix() {
    let inner = axum::Router::new()
        .route("/", axum::routing::get(async |uri: Uri| uri.to_string()))
        .route("/x", axum::routing::get(async |uri: Uri| uri.to_string()));
    let client = TestClient::of(axum::Router::new().nest("/in", inner));
    check(&client, "/in/x", "/x").await;
    check(&client, "/in", "/").await;
    check_status(&client, "/in/", 404).await;
    check_status(&client, "/%69n/x", 404).await;
}

#[tokio::test]
async fn a_panic_of_a_nested_handler_is_a_500_that_the_layers_see() {
    #[route("/panics")]
    async fn panics() {
        panic!("on purpose")
    }
    let app = App::new().nest("/in", App::new().routes(routes![panics]).layer(named("x")));
    check_status(&client(app), "/in/panics", 500).await;
}

#[tokio::test]
async fn options_of_a_nested_app_override_those_of_the_outer_app() {
    #[route("/fails")]
    async fn fails() -> EventStream {
        let error = std::io::Error::other("broken");
        EventStream::new(futures_util::stream::iter([Err::<String, _>(error)]))
    }
    let shows = |text: &'static str| {
        StreamOptions::new()
            .on_error(move |_: &bocadillo::Error| Some(bocadillo::ServerEvent::new(text)))
    };
    let leaf = || App::new().routes(routes![fails]);
    let app = leaf()
        .stream_options(shows("outer").retry(Duration::from_millis(7)))
        .nest(
            "/in",
            leaf()
                .stream_options(shows("inner"))
                .nest(
                    "/deep",
                    leaf().stream_options(StreamOptions::new().retry(Duration::from_millis(9))),
                )
                .nest("/bare", leaf().layer(named("x"))),
        );
    let client = client(app);
    check(&client, "/fails", "retry: 7\ndata: outer\n\n").await;
    check(&client, "/in/fails", "retry: 7\ndata: inner\n\n").await;
    check(&client, "/in/deep/fails", "retry: 9\ndata: inner\n\n").await;
    check(&client, "/in/bare/fails", "retry: 7\ndata: inner\n\n").await;
}

generators!(
    #[route("/feed")]
    #[event_stream(raise_on_disconnect)]
    async fn feed(State(watch): State<Watch>, _client: Client) {
        while let Ok(()) = yield "one" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        watch.say("cleaned up");
    }
);

#[tokio::test]
async fn a_shutdown_ends_the_streams_of_nested_apps_and_waits_for_their_clean_ups() {
    for protocol in BOTH {
        let (watch, mut reports) = watch();
        let leaf = || App::with_state(watch.clone()).routes(routes![feed]);
        let options = StreamOptions::new().retry(Duration::from_secs(1));
        let app = App::new()
            .nest("/plain", leaf())
            .nest("/options", leaf().stream_options(options))
            .nest("/streams", leaf().streams(Streams::new()).layer(named("x")));
        let server = BocadilloServer::new(app).shutdown_timeout(Duration::from_secs(600));
        let server = Server::start(server).await;
        let mut streams = Vec::new();
        for path in ["/plain/feed", "/options/feed", "/streams/feed"] {
            let mut stream = get(protocol, server.address, path).await;
            stream.until("data: one\n\n").await;
            streams.push(stream);
        }
        server.stop().await;
        assert_eq!(reports.so_far(), ["cleaned up"; 3], "{protocol:?}");
        for stream in streams {
            assert!(stream.end().await.1.is_ok(), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_drain_of_a_nested_apps_streams_ends_only_its_streams() {
    let (watch, _reports) = watch();
    let leaf = || App::with_state(watch.clone()).routes(routes![feed]);
    let streams = Streams::new();
    let app = leaf().nest("/in", leaf().streams(streams.clone()));
    let client = client(app);
    let mut outer = client.get("/feed").send().await;
    let mut inner = client.get("/in/feed").send().await;
    assert!(outer.next_event().await.is_some());
    assert!(inner.next_event().await.is_some());
    let drained = tokio::spawn(async move { streams.drain().await });
    while inner.next_event().await.is_some() {}
    for _ in 0..3 {
        assert!(outer.next_event().await.is_some());
    }
    drained.await.expect("the task does not panic");
}

#[tokio::test]
async fn a_service_that_is_dropped_during_a_request_still_answers() {
    let service = App::new()
        .nest("/in", App::new().routes(routes![layers]).layer(named("x")))
        .into_service()
        .expect("there is one route");
    let request = http::Request::get("/in/layers").body(axum::body::Body::empty());
    let answer = service.oneshot(request.expect("it is a request"));
    let Ok(response) = answer.await;
    assert_eq!(response.status(), StatusCode::OK);
}
