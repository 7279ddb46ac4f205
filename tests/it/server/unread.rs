//! Clients that do not read. A decision of the server reaches the generator at once. The client's connection, or its
//! HTTP/2 stream, ends within a stated time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bocadillo::topic::{History, Hub, SlowPolicy, Topic};
use bocadillo::{
    App, Client, ClientDisconnect, EventStream, Listener, State, StreamOptions, event_stream,
    generators, route, routes, stream,
};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::task::AtomicWaker;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use crate::support::{Reports, Server, Watch, scratch, wait, watch};

/// All decisions have taken effect within this time. The sum of the stated times is one second.
const SOON: Duration = Duration::from_secs(5);
const END: Duration = Duration::from_millis(100);
const LIFETIME: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
struct Said(Watch);

#[route("/topic")]
async fn topic_route(State(topic): State<Topic>) -> EventStream {
    topic.subscribe().into()
}

generators!(
    /// Sends events as fast as it can.
    #[route("/flood")]
    #[event_stream]
    async fn flood(State(said): State<Said>) {
        let _guard = said.0.guard("dropped");
        let event = "x".repeat(1000);
        said.0.say("begun");
        loop {
            yield &*event;
        }
    }

    /// The same with a clean-up.
    #[route("/raising")]
    #[event_stream(raise_on_disconnect)]
    async fn raising(State(said): State<Said>, client: Client) {
        let event = "x".repeat(1000);
        said.0.say("begun");
        while let Ok(()) = yield &*event {}
        assert_eq!(yield "more", Err(ClientDisconnect));
        client.disconnected().await;
        said.0.say("dropped");
    }

    /// Sends one event, then nothing.
    #[route("/one", methods = [GET, POST])]
    #[event_stream(keep_alive = off)]
    async fn one(State(said): State<Said>) {
        let _guard = said.0.guard("dropped");
        said.0.say("begun");
        yield "one";
        std::future::pending::<()>().await;
    }

    /// Sends bytes as fast as it can.
    #[route("/chunks")]
    #[stream]
    async fn chunks(State(said): State<Said>) {
        let _guard = said.0.guard("dropped");
        let chunk = Bytes::from(vec![b'x'; 10_000]);
        said.0.say("begun");
        loop {
            yield chunk.clone();
        }
    }

    /// Starts its response, and reads the request body later.
    #[route("/echo", methods = [POST])]
    #[event_stream]
    async fn echo(State(said): State<Said>, body: axum::body::Body) {
        yield "one";
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut body = body;
        if let Some(Ok(_)) = body.frame().await {
            said.0.say("read");
        }
        std::future::pending::<()>().await;
    }

    #[route("/numbers")]
    #[event_stream(max_lifetime = Duration::from_secs(3600))]
    async fn numbers() {
        for n in 0_u64.. {
            yield n.to_string();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
);

fn app() -> (App<Said>, Reports) {
    let (watch, reports) = watch();
    let app =
        App::with_state(Said(watch)).routes(routes![flood, raising, one, chunks, numbers, echo]);
    (app, reports)
}

/// A connection that a test can stop reading. Its kernel still works, as with a stopped process.
#[derive(Debug)]
struct Pausable<C> {
    connection: C,
    is_paused: Arc<AtomicBool>,
    reader: Arc<AtomicWaker>,
}

impl<C: AsyncRead + Unpin> AsyncRead for Pausable<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reader.register(cx.waker());
        if self.is_paused.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.connection).poll_read(cx, buf)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Pausable<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

/// The kind of listener of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Unix,
    /// A listener of the test. Its connections wrap a socket.
    Own,
}

const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Unix, Transport::Own];

/// Connections whose socket the server cannot see.
struct Own(TcpListener);

impl Listener for Own {
    type Connection = Pausable<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Connection, Option<std::net::SocketAddr>)> {
        let (connection, peer) = self.0.accept().await?;
        let connection = Pausable {
            connection,
            is_paused: Arc::default(),
            reader: Arc::default(),
        };
        Ok((connection, Some(peer)))
    }

    fn local_addr(&self) -> io::Result<String> {
        Ok("a test".to_owned())
    }
}

trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<C: AsyncRead + AsyncWrite + Unpin + Send> Connection for C {}

enum Place {
    Tcp(std::net::SocketAddr),
    Unix(std::path::PathBuf),
}

struct Served {
    server: Server,
    place: Place,
}

