//! The bound of a slow client counts only the events that are held for it beyond the history.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::super::encoded::EventWithoutId;
use super::super::position::{Position, Tag};
use super::super::ring::Ring;
use super::super::{Cursor, History, Hub, SlowPolicy, Subscription, Topic};
use super::begin::Script;

const EVENT: usize = 8 * 1024;

fn policies() -> [SlowPolicy; 4] {
    [
        SlowPolicy::disconnect(),
        SlowPolicy::drop_oldest(),
        SlowPolicy::conflate_by_name(),
        SlowPolicy::block(Duration::from_secs(60)),
    ]
}

/// Publishes events. Fails if the publisher has to wait.
async fn publish(topic: &Topic, numbers: std::ops::Range<usize>) {
    let started = Instant::now();
    for number in numbers {
        let event = format!("{number:0EVENT$}");
        topic.publish(event).await.unwrap();
    }
    assert_eq!(started, Instant::now(), "a publisher has waited");
}

/// The size of an event on the wire.
async fn size_of_one() -> usize {
    let hub = Hub::memory();
    publish(&hub.topic("x").unwrap(), 0..1).await;
    // Numbers of up to three digits.
    hub.stats().bytes + 2
}

/// The numbers of all available events. `None` is a notice or the end.
fn drain(subscription: &mut Subscription) -> Vec<Option<usize>> {
    let mut all = Vec::new();
    loop {
        match subscription.poll_event(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => return all,
            Poll::Ready(Some(event)) => all.push(event.data().unwrap().parse().ok()),
            Poll::Ready(None) => {
                all.push(None);
                return all;
            }
        }
    }
}

