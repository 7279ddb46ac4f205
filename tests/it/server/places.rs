//! The addresses and sockets that an app listens on, and the address of the client.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};

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
    let served = tokio::spawn(
        bocadillo::Server::new(app())
            .listener(listener)
            .serve_until(async {
                let _ = stopped.await;
            }),
    );
    for protocol in BOTH {
        let connection = UnixStream::connect(&path)
            .await
            .expect("the server listens");
        let mut connection = Connection::over(protocol, connection, "localhost").await;
        let reply = connection.get("/feed").await;
        assert_eq!(reply.text().await, "data: fine\n\n");
        assert_eq!(connection.get("/peer").await.text().await, "nobody");
    }
    let connection = UnixStream::connect(&path)
        .await
        .expect("the server listens");
    let mut raw = Raw::over(connection);
    raw.send("GET /feed HTTP/1.0\r\n\r\n").await;
    assert!(raw.rest().await.ends_with("\r\n\r\ndata: fine\n\n"));
    drop(stop);
    wait::within("the server's end", served)
        .await
        .expect("the task does not panic")
        .expect("it ends in order");
    std::fs::remove_dir_all(folder).expect("it is the test's own");
}

/// Makes a new folder for a test. Its path is short enough for the name of a socket.
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
            .expect("the server listens");
        let own = stream.local_addr().expect("the listener is bound");
        let mut connection = Connection::over(protocol, stream, "localhost").await;
        assert_eq!(connection.get("/peer").await.text().await, own.to_string());
    }
}

#[tokio::test]
async fn http_1_answers_requests_in_order_also_if_they_are_pipelined() {
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

/// Set in the process that the test starts of itself, because its environment differs.
const CHILD: &str = "BOCADILLO_TEST_CHILD";

struct Running(Child, Lines);

impl Running {
    /// Runs the app of [`host_and_port_choose_where_run_listens`] with these environment variables.
    fn with<V: AsRef<OsStr>>(variables: &[(&str, V)]) -> Self {
        let program = std::env::current_exe().expect("a running program has a path");
        let test = "server::places::host_and_port_choose_where_run_listens";
        let mut child = Command::new(program)
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "1")
            .env_remove("HOST")
            .env_remove("PORT")
            .env_remove("RUST_LOG")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program exists");
        let lines = Lines::read(child.stderr.take().expect("the output is piped"));
        Self(child, lines)
    }

    #[track_caller]
    fn check(self, before: &str, expected: &str) {
        let line = self.1.wait_for(before);
        assert!(line.contains(expected), "{line}");
        assert!(!line.contains('\u{1b}'), "a pipe gets no colours: {line}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // This fails if the process has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn host_and_port_choose_where_run_listens() {
    if std::env::var_os(CHILD).is_some() {
        if let Err(error) = app().run() {
            eprintln!("refused: {}", error.chain());
        }
        return;
    }
    let listens = "listening on";
    Running::with(&[("HOST", "127.0.0.2"), ("PORT", "0")]).check(listens, "http://127.0.0.2:");
    // With only a port, the server listens on all interfaces.
    Running::with(&[("PORT", "0")]).check(listens, "http://0.0.0.0:");
    Running::with(&[("HOST", "::1"), ("PORT", "0")]).check(listens, "http://[::1]:");
}

#[test]
fn an_error_names_an_invalid_host_or_port() {
    let refused = "refused: ";
    let hint = "set it to a number from 0 to 65535";
    Running::with(&[("HOST", "127.0.0.1"), ("PORT", "http")])
        .check(refused, &format!("PORT is `http`; {hint}"));
    // A value that is not UTF-8 is an error too.
    Running::with(&[("PORT", OsStr::from_bytes(b"80\xff"))])
        .check(refused, &format!("PORT is `80\u{fffd}`; {hint}"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken
        .local_addr()
        .expect("the listener is bound")
        .port()
        .to_string();
    Running::with(&[("HOST", "127.0.0.1"), ("PORT", &port)])
        .check(refused, &format!("cannot listen on 127.0.0.1:{port}"));
}
