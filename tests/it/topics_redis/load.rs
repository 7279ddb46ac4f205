//! A slow link, and many who come back at once: everything goes on, and nothing is carried twice.

use super::link::Link;
use super::*;

fn large() -> History {
    History::new().events(10_000).bytes(64 << 20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_backlog_comes_over_a_slow_link_and_is_carried_once() {
    const EVENTS: usize = 70;
    let redis = Redis::start();
    let near = topic(&limited(&redis, large()), "x");
    let first = publish(&near, "first").await;
    let text = "x".repeat(64 * 1024);
    for _ in 0..EVENTS {
        publish(&near, &text).await;
    }
    publish(&near, "end").await;
    let link = Link::new(&redis, 512 * 1024).await;
    let far = Hub::builder().history(large()).redis(&link.url).unwrap();
    let mut replayed = topic(&far, "x").subscribe(first.as_str());
    assert_eq!(up_to("end", &mut replayed).await.len(), EVENTS + 1);
    let carried = link.bytes();
    assert!(carried < EVENTS * 64 * 1024 * 3 / 2, "{carried} bytes");
    assert_eq!(link.connections(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_while_a_node_was_cut_off_comes_over_a_slow_link() {
    const EVENTS: usize = 70;
    let redis = Redis::start();
    let link = Link::new(&redis, 512 * 1024).await;
    let far = Hub::builder().history(large()).redis(&link.url).unwrap();
    let near = topic(&limited(&redis, large()), "x");
    let mut client = topic(&far, "x").subscribe(Cursor::live());
    let mut other = topic(&far, "other").subscribe(Cursor::live());
    known(&mut client).await;
    known(&mut other).await;
    let text = "x".repeat(64 * 1024);
    // All at once, and the connections are cut behind it.
    near.publish_all((0..EVENTS).map(|_| text.clone()))
        .await
        .unwrap();
    redis.command("CLIENT KILL TYPE normal SKIPME yes");
    publish(&topic(&hub(&redis), "other"), "between").await;
    assert_eq!(next(&mut other).await, "between");
    publish(&near, "end").await;
    let got = up_to("end", &mut client).await;
    assert_eq!(got.len(), EVENTS + 1);
    assert!(got.iter().all(|text| !text.starts_with("reset")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_many_replay_publishing_and_live_events_go_on() {
    const CLIENTS: usize = 60;
    const HISTORY: usize = 512 * 1024;
    let redis = Redis::start();
    let near = hub(&redis);
    let first = publish(&topic(&near, "x"), "first").await;
    let text = "x".repeat(16 * 1024);
    for _ in 0..HISTORY / text.len() {
        publish(&topic(&near, "x"), &text).await;
    }
    publish(&topic(&near, "x"), "end").await;
    let link = Link::new(&redis, 5 << 20).await;
    let far = Hub::redis(&link.url).unwrap();
    let live = topic(&far, "live");
    let mut heard = live.subscribe(Cursor::live());
    known(&mut heard).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = topic(&far, "x").subscribe(first.as_str());
            tokio::spawn(async move { up_to("end", &mut client).await.len() })
        })
        .collect();
    let mut number = 0;
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        let start = Instant::now();
        live.publish(number.to_string())
            .await
            .expect("it is confirmed");
        assert_eq!(next(&mut heard).await, number.to_string());
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "it took {:?}",
            start.elapsed()
        );
        number += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for client in clients {
        assert_eq!(client.await.unwrap(), HISTORY / text.len() + 1);
    }
    let carried = link.bytes();
    assert!(carried < CLIENTS * HISTORY * 5 / 4, "{carried} bytes");
    assert_eq!(
        link.connections(),
        3,
        "no connection was given up"
    );
}

#[tokio::test]
async fn an_event_that_is_larger_than_a_page_comes_whole() {
    let redis = Redis::start();
    let near = topic(&limited(&redis, large()), "x");
    let first = publish(&near, "first").await;
    let text = "x".repeat(24 << 20);
    publish(&near, &text).await;
    publish(&near, "end").await;
    let mut client = topic(&limited(&redis, large()), "x").subscribe(first.as_str());
    assert_eq!(next(&mut client).await.len(), text.len());
    assert_eq!(next(&mut client).await, "end");
}
