//! What happens when a client disconnects, over real sockets.

mod bounds;
mod rounds;

use std::time::{Duration, Instant};

use bocadillo::{App, Client, ClientDisconnect, State, event_stream, generators, route, routes};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::http::{BOTH, Connection, Raw, get};
use crate::support::{Server, wait};

/// Reports of generators to the test, with the time.
#[derive(Clone, Debug)]
struct Reports(UnboundedSender<(&'static str, Instant)>);

impl Reports {
    fn say(&self, what: &'static str) {
        // The test may have dropped the receiver.
        let _ = self.0.send((what, Instant::now()));
    }
}

/// Sends a report when it is dropped.
struct Guard(Reports);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.say("dropped");
    }
}

generators!(
    /// Sends one event, then waits for ever.
    #[route("/idle")]
    #[event_stream(keep_alive = off)]
    async fn idle(State(reports): State<Reports>) {
        let _guard = Guard(reports);
        yield "one";
        std::future::pending::<()>().await;
    }

    /// The same, but the disconnect wakes it.
    #[route("/woken")]
    #[event_stream(raise_on_disconnect, keep_alive = off)]
    async fn woken(State(reports): State<Reports>, client: Client) {
        let _ = yield "one";
        client.disconnected().await;
        reports.say("woken");
        assert_eq!(yield "two", Err(ClientDisconnect));
        tokio::time::sleep(Duration::from_millis(5)).await;
        reports.say("cleaned up");
    }

    /// The feed of the original framework: an event every 10 ms.
    #[route("/ticks")]
    #[event_stream(raise_on_disconnect)]
    async fn ticks(State(reports): State<Reports>) {
        loop {
            if let Err(ClientDisconnect) = yield "tick" {
                reports.say("caught");
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its clean-up never ends.
    #[route("/stuck")]
    #[event_stream(raise_on_disconnect, cleanup_timeout = Duration::from_millis(50))]
    async fn stuck(State(reports): State<Reports>, client: Client) {
        let _guard = Guard(reports.clone());
        let _ = yield "one";
        client.disconnected().await;
        reports.say("woken");
        std::future::pending::<()>().await;
    }

    /// Waits for ever, and sends comments as keep-alives.
    #[route("/kept-alive")]
    #[event_stream(keep_alive = Duration::from_millis(200))]
    async fn kept_alive(State(reports): State<Reports>) {
        let _guard = Guard(reports);
        yield "one";
        std::future::pending::<()>().await;
    }

    #[route("/panics")]
    #[event_stream]
    async fn panics() {
        yield "one";
        panic!("this stream has to break");
    }

    #[route("/numbers")]
    #[event_stream]
    async fn numbers() {
        for n in 0_u64.. {
            yield n.to_string();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
);

async fn serve() -> (Server, UnboundedReceiver<(&'static str, Instant)>) {
    let (sender, reports) = unbounded_channel();
    let routes = routes![idle, woken, ticks, stuck, kept_alive, panics, numbers];
    let app = App::with_state(Reports(sender)).routes(routes);
    (Server::start(app).await, reports)
}

async fn next(reports: &mut UnboundedReceiver<(&'static str, Instant)>) -> (&'static str, Instant) {
    let report = wait::within("a report of the generator", reports.recv()).await;
    report.expect("the server runs")
}

/// Measures how long after the disconnect the generator at `path` reports `expected`. Takes the median of several
/// rounds, because a busy machine can delay one of them.
async fn latency(path: &str, expected: &[&'static str]) {
    const BOUND: Duration = Duration::from_millis(100);
    let (server, mut reports) = serve().await;
    for protocol in BOTH {
        let mut rounds = Vec::new();
        for _ in 0..15 {
            let mut reply = get(protocol, server.address, path).await;
            reply.until("\n\n").await;
            let left = Instant::now();
            drop(reply);
            let (report, at) = next(&mut reports).await;
            assert_eq!(report, expected[0], "{protocol:?} {path}");
            rounds.push(at.saturating_duration_since(left));
            for expected in &expected[1..] {
                assert_eq!(next(&mut reports).await.0, *expected, "{protocol:?} {path}");
            }
        }
        rounds.sort_unstable();
        let (median, worst) = (rounds[rounds.len() / 2], rounds[rounds.len() - 1]);
        println!("{protocol:?} {path}: median {median:?}, worst {worst:?}");
        assert!(median < BOUND, "{protocol:?} {path}: {median:?}");
    }
}

#[tokio::test]
async fn an_idle_generator_is_dropped_within_100_ms() {
    latency("/idle", &["dropped"]).await;
}

#[tokio::test]
async fn an_idle_generator_that_raises_wakes_within_100_ms_and_finishes_its_clean_up() {
    latency("/woken", &["woken", "cleaned up"]).await;
}

#[tokio::test]
async fn client_disconnect_is_caught_within_100_ms() {
    latency("/ticks", &["caught"]).await;
}

#[tokio::test]
async fn a_clean_up_that_does_not_finish_is_dropped_after_its_time_out() {
    let (server, mut reports) = serve().await;
    for protocol in BOTH {
        let mut reply = get(protocol, server.address, "/stuck").await;
        reply.until("\n\n").await;
        drop(reply);
        let (_, woken) = next(&mut reports).await;
        let (report, dropped) = next(&mut reports).await;
        assert_eq!(report, "dropped");
        // The generator may wake a few milliseconds after the disconnect.
        assert!(dropped - woken >= Duration::from_millis(30), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_pipelined_byte_delays_the_notice_of_a_disconnect_by_at_most_one_keep_alive() {
    let (server, mut reports) = serve().await;
    let mut rounds = Vec::new();
    for _ in 0..9 {
        let mut raw = Raw::connect(server.address).await;
        raw.send("GET /kept-alive HTTP/1.1\r\nHost: here\r\n\r\nG")
            .await;
        raw.until("data: one\n\n").await;
        let left = Instant::now();
        drop(raw);
        let (report, at) = next(&mut reports).await;
        assert_eq!(report, "dropped");
        rounds.push(at.saturating_duration_since(left));
    }
    rounds.sort_unstable();
    println!("a stray byte: {rounds:?}");
    assert!(rounds[4] < Duration::from_millis(300), "{rounds:?}");
}

#[tokio::test]
async fn a_half_close_is_a_disconnect() {
    use tokio::io::AsyncWriteExt;

    let (server, mut reports) = serve().await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("GET /idle HTTP/1.1\r\nHost: here\r\n\r\n").await;
    raw.until("data: one\n\n").await;
    raw.connection
        .shutdown()
        .await
        .expect("the connection is open");
    assert_eq!(next(&mut reports).await.0, "dropped");
}

#[tokio::test]
async fn a_panic_breaks_only_its_own_stream() {
    let (server, _reports) = serve().await;
    for protocol in BOTH {
        let mut connection = Connection::open(protocol, server.address).await;
        let mut sibling = match protocol {
            crate::support::http::Protocol::Http1 => {
                get(protocol, server.address, "/numbers").await
            }
            crate::support::http::Protocol::Http2 => connection.get("/numbers").await,
        };
        sibling.until("data: 0\n\n").await;

        let (body, end) = connection.get("/panics").await.end().await;
        assert_eq!(body, "data: one\n\n", "{protocol:?}");
        assert!(
            end.is_err(),
            "{protocol:?}: the stream must not look complete"
        );

        sibling.until("data: 50\n\n").await;
        get(protocol, server.address, "/numbers")
            .await
            .until("data: 3\n\n")
            .await;
    }
}
