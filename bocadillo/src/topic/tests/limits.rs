//! The numbers that the documentation states. Each test fails for the next higher or lower number.

use std::time::Duration;

use super::super::{Cursor, History, Hub, SlowPolicy, Topic};
use super::begin::Script;

async fn publish(topic: &Topic, events: usize, size: usize) {
    for _ in 0..events {
        topic.publish("x".repeat(size)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_history_is_a_thousand_events_a_mebibyte_and_five_minutes() {
    let hub = Hub::memory();
    let topic = hub.topic("x").unwrap();
    publish(&topic, 1_100, 1).await;
    assert_eq!(hub.stats().events, 1_000);
    tokio::time::advance(Duration::from_millis(299_900)).await;
    hub.inner.sweep();
    assert_eq!(hub.stats().events, 1_000);
    tokio::time::advance(Duration::from_millis(100)).await;
    hub.inner.sweep();
    assert_eq!(hub.stats().events, 0);

    // The sizes of the events reach the limit to the byte.
    publish(&topic, 1, 1_000_000 - 24).await;
    let rest = (1 << 20) - hub.stats().bytes;
    publish(&topic, 1, rest - 30).await;
    let rest = (1 << 20) - hub.stats().bytes;
    assert!(rest < 30, "{rest}");
    assert_eq!(hub.stats().events, 2);
    let last = hub.topic("y").unwrap();
    publish(&last, 1, 1).await;
    publish(&topic, 1, 1).await;
    assert_eq!(hub.stats().events, 1 + 2, "the first event is removed");

    assert_eq!(History::none().max_events, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_may_be_a_mebibyte_behind_the_history() {
    let hub = Hub::builder().history(History::none()).memory();
    let topic = hub.topic("x").unwrap();
    let _slow = topic.subscribe();
    // The next event of the client does not count.
    publish(&topic, 1, 1).await;
    let first = hub.stats().bytes;
    publish(&topic, 1, (1 << 20) - 64).await;
    let rest = first + (1 << 20) - hub.stats().bytes;
    assert!((1..64).contains(&rest));
    assert_eq!(hub.stats().events, 2);
    publish(&topic, 1, rest).await;
    assert_eq!(hub.stats().events, 0, "one event more exceeds the bound");

    for policy in [
        SlowPolicy::disconnect(),
        SlowPolicy::drop_oldest(),
        SlowPolicy::conflate_by_name(),
        SlowPolicy::block(Duration::ZERO),
        SlowPolicy::default(),
    ] {
        assert_eq!(policy.max_buffered_bytes, 1 << 20);
    }
}

/// An event that is too old is removed after a quarter of the maximum age, and after 5 seconds at the latest. The hub sweeps at most
/// every 20 milliseconds.
#[tokio::test(start_paused = true)]
async fn old_events_are_swept_often_enough() {
    for (age, published_at, kept_at, gone_at) in [
        // Every quarter of the age.
        (4_000, 500, 4_900, 5_001),
        // Every 5 seconds, not every 75 seconds.
        (301_000, 3_000, 304_900, 305_001),
        // Every 20 milliseconds, not every 11 milliseconds.
        (45, 0, 59, 61),
    ] {
        let history = History::new().max_age(Duration::from_millis(age));
        let hub = Hub::builder().history(history).memory();
        let topic = hub.topic("x").unwrap();
        let started = tokio::time::Instant::now();
        let at = |time| tokio::time::sleep_until(started + Duration::from_millis(time));
        // The sweeps start with the first use.
        drop(topic.subscribe());
        at(published_at).await;
        publish(&topic, 1, 1).await;
        at(kept_at).await;
        assert_eq!(hub.stats().events, 1, "age {age}");
        at(gone_at).await;
        assert_eq!(hub.stats().events, 0, "age {age}");
    }
}

/// One task sweeps for all users of the hub. When its runtime has ended, another task does.
#[test]
fn one_task_sweeps_old_events() {
    let hub = Hub::builder()
        .history(History::new().max_age(Duration::from_secs(1)))
        .memory();
    let topic = hub.topic("x").unwrap();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            publish(&topic, 10, 1).await;
            drop(topic.subscribe());
            assert_eq!(runtime.metrics().num_alive_tasks(), 1);
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert_eq!(hub.stats().events, 0);
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        publish(&topic, 1, 1).await;
        drop((topic, hub));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            runtime.metrics().num_alive_tasks(),
            0,
            "the task ends with the hub"
        );
    });
}

/// A client that replays holds at most one answer of the broker.
#[tokio::test(start_paused = true)]
async fn a_replay_requests_64_kib_at_a_time() {
    let (script, hub) = Script::new();
    let topic = hub.topic("x").unwrap();
    publish(&topic, 10, 1_000).await;
    let mut subscription = topic.subscribe_from(Cursor::start());
    script.begin("x");
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..10 {
        assert!(subscription.poll_wire(&mut context, 1_000).is_ready());
        assert_eq!(script.replay_limits(), [64 * 1024]);
    }
    assert!(subscription.poll_wire(&mut context, 1_000).is_pending());
}

/// If a publisher and a subscriber share a thread, each lets the other run.
#[tokio::test]
async fn a_loop_that_only_publishes_or_reads_lets_other_tasks_run() {
    for all_at_once in [false, true] {
        let topic = Hub::memory().topic("x").unwrap();
        let publisher = topic.clone();
        let publishing = tokio::spawn(async move {
            for _ in 0..1_000 {
                if all_at_once {
                    publisher.publish_all(["x"]).await.unwrap();
                } else {
                    publisher.publish("x").await.unwrap();
                }
            }
        });
        let other = tokio::spawn(async {});
        other.await.unwrap();
        assert!(!publishing.is_finished());
        publishing.await.unwrap();

        let mut subscription = topic.subscribe_from(Cursor::start());
        let reading = tokio::spawn(async move {
            for _ in 0..1_000 {
                let _ = futures_util::StreamExt::next(&mut subscription)
                    .await
                    .unwrap();
            }
        });
        let other = tokio::spawn(async {});
        other.await.unwrap();
        assert!(!reading.is_finished());
        reading.await.unwrap();
    }
}
