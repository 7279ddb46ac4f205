//! The limits of connections and of the server, in numbers and bytes. Tests of time-outs use paused time.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bocadillo::{
    App, Listener, Response, State, StatusCode, event_stream, generators, route, routes, stream,
};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

use crate::support::http::{BOTH, Connection, PREFACE, Protocol, Raw, empty};
use crate::support::memory::Memory;
use crate::support::{Lines, Server, wait};

type Count = Arc<AtomicUsize>;

generators!(
    /// An endless body that counts the bytes that were read from it.
    #[route("/bytes")]
    #[stream]
    async fn endless(State(count): State<Count>) {
        loop {
            let chunk = Bytes::from(vec![b'x'; 4096]);
            count.fetch_add(chunk.len(), Ordering::Relaxed);
            yield chunk;
        }
    }

    /// Sends one event of a megabyte, then nothing.
    #[route("/large")]
    #[event_stream(keep_alive = off)]
    async fn large() {
        yield "x".repeat(1_000_000);
        std::future::pending::<()>().await;
    }

    /// Sends one small event, then nothing. Its lifetime ends it.
    #[route("/ended")]
    #[event_stream(keep_alive = off, max_lifetime = Duration::from_secs(5))]
    async fn ended() {
        yield "x".repeat(2000);
        std::future::pending::<()>().await;
    }
);

#[route("/waits")]
async fn waits() -> &'static str {
    std::future::pending().await
}

fn app(count: &Count) -> bocadillo::Server {
    let app = App::with_state(Arc::clone(count)).routes(routes![endless, large, ended, waits]);
    bocadillo::Server::new(app)
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM_AND_HEADERS: u8 = 5;

const CANCEL: u32 = 8;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// GET of a path of six letters, as HPACK (RFC 7541) has it without its table.
fn get(stream: u32, path: &[u8; 6]) -> Vec<u8> {
    let head = [b"\x82\x86\x04\x06", &path[..], b"\x41\x01x"].concat();
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &head)
}

