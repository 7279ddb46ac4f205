//! HTTP's rules for streams under `axum::serve` are the same as in an `App`.

use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use bocadillo::testing::TestClient;
use bocadillo::{
    App, Client, EventName, EventStream, Html, IntoResponse, KeepAlive, Response, StreamOptions,
    Streams, event_stream, generators, route, routes,
};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};

use super::AxumServer;
use crate::support::Server;
use crate::support::http::{BOTH, Connection, Protocol, Raw, empty};
use crate::support::{Reports, Watch, watch};

generators!(
    #[event_stream]
    async fn counted(watch: Watch) {
        watch.say("started");
        yield "one";
    }
);

#[route("/events", methods = [GET, HEAD])]
async fn events(bocadillo::State(watch): bocadillo::State<Watch>) -> EventStream {
    counted(watch)
}

#[route("/spawned", methods = [GET, HEAD])]
async fn spawned(bocadillo::State(watch): bocadillo::State<Watch>) -> Response {
    tokio::spawn(async move { counted(watch).into_response() })
        .await
        .expect("the task does not panic")
}

#[route("/no-content", methods = [GET, HEAD])]
async fn no_content(bocadillo::State(watch): bocadillo::State<Watch>) -> Response {
    (StatusCode::NO_CONTENT, counted(watch)).into_response()
}

#[route("/typed", methods = [GET, HEAD])]
async fn typed(bocadillo::State(watch): bocadillo::State<Watch>) -> Response {
    ([(CONTENT_TYPE, "text/plain")], counted(watch)).into_response()
}

const PATHS: [&str; 4] = ["/events", "/spawned", "/no-content", "/typed"];

fn options() -> StreamOptions {
    StreamOptions::new()
        .charset(true)
        .retry(Duration::from_secs(2))
}

fn router(watch: &Watch) -> Router {
    type State = axum::extract::State<Watch>;
    Router::new()
        .route(
            "/events",
            get(async |axum::extract::State(watch): State| counted(watch)),
        )
        .route(
            "/spawned",
            any(async |axum::extract::State(watch): State| spawned(bocadillo::State(watch)).await),
        )
        .route(
            "/no-content",
            any(async |axum::extract::State(watch): State| {
                no_content(bocadillo::State(watch)).await
            }),
        )
        .route(
            "/typed",
            any(async |axum::extract::State(watch): State| typed(bocadillo::State(watch)).await),
        )
        .with_state(watch.clone())
}

/// The parts of a response that a client sees. The date is not compared.
#[derive(Debug, PartialEq)]
struct Seen {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: String,
}

async fn see(
    protocol: Protocol,
    address: std::net::SocketAddr,
    method: Method,
    path: &str,
    accept: &str,
) -> Seen {
    let mut connection = Connection::open(protocol, address).await;
    let headers = [("accept", accept)];
    let reply = connection.send(method, path, &headers, empty()).await;
    let mut headers: Vec<_> = (reply.headers.iter())
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| {
            let value = value.to_str().expect("the header is text");
            (name.to_string(), value.to_owned())
        })
        .collect();
    headers.sort();
    Seen {
        status: reply.status,
        headers,
        body: reply.text().await,
    }
}

#[track_caller]
fn so_far(reports: &mut Reports) -> usize {
    reports.so_far().len()
}

