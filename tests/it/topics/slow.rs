//! Clients that do not read, over real sockets: their memory, the events that they get, and the delay of other clients.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bocadillo::topic::{History, Hub, SlowPolicy, Topic};
use bocadillo::{EventName, ServerEvent};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::{Client, serve};
use crate::support::http::{Protocol, Raw};
use crate::support::{Server, wait};

const BOUND: usize = 256 * 1024;
const SIZE: usize = 4 * 1024;
/// All events together are larger than the buffers of the kernel on both sides.
const EVENTS: usize = 6_000;

fn hub(policy: SlowPolicy) -> Hub {
    Hub::builder()
        .history(History::none())
        .slow_clients(policy.max_buffered_bytes(BOUND))
        .memory()
}

fn event(number: usize) -> ServerEvent {
    let name = EventName::try_from(format!("s{}", number % 5)).unwrap();
    ServerEvent::new(format!("{number} {}", "x".repeat(SIZE))).with_name(name)
}

/// A client that sends a request and then reads nothing.
async fn silent_client(address: SocketAddr, hub: &Hub) -> Raw {
    let before = hub.stats().subscribers;
    let mut raw = Raw::connect(address).await;
    raw.send("GET /topics/x HTTP/1.1\r\nhost: x\r\n\r\n").await;
    wait::within("the subscription", async {
        while hub.stats().subscribers == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    raw
}

/// Reads up to `mark`. It searches only the end of the received bytes, because they are many megabytes.
async fn read_until(client: &mut Raw, mark: &str) -> String {
    let mut bytes = Vec::new();
    let mut searched = 0;
    let reading = async {
        while !bytes[searched..]
            .windows(mark.len())
            .any(|window| window == mark.as_bytes())
        {
            searched = bytes.len().saturating_sub(mark.len());
            let read = client.connection.read_buf(&mut bytes).await;
            assert!(read.unwrap() > 0, "the stream has ended");
        }
    };
    wait::within(mark, reading).await;
    String::from_utf8(bytes).unwrap()
}

/// Publishes all events. Returns the maximum number of bytes that the hub held after an event.
async fn publish_all(topic: &Topic, hub: &Hub) -> usize {
    let mut most = 0;
    for number in 0..EVENTS {
        topic.publish(event(number)).await.unwrap();
        most = most.max(hub.stats().bytes);
        if number % 16 == 0 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    most
}

/// The numbers of the events in a body, and the number of dropped events of each gap. The sizes of chunks are lines between
/// the events.
fn numbers(body: &str) -> Vec<Result<usize, usize>> {
    let mut numbers = Vec::new();
    let mut name = "";
    for line in body.lines() {
        if let Some(value) = line.strip_prefix("event: ") {
            name = value;
        }
        if let Some(data) = line.strip_prefix("data: ") {
            numbers.push(match name {
                "gap" => {
                    let json: serde_json::Value = serde_json::from_str(data).unwrap();
                    Err(json["dropped"].as_u64().unwrap() as usize)
                }
                _ => Ok(data.split(' ').next().unwrap().parse().unwrap()),
            });
        }
    }
    numbers
}

#[track_caller]
fn check_bound(most: usize) {
    let one_event = SIZE + 100;
    assert!(most <= BOUND + one_event, "{most} bytes");
    assert!(
        most > BOUND - one_event,
        "{most} bytes: was the client slow at all?"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_holds_its_bound_and_ends_the_stream() {
    let hub = hub(SlowPolicy::disconnect());
    let server = serve(&hub).await;
    let mut client = silent_client(server.address, &hub).await;
    let topic = hub.topic("x").unwrap();
    check_bound(publish_all(&topic, &hub).await);
    assert_eq!(
        hub.stats().bytes,
        0,
        "the hub holds nothing for a client that it disconnects"
    );

    // The connection was cut, because the client has not read the end of the stream.
    let mut body = Vec::new();
    let reading = async { while matches!(client.connection.read_buf(&mut body).await, Ok(1..)) {} };
    wait::within("the end of the connection", reading).await;
    let whole = body.windows(2).rposition(|end| end == b"\n\n");
    body.truncate(whole.expect("the client received events") + 2);
    let body = String::from_utf8(body).expect("events are text");
    let got = numbers(&body);
    assert!((1..EVENTS).contains(&got.len()), "{} events", got.len());
    assert!(
        got.iter().enumerate().all(|(at, number)| *number == Ok(at)),
        "no event is missing before the end"
    );
    let last = body
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap();
    let mut again = Client::connect(Protocol::Http1, server.address, "/topics/x", last).await;
    assert_eq!(again.next().await.data, r#"{"reason":"evicted"}"#);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_oldest_holds_its_bound_and_its_gaps_count_the_missing_events() {
    let hub = hub(SlowPolicy::drop_oldest());
    let server = serve(&hub).await;
    let mut client = silent_client(server.address, &hub).await;
    let topic = hub.topic("x").unwrap();
    check_bound(publish_all(&topic, &hub).await);

    let body = read_until(&mut client, &format!("data: {} ", EVENTS - 1)).await + "\n";
    let mut next = 0;
    let mut gaps = 0;
    for number in numbers(&body) {
        match number {
            Ok(number) => {
                assert_eq!(number, next);
                next += 1;
            }
            Err(dropped) => {
                next += dropped;
                gaps += 1;
            }
        }
    }
    assert_eq!(next, EVENTS);
    assert!(gaps > 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflate_holds_its_bound_and_ends_with_the_newest_of_each_key() {
    let hub = hub(SlowPolicy::conflate_by_name());
    let server = serve(&hub).await;
    let mut client = silent_client(server.address, &hub).await;
    let topic = hub.topic("x").unwrap();
    let most = publish_all(&topic, &hub).await;
    assert!(
        most <= 5 * (SIZE + 100),
        "{most} bytes: five keys are five events"
    );

    let body = read_until(&mut client, &format!("data: {} ", EVENTS - 1)).await + "\n";
    let got: Vec<_> = numbers(&body)
        .into_iter()
        .map(|number| number.unwrap())
        .collect();
    assert!(got.len() < EVENTS);
    assert!(got.is_sorted());
    assert_eq!(
        got[got.len() - 5..],
        [EVENTS - 5, EVENTS - 4, EVENTS - 3, EVENTS - 2, EVENTS - 1]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn block_holds_its_bound_and_loses_nothing() {
    let hub = hub(SlowPolicy::block(wait::LONG));
    let server = serve(&hub).await;
    let mut client = silent_client(server.address, &hub).await;
    let publishing = tokio::spawn({
        let hub = hub.clone();
        async move { publish_all(&hub.topic("x").unwrap(), &hub).await }
    });
    wait::within("the publisher to wait", async {
        // Until the publisher waits, near the bound.
        let mut before = 0;
        loop {
            let bytes = hub.stats().bytes;
            if bytes > BOUND - SIZE && bytes == before {
                break;
            }
            before = bytes;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(!publishing.is_finished());
    let body = read_until(&mut client, &format!("data: {} ", EVENTS - 1)).await + "\n";
    assert!(numbers(&body).into_iter().eq((0..EVENTS).map(Ok)));
    check_bound(publishing.await.unwrap());
    server.stop().await;
}

/// A topic with fast clients, and with a number of clients that read nothing.
struct Room {
    topic: Topic,
    /// The last line of a round that each fast client has read.
    rounds: mpsc::UnboundedReceiver<()>,
    silent: Vec<Raw>,
    server: Server,
}

const FAST: usize = 20;

impl Room {
    async fn open(policy: &SlowPolicy, silent: usize) -> Self {
        let hub = hub(policy.clone());
        let server = serve(&hub).await;
        let topic = hub.topic("x").unwrap();
        let mut others = Vec::new();
        for _ in 0..silent {
            others.push(silent_client(server.address, &hub).await);
        }
        if silent > 0 {
            // Until the buffers of the kernel are full.
            publish_all(&topic, &hub).await;
        }
        let (done, rounds) = mpsc::unbounded_channel();
        for _ in 0..FAST {
            let mut client = silent_client(server.address, &hub).await;
            let done = done.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::with_capacity(1 << 16);
                while client
                    .connection
                    .read_buf(&mut bytes)
                    .await
                    .is_ok_and(|read| read > 0)
                {
                    if bytes.ends_with(b"data: the end\n\n\r\n") && done.send(()).is_err() {
                        break;
                    }
                    let seen = bytes.len().saturating_sub(64);
                    bytes.drain(..seen);
                }
            });
        }
        Self {
            topic,
            rounds,
            silent: others,
            server,
        }
    }

    /// The time until all fast clients have received 900 events, which are within the bound.
    async fn time(&mut self) -> Duration {
        let start = Instant::now();
        for number in 0..900 {
            self.topic.publish("x".repeat(200)).await.unwrap();
            if number % 8 == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.topic.publish("the end").await.unwrap();
        for _ in 0..FAST {
            wait::within("a fast client", self.rounds.recv())
                .await
                .unwrap();
        }
        start.elapsed()
    }

    async fn close(self) {
        drop((self.silent, self.rounds));
        self.server.stop().await;
    }
}

/// Compares the best rounds with and without such clients in the same run. The tolerance is for other work on the machine. If
/// the publisher waited for these clients, the test would not end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_do_not_delay_other_clients() {
    for policy in [
        SlowPolicy::disconnect(),
        SlowPolicy::drop_oldest(),
        SlowPolicy::conflate_by_name(),
    ] {
        let mut without = Room::open(&policy, 0).await;
        let mut with = Room::open(&policy, 10).await;
        let mut best = [Duration::MAX; 2];
        for _ in 0..20 {
            best[0] = best[0].min(without.time().await);
            best[1] = best[1].min(with.time().await);
        }
        let ratio = best[1].as_secs_f64() / best[0].as_secs_f64();
        assert!(
            ratio < 2.0,
            "{policy:?}: {ratio:.2} times as long, {best:?}"
        );
        without.close().await;
        with.close().await;
    }
}