impl Served {
    async fn start(app: App<Said>, transport: Transport) -> Self {
        let app = bocadillo::Server::new(app).end_timeout(END);
        let (server, place) = match transport {
            Transport::Tcp => {
                let server = Server::start(app).await;
                let address = server.address;
                (server, Place::Tcp(address))
            }
            Transport::Unix => {
                let path = scratch("unread").join("s");
                let listener = UnixListener::bind(&path).expect("the path is valid");
                (Server::on(app, listener), Place::Unix(path))
            }
            Transport::Own => {
                let listener = TcpListener::bind("127.0.0.1:0")
                    .await
                    .expect("a port is free");
                let address = listener.local_addr().expect("the listener is bound");
                (Server::on(app, Own(listener)), Place::Tcp(address))
            }
        };
        Self { server, place }
    }

    /// Opens a connection with small buffers.
    async fn connect(&self) -> Box<dyn Connection> {
        match &self.place {
            Place::Tcp(address) => {
                let socket = TcpSocket::new_v4().expect("a socket");
                socket
                    .set_recv_buffer_size(4096)
                    .expect("the socket is not connected yet");
                Box::new(socket.connect(*address).await.expect("the server listens"))
            }
            Place::Unix(path) => {
                Box::new(UnixStream::connect(path).await.expect("the server listens"))
            }
        }
    }
}

/// The way in which a client does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    Http1,
    /// The window of each HTTP/2 stream is zero.
    Window,
    /// Another stream has used up the window of the HTTP/2 connection.
    ConnectionWindow,
    /// The client reads nothing from the HTTP/2 connection.
    Socket,
    /// Only the window of one HTTP/2 stream is used up.
    Own,
}

const WAYS: [Unread; 4] = [
    Unread::Http1,
    Unread::Window,
    Unread::ConnectionWindow,
    Unread::Socket,
];

enum Request {
    Http1(Box<dyn Connection>),
    Http2 {
        body: Incoming,
        is_paused: Arc<AtomicBool>,
        connection: Arc<AtomicWaker>,
        sender: http2::SendRequest<Empty<Bytes>>,
        // Other requests of the client, whose responses it does not read.
        others: Vec<Incoming>,
    },
}

