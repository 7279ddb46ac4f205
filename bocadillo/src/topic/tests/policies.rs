//! Each policy for slow clients, and its bound in bytes.

use std::collections::HashMap;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;

use super::super::{Cursor, History, Hub, SlowPolicy, Subscription, Topic};
use crate::event::{EventName, ServerEvent};

const BOUND: usize = 10_000;

fn hub(history: History, policy: SlowPolicy) -> Hub {
    Hub::builder()
        .history(history)
        .slow_clients(policy.max_buffered_bytes(BOUND))
        .memory()
}

fn policies() -> [SlowPolicy; 4] {
    [
        SlowPolicy::disconnect(),
        SlowPolicy::drop_oldest(),
        SlowPolicy::conflate_by_name(),
        SlowPolicy::block(Duration::ZERO),
    ]
}

/// The next event, if there is one. `Some(None)` is the end.
fn poll(subscription: &mut Subscription) -> Option<Option<ServerEvent>> {
    match subscription.poll_event(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(event) => Some(event),
        Poll::Pending => None,
    }
}

fn drain(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| poll(subscription).flatten())
        .map(|event| event.data().unwrap().to_owned())
        .collect()
}

async fn publish(topic: &Topic, numbers: std::ops::Range<usize>, size: usize) {
    for number in numbers {
        topic.publish(format!("{number:0size$}")).await.unwrap();
    }
}

fn number(data: &str) -> usize {
    data.parse().unwrap()
}

