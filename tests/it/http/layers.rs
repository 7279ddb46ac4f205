//! Layers of tower-http around an app.

use std::future::pending;
use std::io::Write;

use bocadillo::{App, State, event_stream, generators, route, routes};
use flate2::write::GzDecoder;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tokio::sync::mpsc;
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tower_http::cors::{Any, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;

use crate::support::http::{BOTH, Connection, empty, get};
use crate::support::{Log, Server, Watch, watch};

generators!(
    #[route("/feed")]
    #[event_stream]
    async fn feed(State(watch): State<Watch>) {
        watch.say("started");
        let _guard = watch.guard("dropped");
        yield "one";
        pending::<()>().await;
    }
);

#[route("/text")]
async fn text() -> String {
    "a text that is worth it ".repeat(100)
}

fn app(watch: &Watch) -> App<Watch> {
    App::with_state(watch.clone()).routes(routes![feed, text])
}

#[tokio::test]
async fn cors_answers_preflights_and_adds_headers_to_streams_and_refusals() {
    let (watch, _reports) = watch();
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET])
        .allow_headers([HeaderName::from_static("last-event-id")]);
    let server = Server::start(app(&watch).layer(cors)).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let preflight = [
            ("origin", "https://elsewhere.example"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "last-event-id"),
        ];
        let reply = connection
            .send(Method::OPTIONS, "/feed", &preflight, empty())
            .await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("access-control-allow-methods"), Some("GET"));
        assert_eq!(
            reply.header("access-control-allow-headers"),
            Some("last-event-id")
        );
        reply.text().await;
        let reply = connection.get("/nowhere").await;
        assert_eq!(reply.status, 404);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        reply.text().await;
        let mut reply = connection.get("/feed").await;
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.until("\n\n").await, "data: one\n\n");
    }
}

#[tokio::test]
async fn compression_does_not_compress_streams_but_other_responses() {
    let (watch, _reports) = watch();
    let server = Server::start(app(&watch).layer(CompressionLayer::new())).await;
    let headers = [("accept-encoding", "gzip")];
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let reply = connection
            .send(Method::GET, "/text", &headers, empty())
            .await;
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        let length = reply.bytes().await.len();
        assert!(length < 200, "{length}");
        let mut reply = connection
            .send(Method::GET, "/feed", &headers, empty())
            .await;
        assert_eq!(reply.header("content-encoding"), None);
        assert_eq!(reply.until("\n\n").await, "data: one\n\n");
    }
}

#[tokio::test]
async fn compression_that_includes_streams_delivers_each_event_at_once() {
    let everything = CompressionLayer::new().compress_when(SizeAbove::new(0));
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
    type Texts = std::sync::Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>>;
    generators!(
        #[route("/told")]
        #[event_stream]
        async fn told(State(texts): State<Texts>) {
            let mut texts = texts.lock_owned().await;
            while let Some(text) = texts.recv().await {
                yield text;
            }
        }
    );
    let app = App::with_state(receiver).routes(routes![told]);
    let server = Server::start(app.layer(everything)).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let headers = [("accept-encoding", "gzip")];
        let mut reply = connection
            .send(Method::GET, "/told", &headers, empty())
            .await;
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        let mut decoder = GzDecoder::new(Vec::new());
        for n in 0..3 {
            sender.send(n.to_string()).expect("the generator listens");
            // The next event is sent only after this one has arrived.
            let expected = format!("data: {n}\n\n");
            while !decoder.get_ref().ends_with(expected.as_bytes()) {
                let bytes = reply.frame().await;
                decoder.write_all(&bytes).expect("it is gzip");
                decoder.flush().expect("it is gzip");
            }
        }
    }
}

#[tokio::test]
async fn layers_for_tracing_and_headers_do_not_change_a_stream() {
    let (watch, mut reports) = watch();
    let name = HeaderName::from_static("x-layer");
    let inner = SetResponseHeaderLayer::appending(name.clone(), HeaderValue::from_static("inner"));
    let outer = SetResponseHeaderLayer::appending(name, HeaderValue::from_static("outer"));
    let app = app(&watch)
        .layer(inner)
        .layer(TraceLayer::new_for_http())
        .layer(outer);
    let server = Server::start(app).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let reply = connection.send(Method::HEAD, "/feed", &[], empty()).await;
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(reply.text().await, "");
        assert_eq!(reports.so_far(), [""; 0]);

        let mut reply = connection.get("/feed").await;
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(reply.header("x-accel-buffering"), Some("no"));
        // The layer that was added last is the outermost. Its header is appended last.
        let all: Vec<_> = reply.headers.get_all("x-layer").iter().collect();
        assert_eq!(all, ["inner", "outer"]);
        assert_eq!(reply.until("\n\n").await, "data: one\n\n");
        assert_eq!(reports.next().await, "started");
        drop((reply, connection));
        assert_eq!(reports.next().await, "dropped");
    }
    let reply = get(BOTH[0], server.address, "/nowhere").await;
    assert_eq!(reply.header("x-layer"), Some("inner"));
}

#[tokio::test]
async fn a_drain_ends_streams_behind_layers() {
    let (watch, _reports) = watch();
    let app = app(&watch).layer(TraceLayer::new_for_http());
    let server = Server::start(app).await;
    let mut replies = Vec::new();
    for protocol in BOTH {
        let mut reply = get(protocol, server.address, "/feed").await;
        reply.until("\n\n").await;
        replies.push(reply);
    }
    server.stop().await;
    for reply in replies {
        assert_eq!(reply.text().await, "");
    }
}

#[tokio::test]
async fn a_layer_wraps_routes_that_are_added_later() {
    let (watch, _reports) = watch();
    let name = HeaderName::from_static("x-layer");
    let layer = SetResponseHeaderLayer::overriding(name, HeaderValue::from_static("yes"));
    let app = App::with_state(watch).layer(layer).routes(routes![text]);
    let server = Server::start(app).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/text").await;
        assert_eq!(reply.header("x-layer"), Some("yes"));
    }
}

/// The layers of an app, and of a nested one. They panic before the route is called, or after it.
#[tokio::test]
async fn a_layer_that_panics_answers_500() {
    type Body = axum::body::Body;
    let log = Log::start();
    let (watch, _reports) = watch();
    let panicking = || {
        let before = MapRequestLayer::new(|request: Request<Body>| {
            assert!(!request.uri().path().ends_with("/before"), "on purpose");
            request
        });
        let after = MapResponseLayer::new(|response: Response<Body>| {
            assert!(response.status() != StatusCode::NOT_FOUND, "on purpose");
            response
        });
        app(&watch).layer(before).layer(after)
    };
    let name = HeaderName::from_static("x-layer");
    let outer = SetResponseHeaderLayer::overriding(name, HeaderValue::from_static("outer"));
    let nested = App::with_state(watch.clone())
        .nest("/nested", panicking())
        .layer(outer);
    for (app, prefix, header) in [(panicking(), "", None), (nested, "/nested", Some("outer"))] {
        let server = Server::start(app).await;
        for protocol in BOTH {
            let mut connection = Connection::open(protocol, server.address).await;
            for path in ["/before", "/nowhere"] {
                let reply = connection.get(&format!("{prefix}{path}")).await;
                assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
                assert_eq!(reply.header("x-layer"), header);
                assert!(!reply.text().await.contains("purpose"));
            }
            // The connection goes on.
            let reply = connection.get(&format!("{prefix}/text")).await;
            assert_eq!(reply.status, StatusCode::OK);
            reply.text().await;
        }
    }
    assert_eq!(log.lines("a layer panicked").len(), 8);
}
