//! The bounds of replays over Redis.

use super::*;

#[tokio::test]
async fn four_replays_are_read_at_a_time() {
    const CLIENTS: usize = 20;
    let redis = Redis::start();
    let near = topic(&hub(&redis), "x");
    let first = publish(&near, "first").await;
    publish(&near, "end").await;
    let link = Link::new(&redis, FAST).await;
    let far = topic(&Hub::redis(&link.url).unwrap(), "x");
    let mut live = topic(&hub(&redis), "x").subscribe();
    known(&mut live).await;
    let mut keeps = far.subscribe();
    known(&mut keeps).await;
    // Makes the connection for replays.
    assert_eq!(next(&mut far.subscribe_from(first.as_str())).await, "end");
    let monitor = redis.monitor();
    link.hold(true);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = far.subscribe_from(first.as_str());
            tokio::spawn(async move { next(&mut client).await })
        })
        .collect();
    let pages = || count(&asked(&monitor), |asked| *asked == Asked::Page);
    until("some to be asked for", || pages() >= 4).await;
    // If there were more, they would have been sent with these. Other work makes sure that Redis has seen them.
    for number in 0..20 {
        publish(&near, &number.to_string()).await;
        assert_eq!(next(&mut live).await, number.to_string());
    }
    assert_eq!(pages(), 4);
    link.hold(false);
    for client in clients {
        assert_eq!(client.await.unwrap(), "end");
    }
}

#[tokio::test]
async fn a_refused_replay_is_tried_again_twice_a_second() {
    let redis = Redis::start();
    let hub = hub(&redis);
    let mut events = topic(&hub, "works").subscribe();
    known(&mut events).await;
    let x = topic(&hub, "refused");
    let first = publish(&x, "first").await;
    publish(&x, "second").await;
    // From here on the node has the events itself.
    let mut keeps = x.subscribe();
    known(&mut keeps).await;
    redis.command("RENAME bocadillo:topic:refused away");
    redis.command("SET bocadillo:topic:refused text");
    let mut refused = x.subscribe_from(first.as_str());
    let waiting = tokio::spawn(async move { next(&mut refused).await });
    let monitor = redis.monitor();
    let pages = || count(&asked(&monitor), |asked| *asked == Asked::Page);
    until("a second try", || pages() >= 2).await;
    let before = pages();
    for number in 0..200 {
        publish(&topic(&hub, "works"), &number.to_string()).await;
        assert_eq!(next(&mut events).await, number.to_string());
    }
    let tries = pages() - before;
    assert!(tries <= 60, "{tries} in 200 events");
    redis.command("RENAME away bocadillo:topic:refused");
    let replayed = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert_eq!(replayed.unwrap().unwrap(), "second");
}

#[tokio::test]
async fn a_node_without_a_connection_for_replays_tries_on_with_pauses() {
    let redis = Redis::start();
    let hub = hub(&redis);
    let x = topic(&hub, "x");
    let first = publish(&x, "first").await;
    publish(&x, "second").await;
    let mut events = topic(&hub, "works").subscribe();
    known(&mut events).await;
    // The node has two, and this is the third.
    let mut admin = TcpStream::connect(redis.address()).await.unwrap();
    admin
        .write_all(b"CONFIG SET maxclients 3\r\n")
        .await
        .unwrap();
    let mut answer = [0; 5];
    admin.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+OK\r\n");
    let mut client = x.subscribe_from(first.as_str());
    let replayed = tokio::spawn(async move { next(&mut client).await });
    let works = topic(&hub, "works");
    for number in 0..200 {
        publish(&works, &number.to_string()).await;
        assert_eq!(next(&mut events).await, number.to_string());
    }
    assert!(!replayed.is_finished());
    admin
        .write_all(b"CONFIG SET maxclients 100\r\n")
        .await
        .unwrap();
    let replayed = tokio::time::timeout(Duration::from_secs(20), replayed).await;
    assert_eq!(replayed.unwrap().unwrap(), "second");
    let refused = redis.statistic("stats", "rejected_connections:");
    assert!((2..=150).contains(&refused), "{refused} attempts");
}

/// Publishes events as one, and how much a node that listens is sent in one answer, and in how many.
async fn answers(small_before: usize, events: usize, size: usize) -> (usize, usize) {
    let redis = Redis::start();
    let link = Link::new(&redis, FAST).await;
    let history = History::new().max_events(10_000).max_bytes(64 << 20);
    let far = Hub::builder().history(history).redis(&link.url).unwrap();
    let mut client = topic(&far, "x").subscribe();
    known(&mut client).await;
    let near = topic(&limited(&redis, history), "x");
    for _ in 0..small_before {
        publish(&near, "small").await;
    }
    let asked_before = redis.statistic("commandstats", "cmdstat_xread:calls=");
    let text = "x".repeat(size);
    let all = (0..events).map(|_| text.clone());
    near.publish_all(all.chain(["end".to_owned()]))
        .await
        .unwrap();
    assert_eq!(
        up_to("end", &mut client).await.len(),
        small_before + events + 1
    );
    let asked = redis.statistic("commandstats", "cmdstat_xread:calls=") - asked_before;
    (link.largest_answer(), asked)
}

#[tokio::test]
async fn large_events_come_in_answers_of_a_quarter_of_a_megabyte() {
    let (largest, _) = answers(0, 100, 64 * 1024).await;
    assert!(largest <= 320 * 1024, "{largest} bytes");
    // A node that has had small ones one by one is not sent many large ones at once.
    let (largest, _) = answers(200, 100, 64 * 1024).await;
    assert!(largest <= 512 * 1024, "{largest} bytes");
}

#[tokio::test]
async fn many_small_events_come_in_few_answers() {
    let (largest, asked) = answers(0, 5_000, 10).await;
    assert!(largest <= 512 * 1024, "{largest} bytes");
    assert!((8..=25).contains(&asked), "{asked} answers");
}
