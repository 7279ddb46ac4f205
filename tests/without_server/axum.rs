//! The library in an axum app, without the feature `server`, over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use bocadillo::topic::{Cursor, Hub};
use bocadillo::{Client, EventStream, Problem, Streams, event_stream, generators};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far longer than a healthy run needs.
const LONG: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Shared {
    hub: Hub,
    cleaned_up: mpsc::UnboundedSender<()>,
}

generators!(
    #[event_stream(raise_on_disconnect)]
    async fn until_disconnect(cleaned_up: mpsc::UnboundedSender<()>, client: Client) {
        let _ = yield "started";
        client.disconnected().await;
        let _ = cleaned_up.send(());
    }
);

async fn room(State(shared): State<Shared>, cursor: Cursor) -> Result<EventStream, Problem> {
    Ok(shared
        .hub
        .topic("room")?
        .subscribe_from(cursor.or_start())
        .into())
}

async fn generator(State(shared): State<Shared>, client: Client) -> EventStream {
    until_disconnect(shared.cleaned_up, client)
}

struct Server {
    address: SocketAddr,
    hub: Hub,
    cleaned_up: mpsc::UnboundedReceiver<()>,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let (sender, cleaned_up) = mpsc::unbounded_channel();
        let hub = Hub::memory();
        let shared = Shared {
            hub: hub.clone(),
            cleaned_up: sender,
        };
        let streams = Streams::new().drain_timeout(LONG);
        let app = Router::new()
            .route("/room", get(room))
            .route("/generator", get(generator))
            .layer(streams.layer())
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let (shutdown, signal) = oneshot::channel();
        let server = axum::serve(listener, app).with_graceful_shutdown(async move {
            let _ = signal.await;
            streams.drain().await;
        });
        let served = tokio::spawn(async move { server.await.expect("the server does not fail") });
        Self {
            address,
            hub,
            cleaned_up,
            shutdown,
            served,
        }
    }

    /// Drains the streams, and waits until the server has ended.
    async fn stop(self) {
        self.shutdown.send(()).expect("the server waits for it");
        timeout(LONG, self.served)
            .await
            .expect("the server ends")
            .expect("the server does not panic");
    }
}

struct Response {
    socket: TcpStream,
    received: String,
}

impl Response {
    async fn get(address: SocketAddr, path: &str) -> Self {
        let mut socket = TcpStream::connect(address)
            .await
            .expect("the server listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        socket
            .write_all(request.as_bytes())
            .await
            .expect("the socket is open");
        Self {
            socket,
            received: String::new(),
        }
    }

    /// Reads until the response contains `text`.
    async fn read_until(&mut self, text: &str) {
        while !self.received.contains(text) {
            assert!(self.read().await, "the end before {text:?}: {self:?}");
        }
    }

    /// Reads to the end of the connection.
    async fn read_to_end(&mut self) {
        while self.read().await {}
    }

    /// Returns `false` at the end of the connection.
    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let length = timeout(LONG, self.socket.read(&mut bytes))
            .await
            .expect("the server sends something in time")
            .expect("the connection is not broken");
        self.received
            .push_str(std::str::from_utf8(&bytes[..length]).expect("the response is text"));
        length > 0
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.received)
    }
}

#[tokio::test]
async fn a_client_reads_events_of_a_topic_until_the_drain() {
    let server = Server::start().await;
    let mut response = Response::get(server.address, "/room").await;
    response.read_until("content-type: text/event-stream").await;
    let topic = server.hub.topic("room").expect("the name is valid");
    topic.publish("hello").await.expect("the hub is open");
    response.read_until("data: hello\n\n").await;
    server.stop().await;
    response.read_to_end().await;
    assert!(
        response.received.ends_with("0\r\n\r\n"),
        "the body does not end in order: {response:?}"
    );
}

#[tokio::test]
async fn a_drain_waits_for_the_cleanup_of_a_generator() {
    let mut server = Server::start().await;
    let mut response = Response::get(server.address, "/generator").await;
    response.read_until("data: started\n\n").await;
    assert!(server.cleaned_up.try_recv().is_err(), "it ended too early");
    let (_, unused) = mpsc::unbounded_channel();
    let mut cleaned_up = std::mem::replace(&mut server.cleaned_up, unused);
    server.stop().await;
    cleaned_up
        .try_recv()
        .expect("the cleanup has run before the server ended");
    response.read_to_end().await;
    assert!(
        response.received.ends_with("0\r\n\r\n"),
        "the body does not end in order: {response:?}"
    );
}
