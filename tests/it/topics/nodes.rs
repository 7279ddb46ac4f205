//! Several nodes over one broker. Clients leave and come back on other nodes, while the broker is killed and restarted. Each client
//! gets every event once, in order. The test is the same for every broker that keeps its data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bocadillo::topic::{Cursor, History, Hub, HubBuilder, SlowPolicy};
use bocadillo::{App, EventStream, LastEventId, State, StreamOptions, route, routes};
use futures_util::StreamExt;
use http::Method;

use crate::support::http::{Connection, Protocol, Reply, empty};
use crate::support::{Server, wait};

/// A broker in a process that the test starts.
pub(crate) trait Broker {
    /// A hub with its own connections, like the hub of each node.
    fn hub(&self, options: HubBuilder) -> Hub;

    /// Kills the process with SIGKILL, like a crash. Blocks.
    fn kill(&mut self);

    /// Starts the broker again at the same address with the same data. Waits until it answers. Blocks.
    fn restart(&mut self);
}

/// The size of the test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) events: usize,
    pub(crate) kills: usize,
}

impl Scale {
    pub(crate) const WHOLE: Self = Self {
        nodes: 3,
        clients: 100,
        events: 20_000,
        kills: 2,
    };
}

/// The time-out, for a busy machine. On an idle machine the test takes seconds.
const LONGEST: Duration = Duration::from_secs(240);

const TOPIC: &str = "soak/all of it";
const END: &str = "end";

/// The id and the data of an event that a client received.
type Got = (String, String);

/// Runs the test. Fails unless each client has received every event once, in order.
pub(crate) async fn soak(mut broker: impl Broker + Send + 'static, scale: Scale) {
    let start = Instant::now();
    let mut nodes = Vec::new();
    for _ in 0..scale.nodes {
        nodes.push(node(&broker).await);
    }
    let addresses: Arc<[_]> = nodes.iter().map(|(_, server)| server.address).collect();
    let returns = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..scale.clients)
        .map(|number| {
            let client = Client {
                addresses: Arc::clone(&addresses),
                random: fastrand::Rng::with_seed(number as u64),
                returns: Arc::clone(&returns),
                got: Vec::new(),
            };
            tokio::spawn(client.run())
        })
        .collect();

    let progress = Arc::new(AtomicUsize::new(0));
    let has_failed = Arc::new(AtomicBool::new(false));
    let publisher = Publisher {
        hubs: nodes.iter().map(|(hub, _)| hub.clone()).collect(),
        progress: Arc::clone(&progress),
        has_failed: Arc::clone(&has_failed),
        confirmed: Vec::new(),
    };
    let publisher = tokio::spawn(publisher.run(scale.events));
    let killer = tokio::task::spawn_blocking(move || {
        for kill in 1..=scale.kills {
            let point = scale.events * kill / (scale.kills + 1);
            wait::until("the publisher to continue", || {
                (progress.load(Ordering::Relaxed) >= point).then_some(())
            });
            has_failed.store(false, Ordering::Relaxed);
            broker.kill();
            wait::until("a publish that fails", || {
                has_failed.load(Ordering::Relaxed).then_some(())
            });
            broker.restart();
        }
        broker
    });

    let confirmed = in_time("all events to be published", publisher).await;
    let broker = in_time("the broker to be back", killer).await;
    let published = start.elapsed();
    let all = whole_history(&broker).await;
    let mut rest = all.iter();
    for event in &confirmed {
        assert!(
            rest.any(|other| other == event),
            "{event:?} was confirmed and is lost, or out of order"
        );
    }
    for (number, client) in clients.into_iter().enumerate() {
        let got = in_time("a client to get the last event", client).await;
        assert_same(number, &got, &all);
    }
    let returns = returns.load(Ordering::Relaxed);
    assert!(
        returns >= scale.clients,
        "clients came back only {returns} times"
    );
    println!(
        "{} events for {} clients, which came back {returns} times: published within {published:.1?}, ended after {:.1?}",
        all.len(),
        scale.clients,
        start.elapsed()
    );
    for (_, server) in nodes {
        server.stop().await;
    }
}

