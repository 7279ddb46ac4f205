//! Concurrent use on several threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::StreamExt;

use super::super::position::read_one;
use super::super::{Cursor, History, Hub};

const PUBLISHERS: u64 = 4;
const EVENTS: u64 = 3_000;

/// Publishers run at the same time as clients that leave and come back. Each client gets each event once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_leave_and_come_back_get_each_event_once_in_order() {
    let hub = Hub::builder()
        .history(History::new().max_events(1_000_000).max_bytes(1 << 30))
        .memory();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let topic = hub.topic("x").unwrap();
            tokio::spawn(async move {
                for number in 0..EVENTS {
                    if number % 10 == 0 {
                        topic
                            .publish_all((0..2).map(|part| format!("{publisher} {number} {part}")))
                            .await
                            .unwrap();
                    } else {
                        topic
                            .publish(format!("{publisher} {number} 0"))
                            .await
                            .unwrap();
                    }
                    if number % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let total = PUBLISHERS * (EVENTS + EVENTS / 10);
    let clients: Vec<_> = (0..16_u64)
        .map(|client| {
            let hub = hub.clone();
            tokio::spawn(async move {
                let mut cursor = Cursor::start();
                let (mut last, mut stay) = (0, client * 7 + 1);
                let mut seen = vec![None; PUBLISHERS as usize];
                while last < total {
                    let mut subscription = if client % 2 == 0 {
                        hub.topic("x").unwrap().subscribe_from(cursor)
                    } else {
                        // A subscription of two topics, whose ids have two positions. The second topic has no events.
                        hub.subscribe_from(["x", "silent"], cursor).unwrap()
                    };
                    stay = stay * 31 % 997 + 1;
                    for _ in 0..stay {
                        let event = subscription.next().await.unwrap();
                        if client % 2 == 0 {
                            assert_eq!(
                                read_one(event.id().unwrap().as_str()).unwrap().1.major,
                                last + 1
                            );
                        }
                        last += 1;
                        let data: Vec<u64> = event
                            .data()
                            .unwrap()
                            .split(' ')
                            .map(|part| part.parse().unwrap())
                            .collect();
                        let seen = &mut seen[data[0] as usize];
                        let expected = match *seen {
                            None => (0, 0),
                            Some((number, 0)) if number % 10 == 0 => (number, 1),
                            Some((number, _)) => (number + 1, 0),
                        };
                        assert_eq!((data[1], data[2]), expected);
                        *seen = Some(expected);
                        if last == total {
                            break;
                        }
                    }
                    cursor = subscription.last_id().into();
                }
            })
        })
        .collect();
    for task in publishers.into_iter().chain(clients) {
        task.await.unwrap();
    }
}

/// No subscriber gets only a part of the events that are published together.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_that_are_published_together_arrive_together() {
    let hub = Hub::memory();
    let topic = hub.topic("x").unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (topic, done) = (topic.clone(), Arc::clone(&done));
        tokio::task::spawn_blocking(move || {
            while !done.load(Ordering::Acquire) {
                let events = topic.topic.channel().lock().ring.last().major;
                assert_eq!(events % 5, 0);
            }
        })
    };
    for _ in 0..5_000 {
        topic.publish_all(["1", "2", "3", "4", "5"]).await.unwrap();
    }
    done.store(true, Ordering::Release);
    reader.await.unwrap();
}

/// Topics are opened and removed on all threads at the same time. A topic exists once, and its subscribers get each event.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_topic_that_is_removed_and_opened_at_once_exists_once() {
    let hub = Hub::builder().history(History::none()).memory();
    let heard = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (hub, heard) = (hub.clone(), Arc::clone(&heard));
            tokio::spawn(async move {
                for round in 0..3_000 {
                    let mut subscription = hub.topic("x").unwrap().subscribe();
                    if round % 16 == 0 {
                        tokio::task::yield_now().await;
                    }
                    hub.topic("x").unwrap().publish("x").await.unwrap();
                    assert!(subscription.next().await.is_some());
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(heard.load(Ordering::Relaxed), 8 * 3_000);
    assert_eq!(hub.stats().topics, 0);
}
