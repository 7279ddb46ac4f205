//! Removal of topics, presence, and the maximum age.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;

use super::super::hub::Stats;
use super::super::{Cursor, History, Hub};

#[tokio::test(start_paused = true)]
async fn topics_that_are_no_longer_used_are_removed() {
    let hub = Hub::builder()
        .history(History::new().max_age(Duration::from_secs(60)))
        .memory();
    for round in 0..3 {
        for user in 0..10_000 {
            let topic = hub.topic(format!("users/{user}")).unwrap();
            topic.publish("x".repeat(100)).await.unwrap();
            let mut subscription = topic.subscribe_from(Cursor::start());
            assert_eq!(
                subscription.next().await.unwrap().data().unwrap().len(),
                100
            );
        }
        let stats = hub.stats();
        assert_eq!(
            (stats.topics, stats.subscribers, stats.events),
            (10_000, 0, 10_000),
            "round {round}"
        );
        tokio::time::sleep(Duration::from_secs(70)).await;
        assert_eq!(
            hub.stats(),
            Stats::default(),
            "topics without subscribers and history are removed"
        );
        assert!(
            hub.inner.channels.read().unwrap().capacity() < 100,
            "the list has shrunk"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_stays_while_it_has_a_handle_a_subscriber_or_a_history() {
    let hub = Hub::builder()
        .history(History::none())
        .topics("kept", |topic| {
            topic.history(History::new().max_age(Duration::from_secs(10)))
        })
        .memory();
    let handle = hub.topic("x").unwrap();
    let clone = handle.clone();
    drop(handle);
    assert_eq!(hub.stats().topics, 1);
    let subscription = clone.subscribe();
    drop(clone);
    assert_eq!(hub.stats().topics, 1);
    drop(subscription);
    assert_eq!(hub.stats().topics, 0);

    hub.topic("kept").unwrap().publish("x").await.unwrap();
    assert_eq!(hub.stats().topics, 1);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(hub.stats().topics, 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(hub.stats().topics, 0);
}

/// A topic that was removed and used again resets only the clients that missed events.
#[tokio::test(start_paused = true)]
async fn ids_of_a_removed_topic_still_work() {
    let hub = Hub::builder()
        .history(History::new().max_age(Duration::from_secs(10)))
        .memory();
    let first = hub.topic("x").unwrap().publish("1").await.unwrap();
    let second = hub.topic("x").unwrap().publish("2").await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(hub.stats().topics, 0);
    let mut up_to_date = hub.topic("x").unwrap().subscribe_from(second);
    let mut behind = hub.topic("x").unwrap().subscribe_from(first);
    let third = hub.topic("x").unwrap().publish("3").await.unwrap();
    assert_eq!(up_to_date.next().await.unwrap().data(), Some("3"));
    assert_eq!(
        behind.next().await.unwrap().data(),
        Some(r#"{"reason":"evicted"}"#)
    );
    let event = behind.next().await.unwrap();
    assert_eq!((event.data(), event.id()), (Some("3"), Some(&third)));
}

#[tokio::test(start_paused = true)]
async fn old_events_are_not_replayed_before_the_next_sweep() {
    let hub = Hub::builder()
        .history(History::new().max_age(Duration::from_secs(60)))
        .memory();
    let topic = hub.topic("x").unwrap();
    topic.publish("old").await.unwrap();
    tokio::time::advance(Duration::from_millis(59_900)).await;
    topic.publish("young").await.unwrap();
    tokio::time::advance(Duration::from_millis(100)).await;
    let mut subscription = topic.subscribe_from(Cursor::start());
    assert_eq!(subscription.next().await.unwrap().data(), Some("young"));
}

#[tokio::test]
async fn presence_reports_the_first_and_the_last_subscriber() {
    let hub = Hub::memory();
    let topic = hub.topic("x").unwrap();
    let mut presence = topic.presence();
    assert!(presence.occupied().now_or_never().is_none());
    assert!(presence.vacant().now_or_never().is_some());
    let one = topic.subscribe();
    assert!(presence.occupied().now_or_never().is_some());
    let both = hub.subscribe(["x", "y"]).unwrap();
    assert_eq!((topic.subscribers(), presence.subscribers()), (2, 2));
    drop(one);
    assert!(presence.vacant().now_or_never().is_none());
    drop(both);
    assert!(presence.vacant().now_or_never().is_some());
    assert_eq!(
        presence.changed().now_or_never(),
        None,
        "`vacant` has seen it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_runs_while_there_is_a_subscriber() {
    let hub = Hub::memory();
    let topic = hub.topic("x").unwrap();
    let source = topic.clone();
    let runs = std::sync::atomic::AtomicUsize::new(0);
    let running = source.while_subscribed(async || {
        runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        loop {
            let _ = source.publish("tick").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let listening = async {
        for round in 1..4 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let before = hub.stats().events;
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(hub.stats().events, before, "there is no subscriber");
            let mut subscription = topic.subscribe();
            for _ in 0..5 {
                assert_eq!(subscription.next().await.unwrap().data(), Some("tick"));
            }
            assert_eq!(runs.load(std::sync::atomic::Ordering::Relaxed), round);
        }
    };
    tokio::select! {
        _ = running => unreachable!("it never returns"),
        () = listening => {}
    }
}

#[test]
fn a_hub_works_without_a_runtime() {
    let hub = Hub::memory();
    let topic = hub.topic("x").unwrap();
    futures_util::future::FutureExt::now_or_never(topic.publish("1"))
        .unwrap()
        .unwrap();
    let mut subscription = topic.subscribe_from(Cursor::start());
    assert_eq!(
        subscription.next().now_or_never().unwrap().unwrap().data(),
        Some("1")
    );
}
