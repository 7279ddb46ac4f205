use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http::Method;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::{check, get};
use crate::support::http::{BOTH, Connection, Protocol, Raw, Reply, empty, full};
use crate::support::wait::within;
use crate::support::{Example, Redis};

/// Sends SIGTERM, and returns the time at which it was sent.
fn terminate(example: &Example) -> Instant {
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &example.pid().to_string()])
        .status()
        .expect("`kill` is installed");
    assert!(sent.success());
    Instant::now()
}

async fn say(address: SocketAddr, text: &str) {
    let mut connection = Connection::open(Protocol::Http1, address).await;
    let body = full(text.to_owned());
    let reply = connection
        .send(Method::POST, "/rooms/blue", &[], body)
        .await;
    assert_eq!(reply.status, 200);
}

/// The messages that a client has received, and the id of the last event.
#[derive(Default)]
struct Heard {
    texts: Vec<String>,
    last: String,
}

impl Heard {
    fn take(&mut self, block: &str) {
        let fields: HashMap<_, _> = block
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        assert_eq!(fields.get("event"), None, "nothing was lost: {block:?}");
        if let Some(data) = fields.get("data") {
            self.texts.push((*data).to_owned());
            fields["id"].clone_into(&mut self.last);
        }
    }
}

struct Listener {
    protocol: Protocol,
    reply: Reply,
    heard: Heard,
}

impl Listener {
    /// Connects as a client that has received these messages.
    async fn connect(protocol: Protocol, address: SocketAddr, heard: Heard) -> Self {
        let mut connection = Connection::open(protocol, address).await;
        let headers = [("last-event-id", &heard.last[..])];
        let headers = if heard.last.is_empty() {
            &[][..]
        } else {
            &headers
        };
        let mut reply = connection
            .send(Method::GET, "/rooms/blue", headers, empty())
            .await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.until("\n").await, "retry: 500\n");
        Self {
            protocol,
            reply,
            heard,
        }
    }

    async fn hear(&mut self) {
        let block = self.reply.until("\n\n").await;
        self.heard.take(&block);
    }

    /// Reads until the stream ends in order, and continues at the other process.
    async fn continue_at(self, address: SocketAddr) -> Self {
        let mut heard = self.heard;
        let rest = self.reply.text().await;
        rest.split_terminator("\n\n")
            .for_each(|block| heard.take(block));
        Self::connect(self.protocol, address, heard).await
    }
}

/// A hundred clients read from one process. Messages are sent to another process. SIGTERM ends the first process in
/// order, and each client continues at the other process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_a_hundred_streams_in_axum_and_each_client_resumes_on_another_process() {
    let redis = Redis::start();
    let mut first = Example::start_with("in_axum", 0, &[&redis.url()]);
    let second = Example::start_with("in_axum", 0, &[&redis.url()]);
    let mut listeners = Vec::new();
    for n in 0..100 {
        listeners.push(Listener::connect(BOTH[n % 2], first.address, Heard::default()).await);
    }
    say(second.address, "0").await;
    for listener in &mut listeners {
        listener.hear().await;
    }
    let address = second.address;
    let speaker = tokio::spawn(async move {
        for n in 1..=200 {
            say(address, &n.to_string()).await;
        }
    });
    for listener in &mut listeners {
        listener.hear().await;
    }
    let start = terminate(&first);
    let status = tokio::task::spawn_blocking(move || first.wait());
    let listeners = listeners
        .into_iter()
        .map(|listener| tokio::spawn(listener.continue_at(address)));
    let listeners: Vec<_> = listeners.collect();
    let status = status.await.expect("the task does not panic");
    let taken = start.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(taken < Duration::from_secs(20), "{taken:?}");
    speaker.await.expect("everything was reported");
    let all: Vec<_> = (0..=200).map(|n| n.to_string()).collect();
    for listener in listeners {
        let mut listener = listener.await.expect("it continues");
        while listener.heard.texts.len() < all.len() {
            listener.hear().await;
        }
        assert_eq!(listener.heard.texts, all);
    }
}

