//! Where an app listens, and who asks.

use std::process::{Command, Stdio};

use bocadillo::{App, Peer, event_stream, generators, route, routes};
use tokio::net::{UnixListener, UnixStream};

use crate::support::http::{BOTH, Connection, Protocol, Raw};
use crate::support::{Lines, Server, wait};

generators!(
    #[route("/feed")]
    #[event_stream]
    async fn feed() {
        yield "fine";
    }
);

#[route("/peer")]
async fn peer(Peer(address): Peer) -> String {
    address.map_or_else(|| "nobody".to_owned(), |address| address.to_string())
}

fn app() -> App {
    App::new().routes(routes![feed, peer])
}

#[tokio::test]
async fn a_unix_socket_serves_both_protocols() {
    let folder = tempfile();
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).expect("the folder is new");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(app().serve_until(listener, async {
        let _ = stopped.await;
    }));
    for protocol in BOTH {
        let connection = UnixStream::connect(&path).await.expect("it listens");
        let mut connection = Connection::over(protocol, connection, "localhost").await;
        let reply = connection.get("/feed").await;
        assert_eq!(reply.text().await, "data: fine\n\n");
        assert_eq!(connection.get("/peer").await.text().await, "nobody");
    }
    let connection = UnixStream::connect(&path).await.expect("it listens");
    let mut raw = Raw::over(connection);
    raw.send("GET /feed HTTP/1.0\r\n\r\n").await;
    assert!(raw.rest().await.ends_with("\r\n\r\ndata: fine\n\n"));
    drop(stop);
    wait::within("the server's end", served)
        .await
        .expect("it does not panic")
        .expect("it ends in order");
    std::fs::remove_dir_all(folder).expect("it is the test's own");
}

/// A new folder for this test, with a path that is short enough for a socket's name.
fn tempfile() -> std::path::PathBuf {
    let name = format!("bocadillo-{}-{:x}", std::process::id(), fastrand::u32(..));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).expect("the name is new");
    folder
}

#[tokio::test]
async fn a_handler_knows_the_peers_address() {
    let server = Server::start(app()).await;
    for protocol in BOTH {
        let stream = tokio::net::TcpStream::connect(server.address)
            .await
            .expect("it listens");
        let own = stream.local_addr().expect("it is bound");
        let mut connection = Connection::over(protocol, stream, "localhost").await;
        assert_eq!(connection.get("/peer").await.text().await, own.to_string());
    }
}

#[tokio::test]
async fn http_1_serves_one_request_after_the_other_and_pipelined_ones_in_order() {
    let server = Server::start(app()).await;
    let mut connection = Connection::open(Protocol::Http1, server.address).await;
    for _ in 0..3 {
        assert_eq!(connection.get("/feed").await.text().await, "data: fine\n\n");
    }
    let two = "GET /feed HTTP/1.1\r\nhost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = Raw::exchange(server.address, two).await;
    let (first, second) = (answer.find("data: fine"), answer.find("404 Not Found"));
    assert!(first.is_some() && first < second, "{answer}");
}

#[tokio::test]
async fn http_2_serves_many_streams_at_once() {
    let server = Server::start(app()).await;
    let mut connection = Connection::open(Protocol::Http2, server.address).await;
    let mut replies = Vec::new();
    for _ in 0..100 {
        replies.push(connection.get("/feed").await);
    }
    for reply in replies {
        assert_eq!(reply.text().await, "data: fine\n\n");
    }
}

/// Not a test of its own: what the tests below run in a process of their own, where the environment is theirs alone.
#[test]
fn run_as_a_child() {
    if std::env::var_os(CHILD).is_some() {
        let ended = app().run();
        assert!(
            ended.is_ok(),
            "refused: {}",
            ended.expect_err("seen above").chain()
        );
    }
}

const CHILD: &str = "BOCADILLO_TEST_CHILD";

/// The line with `expected` in it of a process that runs the app with these variables.
async fn run_with(variables: &[(&str, &str)], expected: &str) -> String {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut child = Command::new(program)
        .args(["--exact", "http::places::run_as_a_child", "--nocapture"])
        .env(CHILD, "1")
        .env_remove("HOST")
        .env_remove("PORT")
        .env_remove("RUST_LOG")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is there");
    let lines = Lines::read(child.stderr.take().expect("it is piped"));
    let line = lines.line(expected).await;
    // It may have ended by itself, which is as good.
    let _ = child.kill();
    let _ = child.wait();
    line
}

#[tokio::test]
async fn host_and_port_choose_where_run_listens() {
    let line = run_with(&[("HOST", "127.0.0.2"), ("PORT", "0")], "listening on").await;
    assert!(line.contains("http://127.0.0.2:"), "{line}");
    assert!(!line.contains('\u{1b}'), "a pipe gets no colours: {line}");
    // A port alone means all interfaces.
    let line = run_with(&[("PORT", "0")], "listening on").await;
    assert!(line.contains("http://0.0.0.0:"), "{line}");
    let line = run_with(&[("HOST", "::1"), ("PORT", "0")], "listening on").await;
    assert!(line.contains("http://[::1]:"), "{line}");
}

#[tokio::test]
async fn a_host_or_port_that_cannot_be_is_named() {
    let port = [("HOST", "127.0.0.1"), ("PORT", "http")];
    let line = run_with(&port, "refused: ").await;
    assert!(
        line.contains("PORT is `http`; set it to a number from 0 to 65535"),
        "{line}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let line = run_with(&[("HOST", "127.0.0.1"), ("PORT", &port)], "refused: ").await;
    assert!(
        line.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{line}"
    );
}