async fn in_time<T>(what: &str, task: tokio::task::JoinHandle<T>) -> T {
    match tokio::time::timeout(LONGEST, task).await {
        Ok(ended) => ended.expect("the task does not panic"),
        Err(_) => panic!("{what} did not end within {LONGEST:?}"),
    }
}

fn options() -> HubBuilder {
    Hub::builder()
        .history(History::new().max_events(100_000).max_bytes(64 << 20))
        .slow_clients(SlowPolicy::disconnect())
}

/// One node: a hub and a server.
async fn node(broker: &impl Broker) -> (Hub, Server) {
    #[route("/events")]
    async fn events(State(hub): State<Hub>, last: LastEventId) -> EventStream {
        let topic = hub.topic(TOPIC).expect("a valid name");
        topic.subscribe_from(Cursor::from(last).or_start()).into()
    }

    let hub = broker.hub(options());
    let app = App::with_state(hub.clone())
        .routes(routes![events])
        .stream_options(StreamOptions::new().keep_alive(Duration::from_millis(200)));
    (hub, Server::start(app).await)
}

/// The history that a new node reads at the end.
async fn whole_history(broker: &impl Broker) -> Vec<Got> {
    let hub = broker.hub(options());
    let mut events = hub
        .topic(TOPIC)
        .expect("a valid name")
        .subscribe_from(Cursor::start());
    let mut all = Vec::new();
    loop {
        let event = wait::within("an event of the history", events.next()).await;
        let event = event.expect("the stream continues");
        assert_eq!(
            event.name(),
            None,
            "an event that nobody published: {event:?}"
        );
        let id = event.id().expect("events of topics have ids").to_string();
        let data = event.data().expect("events of topics have data").to_owned();
        let is_end = data == END;
        all.push((id, data));
        if is_end {
            return all;
        }
    }
}

/// Publishes single events and batches one after the other, each time on another node. Publishes unconfirmed events again.
struct Publisher {
    hubs: Vec<Hub>,
    progress: Arc<AtomicUsize>,
    has_failed: Arc<AtomicBool>,
    confirmed: Vec<Got>,
}

