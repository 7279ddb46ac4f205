//! Slow links, and more than a node can take.

use super::tap::Tap;
use super::*;
use crate::support::Log;

#[tokio::test]
async fn a_long_replay_over_a_slow_link_goes_on_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), Some(2_000_000)).await;
    let near = hub(&nats);
    let text = "x".repeat(64 * 1024);
    let first = publish(&topic(&near), "first").await;
    let count = 100;
    for number in 0..count {
        publish(&topic(&near), &format!("{number} {text}")).await;
    }
    let far = tap.hub();
    let mut events = topic(&far).subscribe(Cursor::after(&*first));
    for number in 0..count {
        let event = next(&mut events).await;
        assert!(
            event.starts_with(&format!("{number} ")),
            "{number}: {}",
            &event[..40]
        );
    }
    let needed = (count * text.len()) as u64;
    println!("{} bytes for {needed}", tap.brought());
    assert!(tap.brought() < 3 * needed, "{} for {needed}", tap.brought());
    assert_eq!(tap.connections(), 1);
}

/// A message that takes longer than the server has for an answer: it is waited for while it comes, and asked for once.
#[tokio::test]
async fn a_message_that_takes_long_is_waited_for_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    let near = hub(&nats);
    let first = publish(&topic(&near), "first").await;
    let text = "x".repeat(750_000);
    publish(&topic(&near), &text).await;
    let far = tap.hub();
    let mut live = topic(&far).subscribe(Cursor::live());
    is_known(&mut live).await;
    tap.forget();
    // The answer is a third longer than the message: it takes more than eleven seconds.
    tap.slow_down(90_000);
    let mut events = topic(&far).subscribe(Cursor::after(&*first));
    assert_eq!(next(&mut events).await.len(), text.len());
    assert_eq!(tap.connections(), 1);
    assert!(tap.brought() < 1_100_000, "{}", tap.brought());
}

#[tokio::test]
async fn publishing_goes_on_while_many_replay_over_a_slow_link_on_nats() {
    replay_together(200, 100).await;
}

/// So many clients come back at once, each of which has missed so many events of a KiB.
async fn replay_together(clients: usize, missed: usize) {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), Some(5_000_000)).await;
    let near = hub(&nats);
    let text = "x".repeat(1024);
    let first = publish(&topic(&near), "first").await;
    for number in 0..missed {
        publish(&topic(&near), &format!("{number} {text}")).await;
    }
    let far = tap.hub();
    let other = far.topic("other").expect("a name");
    publish(&other, "warm").await;
    let start = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..clients {
        let mut events = topic(&far).subscribe(Cursor::after(&*first));
        readers.spawn(async move {
            for number in 0..missed {
                let event = next(&mut events).await;
                assert!(event.starts_with(&format!("{number} ")), "{number}");
            }
        });
    }
    let mut longest = Duration::ZERO;
    while !readers.is_empty() {
        let start = Instant::now();
        other
            .publish("x")
            .await
            .expect("the link is busy, not broken");
        longest = longest.max(start.elapsed());
        while let Some(reader) = readers.try_join_next() {
            reader.expect("it gets all");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let needed = (clients * missed * 1024) as u64;
    println!(
        "{clients} clients replayed in {:.1?}; a publish took {longest:.0?} at most; {} bytes for {needed}",
        start.elapsed(),
        tap.brought()
    );
    assert!(tap.brought() < 2 * needed, "{} for {needed}", tap.brought());
    assert_eq!(tap.connections(), 1, "nobody is cut for load");
}

/// More than fits comes while the node is busy: one line tells it, and what was dropped is read from the stream once.
#[tokio::test]
async fn a_flood_past_a_busy_node_is_one_catch_up_on_nats() {
    const FLOOD: usize = 60_000;
    let log = Log::start();
    // However busy the machine is, the server does not cut off a node that reads nothing for a while.
    let nats = Nats::configured("write_deadline: \"120s\"\nmax_pending: 536870912\n");
    let options = Hub::builder()
        .history(History::new().events(200_000).bytes(1 << 30))
        .slow_clients(SlowPolicy::disconnect().within(1 << 30));
    let busy = built(&nats, options);
    let a = busy.topic("a").expect("a name");
    let mut events = a.subscribe(Cursor::live());
    is_known(&mut events).await;
    // Another one that listens to nothing of it.
    let mut other = topic(&busy).subscribe(Cursor::live());
    is_known(&mut other).await;
    let before = nats.requests();
    // The node does nothing else meanwhile: its thread is here.
    nats.flood("bocadillo.events.a", FLOOD);
    assert_eq!(several(&mut events, FLOOD).await, numbers(0..FLOOD));
    let lines = log.lines("faster than this node reads");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let read: usize = lines[0]
        .split_once("events=")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .expect("the line has a number");
    assert!((1..FLOOD).contains(&read), "{read}");
    let requests = nats.requests() - before;
    println!("{requests} requests for {read} events");
    assert!(requests < 80, "{requests} requests for {read} events");
    // The follower is sound again.
    publish(&a, "after").await;
    assert_eq!(next(&mut events).await, "after");
    assert_eq!(log.lines("faster than this node reads").len(), 1);
}
