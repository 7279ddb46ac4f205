//! Topics on NATS JetStream, with a real server: what nodes see of each other, of its crashes, and of other programs.

mod bounds;
mod load;
mod proofs;
mod refusals;
mod tap;
mod urls;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bocadillo::ServerEvent;
use bocadillo::topic::{Cursor, History, Hub, HubBuilder, SlowPolicy, Subscription, Topic};
use futures_util::StreamExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{Nats, wait};

fn hub(nats: &Nats) -> Hub {
    built(nats, Hub::builder())
}

fn built(nats: &Nats, builder: HubBuilder) -> Hub {
    builder.nats(nats.url()).expect("the URL is one")
}

fn topic(hub: &Hub) -> Topic {
    hub.topic("rooms/7 * >.ü").expect("the name is one")
}

/// The next event: its data, or a `reset` with its data.
async fn next(events: &mut Subscription) -> String {
    let event = wait::within("an event", events.next())
        .await
        .expect("the stream goes on");
    let data = event.data().expect("it has data");
    match event.name() {
        Some(name) => format!("{} {data}", name.as_str()),
        None => data.to_owned(),
    }
}

async fn several(events: &mut Subscription, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(next(events).await);
    }
    all
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// What comes before an event that was published to end it.
async fn up_to_marker(events: &mut Subscription) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match next(events).await {
            data if data == "marker" => return all,
            data => all.push(data),
        }
    }
}

