//! Slow links, and more than a node can take.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use super::*;
use crate::support::Log;

/// Carries connections to a server, whose answers share so many bytes a second.
async fn slow(target: SocketAddr, rate: usize) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("nats://{}", listener.local_addr().expect("it is bound"));
    let link = Arc::new(Mutex::new(tokio::time::Instant::now()));
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (near, _) = listener.accept().await.expect("it listens");
            let far = TcpStream::connect(target).await.expect("it listens");
            let (mut near_read, mut near_write) = near.into_split();
            let (mut far_read, mut far_write) = far.into_split();
            connections.spawn(async move {
                let _ = tokio::io::copy(&mut near_read, &mut far_write).await;
            });
            let link = Arc::clone(&link);
            connections.spawn(async move {
                let mut piece = vec![0; 16 * 1024];
                while let Ok(read @ 1..) = far_read.read(&mut piece).await {
                    let mut free = link.lock().await;
                    let start = (*free).max(tokio::time::Instant::now());
                    *free = start + Duration::from_secs_f64(read as f64 / rate as f64);
                    tokio::time::sleep_until(*free).await;
                    drop(free);
                    if near_write.write_all(&piece[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, task)
}

#[tokio::test]
async fn a_long_replay_over_a_slow_link_goes_on_on_nats() {
    let nats = Nats::start();
    let (url, link) = slow(nats.address(), 2_000_000).await;
    let near = hub(&nats);
    let text = "x".repeat(64 * 1024);
    let first = publish(&topic(&near), "first").await;
    for number in 0..60 {
        publish(&topic(&near), &format!("{number} {text}")).await;
    }
    let far = Hub::nats(url).expect("the URL is one");
    let mut events = topic(&far).subscribe_from(Cursor::after(&*first));
    for number in 0..60 {
        let event = next(&mut events).await;
        assert!(
            event.starts_with(&format!("{number} ")),
            "{number}: {}",
            &event[..40]
        );
    }
    link.abort();
}

#[tokio::test]
async fn publishing_goes_on_while_many_replay_over_a_slow_link_on_nats() {
    let nats = Nats::start();
    let (url, link) = slow(nats.address(), 5_000_000).await;
    let near = hub(&nats);
    let text = "x".repeat(1024);
    let first = publish(&topic(&near), "first").await;
    for number in 0..100 {
        publish(&topic(&near), &format!("{number} {text}")).await;
    }
    let far = Hub::nats(url).expect("the URL is one");
    let other = far.topic("other").expect("a name");
    publish(&other, "warm").await;
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let mut events = topic(&far).subscribe_from(Cursor::after(&*first));
        clients.spawn(async move { several(&mut events, 100).await });
    }
    let mut longest = Duration::ZERO;
    while !clients.is_empty() {
        let start = Instant::now();
        other
            .publish("x")
            .await
            .expect("the link is busy, not broken");
        longest = longest.max(start.elapsed());
        while let Some(client) = clients.try_join_next() {
            let got = client.expect("it does not panic");
            assert!(
                got.iter()
                    .enumerate()
                    .all(|(at, data)| data.starts_with(&format!("{at} ")))
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("100 clients replayed; a publish took {longest:.0?} at most");
    link.abort();
}

/// More than fits comes while the node is busy: one line tells it, and all of it is read once.
#[tokio::test]
async fn a_flood_past_a_busy_node_is_one_catch_up_on_nats() {
    let log = Log::start();
    let nats = Nats::start();
    let options = || Hub::builder().history(History::new().max_events(40_000));
    let busy = built(&nats, options());
    let mut events = topic(&busy).subscribe();
    let mut other = busy.topic("other").expect("a name").subscribe();
    is_known(&mut events).await;
    is_known(&mut other).await;
    let url = nats.url();
    let flood = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let hub = Hub::builder()
                .history(History::new().max_events(40_000))
                .nats(url)
                .expect("a URL");
            let topic = topic(&hub);
            for first in (0..20_000).step_by(500) {
                let all = (first..first + 500).map(|number| {
                    let topic = topic.clone();
                    async move {
                        topic
                            .publish(number.to_string())
                            .await
                            .expect("it is there")
                    }
                });
                futures_util::future::join_all(all).await;
            }
        });
    });
    // The node does nothing else meanwhile.
    flood.join().expect("it does not panic");
    let mut got = several(&mut events, 20_000).await;
    got.sort_by_key(|data| data.parse::<u64>().expect("a number"));
    assert_eq!(got, numbers(0..20_000));
    // Whether it was too much depends on how the system's buffers fill: none where nothing was dropped.
    let lines = log.lines("faster than this node reads");
    assert!(lines.len() <= 1, "{lines:?}");
}