fn all(numbers: std::ops::Range<usize>) -> Vec<Option<usize>> {
    numbers.map(Some).collect()
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_starts_in_a_full_history_gets_the_history_and_new_events() {
    for policy in policies() {
        let hub = Hub::builder().slow_clients(policy.clone()).memory();
        let topic = hub.topic("x").unwrap();
        publish(&topic, 0..200).await;
        let first = 200 - hub.stats().events;
        assert!(first > 0, "the history is full");
        let deep = drain_ids(&mut topic.subscribe_from(Cursor::start()));
        let mut from_start = topic.subscribe_from(Cursor::start());
        let mut resuming = topic.subscribe_from(deep[1].as_str());
        let mut several = hub.subscribe_from(["x", "y"], Cursor::start()).unwrap();
        // The subscriptions are read only now, when half of the bound is used.
        publish(&topic, 200..264).await;
        assert_eq!(drain(&mut from_start), all(first..264), "{policy:?}");
        assert_eq!(drain(&mut resuming), all(first + 2..264), "{policy:?}");
        assert_eq!(drain(&mut several), all(first..264), "{policy:?}");
    }
}

fn drain_ids(subscription: &mut Subscription) -> Vec<String> {
    let mut context = Context::from_waker(Waker::noop());
    std::iter::from_fn(|| match subscription.poll_event(&mut context) {
        Poll::Ready(event) => Some(event?.id()?.as_str().to_owned()),
        Poll::Pending => None,
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_reads_a_whole_history_that_is_larger_than_the_bound() {
    for policy in policies() {
        let hub = Hub::builder()
            .history(History::new().max_bytes(8 << 20))
            .slow_clients(policy.clone())
            .memory();
        let topic = hub.topic("x").unwrap();
        publish(&topic, 0..500).await;
        let mut from_start = topic.subscribe_from(Cursor::start());
        publish(&topic, 500..900).await;
        assert_eq!(drain(&mut from_start), all(0..900), "{policy:?}");
    }
}

/// For each start of a client and each limit of the history: the bound is exceeded by one event more, and not by one less.
#[tokio::test(start_paused = true)]
async fn the_bound_is_exact() {
    let size = size_of_one().await;
    for policy in policies() {
        let block = policy.blocks().is_some();
        for history in [
            History::none(),
            History::new().max_events(20),
            // A publisher that waits counts the size of the longest id.
            History::new().max_bytes(20 * size + 64).max_events(10_000),
        ] {
            for extra in [0, 1] {
                // The same here.
                let bound = 50 * size + if block { 64 } else { 0 };
                let hub = Hub::builder()
                    .history(history)
                    .slow_clients(policy.clone().max_buffered_bytes(bound))
                    .memory();
                let topic = hub.topic("x").unwrap();
                publish(&topic, 100..200).await;
                let kept = hub.stats().events;
                let mut subscription = topic.subscribe_from(Cursor::start());
                // The next event of the client does not count.
                publish(&topic, 200..200 + 51).await;
                if extra == 1 && block {
                    tokio::task::yield_now().await;
                    let waits = topic.publish("too much").now_or_never();
                    assert!(waits.is_none(), "the publisher must wait");
                    continue;
                }
                publish(&topic, 251..251 + extra).await;
                let got = drain(&mut subscription);
                let expected = all(200 - kept..251 + extra);
                if extra == 0 {
                    assert_eq!(got, expected, "{policy:?}, {history:?}");
                } else {
                    assert_eq!(got[0], None, "{policy:?}, {history:?}");
                    let rest = if policy.goes_on() {
                        &expected[1..]
                    } else {
                        &[]
                    };
                    assert_eq!(got[1..], *rest, "{policy:?}, {history:?}");
                }
            }
        }
    }
}

/// An event that is too old is no longer in the history. It is held only for the client.
#[tokio::test(start_paused = true)]
async fn an_event_counts_against_the_bound_when_it_leaves_the_history() {
    let size = size_of_one().await;
    for (bound, is_lost) in [(99 * size, false), (98 * size, true)] {
        let hub = Hub::builder()
            .history(History::new().max_age(Duration::from_secs(60)))
            .slow_clients(SlowPolicy::disconnect().max_buffered_bytes(bound))
            .memory();
        let topic = hub.topic("x").unwrap();
        publish(&topic, 100..200).await;
        let mut subscription = topic.subscribe_from(Cursor::start());
        tokio::time::sleep(Duration::from_secs(70)).await;
        let expected = if is_lost { vec![None] } else { all(100..200) };
        assert_eq!(drain(&mut subscription), expected);
        // Its memory is freed when no client needs it.
        assert_eq!(hub.stats().events, 0);
    }
}

/// A client that is slower than its topic, but not too far behind.
#[tokio::test(start_paused = true)]
async fn a_slow_client_is_disconnected_when_it_reaches_the_bound() {
    let size = size_of_one().await;
    let history = 30;
    let hub = Hub::builder()
        .history(History::new().max_events(history))
        .slow_clients(SlowPolicy::disconnect().max_buffered_bytes(20 * size))
        .memory();
    let topic = hub.topic("x").unwrap();
    publish(&topic, 100..100 + history).await;
    let mut subscription = topic.subscribe_from(Cursor::start());
    for round in 0.. {
        let published = 100 + history + 2 * round;
        publish(&topic, published..published + 2).await;
        let held = hub.stats().events - history;
        assert!(held <= 21, "{held}");
        let Poll::Ready(event) = subscription.poll_event(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("an event must be available")
        };
        if event.is_none() {
            assert_eq!(round, 20, "the client falls one event behind in each round");
            break;
        }
        assert_eq!(
            event.unwrap().data().unwrap().parse::<usize>().unwrap(),
            100 + round,
            "in order"
        );
    }
    assert_eq!(hub.stats().events, history);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_answer_long_after_it_has_subscribed() {
    for policy in policies() {
        let hub = Hub::builder().slow_clients(policy).memory();
        let mut subscription = hub.topic("x").unwrap().subscribe();
        // The history, and the same number of events again.
        publish(&hub.topic("x").unwrap(), 0..250).await;
        assert_eq!(drain(&mut subscription), all(0..250));
    }
}

#[tokio::test(start_paused = true)]
async fn the_bound_is_the_same_over_a_broker() {
    let (script, hub) = Script::new();
    let topic = hub.topic("x").unwrap();
    let mut live = topic.subscribe();
    let mut lost = topic.subscribe();
    script.begin("x");
    publish(&topic, 0..250).await;
    assert_eq!(drain(&mut live), all(0..250));
    // Its replay starts before the first event of the ring.
    let mut from_start = topic.subscribe_from(Cursor::start());
    publish(&topic, 250..260).await;
    assert_eq!(drain(&mut from_start), all(0..260));
    publish(&topic, 260..300).await;
    assert_eq!(drain(&mut live), all(250..300));
    assert_eq!(drain(&mut lost), [None], "more than the bound");
}

/// The prediction before an event is added is what happens when the event is added.
#[test]
fn would_lose_predicts_what_the_ring_drops() {
    let mut random = 0_u64;
    let mut below = |limit: u64| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (random >> 33) % limit
    };
    let (mut blocked, mut free) = (0, 0);
    for _ in 0..2_000 {
        let history = History::new()
            .max_events([0, 2, 5, 1_000][below(4) as usize])
            .max_bytes([0, 150, 400, 10_000][below(4) as usize])
            .max_age(Duration::from_secs(50));
        let bound = [0, 100, 300][below(3) as usize];
        let mut ring = Ring::new(Position::default(), &SlowPolicy::block(Duration::ZERO));
        let mut now = Instant::now();
        let mut readers: Vec<u64> = Vec::new();
        for sequence in 1..40 {
            let encoded = format!("data: {}\n\n", "x".repeat(below(80) as usize));
            let event = EventWithoutId::from_payload(encoded.as_bytes(), None)
                .unwrap()
                .with_id(Tag::new(1, "x"), Position::new(sequence, 0));
            if below(3) == 0 {
                readers.push(ring.head());
                ring.enter(ring.head());
            }
            if !readers.is_empty() && below(3) == 0 {
                // One reader continues with the next event.
                let at = below(readers.len() as u64) as usize;
                if readers[at] < ring.head() {
                    ring.leave(readers[at]);
                    readers[at] += 1;
                    ring.enter(readers[at]);
                    ring.trim(&history, bound, now);
                }
            }
            now += Duration::from_secs(below(4));
            ring.trim(&history, bound, now);
            readers.retain(|next| *next >= ring.lost());
            let mut behind = readers.clone();
            behind.retain(|next| *next < ring.head());
            let told = ring.would_lose(1, event.wire.len(), &history, bound, now);
            ring.push(event, now);
            ring.trim(&history, bound, now);
            let happens = behind.iter().any(|next| *next < ring.lost());
            assert_eq!(told, happens, "{history:?}, bound {bound}, {sequence}");
            *(if told { &mut blocked } else { &mut free }) += 1;
            readers.retain(|next| *next >= ring.lost());
        }
    }
    assert!(blocked > 1_000 && free > 1_000, "{blocked}, {free}");
}
