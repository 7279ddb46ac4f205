//! The limits of a history over NATS.

use super::*;

#[tokio::test]
async fn a_topic_may_have_less_history_than_others_on_nats() {
    let nats = Nats::start();
    let options = || {
        Hub::builder()
            .history(History::new().max_events(100))
            .topics("short/*", |topic| {
                topic.history(History::new().max_events(3))
            })
            .topics("none/*", |topic| topic.history(History::none()))
    };
    let hub = built(&nats, options());
    let names = [("long", 10), ("short/7", 3), ("none/7", 0)];
    for (name, _) in names {
        let topic = hub.topic(name).expect("a valid name");
        for number in 0..10 {
            topic.publish(number.to_string()).await.expect("NATS is up");
        }
    }
    // The stream keeps one more message of each topic.
    wait::within("the events beyond the history to be removed", async {
        while nats.messages() != 10 + 4 + 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for (name, kept) in names {
        let later = built(&nats, options()).topic(name).expect("a valid name");
        let mut events = later.subscribe_from(Cursor::start());
        assert_eq!(
            several(&mut events, kept).await,
            numbers(10 - kept..10),
            "{name}"
        );
        is_known(&mut events).await;
    }
}

#[tokio::test]
async fn old_events_are_removed_on_nats() {
    let nats = Nats::start();
    let options = || Hub::builder().history(History::new().max_age(Duration::from_millis(500)));
    let hub = built(&nats, options());
    let first = topic(&hub).publish("0").await.expect("NATS is up");
    wait::within("the event to be removed", async {
        loop {
            publish(&topic(&hub), "again").await;
            let later = built(&nats, options());
            let mut events = topic(&later).subscribe_from(Cursor::start());
            if next(&mut events).await == "again" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let mut events = topic(&hub).subscribe_from(Cursor::after(first.as_str()));
    assert_eq!(next(&mut events).await, r#"reset {"reason":"evicted"}"#);
}

#[tokio::test]
async fn subscribers_get_every_event_with_a_short_history_on_nats() {
    let nats = Nats::start();
    let options = || {
        Hub::builder()
            .history(History::none())
            .slow_clients(SlowPolicy::disconnect().max_buffered_bytes(8 << 20))
    };
    let (one, two) = (built(&nats, options()), built(&nats, options()));
    let mut events = topic(&two).subscribe();
    is_known(&mut events).await;
    let publishers = (0..500).map(|number| {
        let topic = topic(&one);
        async move { topic.publish(number.to_string()).await.expect("NATS is up") }
    });
    futures_util::future::join_all(publishers).await;
    let mut got = several(&mut events, 500).await;
    got.sort_by_key(|number| number.parse::<usize>().expect("a number"));
    assert_eq!(got, numbers(0..500));
}

#[tokio::test]
async fn conflation_uses_the_keys_of_the_publisher_on_nats() {
    let nats = Nats::start();
    let options = || Hub::builder().slow_clients(SlowPolicy::conflate_by_name());
    let (one, two) = (built(&nats, options()), built(&nats, options()));
    let mut slow = topic(&two).subscribe();
    let mut fast = topic(&two).subscribe();
    is_known(&mut slow).await;
    is_known(&mut fast).await;
    let price = |name: &'static str, price: u32| {
        ServerEvent::new(price.to_string()).with_name(bocadillo::EventName::from_static(name))
    };
    topic(&one)
        .publish_all([
            price("EUR USD, €", 1),
            price("GBP", 2),
            price("EUR USD, €", 3),
        ])
        .await
        .expect("NATS is up");
    // All events are in one message. When the last event has come, the others have come too.
    while next(&mut fast).await != "EUR USD, € 3" {}
    assert_eq!(several(&mut slow, 2).await, ["GBP 2", "EUR USD, € 3"]);
}