impl Request {
    async fn send(served: &Served, unread: Unread, path: &str) -> Self {
        let mut connection = served.connect().await;
        if unread == Unread::Http1 {
            let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            connection
                .write_all(head.as_bytes())
                .await
                .expect("it is open");
            return Self::Http1(connection);
        }
        let (is_paused, reader) = (Arc::<AtomicBool>::default(), Arc::<AtomicWaker>::default());
        let io = TokioIo::new(Pausable {
            connection,
            is_paused: Arc::clone(&is_paused),
            reader: Arc::clone(&reader),
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        match unread {
            Unread::Window => builder.initial_stream_window_size(0),
            Unread::Own => builder.initial_stream_window_size(65_535),
            Unread::ConnectionWindow => builder
                .initial_stream_window_size(65_535)
                .initial_connection_window_size(65_535),
            _ => builder
                .initial_stream_window_size(8 << 20)
                .initial_connection_window_size(16 << 20),
        };
        let (mut sender, driver) = builder.handshake(io).await.expect("nothing is sent yet");
        tokio::spawn(driver);
        let mut others = Vec::new();
        if unread == Unread::ConnectionWindow {
            others.push(ask(&mut sender, "/chunks").await);
        }
        let body = ask(&mut sender, path).await;
        is_paused.store(unread == Unread::Socket, Ordering::Relaxed);
        Self::Http2 {
            body,
            is_paused,
            connection: reader,
            sender,
            others,
        }
    }

    /// Waits for longer than the server does, and reads again. Fails if the stream was not cut.
    async fn ends_by_a_cut(self, what: &str) {
        // On a busy machine the server may be late.
        tokio::time::sleep(END * 20).await;
        let read = async {
            match self {
                Self::Http1(mut connection) => {
                    let mut bytes = vec![0; 1 << 16];
                    loop {
                        match connection.read(&mut bytes).await {
                            Ok(0) | Err(_) => break,
                            Ok(length) => assert!(!bytes[..length].ends_with(b"\r\n0\r\n\r\n")),
                        }
                    }
                }
                Self::Http2 {
                    mut body,
                    is_paused,
                    connection,
                    others,
                    sender,
                } => {
                    is_paused.store(false, Ordering::Relaxed);
                    connection.wake();
                    loop {
                        match body.frame().await {
                            Some(Ok(_)) => {}
                            Some(Err(_)) => break,
                            None => panic!("{what}: it has ended in order"),
                        }
                    }
                    drop((others, sender));
                }
            }
        };
        let read = timeout(SOON, read).await;
        read.unwrap_or_else(|_| panic!("{what}: it goes on"));
    }
}

async fn ask(sender: &mut http2::SendRequest<Empty<Bytes>>, path: &str) -> Incoming {
    let request = http::Request::get(format!("http://here{path}"))
        .body(Empty::new())
        .expect("a request");
    wait::within("a response", sender.send_request(request))
        .await
        .expect("the server answers")
        .into_body()
}

async fn dropped(reports: &mut Reports, what: &str) {
    let report = timeout(SOON, async { while reports.next().await != "dropped" {} });
    report
        .await
        .unwrap_or_else(|_| panic!("{what}: the generator was not told"));
}

/// Runs `check` for each way not to read and each transport, all at the same time.
async fn everywhere<F: Future<Output = ()>>(check: impl Fn(Transport, Unread) -> F) {
    let checks = TRANSPORTS
        .into_iter()
        .flat_map(|transport| WAYS.map(|unread| check(transport, unread)));
    join_all(checks).await;
}

#[tokio::test]
async fn a_lifetime_ends_a_stream_that_is_not_read() {
    for path in ["/flood", "/raising"] {
        everywhere(async |transport, unread| {
            let what = format!("{transport:?} {unread:?} {path}");
            let (app, mut reports) = app();
            let served = Served::start(
                app.stream_options(StreamOptions::new().max_lifetime(LIFETIME)),
                transport,
            )
            .await;
            let request = Request::send(&served, unread, path).await;
            dropped(&mut reports, &what).await;
            request.ends_by_a_cut(&what).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_client_that_does_not_read() {
    for path in ["/flood", "/raising", "/chunks"] {
        everywhere(async |transport, unread| {
            let what = format!("{transport:?} {unread:?} {path}");
            let (app, mut reports) = app();
            let served = Served::start(app, transport).await;
            let request = Request::send(&served, unread, path).await;
            while reports.next().await != "begun" {}
            stalled().await;
            let start = Instant::now();
            timeout(SOON, served.server.stop())
                .await
                .unwrap_or_else(|_| panic!("{what}: the server waits"));
            println!("{what}: the server ended after {:?}", start.elapsed());
            dropped(&mut reports, &what).await;
            drop(request);
        })
        .await;
    }
}

/// The client disconnects while the server has not read all of its bytes.
#[tokio::test]
async fn a_disconnect_after_unread_bytes_is_noticed() {
    let heads = [
        // A body that the handler does not read.
        ("POST", "content-length: 100000\r\n\r\n", "0123456789"),
        ("POST", "content-length: 10\r\n\r\n", "0123456789"),
        (
            "POST",
            "transfer-encoding: chunked\r\n\r\n",
            "5\r\nhello\r\n",
        ),
        ("POST", "transfer-encoding: chunked\r\n\r\n", "5\r\nhel"),
        (
            "POST",
            "expect: 100-continue\r\ncontent-length: 10\r\n\r\n",
            "",
        ),
        (
            "POST",
            "expect: 100-continue\r\ncontent-length: 10\r\n\r\n",
            "0123",
        ),
        // The next request or a part of it.
        ("GET", "\r\n", "G"),
        ("GET", "\r\n", "GET /one HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("GET", "\r\n", ""),
    ];
    for transport in [Transport::Tcp, Transport::Unix] {
        for (method, head, rest) in heads {
            for half in [true, false] {
                let what = format!("{transport:?} {method} {head:?} {rest:?} {half}");
                let (app, mut reports) = app();
                let served = Served::start(app, transport).await;
                let mut rounds = Vec::new();
                for _ in 0..3 {
                    let mut connection = served.connect().await;
                    let head = format!("{method} /one HTTP/1.1\r\nhost: x\r\n{head}");
                    connection.write_all(head.as_bytes()).await.expect("open");
                    let mut bytes = [0; 4096];
                    let mut text = String::new();
                    while !text.contains("data: one") {
                        let length = connection.read(&mut bytes).await.expect("open");
                        assert!(length > 0, "{what}");
                        text += std::str::from_utf8(&bytes[..length]).expect("text");
                    }
                    connection.write_all(rest.as_bytes()).await.expect("open");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let left = Instant::now();
                    if half {
                        connection.shutdown().await.expect("open");
                        dropped(&mut reports, &what).await;
                    } else {
                        drop(connection);
                        dropped(&mut reports, &what).await;
                    }
                    rounds.push(left.elapsed());
                }
                rounds.sort_unstable();
                assert!(rounds[1] < Duration::from_millis(100), "{what}: {rounds:?}");
            }
        }
    }
}

/// While the handler reads the request, a half-close is not a disconnect.
#[tokio::test]
async fn a_half_close_after_a_request_body_does_not_cut_the_handler_that_reads_it() {
    for transport in [Transport::Tcp, Transport::Unix] {
        let (app, mut reports) = app();
        let served = Served::start(app, transport).await;
        let mut connection = served.connect().await;
        let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n";
        connection.write_all(head.as_bytes()).await.expect("open");
        let sent = wait::within("room", connection.write_all(&[b'x'; 200_000])).await;
        sent.expect("open");
        connection.shutdown().await.expect("open");
        assert_eq!(reports.next().await, "read", "{transport:?}");
    }
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_ended_by_its_policy() {
    for (name, policy) in [
        ("disconnect", SlowPolicy::disconnect()),
        ("block", SlowPolicy::block(Duration::from_millis(50))),
    ] {
        everywhere(async |transport, unread| {
            let what = format!("{name} {transport:?} {unread:?}");
            let (app, _reports) = app();
            let hub = Hub::builder()
                .history(History::none())
                .slow_clients(policy.clone().max_buffered_bytes(64 * 1024))
                .memory();
            let topic = hub.topic("x").expect("a name");
            let app = app.fallback_service(
                App::with_state(topic.clone())
                    .routes(routes![topic_route])
                    .into_service()
                    .expect("one route"),
            );
            let served = Served::start(app, transport).await;
            let request = Request::send(&served, unread, "/topic").await;
            let publishing = async {
                // Waits until the topic has no subscriber. The client has read nothing.
                let mut published = 0;
                while published == 0 || hub.stats().subscribers > 0 {
                    topic.publish("x".repeat(4000)).await.expect("in memory");
                    published += 1;
                    tokio::task::yield_now().await;
                }
            };
            let published = timeout(SOON, publishing).await;
            published.unwrap_or_else(|_| panic!("{what}: it stays"));
            request.ends_by_a_cut(&what).await;
        })
        .await;
    }
}

/// In this time a fast stream fills the buffers between it and its client.
async fn stalled() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn a_client_that_reads_no_events_is_cut_after_the_write_timeout() {
    for path in ["/flood", "/raising"] {
        everywhere(async |transport, unread| {
            let what = format!("{transport:?} {unread:?} {path}");
            let (app, mut reports) = app();
            let app =
                app.stream_options(StreamOptions::new().write_timeout(Duration::from_millis(600)));
            let served = Served::start(app, transport).await;
            let request = Request::send(&served, unread, path).await;
            dropped(&mut reports, &what).await;
            request.ends_by_a_cut(&what).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_of_a_slow_source_is_not_cut() {
    everywhere(async |transport, unread| {
        let what = format!("{transport:?} {unread:?}");
        let (app, mut reports) = app();
        let served = Served::start(
            app.stream_options(StreamOptions::new().write_timeout(Duration::from_millis(600))),
            transport,
        )
        .await;
        // The client has read everything. So the source is slow, and not the client.
        let _request = Request::send(&served, Unread::Http1, "/one").await;
        while reports.next().await != "begun" {}
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(reports.so_far(), [""; 0], "{what}");
    })
    .await;
}

#[tokio::test]
async fn other_streams_of_a_connection_continue() {
    for (lifetime, write_timeout) in [(LIFETIME, SOON), (SOON * 10, Duration::from_millis(600))] {
        let (app, mut reports) = app();
        let app = app.stream_options(
            StreamOptions::new()
                .max_lifetime(lifetime)
                .write_timeout(write_timeout),
        );
        let served = Served::start(app, Transport::Tcp).await;
        let Request::Http2 {
            body, mut sender, ..
        } = Request::send(&served, Unread::Own, "/flood").await
        else {
            unreachable!("it is HTTP/2");
        };
        let mut numbers = ask(&mut sender, "/numbers").await;
        dropped(&mut reports, "the flood").await;
        let mut text = String::new();
        while !text.contains("data: 300\n") {
            let frame = wait::within("a number", numbers.frame()).await;
            let data = frame
                .expect("the stream continues")
                .expect("it is not reset");
            text += std::str::from_utf8(&data.into_data().expect("data")).expect("text");
        }
        drop(body);
    }
}

#[tokio::test]
async fn a_byte_stream_waits_for_its_client_unless_a_timeout_is_set() {
    everywhere(async |transport, unread| {
        let what = format!("{transport:?} {unread:?}");
        let (app, mut reports) = app();
        let app =
            app.stream_options(StreamOptions::new().write_timeout(Duration::from_millis(300)));
        let served = Served::start(app, transport).await;
        let _request = Request::send(&served, unread, "/chunks").await;
        while reports.next().await != "begun" {}
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!reports.so_far().contains(&"dropped".to_owned()), "{what}");
    })
    .await;
    everywhere(async |transport, unread| {
        let what = format!("{transport:?} {unread:?}");
        let (app, mut reports) = app();
        let app =
            app.stream_options(StreamOptions::new().byte_write_timeout(Duration::from_millis(300)));
        let served = Served::start(app, transport).await;
        let request = Request::send(&served, unread, "/chunks").await;
        dropped(&mut reports, &what).await;
        request.ends_by_a_cut(&what).await;
    })
    .await;
}