/// Other tests and programs use the machine too, so only one of several attempts has to be this fast.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_in_axum_end_within_a_second() {
    let mut all = Vec::new();
    for _ in 0..5 {
        let mut example = Example::start("in_axum");
        let mut ends = Vec::new();
        for n in 0..100 {
            let listener = Listener::connect(BOTH[n % 2], example.address, Heard::default()).await;
            ends.push(tokio::spawn(listener.reply.text()));
        }
        let start = terminate(&example);
        let status = tokio::task::spawn_blocking(move || example.wait());
        assert_eq!(status.await.expect("no panic").code(), Some(0));
        all.push(start.elapsed());
        for end in ends {
            assert_eq!(end.await.expect("it ends in order"), "");
        }
        if all.last() < Some(&Duration::from_secs(1)) {
            println!("100 streams ended {all:?} after SIGTERM");
            return;
        }
    }
    panic!("{all:?}");
}

#[tokio::test]
async fn sigterm_waits_for_clean_ups_and_not_for_a_client_that_does_not_read() {
    let mut example = Example::start("in_axum");
    let mut ticks = get(&example, "/ticks/0").await;
    ticks.until("data: 0\n\n").await;
    let mut stopped = Raw::connect(example.address).await;
    stopped
        .send("GET /rooms/blue HTTP/1.1\r\nHost: here\r\n\r\n")
        .await;
    stopped.until("retry: 500\n").await;
    // This fills the buffers of a client that does not read.
    let text = "x".repeat(100_000);
    for _ in 0..200 {
        say(example.address, &text).await;
    }
    terminate(&example);
    let status = tokio::task::spawn_blocking(move || {
        let status = example.wait();
        example.stdout.wait_for("stopped to count for a client");
        status
    });
    let status = within("the end of the process", status).await;
    assert_eq!(status.expect("no panic").code(), Some(0));
    ticks.text().await;
    drop(stopped);
}

#[tokio::test]
async fn a_request_that_is_open_at_sigterm_is_answered() {
    let mut example = Example::start("in_axum");
    let mut raw = Raw::connect(example.address).await;
    raw.send("POST /rooms/blue HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhel")
        .await;
    let mut feed = get(&example, "/ticks/40").await;
    feed.until("data: 40\n\n").await;
    terminate(&example);
    feed.text().await;
    raw.connection.write_all(b"lo").await.expect("it is open");
    let reply = raw.rest().await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let status = tokio::task::spawn_blocking(move || example.wait());
    assert_eq!(status.await.expect("no panic").code(), Some(0));
}

#[tokio::test]
async fn a_handler_of_axum_streams_events() {
    let example = Example::start("in_axum");
    let mut feed = get(&example, "/ticks/40").await;
    check(&feed, 200, "text/event-stream");
    assert_eq!(feed.until("\n").await, "retry: 500\n");
    for event in ["data: 40\n\n", "data: 41\n\n", "data: 42\n\n"] {
        assert_eq!(feed.until("\n\n").await, event);
    }
}

#[tokio::test]
async fn a_route_of_ours_takes_extractors_of_axum_and_web_sockets() {
    let example = Example::start("in_axum");
    let refused = get(&example, "/echo").await;
    assert_eq!(
        refused.status, 400,
        "the extractor of the query needs a greeting"
    );
    let refused = get(&example, "/echo?greeting=hello").await;
    assert_eq!(refused.status, 400, "the request is not an upgrade");

    let stream = TcpStream::connect(example.address)
        .await
        .expect("the server listens");
    let url = format!("ws://{}/echo?greeting=hello", example.address);
    let (mut socket, _) = within("the upgrade", client_async(url, stream))
        .await
        .expect("a web socket");
    let greeting = within("the greeting", socket.next()).await;
    assert_eq!(
        greeting.expect("a message").expect("an open socket"),
        Message::text("hello")
    );
    for message in [Message::text("¿qué tal?"), Message::binary(vec![0, 255])] {
        socket.send(message.clone()).await.expect("an open socket");
        let echo = within("the echo", socket.next()).await;
        assert_eq!(echo.expect("a message").expect("an open socket"), message);
    }
}