#[tokio::test]
async fn responses_are_the_same_as_those_of_an_app() {
    let (watch, mut reports) = watch();
    let theirs = Streams::new().strict_accept(true).defaults(options());
    let server = AxumServer::start(router(&watch).layer(theirs.layer()), &theirs).await;
    let ours = Streams::new().strict_accept(true).defaults(options());
    let app = App::with_state(watch)
        .routes(routes![events, spawned, no_content, typed])
        .streams(ours);
    let app = Server::start(app).await;
    for protocol in BOTH {
        for path in PATHS {
            for (method, accept) in [
                (Method::GET, "*/*"),
                (Method::GET, "text/event-stream"),
                (Method::GET, "application/json"),
                (Method::HEAD, "*/*"),
                (Method::HEAD, "application/json"),
            ] {
                let case = format!("{protocol:?} {method} {path} {accept}");
                let theirs = see(protocol, server.address, method.clone(), path, accept).await;
                let ours = see(protocol, app.address, method.clone(), path, accept).await;
                assert_eq!(theirs, ours, "{case}");
                let is_refused = accept == "application/json";
                let status = match path {
                    _ if is_refused => 406,
                    "/no-content" => 204,
                    _ => 200,
                };
                assert_eq!(theirs.status, status, "{case}");
                let is_sent = method == Method::GET && status == 200;
                if is_sent {
                    assert_eq!(theirs.body, "retry: 2000\ndata: one\n\n", "{case}");
                }
                // One stream of each server.
                assert_eq!(so_far(&mut reports), if is_sent { 2 } else { 0 }, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn http_1_0_gets_a_stream_that_ends_with_its_connection() {
    let (watch, _reports) = watch();
    let streams = Streams::new();
    let server = AxumServer::start(router(&watch).layer(streams.layer()), &streams).await;
    for head in [
        "GET /events HTTP/1.0\r\n\r\n",
        "GET /events HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ] {
        let text = Raw::exchange(server.address, head).await;
        assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
        assert!(!text.contains("transfer-encoding"), "{text}");
        assert!(!text.contains("keep-alive"), "{text}");
        assert!(text.ends_with("\r\n\r\ndata: one\n\n"), "{text}");
    }
}

#[tokio::test]
async fn other_responses_are_not_changed() {
    let streams = Streams::new().strict_accept(true);
    let router = || {
        Router::new()
            .route("/page", get(async || Html("<p>")))
            .route(
                "/lengthless",
                get(async || {
                    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("x")]);
                    axum::body::Body::from_stream(pieces)
                }),
            )
    };
    let with = AxumServer::start(router().layer(streams.layer()), &streams).await;
    let without = AxumServer::start(router(), &Streams::new()).await;
    for protocol in BOTH {
        for path in ["/page", "/lengthless", "/nowhere"] {
            for method in [Method::GET, Method::HEAD, Method::POST] {
                let accept = "application/json";
                let with = see(protocol, with.address, method.clone(), path, accept).await;
                let without = see(protocol, without.address, method.clone(), path, accept).await;
                assert_eq!(with, without, "{protocol:?} {method} {path}");
            }
        }
    }
    for path in ["/page", "/lengthless"] {
        let head = format!("GET {path} HTTP/1.0\r\n\r\n");
        let with = Raw::exchange(with.address, &head).await;
        let without = Raw::exchange(without.address, &head).await;
        assert_eq!(with.len(), without.len(), "{with}\n{without}");
    }
}

#[tokio::test]
async fn a_client_argument_needs_no_app() {
    let streams = Streams::new();
    let handler = async |client: Client| {
        assert!(!client.is_disconnected());
        EventStream::new(futures_util::stream::iter(["one"])).bind(client)
    };
    let app = Router::new()
        .route("/", get(handler))
        .layer(streams.layer());
    let server = AxumServer::start(app, &streams).await;
    let seen = see(Protocol::Http1, server.address, Method::GET, "/", "*/*").await;
    assert_eq!(seen.body, "data: one\n\n");
}

const PING: EventName = EventName::from_static("ping");

generators!(
    #[event_stream(keep_alive = KeepAlive::every(Duration::from_secs(5)).event_named(PING))]
    async fn silent() {
        std::future::pending::<()>().await;
        yield "never";
    }
);

#[tokio::test(start_paused = true)]
async fn the_attribute_accepts_the_forms_of_a_keep_alive() {
    let streams = Streams::new();
    let app = Router::new()
        .route("/", get(async || silent()))
        .layer(streams.layer());
    let mut stream = TestClient::of(app).get("/").send().await;
    let start = tokio::time::Instant::now();
    for round in 1..=3 {
        let event = stream.next_event().await.expect("the stream is endless");
        assert_eq!(event.name, "ping");
        assert_eq!(start.elapsed().as_secs(), 5 * round);
    }
    assert_eq!(streams.open_streams(), 1);
    streams.drain().await;
    assert!(stream.next_event().await.is_none());
}
