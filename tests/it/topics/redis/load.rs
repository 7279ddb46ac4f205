//! A slow connection, and many clients that come back at once. Publishing continues, and nothing is sent twice.

use super::link::Link;
use super::*;
use crate::support::is_soak;

/// The time-out for all replays together.
const LIMIT: Duration = Duration::from_secs(240);

fn large() -> History {
    History::new().max_events(10_000).max_bytes(64 << 20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_backlog_is_sent_once_over_a_slow_connection() {
    const EVENTS: usize = 310;
    let redis = Redis::start();
    let near = topic(&limited(&redis, large()), "x");
    let first = publish(&near, "first").await;
    let text = "x".repeat(64 * 1024);
    for _ in 0..EVENTS {
        publish(&near, &text).await;
    }
    publish(&near, "end").await;
    let link = Link::new(&redis, 2_000_000).await;
    let far = Hub::builder().history(large()).redis(&link.url).unwrap();
    let mut replayed = topic(&far, "x").subscribe_from(first.as_str());
    assert_eq!(up_to("end", &mut replayed).await.len(), EVENTS + 1);
    let (needed, carried) = (EVENTS * text.len(), link.bytes());
    println!(
        "{carried} bytes for {needed}, {} at most in one answer",
        link.largest_answer()
    );
    assert!(carried < needed * 21 / 20, "{carried} bytes for {needed}");
    // The maximum size of an answer, and one event.
    assert!(
        link.largest_answer() <= 384 * 1024,
        "{}",
        link.largest_answer()
    );
    assert_eq!(link.connections(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_catches_up_over_a_slow_connection() {
    const EVENTS: usize = 310;
    let redis = Redis::start();
    let link = Link::new(&redis, 2_000_000).await;
    let far = Hub::builder().history(large()).redis(&link.url).unwrap();
    let near = topic(&limited(&redis, large()), "x");
    let mut client = topic(&far, "x").subscribe();
    let mut other = topic(&far, "other").subscribe();
    known(&mut client).await;
    known(&mut other).await;
    let text = "x".repeat(64 * 1024);
    // All events are published at once. Then Redis closes the connections.
    near.publish_all((0..EVENTS).map(|_| text.clone()))
        .await
        .unwrap();
    redis.command("CLIENT KILL TYPE normal SKIPME yes");
    publish(&topic(&hub(&redis), "other"), "between").await;
    assert_eq!(next(&mut other).await, "between");
    publish(&near, "end").await;
    let got = up_to("end", &mut client).await;
    assert_eq!(got.len(), EVENTS + 1);
    assert!(
        link.largest_answer() <= 384 * 1024,
        "{}",
        link.largest_answer()
    );
    assert!(got.iter().all(|text| !text.starts_with("reset")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_and_new_events_work_while_many_clients_replay() {
    let (clients, history) = if is_soak() {
        (400, 960 * 1024)
    } else {
        (80, 512 * 1024)
    };
    let redis = Redis::start();
    let near = hub(&redis);
    let first = publish(&topic(&near, "x"), "first").await;
    let text = "x".repeat(16 * 1024);
    for _ in 0..history / text.len() {
        publish(&topic(&near, "x"), &text).await;
    }
    publish(&topic(&near, "x"), "end").await;
    let link = Link::new(&redis, 5_000_000).await;
    let far = Hub::redis(&link.url).unwrap();
    let live = topic(&far, "live");
    let mut heard = live.subscribe();
    known(&mut heard).await;
    let readers: Vec<_> = (0..clients)
        .map(|_| {
            let mut client = topic(&far, "x").subscribe_from(first.as_str());
            tokio::spawn(async move {
                let mut events = 1;
                while next(&mut client).await != "end" {
                    events += 1;
                }
                events
            })
        })
        .collect();
    let (began, mut number, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while !readers.iter().all(tokio::task::JoinHandle::is_finished) {
        let start = Instant::now();
        live.publish(number.to_string())
            .await
            .expect("the event is confirmed");
        assert_eq!(next(&mut heard).await, number.to_string());
        slowest = slowest.max(start.elapsed());
        assert!(began.elapsed() < LIMIT, "the replays do not end");
        number += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap(), history / text.len() + 1);
    }
    let (needed, carried) = (clients * history, link.bytes());
    println!(
        "{clients} clients replayed in {:.1?}; a publish and its event took {slowest:.0?} at most, {number} of them; {carried} bytes for {needed}",
        began.elapsed()
    );
    assert!(carried < needed * 21 / 20, "{carried} bytes for {needed}");
    // A publish waits for the bytes before it: less than the answers of four replays.
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    assert_eq!(link.connections(), 3, "the hub replaced no connection");
    // Four answers of 64 KiB and one event each.
    assert!(
        link.largest_answer() <= 512 * 1024,
        "{}",
        link.largest_answer()
    );
}

#[tokio::test]
async fn an_event_larger_than_a_page_arrives_whole() {
    let redis = Redis::start();
    let near = topic(&limited(&redis, large()), "x");
    let first = publish(&near, "first").await;
    let text = "x".repeat(24 << 20);
    publish(&near, &text).await;
    publish(&near, "end").await;
    let mut client = topic(&limited(&redis, large()), "x").subscribe_from(first.as_str());
    assert_eq!(next(&mut client).await.len(), text.len());
    assert_eq!(next(&mut client).await, "end");
}
