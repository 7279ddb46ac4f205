//! Topics on a real NATS JetStream server, with several nodes, crashes of the server, and other programs.

mod bounds;
mod epochs;
mod history;
mod load;
mod outages;
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
    builder.nats(nats.url()).expect("a valid URL")
}

fn topic(hub: &Hub) -> Topic {
    hub.topic("rooms/7 * >.ü").expect("a valid name")
}

/// The next event: its data, or a `reset` with its data.
async fn next(events: &mut Subscription) -> String {
    let event = wait::within("an event", events.next())
        .await
        .expect("the stream continues");
    let data = event.data().expect("events of topics have data");
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

/// The events before the event that the test publishes as the last one.
async fn up_to_marker(events: &mut Subscription) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match next(events).await {
            data if data == "marker" => return all,
            data => all.push(data),
        }
    }
}

/// Publishes, and tries again while the broker is away.
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
    wait::within("the subscription to begin", async {
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
    let mut other = two.topic("rooms/8").expect("a valid name").subscribe();
    is_known(&mut live).await;
    is_known(&mut other).await;

    let mut ids = vec![topic(&one).publish("0").await.expect("NATS is up")];
    ids.extend(
        topic(&one)
            .publish_all(["1", "2", "3"])
            .await
            .expect("NATS is up"),
    );
    ids.push(topic(&two).publish("4").await.expect("NATS is up"));

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
        .expect("a valid name")
        .publish("another")
        .await
        .expect("NATS is up");
    assert_eq!(next(&mut other).await, "another");
    assert_eq!(nats.connections().0, 3, "one connection for each node");
}

#[tokio::test]
async fn ids_are_the_same_on_all_nodes_of_nats() {
    let nats = Nats::start();
    let (one, two) = (hub(&nats), hub(&nats));
    let published = topic(&one)
        .publish_all(["0", "1"])
        .await
        .expect("NATS is up");
    let mut events = topic(&two).subscribe_from(Cursor::start());
    for id in published {
        let event = wait::within("an event", events.next())
            .await
            .expect("the stream continues");
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
        let other = hub.topic("other").expect("a valid name");
        other.publish("in between").await.expect("NATS is up");
        let events = (first..first + 3).map(|number| format!("{number} {text}"));
        topic(&hub).publish_all(events).await.expect("NATS is up");
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
async fn messages_of_other_programs_are_skipped_on_nats() {
    let nats = Nats::start();
    let hub = hub(&nats);
    let room = hub.topic("room").expect("a valid name");
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
    // An event of another program in the right format is accepted.
    nats.publish("bocadillo.events.room", "", "data: 1\n\n");
    publish(&room, "2").await;
    assert_eq!(several(&mut live, 3).await, numbers(0..3));
    assert_eq!(
        several(&mut room.subscribe_from(Cursor::start()), 3).await,
        numbers(0..3)
    );
    let mut late = built(&nats, Hub::builder())
        .topic("room")
        .expect("a valid name")
        .subscribe_from(Cursor::start());
    assert_eq!(several(&mut late, 3).await, numbers(0..3));
}

#[tokio::test]
async fn two_thousand_topics_share_one_connection_to_nats() {
    let nats = Nats::start();
    let hub = hub(&nats);
    let start = Instant::now();
    let topics: Vec<_> = (0..2_000)
        .map(|user| hub.topic(format!("users/{user}")).expect("a valid name"))
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
        topic.publish(user.to_string()).await.expect("NATS is up");
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
    wait::within("the subscriptions to end", async {
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
                .expect("NATS is up"),
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
async fn a_refusal_of_nats_is_an_error_with_its_reason() {
    let nats = Nats::start();
    let hub = hub(&nats);
    let error = topic(&hub)
        .publish("x".repeat(2 << 20))
        .await
        .expect_err("the server takes 1 MiB");
    assert!(error.is_refused(), "{error:?}");
    assert!(
        Hub::nats("http://localhost")
            .expect_err("the scheme is not one of NATS")
            .is_config()
    );
}