/// Publishes, again while the broker is away.
async fn publish(topic: &Topic, data: &str) -> String {
    let start = Instant::now();
    loop {
        match topic.publish(data.to_owned()).await {
            Ok(id) => return id.to_string(),
            Err(error) => {
                assert!(
                    (error.is_unavailable() || error.is_unconfirmed())
                        && start.elapsed() < wait::LONG,
                    "{error:?}"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn is_known(events: &mut Subscription) {
    wait::within("the broker to say where the topic stands", async {
        loop {
            assert!(
                futures_util::poll!(events.next()).is_pending(),
                "nothing was published"
            );
            if events.last_id().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn nodes_share_topics_on_nats() {
    let nats = Nats::start();
    let (one, two) = (hub(&nats), hub(&nats));
    let mut live = topic(&two).subscribe();
    let mut other = two.topic("rooms/8").expect("the name is one").subscribe();
    is_known(&mut live).await;
    is_known(&mut other).await;

    let mut ids = vec![topic(&one).publish("0").await.expect("it is there")];
    ids.extend(
        topic(&one)
            .publish_all(["1", "2", "3"])
            .await
            .expect("it is there"),
    );
    ids.push(topic(&two).publish("4").await.expect("it is there"));

    assert_eq!(several(&mut live, 5).await, numbers(0..5));
    let three = hub(&nats);
    assert_eq!(
        several(&mut topic(&three).subscribe_from(Cursor::start()), 5).await,
        numbers(0..5)
    );
    for (at, id) in ids.iter().enumerate() {
        for node in [&one, &two, &three] {
            let mut events = topic(node).subscribe_from(Cursor::after(id.as_str()));
            assert_eq!(
                several(&mut events, 4 - at).await,
                numbers(at + 1..5),
                "after {id}"
            );
            is_known(&mut events).await;
            assert_eq!(
                events.last_id().map(|id| id.to_string()),
                Some(ids[4].to_string())
            );
        }
    }
    one.topic("rooms/8")
        .expect("the name is one")
        .publish("another")
        .await
        .expect("it is there");
    assert_eq!(next(&mut other).await, "another");
    assert_eq!(nats.connections().0, 3, "one for each node");
}

#[tokio::test]
async fn ids_are_the_same_on_all_nodes_of_nats() {
    let nats = Nats::start();
    let (one, two) = (hub(&nats), hub(&nats));
    let published = topic(&one)
        .publish_all(["0", "1"])
        .await
        .expect("it is there");
    let mut events = topic(&two).subscribe_from(Cursor::start());
    for id in published {
        let event = wait::within("an event", events.next())
            .await
            .expect("the stream goes on");
        assert_eq!(event.id(), Some(&id));
    }
}

#[tokio::test]
async fn a_long_history_is_read_whole_from_nats() {
    let nats = Nats::start();
    let hub = built(
        &nats,
        Hub::builder().history(History::new().max_events(10_000)),
    );
    let text = "x".repeat(300);
    for first in (0..3_000).step_by(3) {
        let other = hub.topic("other").expect("the name is one");
        other.publish("in between").await.expect("it is there");
        let events = (first..first + 3).map(|number| format!("{number} {text}"));
        topic(&hub).publish_all(events).await.expect("it is there");
    }
    let start = Instant::now();
    let mut events = topic(&hub).subscribe_from(Cursor::start());
    for number in 0..3_000 {
        assert_eq!(next(&mut events).await, format!("{number} {text}"));
    }
    println!(
        "3,000 events of 1,000 messages read in {:.0?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn streams_stay_open_while_nats_is_away_and_publishing_fails_at_once() {
    let mut nats = Nats::start();
    let hub = hub(&nats);
    let mut events = topic(&hub).subscribe();
    is_known(&mut events).await;
    publish(&topic(&hub), "0").await;
    assert_eq!(next(&mut events).await, "0");

    nats.kill();
    let down = Instant::now();
    let error = loop {
        let error = topic(&hub)
            .publish("lost")
            .await
            .expect_err("nobody is there");
        // The first publish may have been under way when the connection broke.
        if !error.is_unconfirmed() {
            assert!(error.is_unavailable(), "{error:?}");
            break error;
        }
    };
    assert!(
        down.elapsed() < Duration::from_secs(4),
        "it took {:?}",
        down.elapsed()
    );
    assert!(
        std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("NATS")),
        "{error:?}"
    );
    assert!(futures_util::poll!(events.next()).is_pending());

    nats.restart();
    publish(&topic(&hub), "marker").await;
    // What was under way may have come through after all.
    let late = up_to_marker(&mut events).await;
    assert!(late.iter().all(|data| data == "lost"), "{late:?}");
}

#[tokio::test]
async fn publishing_waits_for_nats_as_long_as_it_is_told_to() {
    let mut nats = Nats::start();
    let patient = built(&nats, Hub::builder().wait_for_broker(wait::LONG));
    let mut events = topic(&patient).subscribe();
    is_known(&mut events).await;
    // Some are under way when it breaks; what is sent again is known for what it is.
    let publisher = tokio::spawn({
        let topic = topic(&patient);
        async move {
            for number in 0..2_000 {
                topic
                    .publish(number.to_string())
                    .await
                    .expect("the broker comes back in time");
            }
        }
    });
    for kill in 1..=3 {
        let seen = several(&mut events, 300).await;
        assert_eq!(seen, numbers((kill - 1) * 300..kill * 300));
        nats.kill();
        nats.restart();
    }
    assert_eq!(several(&mut events, 1_100).await, numbers(900..2_000));
    wait::within("the publisher", publisher)
        .await
        .expect("it does not panic");

    nats.kill();
    let short = built(
        &nats,
        Hub::builder().wait_for_broker(Duration::from_millis(300)),
    );
    let start = Instant::now();
    let error = topic(&short)
        .publish("x")
        .await
        .expect_err("nobody is there");
    assert!(
        error.is_unavailable() && start.elapsed() >= Duration::from_millis(250),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_hub_may_start_before_nats() {
    let mut nats = Nats::start();
    nats.kill();
    let hub = hub(&nats);
    let mut events = topic(&hub).subscribe();
    assert!(
        topic(&hub)
            .publish("lost")
            .await
            .expect_err("nobody is there")
            .is_unavailable()
    );
    nats.restart();
    assert_eq!(next(&mut events).await, r#"reset {"reason":"missed"}"#);
    publish(&topic(&hub), "0").await;
    assert_eq!(next(&mut events).await, "0");
}

#[tokio::test]
async fn nats_that_comes_back_empty_gives_each_client_one_reset() {
    let mut nats = Nats::start();
    let nodes = [(); 3].map(|()| hub(&nats));
    let mut clients = Vec::new();
    for node in nodes.iter().cycle().take(12) {
        let mut events = topic(node).subscribe();
        is_known(&mut events).await;
        clients.push(events);
    }
    topic(&nodes[0])
        .publish_all(numbers(0..20))
        .await
        .expect("it is there");
    let mut old = String::new();
    for events in &mut clients {
        assert_eq!(several(events, 20).await, numbers(0..20));
        old = events.last_id().expect("it has begun").to_string();
    }

    nats.restart_empty();
    // On each node: whichever comes back first makes the stream.
    let mut published = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let data = format!("new {number}");
        publish(&topic(node), &data).await;
        published.push(data);
    }
    publish(&topic(&nodes[0]), "marker").await;
    for events in &mut clients {
        assert_eq!(next(events).await, r#"reset {"reason":"epoch"}"#);
        let mut all = up_to_marker(events).await;
        // What was not confirmed was published again.
        all.dedup();
        assert_eq!(all, published);
    }
    let mut late = topic(&nodes[1]).subscribe_from(Cursor::after(old));
    assert_eq!(next(&mut late).await, r#"reset {"reason":"epoch"}"#);
    publish(&topic(&nodes[2]), "live").await;
    for events in clients.iter_mut().chain([&mut late]) {
        let more = next(events).await;
        assert_eq!(
            if more == "marker" {
                next(events).await
            } else {
                more
            },
            "live"
        );
    }
}

#[tokio::test]
async fn a_stream_that_is_deleted_under_the_nodes_gives_each_client_one_reset_on_nats() {
    let nats = Nats::start();
    let nodes = [(); 2].map(|()| hub(&nats));
    let mut clients = nodes.each_ref().map(|node| topic(node).subscribe());
    for events in &mut clients {
        is_known(events).await;
    }
    publish(&topic(&nodes[0]), "0").await;
    for events in &mut clients {
        assert_eq!(next(events).await, "0");
    }
    // The second word is where the answer would go.
    nats.publish("$JS.API.STREAM.DELETE.bocadillo answer", "", "");
    for data in ["1", "2", "3", "marker"] {
        publish(&topic(&nodes[0]), data).await;
    }
    for events in &mut clients {
        assert_eq!(next(events).await, r#"reset {"reason":"epoch"}"#);
        assert_eq!(up_to_marker(events).await, numbers(1..4));
    }
}

#[tokio::test]
async fn nats_that_has_lost_its_last_events_gives_each_client_one_reset() {
    let mut nats = Nats::start();
    let nodes = [(); 2].map(|()| hub(&nats));
    publish(&topic(&nodes[0]), "kept").await;
    let backup = nats.backup();
    for node in &nodes {
        let other = node.topic("another").expect("the name is one");
        publish(&other, "to be connected again").await;
    }
    let mut clients = nodes.each_ref().map(|node| topic(node).subscribe());
    for events in &mut clients {
        is_known(events).await;
    }
    publish(&topic(&nodes[0]), "lost").await;
    for events in &mut clients {
        assert_eq!(next(events).await, "lost");
    }

    nats.restart_with(&backup);
    for events in &mut clients {
        assert_eq!(next(events).await, r#"reset {"reason":"epoch"}"#);
    }
    publish(&topic(&nodes[1]), "new").await;
    for events in &mut clients {
        assert_eq!(next(events).await, "new");
    }
    let mut all = topic(&hub(&nats)).subscribe_from(Cursor::start());
    assert_eq!(several(&mut all, 2).await, ["kept", "new"]);
}

#[tokio::test]
async fn hostile_cursors_give_a_reset_on_nats() {
    let nats = Nats::start();
    let hub = hub(&nats);
    let secret = hub.topic("secret").expect("the name is one");
    let others = secret
        .publish("not for you")
        .await
        .expect("it is there")
        .to_string();
    let own = topic(&hub)
        .publish("0")
        .await
        .expect("it is there")
        .to_string();
    let parts: Vec<&str> = own.split('-').collect();
    let [tag, sequence, check] = parts[..] else {
        panic!("an id has a tag, a sequence and a check: {own}")
    };
    let sequence: u64 = sequence.parse().expect("a number");
    let check: u64 = check.parse().expect("a number");

    for (cursor, reason) in [
        ("x".repeat(10_000), "unreadable"),
        (String::from("\0"), "unreadable"),
        (format!("{tag}--5"), "unreadable"),
        (others, "epoch"),
        (format!("{tag}-{}", sequence + 1), "epoch"),
        (format!("{tag}-{sequence}"), "epoch"),
        (format!("{tag}-{sequence}-{}", check + 1), "epoch"),
        (
            format!("{tag}-{sequence}-{}", check + 62_u64.pow(4)),
            "epoch",
        ),
        (format!("{tag}-{}", sequence - 1), "epoch"),
        (format!("{tag}-0-7"), "epoch"),
        (format!("{tag}-{sequence}-{}", u64::MAX), "epoch"),
        (format!("{tag}-{}", u64::MAX), "epoch"),
        (format!("{tag}-{}-{}", u64::MAX, u64::MAX), "epoch"),
    ] {
        let mut events = topic(&hub).subscribe_from(Cursor::after(cursor.clone()));
        assert_eq!(
            next(&mut events).await,
            format!(r#"reset {{"reason":"{reason}"}}"#),
            "{cursor}"
        );
    }
    // Before the first message of a stream that is whole.
    let mut events = topic(&hub).subscribe_from(Cursor::after(format!("{tag}-0")));
    assert_eq!(next(&mut events).await, "0");
}

#[tokio::test]
async fn another_programs_messages_are_passed_over_on_nats() {
    let nats = Nats::start();
    let hub = hub(&nats);
    let room = hub.topic("room").expect("the name is one");
    let mut live = room.subscribe();
    is_known(&mut live).await;
    publish(&room, "0").await;
    for payload in [
        "hello",
        "",
        "data: x\n\nid: 7\ndata: y\n\n",
        "data: x",
        "retry: 5\n\n",
    ] {
        nats.publish("bocadillo.events.room", "", payload);
    }
    nats.publish(
        "bocadillo.events.room",
        "Bocadillo-Keys: =%ff,,=,\r\n",
        "data: x\n\n",
    );
    nats.publish("bocadillo.live.room", "", "data: x\n\n");
    nats.publish(
        "bocadillo.live.room",
        "Nats-Sequence: many\r\nNats-Last-Sequence: -1\r\n",
        "data: x\n\n",
    );
    // One that keeps to the format is as good as ours.
    nats.publish("bocadillo.events.room", "", "data: 1\n\n");
    publish(&room, "2").await;
    assert_eq!(several(&mut live, 3).await, numbers(0..3));
    assert_eq!(
        several(&mut room.subscribe_from(Cursor::start()), 3).await,
        numbers(0..3)
    );
    let mut late = built(&nats, Hub::builder())
        .topic("room")
        .expect("the name is one")
        .subscribe_from(Cursor::start());
    assert_eq!(several(&mut late, 3).await, numbers(0..3));
}

#[tokio::test]
async fn two_thousand_topics_share_one_connection_to_nats() {
    let nats = Nats::start();
    let hub = hub(&nats);
    let start = Instant::now();
    let topics: Vec<_> = (0..2_000)
        .map(|user| hub.topic(format!("users/{user}")).expect("the name is one"))
        .collect();
    let mut all: Vec<_> = topics.iter().map(|topic| topic.subscribe()).collect();
    for events in &mut all {
        is_known(events).await;
    }
    let known = start.elapsed();
    let (connections, subscriptions) = nats.connections();
    assert_eq!(connections, 1);
    assert!(subscriptions >= 2_000, "{subscriptions}");
    let publishers = topics.iter().enumerate().map(async |(user, topic)| {
        topic.publish(user.to_string()).await.expect("it is there");
    });
    futures_util::future::join_all(publishers).await;
    for (user, events) in all.iter_mut().enumerate() {
        assert_eq!(next(events).await, user.to_string());
    }
    println!(
        "2,000 topics: known after {known:.0?}, an event to each after {:.0?}",
        start.elapsed()
    );
    drop(all);
    drop(topics);
    wait::within("the subscriptions to go", async {
        while nats.connections().1 > 10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_node_that_starts_later_sees_the_same_history_on_nats() {
    let nats = Nats::start();
    let options = || Hub::builder().history(History::new().max_events(10));
    let hub = built(&nats, options());
    let mut ids = Vec::new();
    for number in 0..30 {
        ids.push(
            topic(&hub)
                .publish(number.to_string())
                .await
                .expect("it is there"),
        );
    }
    let later = built(&nats, options());
    assert_eq!(
        several(&mut topic(&later).subscribe_from(Cursor::start()), 10).await,
        numbers(20..30)
    );
    for node in [&hub, &later] {
        for (at, id) in ids.iter().enumerate() {
            let mut events = topic(node).subscribe_from(Cursor::after(id.as_str()));
            match at {
                0..19 => assert_eq!(
                    next(&mut events).await,
                    r#"reset {"reason":"evicted"}"#,
                    "{at}"
                ),
                _ => assert_eq!(several(&mut events, 29 - at).await, numbers(at + 1..30)),
            }
        }
    }
}

#[tokio::test]
async fn a_topic_may_have_less_history_than_others_on_nats() {
    let nats = Nats::start();
    let options = || {
        Hub::builder()
            .history(History::new().max_events(100))
            .topics("short/*", |topic| {
                topic.history(History::new().max_events(3))
            })
            .topics("none/*", |topic| topic.history(History::none()))
    };
    let hub = built(&nats, options());
    let names = [("long", 10), ("short/7", 3), ("none/7", 0)];
    for (name, _) in names {
        let topic = hub.topic(name).expect("the name is one");
        for number in 0..10 {
            topic
                .publish(number.to_string())
                .await
                .expect("it is there");
        }
    }
    // One more of each is kept, if there is one.
    wait::within("what is beyond the histories to go", async {
        while nats.messages() != 10 + 4 + 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for (name, kept) in names {
        let later = built(&nats, options())
            .topic(name)
            .expect("the name is one");
        let mut events = later.subscribe_from(Cursor::start());
        assert_eq!(
            several(&mut events, kept).await,
            numbers(10 - kept..10),
            "{name}"
        );
        is_known(&mut events).await;
    }
}

#[tokio::test]
async fn a_node_that_was_cut_off_from_nats_misses_nothing_or_says_so() {
    let nats = Nats::start();
    let mut wire = Wire::to(nats.address()).await;
    let options = || Hub::builder().history(History::new().max_events(10));
    let (near, far) = (
        built(&nats, options()),
        options().nats(wire.url()).expect("the URL is one"),
    );
    let quiet = |hub: &Hub| hub.topic("quiet").expect("the name is one");
    let mut events = topic(&far).subscribe();
    let mut silence = quiet(&far).subscribe();
    is_known(&mut events).await;
    is_known(&mut silence).await;
    publish(&topic(&near), "0").await;
    publish(&quiet(&near), "0").await;
    assert_eq!(next(&mut events).await, "0");
    assert_eq!(next(&mut silence).await, "0");

    wire.cut();
    for number in 1..=10 {
        publish(&topic(&near), &number.to_string()).await;
    }
    wire.mend().await;
    assert_eq!(several(&mut events, 10).await, numbers(1..11));

    wire.cut();
    for number in 11..=30 {
        publish(&topic(&near), &number.to_string()).await;
    }
    wire.mend().await;
    assert_eq!(next(&mut events).await, r#"reset {"reason":"evicted"}"#);
    publish(&topic(&near), "31").await;
    publish(&quiet(&near), "1").await;
    assert_eq!(next(&mut events).await, "31");
    assert_eq!(next(&mut silence).await, "1", "nothing of it was missed");
}

/// A connection that the test can cut.
struct Wire {
    listener: SocketAddr,
    target: SocketAddr,
    task: Option<JoinHandle<()>>,
}

impl Wire {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let mut wire = Self {
            listener: listener.local_addr().expect("it is bound"),
            target,
            task: None,
        };
        wire.carry(listener);
        wire
    }

    fn url(&self) -> String {
        format!("nats://{}", self.listener)
    }

    fn cut(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    async fn mend(&mut self) {
        let listener = wait::within("the port to be free again", async {
            loop {
                match TcpListener::bind(self.listener).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        let listener = listener.await;
        self.carry(listener);
    }

    fn carry(&mut self, listener: TcpListener) {
        let target = self.target;
        self.task = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.expect("it listens");
                connections.spawn(async move {
                    let mut far = TcpStream::connect(target).await.expect("it listens");
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }));
    }
}

#[tokio::test]
async fn what_is_too_old_goes_on_nats() {
    let nats = Nats::start();
    let options = || Hub::builder().history(History::new().max_age(Duration::from_millis(500)));
    let hub = built(&nats, options());
    let first = topic(&hub).publish("0").await.expect("it is there");
    wait::within("the event to go", async {
        loop {
            publish(&topic(&hub), "again").await;
            let later = built(&nats, options());
            let mut events = topic(&later).subscribe_from(Cursor::start());
            if next(&mut events).await == "again" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let mut events = topic(&hub).subscribe_from(Cursor::after(first.as_str()));
    assert_eq!(next(&mut events).await, r#"reset {"reason":"evicted"}"#);
}

#[tokio::test]
async fn a_short_history_takes_no_event_from_those_who_listen_on_nats() {
    let nats = Nats::start();
    let options = || {
        Hub::builder()
            .history(History::none())
            .slow_clients(SlowPolicy::disconnect().max_buffered_bytes(8 << 20))
    };
    let (one, two) = (built(&nats, options()), built(&nats, options()));
    let mut events = topic(&two).subscribe();
    is_known(&mut events).await;
    let publishers = (0..500).map(|number| {
        let topic = topic(&one);
        async move {
            topic
                .publish(number.to_string())
                .await
                .expect("it is there")
        }
    });
    futures_util::future::join_all(publishers).await;
    let mut got = several(&mut events, 500).await;
    got.sort_by_key(|number| number.parse::<usize>().expect("a number"));
    assert_eq!(got, numbers(0..500));
}

#[tokio::test]
async fn conflation_goes_by_the_publishers_keys_on_nats() {
    let nats = Nats::start();
    let options = || Hub::builder().slow_clients(SlowPolicy::conflate_by_name());
    let (one, two) = (built(&nats, options()), built(&nats, options()));
    let mut slow = topic(&two).subscribe();
    let mut fast = topic(&two).subscribe();
    is_known(&mut slow).await;
    is_known(&mut fast).await;
    let price = |name: &'static str, price: u32| {
        ServerEvent::new(price.to_string()).with_name(bocadillo::EventName::from_static(name))
    };
    topic(&one)
        .publish_all([
            price("EUR USD, €", 1),
            price("GBP", 2),
            price("EUR USD, €", 3),
        ])
        .await
        .expect("it is there");
    // Once the last has come the others have: they are one message.
    while next(&mut fast).await != "EUR USD, € 3" {}
    assert_eq!(several(&mut slow, 2).await, ["GBP 2", "EUR USD, € 3"]);
}

#[tokio::test]
async fn what_nats_refuses_is_an_error_with_its_reason() {
    let nats = Nats::start();
    let hub = hub(&nats);
    let error = topic(&hub)
        .publish("x".repeat(2 << 20))
        .await
        .expect_err("the server takes 1 MiB");
    assert!(error.is_refused(), "{error:?}");
    assert!(
        Hub::nats("http://localhost")
            .expect_err("it is not one of NATS")
            .is_config()
    );
}