impl Publisher {
    async fn run(mut self, events: usize) -> Vec<Got> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut next = 0;
        while next < events {
            let batch = random.usize(1..=100).min(events - next);
            self.publish(next..next + batch).await;
            next += batch;
            self.progress.store(next, Ordering::Relaxed);
        }
        let end = self.hubs[0]
            .topic(TOPIC)
            .expect("a valid name")
            .publish(END)
            .await;
        self.confirmed
            .push((end.expect("the broker is up").to_string(), END.to_owned()));
        self.confirmed
    }

    async fn publish(&mut self, numbers: std::ops::Range<usize>) {
        let start = Instant::now();
        for attempt in 0.. {
            // An unconfirmed event may be stored all the same, so each attempt has its own number.
            let batch: Vec<_> = numbers
                .clone()
                .map(|number| format!("{number}, attempt {attempt}"))
                .collect();
            let hub = &self.hubs[(numbers.start + attempt) % self.hubs.len()];
            let topic = hub.topic(TOPIC).expect("a valid name");
            let published = if let [one] = &batch[..] {
                topic.publish(one.clone()).await.map(|id| vec![id])
            } else {
                topic.publish_all(batch.clone()).await
            };
            match published {
                Ok(ids) => {
                    let ids = ids.iter().map(ToString::to_string);
                    self.confirmed.extend(ids.zip(batch));
                    return;
                }
                Err(error) => {
                    assert!(
                        error.is_unavailable() || error.is_unconfirmed(),
                        "{error:?}"
                    );
                    assert!(
                        start.elapsed() < wait::LONG,
                        "the broker does not come back: {error:?}"
                    );
                    self.has_failed.store(true, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
}

/// Connects, reads for a while, leaves, and comes back on another node with the last id that it received.
struct Client {
    addresses: Arc<[std::net::SocketAddr]>,
    random: fastrand::Rng,
    returns: Arc<AtomicUsize>,
    got: Vec<Got>,
}

impl Client {
    async fn run(mut self) -> Vec<Got> {
        let mut node = self.random.usize(..self.addresses.len());
        loop {
            let mut reply = self.connect(node).await;
            // The visit ends after a number of events or after a time. On a slow machine the test takes longer, with the same events.
            let events = self.random.usize(1..4_000);
            let patience = Duration::from_millis(self.random.u64(500..5_000));
            // The events that came before the time-out count.
            let _ = tokio::time::timeout(patience, self.read(&mut reply, events)).await;
            if self.got.last().is_some_and(|(_, data)| data == END) {
                return self.got;
            }
            self.returns.fetch_add(1, Ordering::Relaxed);
            drop(reply);
            node =
                (node + 1 + self.random.usize(..self.addresses.len() - 1)) % self.addresses.len();
        }
    }

    async fn connect(&self, node: usize) -> Reply {
        let last = self.got.last().map(|(id, _)| id.as_str());
        let headers: Vec<_> = last.map(|id| ("last-event-id", id)).into_iter().collect();
        let mut connection = Connection::open(Protocol::Http1, self.addresses[node]).await;
        let reply = connection
            .send(Method::GET, "/events", &headers, empty())
            .await;
        assert_eq!(reply.status, 200);
        reply
    }

    /// Reads this number of events, or up to the last event. An event that is incomplete when the client leaves does not count.
    async fn read(&mut self, reply: &mut Reply, events: usize) {
        let enough = self.got.len() + events;
        let mut text = String::new();
        loop {
            text.push_str(&reply.chunk().await.expect("the stream stays open"));
            let whole = text.rfind("\n\n").map_or(0, |at| at + 2);
            for event in text[..whole].split_terminator("\n\n") {
                let (mut id, mut data) = (None, None);
                // Keep-alive comments come between the events.
                for line in event.lines().filter(|line| !line.starts_with(':')) {
                    match line.split_once(": ") {
                        Some(("id", value)) => id = Some(value.to_owned()),
                        Some(("data", value)) => data = Some(value.to_owned()),
                        _ => panic!("an unexpected reset or gap: {event:?}"),
                    }
                }
                self.got.push((id.expect("an id"), data.expect("data")));
            }
            text.drain(..whole);
            let is_over = self.got.last().is_some_and(|(_, data)| data == END);
            if is_over || self.got.len() >= enough {
                return;
            }
        }
    }
}

#[track_caller]
fn assert_same(client: usize, got: &[Got], all: &[Got]) {
    let differs = got.iter().zip(all).position(|(got, all)| got != all);
    let at = differs.unwrap_or(got.len().min(all.len()));
    assert!(
        got == all,
        "client {client} got {} of {} events; from the {at}. on {:?} instead of {:?}",
        got.len(),
        all.len(),
        &got[at..got.len().min(at + 3)],
        &all[at..all.len().min(at + 3)],
    );
}

mod redis {
    use super::*;
    use crate::support::Redis;

    impl Broker for Redis {
        fn hub(&self, options: HubBuilder) -> Hub {
            options.redis(self.url()).expect("a valid URL")
        }

        fn kill(&mut self) {
            Redis::kill(self);
        }

        fn restart(&mut self) {
            Redis::restart(self);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn clients_lose_nothing_with_several_nodes_and_crashes_of_redis() {
        soak(Redis::start(), Scale::WHOLE).await;
    }
}

mod nats {
    use super::*;
    use crate::support::Nats;

    impl Broker for Nats {
        fn hub(&self, options: HubBuilder) -> Hub {
            options.nats(self.url()).expect("a valid URL")
        }

        fn kill(&mut self) {
            Nats::kill(self);
        }

        fn restart(&mut self) {
            Nats::restart(self);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn clients_lose_nothing_with_several_nodes_and_crashes_of_nats() {
        soak(Nats::start(), Scale::WHOLE).await;
    }
}