#[tokio::test]
async fn a_hundred_clients_that_never_read_cost_one_bound_together() {
    for policy in policies() {
        for clients in [1, 100] {
            for (history, kept) in [
                (History::none(), 0),
                (History::new().max_bytes(3_000).max_events(1_000_000), 3_000),
            ] {
                let hub = hub(history, policy.clone());
                let topic = hub.topic("x").unwrap();
                let slow: Vec<_> = (0..clients).map(|_| topic.subscribe()).collect();
                let mut most = 0;
                for size in (1..2_000).step_by(7) {
                    topic.publish("x".repeat(size)).await.unwrap();
                    let bytes = hub.stats().bytes;
                    most = most.max(bytes);
                    let event = size + "id: 12345678-285\ndata: \n\n".len();
                    assert!(
                        bytes <= BOUND + kept + event,
                        "{policy:?}: {clients} clients cost {bytes} bytes"
                    );
                }
                assert!(
                    most > BOUND + kept - 2_000,
                    "{policy:?}: the bound is made use of, not {most} bytes"
                );
                drop(slow);
                assert!(
                    hub.stats().bytes <= kept,
                    "{policy:?}: what only slow clients wanted goes with them"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_client_within_the_bound_loses_nothing_without_a_history() {
    for policy in policies() {
        let topic = hub(History::none(), policy).topic("x").unwrap();
        let mut subscription = topic.subscribe();
        for round in 0..20 {
            publish(&topic, round * 50..(round + 1) * 50, 100).await;
            let got: Vec<_> = drain(&mut subscription)
                .iter()
                .map(|data| number(data))
                .collect();
            assert_eq!(got, (round * 50..(round + 1) * 50).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn an_event_larger_than_the_bound_reaches_a_client_that_keeps_up() {
    for policy in policies() {
        let topic = hub(History::none(), policy).topic("x").unwrap();
        let mut subscription = topic.subscribe();
        for _ in 0..3 {
            topic.publish("x".repeat(10 * BOUND)).await.unwrap();
            assert_eq!(drain(&mut subscription).len(), 1);
        }
    }
}

#[tokio::test]
async fn disconnect_ends_the_stream_and_the_client_resumes() {
    let topic = hub(History::new().max_events(1_000), SlowPolicy::disconnect())
        .topic("x")
        .unwrap();
    let mut slow = topic.subscribe();
    publish(&topic, 0..10, 10).await;
    let last = poll(&mut slow).flatten().unwrap().id().cloned();
    // The history has 1,000 of 1,490 events. The events before it exceed the bound.
    publish(&topic, 10..1_500, 10).await;
    assert_eq!(poll(&mut slow), Some(None), "the stream ends");
    assert_eq!(poll(&mut slow), Some(None), "the stream stays ended");
    let mut again = topic.subscribe_from(last.clone());
    let got = drain(&mut again);
    assert_eq!(
        got,
        [r#"{"reason":"evicted"}"#],
        "the client came back too late"
    );

    let mut slow = topic.subscribe();
    publish(&topic, 1_500..1_501, 10).await;
    let last = poll(&mut slow).flatten().unwrap().id().cloned();
    publish(&topic, 1_501..2_000, 10).await;
    drop(slow);
    let got: Vec<_> = drain(&mut topic.subscribe_from(last))
        .iter()
        .map(|data| number(data))
        .collect();
    assert_eq!(
        got,
        (1_501..2_000).collect::<Vec<_>>(),
        "the client came back in time"
    );
}

#[tokio::test]
async fn drop_oldest_counts_the_dropped_events_exactly() {
    let topic = hub(History::none(), SlowPolicy::drop_oldest())
        .topic("x")
        .unwrap();
    let mut slow = topic.subscribe();
    let (mut published, mut got, mut dropped) = (0, Vec::new(), 0);
    for (burst, reads) in [
        (10, 3),
        (1_000, 1),
        (1, 5),
        (500, 40),
        (3_000, 0),
        (10, 10_000),
        (700, 10_000),
    ] {
        publish(&topic, published..published + burst, 90).await;
        published += burst;
        for _ in 0..reads {
            let Some(Some(event)) = poll(&mut slow) else {
                break;
            };
            let data = event.data().unwrap();
            if event.name().is_some_and(|name| name == "gap") {
                let json: serde_json::Value = serde_json::from_str(data).unwrap();
                let gap = json["dropped"].as_u64().unwrap() as usize;
                dropped += gap;
                // The next event is the one after the dropped events.
                let resumed = topic.subscribe_from(event.id());
                assert_eq!(
                    resumed.last_id().as_ref(),
                    event.id(),
                    "a client resumes after the id of a gap"
                );
                got.extend(std::iter::repeat_n(None, gap));
            } else {
                got.push(Some(number(data)));
            }
        }
    }
    assert!(dropped > 3_000, "{dropped}");
    assert_eq!(got.len(), published);
    for (at, number) in got.iter().enumerate() {
        assert!(number.is_none_or(|number| number == at), "{at}: {number:?}");
    }
}

#[tokio::test]
async fn conflate_keeps_the_newest_of_each_key() {
    let topic = hub(
        History::new().max_events(1_000),
        SlowPolicy::conflate_by_name(),
    )
    .topic("x")
    .unwrap();
    let price = |symbol: usize, price: usize| {
        let name = EventName::try_from(format!("s{symbol}")).unwrap();
        ServerEvent::new(price.to_string()).with_name(name)
    };
    let (mut fast, mut slow) = (topic.subscribe(), topic.subscribe());
    let mut newest = HashMap::new();
    for number in 0..5_000 {
        topic
            .publish(price(number * number % 7, number))
            .await
            .unwrap();
        newest.insert(number * number % 7, number);
        assert_eq!(
            drain(&mut fast),
            [number.to_string()],
            "a client that keeps up gets each event"
        );
    }
    topic.publish("without a key").await.unwrap();
    topic.publish("without a key").await.unwrap();
    let mut expected: Vec<_> = newest.into_values().collect();
    expected.sort_unstable();
    let mut expected: Vec<_> = expected.iter().map(usize::to_string).collect();
    expected.extend(["without a key".to_owned(), "without a key".to_owned()]);
    assert_eq!(drain(&mut slow), expected, "in the order of publishing");
    let mut late = topic.subscribe_from(Cursor::start());
    assert_eq!(
        drain(&mut late),
        expected,
        "the history has the remaining events"
    );
}

#[tokio::test]
async fn more_keys_than_the_bound_allows_cause_a_gap() {
    let topic = hub(History::none(), SlowPolicy::conflate_by_name())
        .topic("x")
        .unwrap();
    let mut slow = topic.subscribe();
    for number in 0..1_000 {
        let name = EventName::try_from(format!("s{}", number % 500)).unwrap();
        topic
            .publish(ServerEvent::new(format!("{number:090}")).with_name(name))
            .await
            .unwrap();
    }
    let first = poll(&mut slow).flatten().unwrap();
    let rest = drain(&mut slow);
    assert_eq!(first.name().unwrap(), "gap");
    let dropped = 1_000 - rest.len();
    assert_eq!(first.data().unwrap(), format!(r#"{{"dropped":{dropped}}}"#));
    assert_eq!(number(&rest[0]), dropped);
    assert!(rest.len() > 50);
}

#[tokio::test(start_paused = true)]
async fn the_longest_block_waits_until_there_is_room() {
    let topic = hub(History::none(), SlowPolicy::block(Duration::MAX))
        .topic("x")
        .unwrap();
    let mut slow = topic.subscribe();
    let mut publishing = std::pin::pin!(publish(&topic, 0..1_000, 100));
    let hour = Duration::from_secs(3600);
    assert!(
        tokio::time::timeout(hour, publishing.as_mut())
            .await
            .is_err()
    );
    let mut received = 0;
    while publishing.as_mut().now_or_never().is_none() {
        received += drain(&mut slow).len();
        tokio::task::yield_now().await;
    }
    received += drain(&mut slow).len();
    assert_eq!(received, 1_000);
}

#[tokio::test(start_paused = true)]
async fn block_delays_the_publisher_and_no_other_subscriber() {
    let topic = hub(History::none(), SlowPolicy::block(Duration::from_secs(2)))
        .topic("x")
        .unwrap();
    let (mut slow, mut fast) = (topic.subscribe(), topic.subscribe());
    let mut published = 0;
    let mut publishing = std::pin::pin!(async {
        loop {
            publish(&topic, published..published + 1, 100).await;
            published += 1;
        }
    });
    assert!(
        publishing.as_mut().now_or_never().is_none(),
        "the publisher waits for the slow client"
    );
    let first = drain(&mut fast).len();
    assert!(
        (70..90).contains(&first),
        "{first}: the events that fit, and the next event of the slow client"
    );
    assert!(publishing.as_mut().now_or_never().is_none());
    assert_eq!(drain(&mut fast).len(), 0);
    for _ in 0..5 {
        assert!(poll(&mut slow).is_some());
    }
    assert!(publishing.as_mut().now_or_never().is_none());
    assert_eq!(
        drain(&mut fast).len(),
        5,
        "as many events as the slow client has read"
    );

    let started = tokio::time::Instant::now();
    tokio::select! {
        _ = publishing.as_mut() => unreachable!("the publisher never ends"),
        () = tokio::time::sleep(Duration::from_millis(2_100)) => {}
    }
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert_eq!(
        poll(&mut slow),
        Some(None),
        "the slow client is disconnected after the time-out"
    );
    assert!(!drain(&mut fast).is_empty(), "the publisher continues");
}
