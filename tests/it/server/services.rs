//! The services that a server can serve: apps, services of axum and tower, and make-services.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use bocadillo::{
    App, Client, Peer, Server as BocadilloServer, State, StreamOptions, Streams, event_stream,
    generators, route, routes,
};
use http::{Method, Request, Response, StatusCode, Version};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tower::service_fn;

use crate::support::http::{BOTH, Connection, Protocol, Raw, empty, get};
use crate::support::{Log, Server, Watch, scratch, wait, watch};

generators!(
    #[route("/feed")]
    #[event_stream(raise_on_disconnect)]
    async fn feed(State(watch): State<Watch>, _client: Client) {
        watch.say("begun");
        while let Ok(()) = yield "one" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[event_stream(raise_on_disconnect)]
    async fn cleans_up(watch: Watch) {
        let mut number = 0;
        while let Ok(()) = yield number.to_string() {
            number += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        watch.say("cleaned up");
    }

    #[event_stream]
    async fn greets() {
        yield "hello";
    }
);

type Watched = axum::extract::State<Watch>;

/// A router without the layer of `Streams`.
fn router(watch: &Watch) -> Router {
    Router::new()
        .route("/greets", on_get(async || greets()))
        .route(
            "/cleans-up",
            on_get(async |axum::extract::State(watch): Watched| cleans_up(watch)),
        )
        .route(
            "/spawned",
            on_get(async |axum::extract::State(watch): Watched| {
                let made = tokio::spawn(async { cleans_up(watch).into_response() });
                made.await.expect("the task does not panic")
            }),
        )
        .route(
            "/text",
            on_get(async |Peer(peer): Peer| format!("{}", peer.is_some())),
        )
        .with_state(watch.clone())
}

#[tokio::test]
async fn streams_of_a_plain_router_get_the_options_of_the_servers_streams() {
    let (watch, _reports) = watch();
    let options = StreamOptions::new().retry(Duration::from_millis(7));
    let server = BocadilloServer::new(router(&watch)).streams(Streams::new().defaults(options));
    let server = Server::start(server).await;
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/greets").await;
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(reply.text().await, "retry: 7\ndata: hello\n\n");
        let reply = get(protocol, server.address, "/text").await;
        assert_eq!(reply.text().await, "true");
    }
    let answer = Raw::exchange(server.address, "GET /greets HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.ends_with("\r\n\r\nretry: 7\ndata: hello\n\n"),
        "{answer}"
    );
    assert!(
        !answer.to_lowercase().contains("transfer-encoding"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_shutdown_ends_the_streams_of_a_plain_router_and_waits_for_their_clean_ups() {
    for path in ["/cleans-up", "/spawned"] {
        for protocol in BOTH {
            let (watch, mut reports) = watch();
            let server = BocadilloServer::new(router(&watch));
            let server = server.shutdown_timeout(Duration::from_secs(600));
            let server = Server::start(server).await;
            let mut streams = Vec::new();
            for _ in 0..3 {
                let mut stream = get(protocol, server.address, path).await;
                stream.until("data: 0\n\n").await;
                streams.push(stream);
            }
            server.stop().await;
            assert_eq!(reports.so_far(), ["cleaned up"; 3], "{protocol:?} {path}");
            for stream in streams {
                assert!(stream.end().await.1.is_ok(), "{protocol:?} {path}");
            }
        }
    }
}

#[tokio::test]
async fn head_of_a_plain_router_starts_no_stream_and_strict_accept_is_applied() {
    let (watch, mut reports) = watch();
    let streams = Streams::new().strict_accept(true);
    let server = BocadilloServer::new(router(&watch)).streams(streams);
    let server = Server::start(server).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let reply = connection
            .send(Method::HEAD, "/cleans-up", &[], empty())
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(reply.text().await, "");
        let json = [("accept", "application/json")];
        let reply = connection
            .send(Method::GET, "/greets", &json, empty())
            .await;
        assert_eq!(reply.status, StatusCode::NOT_ACCEPTABLE);
    }
    server.stop().await;
    assert_eq!(reports.so_far(), [""; 0]);
}

#[tokio::test]
async fn a_drain_of_the_servers_streams_does_not_stop_the_server() {
    let (watch, _reports) = watch();
    let streams = Streams::new();
    let app = App::with_state(watch.clone())
        .routes(routes![feed])
        .fallback_service(router(&watch));
    let server = BocadilloServer::new(app).streams(streams.clone());
    let server = Server::start(server).await;
    let mut open = Vec::new();
    for protocol in BOTH {
        for path in ["/feed", "/cleans-up"] {
            let mut stream = get(protocol, server.address, path).await;
            stream.until("data: ").await;
            open.push(stream);
        }
    }
    streams.drain().await;
    for stream in open {
        assert!(stream.end().await.1.is_ok());
    }
    for protocol in BOTH {
        let reply = get(protocol, server.address, "/text").await;
        assert_eq!(reply.text().await, "true", "{protocol:?}");
    }
}

#[tokio::test]
async fn connect_info_of_axum_is_the_clients_address() {
    async fn client(ConnectInfo(client): ConnectInfo<SocketAddr>, Peer(peer): Peer) -> String {
        assert_eq!(peer, Some(client));
        client.to_string()
    }
    let router = Router::new()
        .route("/client", on_get(client))
        .route("/greets", on_get(async || greets()));
    let make = router.into_make_service_with_connect_info::<SocketAddr>();
    let options = StreamOptions::new().retry(Duration::from_millis(7));
    let server = BocadilloServer::from_make_service(make).streams(Streams::new().defaults(options));
    let server = Server::start(server).await;
    for protocol in BOTH {
        let stream = TcpStream::connect(server.address)
            .await
            .expect("the server listens");
        let own = stream
            .local_addr()
            .expect("the listener is bound")
            .to_string();
        let mut connection = Connection::over(protocol, stream, "localhost").await;
        assert_eq!(connection.get("/client").await.text().await, own);
        let feed = connection.get("/greets").await.text().await;
        assert_eq!(feed, "retry: 7\ndata: hello\n\n");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_make_service_is_called_once_for_each_connection() {
    let made = Arc::new(AtomicUsize::new(0));
    let make = service_fn({
        let made = Arc::clone(&made);
        move |_: SocketAddr| {
            let number = made.fetch_add(1, Ordering::Relaxed);
            async move {
                let answers = service_fn(move |_: Request<axum::body::Body>| async move {
                    Ok::<_, Infallible>(Response::new(number.to_string()))
                });
                Ok::<_, Infallible>(answers)
            }
        }
    });
    let server = Server::start(BocadilloServer::from_make_service(make)).await;
    for number in 0..3 {
        let mut connection = Connection::open(Protocol::Http1, server.address).await;
        for _ in 0..2 {
            assert_eq!(connection.get("/").await.text().await, number.to_string());
        }
    }
}

#[tokio::test]
async fn a_connection_without_an_address_is_closed_if_the_make_service_needs_an_address() {
    let log = Log::start();
    let path = scratch("make").join("s");
    let listener = UnixListener::bind(&path).expect("the path is valid");
    let make = Router::new().into_make_service_with_connect_info::<SocketAddr>();
    let server = Server::on(BocadilloServer::from_make_service(make), listener);
    let mut raw = Raw::over(
        UnixStream::connect(&path)
            .await
            .expect("the server listens"),
    );
    assert_eq!(raw.rest().await, "");
    let lines = log.lines("the make-service needs the client's address");
    assert_eq!(lines.len(), 1, "{lines:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_whose_make_service_fails_is_closed() {
    let log = Log::start();
    let make = service_fn(async |_: SocketAddr| {
        if true {
            return Err(io::Error::other("no seat is free"));
        }
        Ok(service_fn(async |_: Request<axum::body::Body>| {
            Ok::<_, Infallible>(Response::new(String::new()))
        }))
    });
    let server = Server::start(BocadilloServer::from_make_service(make)).await;
    let mut raw = Raw::connect(server.address).await;
    assert_eq!(raw.rest().await, "");
    assert_eq!(log.lines("no seat is free").len(), 1);
}

#[tokio::test]
async fn a_service_that_fails_or_panics_answers_500() {
    let log = Log::start();
    let service =
        service_fn(
            async |request: Request<axum::body::Body>| match request.uri().path() {
                "/fails" => Err(io::Error::other("the disk is gone")),
                "/panics" => panic!("on purpose"),
                _ => Ok(Response::new("fine".to_owned())),
            },
        );
    let server = Server::start(BocadilloServer::new(service)).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        for path in ["/fails", "/panics"] {
            let reply = connection.get(path).await;
            assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
            let text = reply.text().await;
            assert!(
                !text.contains("disk") && !text.contains("purpose"),
                "{text}"
            );
        }
        assert_eq!(connection.get("/").await.text().await, "fine");
    }
    assert_eq!(log.lines("the disk is gone").len(), 2);
    assert_eq!(log.lines("the service panicked").len(), 2);
}

/// A service that is ready at the second `poll_ready`. It panics if it is called before.
#[derive(Clone, Default)]
struct ReadyLater {
    asked: usize,
}

impl tower::Service<Request<axum::body::Body>> for ReadyLater {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.asked += 1;
        if self.asked < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<axum::body::Body>) -> Self::Future {
        assert_eq!(self.asked, 2, "the service was called before it was ready");
        self.asked = 0;
        std::future::ready(Ok(Response::new("fine".to_owned())))
    }
}

#[tokio::test]
async fn a_service_is_called_only_after_it_is_ready() {
    let server = Server::start(BocadilloServer::new(ReadyLater::default())).await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        for _ in 0..2 {
            assert_eq!(connection.get("/").await.text().await, "fine");
        }
    }
}

#[tokio::test]
async fn an_app_service_is_served_like_an_app() {
    #[route("/hello")]
    async fn hello() -> &'static str {
        "hello"
    }
    let app = || App::new().routes(routes![hello]);
    let service = app().into_service().expect("there is one route");
    for server in [BocadilloServer::new(app()), BocadilloServer::new(service)] {
        let server = Server::start(server).await;
        for protocol in BOTH {
            let reply = get(protocol, server.address, "/hello").await;
            assert_eq!(reply.text().await, "hello");
        }
    }
}

#[tokio::test]
async fn serve_returns_an_error_for_routes_that_conflict() {
    #[route("/hello")]
    async fn one() {}
    #[route("/hello")]
    async fn two() {}
    let app = || App::new().routes(routes![one, two]);
    let server = BocadilloServer::new(app()).bind("127.0.0.1:0");
    let error = server.serve().await.expect_err("two routes conflict");
    assert!(error.is_route());
    let error = std::thread::spawn(move || BocadilloServer::new(app()).run())
        .join()
        .expect("the task does not panic")
        .expect_err("two routes conflict");
    assert!(error.is_route());
}

/// The server passes a body of hyper's type and an upgrade through.
#[tokio::test]
async fn a_websocket_of_a_plain_router_is_upgraded() {
    use axum::extract::ws::WebSocketUpgrade;
    let router = Router::new().route(
        "/socket",
        axum::routing::any(async |upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async |mut socket| {
                while let Some(Ok(message)) = socket.recv().await {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
            })
        }),
    );
    let server = Server::start(BocadilloServer::new(router)).await;
    let request = format!(
        "GET /socket HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address
    );
    let mut raw = Raw::connect(server.address).await;
    raw.send(request).await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // "hi" as a masked text frame (RFC 6455, section 5.2). The server returns it without a mask.
    raw.send(b"\x81\x82\0\0\0\0hi").await;
    let mut answer = [0; 4];
    wait::within(
        "the echo",
        tokio::io::AsyncReadExt::read_exact(&mut raw.connection, &mut answer),
    )
    .await
    .expect("an echo");
    assert_eq!(&answer, b"\x81\x02hi");
}

/// A service sees the HTTP version of the client.
#[tokio::test]
async fn a_service_sees_the_version_of_the_request() {
    let service = service_fn(async |request: Request<axum::body::Body>| {
        Ok::<_, Infallible>(Response::new(format!("{:?}", request.version())))
    });
    let server = Server::start(BocadilloServer::new(service)).await;
    for (protocol, version) in [
        (Protocol::Http1, Version::HTTP_11),
        (Protocol::Http2, Version::HTTP_2),
    ] {
        let reply = get(protocol, server.address, "/").await;
        assert_eq!(reply.text().await, format!("{version:?}"));
    }
}