/// Reads the next frame of the server. Returns its type, its stream and its payload.
async fn next_frame<C: AsyncRead + AsyncWrite + Unpin>(raw: &mut Raw<C>) -> (u8, u32, Vec<u8>) {
    let mut header = [0; 9];
    let read = raw.connection.read_exact(&mut header);
    wait::within("a frame", read).await.expect("a frame");
    let [high, middle, low, kind, _, stream @ ..] = header;
    let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
    let read = raw.connection.read_exact(&mut payload);
    wait::within("a payload", read).await.expect("a payload");
    (kind, u32::from_be_bytes(stream), payload)
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

#[tokio::test]
async fn a_connection_of_http2_has_at_most_250_streams() {
    let server = Server::start(app(&Count::default())).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send([PREFACE, &frame(SETTINGS, 0, 0, b"")].concat())
        .await;
    let (kind, _, settings) = next_frame(&mut raw).await;
    assert_eq!(kind, SETTINGS);
    let said = |setting: u16| {
        settings
            .chunks(6)
            .find(|chunk| chunk[..2] == setting.to_be_bytes())
            .map(|chunk| number(&chunk[2..]))
    };
    // RFC 9113, section 6.5.2: the number of streams, and the bytes of a head.
    assert_eq!((said(3), said(6)), (Some(250), Some(16 * 1024)));
    raw.send(frame(SETTINGS, 1, 0, b"")).await;
    let ids = (0..252).map(|n| 2 * n + 1);
    raw.send(ids.flat_map(|id| get(id, b"/waits")).collect::<Vec<_>>())
        .await;
    for id in [501, 503] {
        let reset = loop {
            match next_frame(&mut raw).await {
                (RST_STREAM, stream, payload) => break (stream, number(&payload)),
                (HEADERS | GO_AWAY, ..) => panic!("no stream is answered"),
                _ => {}
            }
        };
        assert_eq!(reset, (id, REFUSED_STREAM));
    }
}

#[tokio::test]
async fn a_client_that_resets_its_streams_at_once_is_disconnected() {
    let server = Server::start(app(&Count::default())).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send([PREFACE, &frame(SETTINGS, 0, 0, b"")].concat())
        .await;
    let cancel = |id| frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes());
    let ids = (0..1000).map(|n| 2 * n + 1);
    let resets = ids.flat_map(|id| [get(id, b"/waits"), cancel(id)].concat());
    raw.send(resets.collect::<Vec<_>>()).await;
    let reason = loop {
        if let (GO_AWAY, _, payload) = next_frame(&mut raw).await {
            break number(&payload[4..8]);
        }
    };
    assert_eq!(reason, ENHANCE_YOUR_CALM);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_buffered_for_a_client_that_does_not_read_are_bounded() {
    let (most, count) = ((1 << 31) - 1_u32, Count::default());
    let memory = Memory::serve(app(&count));
    // This client has the largest windows, and reads nothing.
    let mut pipe = memory.connect(1024);
    let window = [&[0, 4][..], &most.to_be_bytes()].concat();
    let opening = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &window),
        &frame(WINDOW_UPDATE, 0, 0, &(most - 65_535).to_be_bytes()),
        &get(1, b"/bytes"),
    ];
    pipe.write_all(&opening.concat())
        .await
        .expect("the server reads");
    // Paused time advances when no task can run.
    sleep(Duration::from_secs(1)).await;
    let taken = count.load(Ordering::Relaxed);
    // 64 KiB in the queue, and the buffers of hyper and the stream.
    let bound = 64 * 1024 + 3 * 16 * 1024;
    assert!((32 * 1024..=bound).contains(&taken), "HTTP/2: {taken}");

    count.store(0, Ordering::Relaxed);
    let mut pipe = memory.connect(1024);
    let request = b"GET /bytes HTTP/1.1\r\nhost: x\r\n\r\n";
    pipe.write_all(request).await.expect("the server reads");
    sleep(Duration::from_secs(1)).await;
    let taken = count.load(Ordering::Relaxed);
    let bound = 4 * 16 * 1024;
    assert!((8 * 1024..=bound).contains(&taken), "HTTP/1: {taken}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_large_event_slowly_is_not_cut() {
    let memory = Memory::serve(app(&Count::default()));
    let (mut sender, driver) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(16 * 1024)
        .handshake(TokioIo::new(memory.connect(1 << 16)))
        .await
        .expect("nothing is sent yet");
    tokio::spawn(driver);
    let request = http::Request::get("http://here/large").body(empty());
    let response = sender.send_request(request.expect("a request")).await;
    let mut body = response.expect("the server answers").into_body();
    let (mut read, start) = (0, Instant::now());
    while read < 1_000_000 {
        let frame = body.frame().await.expect("the stream continues");
        read += frame
            .expect("it is not cut")
            .into_data()
            .expect("data")
            .len();
        // The write time-out is 30 seconds.
        sleep(Duration::from_secs(10)).await;
    }
    assert!(start.elapsed() > Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn an_http2_stream_is_reset_if_its_client_has_no_window_for_the_rest() {
    // The windows of the stream in bytes: zero, a part of the event, and the whole event without one byte.
    for window in [0_u32, 1, 1000, 2007] {
        let memory = Memory::serve(app(&Count::default()));
        let mut raw = Raw::over(memory.connect(1 << 16));
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        let opening = [
            PREFACE,
            &frame(SETTINGS, 0, 0, &settings),
            &get(1, b"/ended"),
        ];
        raw.send(opening.concat()).await;
        let mut data = 0;
        loop {
            match next_frame(&mut raw).await {
                (DATA, 1, payload) => data += payload.len(),
                (RST_STREAM, 1, payload) => {
                    assert_eq!(number(&payload), CANCEL, "{window}");
                    break;
                }
                (GO_AWAY, ..) => panic!("{window}: the connection ends"),
                _ => {}
            }
        }
        assert_eq!(data, window as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_stream_that_its_lifetime_ends_has_an_empty_comment_at_its_end() {
    let memory = Memory::serve(app(&Count::default()));
    let event = format!("data: {}\n\n", "x".repeat(2000));
    for protocol in BOTH {
        let pipe = memory.connect(1 << 16);
        let mut connection = Connection::over(protocol, pipe, "x").await;
        let text = connection.get("/ended").await.text().await;
        let comment = if protocol == Protocol::Http2 {
            ":\n"
        } else {
            ""
        };
        assert_eq!(text, format!("{event}{comment}"), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_shutdown_adds_no_bytes_to_a_stream() {
    for protocol in BOTH {
        let server = Server::start(app(&Count::default())).await;
        let mut connection = Connection::open(protocol, server.address).await;
        let mut reply = connection.get("/large").await;
        let event = reply.until("\n\n").await;
        assert_eq!(event.len(), 1_000_008);
        server.stop().await;
        assert_eq!(reply.text().await, "", "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http2_that_answers_no_ping_is_cut_after_30_seconds() {
    let memory = Memory::serve(app(&Count::default()));
    let mut pipe = memory.connect(1 << 16);
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, b""), &get(1, b"/waits")];
    pipe.write_all(&opening.concat())
        .await
        .expect("the server reads");
    let start = Instant::now();
    let mut bytes = Vec::new();
    let closed = timeout(Duration::from_secs(3600), pipe.read_to_end(&mut bytes)).await;
    let _ = closed.expect("the server closes");
    assert_eq!(start.elapsed().as_secs_f64().round() as u64, 30);
}

#[tokio::test(start_paused = true)]
async fn the_default_drain_timeout_is_20_seconds() {
    for (app, expected) in [
        (app(&Count::default()), 20),
        (
            app(&Count::default()).shutdown_timeout(Duration::from_secs(7)),
            7,
        ),
    ] {
        let (client, server) = tokio::io::duplex(1000);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = tokio::spawn(app.listener(Failing::then(server, 0, None)).serve_until(
            async {
                let _ = stopped.await;
            },
        ));
        let mut client = client;
        let request = b"GET /waits HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(request).await.expect("the server reads");
        sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        drop(stop);
        served.await.expect("no panic").expect("it ends in order");
        assert_eq!(start.elapsed(), Duration::from_secs(expected));
        assert_eq!(client.read(&mut [0; 1]).await.ok(), Some(0), "it is cut");
    }
}

/// A listener that fails several times before it returns its only connection.
struct Failing {
    connection: Option<DuplexStream>,
    failures: usize,
    kind: Option<io::ErrorKind>,
    asked: Count,
}

impl Failing {
    fn then(connection: DuplexStream, failures: usize, kind: Option<io::ErrorKind>) -> Self {
        Self {
            connection: Some(connection),
            failures,
            kind,
            asked: Count::default(),
        }
    }
}

impl Listener for Failing {
    type Connection = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Option<SocketAddr>)> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(left) = self.failures.checked_sub(1) {
            self.failures = left;
            // The error is "too many open files".
            return Err(self
                .kind
                .map_or_else(|| io::Error::from_raw_os_error(24), io::Error::from));
        }
        match self.connection.take() {
            Some(connection) => Ok((connection, None)),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<String> {
        Ok("memory".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn accept_is_called_again_one_second_after_an_error_of_the_listener() {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    let cases = [
        (None, 10),
        (Some(ConnectionAborted), 0),
        (Some(ConnectionRefused), 0),
        (Some(ConnectionReset), 0),
    ];
    for (kind, seconds) in cases {
        let (mut client, server) = tokio::io::duplex(1000);
        let listener = Failing::then(server, 10, kind);
        let asked = Arc::clone(&listener.asked);
        let start = Instant::now();
        let app = app(&Count::default());
        let served = tokio::spawn(app.listener(listener).serve());
        let request = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(request).await.expect("the server reads");
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(start.elapsed().as_secs(), seconds, "{kind:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 12, "{kind:?}");
        served.abort();
    }
}

#[tokio::test]
async fn no_body_is_sent_with_a_status_that_has_none() {
    #[route("/{status}/{own_length}", methods = [GET, POST])]
    async fn status(status: u16, own_length: bool) -> Response {
        let status = StatusCode::from_u16(status).expect("the test asks for one");
        let mut response = Response::new("a body".into());
        *response.status_mut() = status;
        if own_length {
            let length = http::HeaderValue::from_static("6");
            response.headers_mut().insert("content-length", length);
        }
        response
    }
    let server = Server::start(App::new().routes(routes![status])).await;
    for (path, length) in [
        ("/204/false", None),
        ("/204/true", None),
        // RFC 9110, section 15.3.6.
        ("/205/false", Some("0")),
        ("/205/true", Some("0")),
        ("/304/false", None),
    ] {
        let mut raw = Raw::connect(server.address).await;
        // A byte of a body would come before the next response.
        for method in ["GET", "POST", "HEAD", "GET"] {
            raw.send(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
                .await;
            let head = raw.until("\r\n\r\n").await.to_lowercase();
            assert!(
                head.starts_with(&format!("http/1.1 {}", &path[1..4])),
                "{head}"
            );
            assert!(!head.contains("transfer-encoding"), "{head}");
            let said = head.split("content-length: ").nth(1);
            let said = said.and_then(|rest| rest.split("\r\n").next());
            assert!(
                said == length || (method == "HEAD" && said.is_none()),
                "{head}"
            );
        }
        for protocol in BOTH {
            let mut connection = Connection::open(protocol, server.address).await;
            for method in [Method::GET, Method::POST, Method::HEAD] {
                let reply = connection.send(method, path, &[], empty()).await;
                let length = reply.header("content-length");
                assert!(matches!(length, None | Some("0")), "{protocol:?} {path}");
                assert_eq!(reply.text().await, "", "{protocol:?} {path}");
            }
        }
        // Without a socket no HTTP library removes the body.
        let service = App::new().routes(routes![status]).into_service();
        let request = http::Request::get(path).body(axum::body::Body::empty());
        let response = service
            .expect("there is one route")
            .oneshot(request.expect("it is a request"));
        let Ok(response) = response.await;
        assert_eq!(response.headers().get("content-length"), None, "{path}");
        let body = response.into_body().collect().await.expect("a body");
        assert_eq!(body.to_bytes(), "", "{path}");
    }
}

/// Set in the process that the test starts of itself.
const CHILD: &str = "BOCADILLO_TEST_CHILD";

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // This fails if the process has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_blocked_task_does_not_delay_the_end_of_the_process() {
    if std::env::var_os(CHILD).is_some() {
        let server = bocadillo::Server::new(App::new()).background(async {
            let blocking = || std::thread::sleep(Duration::from_secs(3600));
            tokio::task::spawn_blocking(blocking).await
        });
        server.bind("127.0.0.1:0").run().expect("it is served");
        return;
    }
    let test = "server::limits::a_blocked_task_does_not_delay_the_end_of_the_process";
    let child = Command::new(std::env::current_exe().expect("a running program has a path"))
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = Running(child.expect("the program exists"));
    let lines = Lines::read(child.0.stderr.take().expect("the output is piped"));
    lines.wait_for("listening on");
    let pid = child.0.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.expect("`kill` is installed").success());
    let status = wait::until("the end of the process", || {
        child
            .0
            .try_wait()
            .expect("the process is a child of the test")
    });
    assert_eq!(status.code(), Some(0));
}
