//! What a node asks of a server is bounded: how much at once, how often, and for how long.

use super::refusals::{limited_at, settings};
use super::tap::{Tap, Way};
use super::*;

const GET: &str = "$JS.API.STREAM.MSG.GET.";
const CREATE: &str = "$JS.API.CONSUMER.CREATE.";

#[tokio::test]
async fn few_histories_are_read_at_once_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    let (near, far) = (hub(&nats), tap.hub());
    let first = publish(&topic(&near), "first").await;
    for number in 0..20 {
        publish(&topic(&near), &number.to_string()).await;
    }
    publish(&far.topic("other").expect("a name"), "warm").await;
    let mut live = topic(&far).subscribe();
    is_known(&mut live).await;
    tap.forget();
    tap.set(Way::Held);
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let mut events = topic(&far).subscribe_from(Cursor::after(&*first));
            tokio::spawn(async move { several(&mut events, 20).await })
        })
        .collect();
    tap.has_sent(GET, 8).await;
    tap.settled().await;
    assert_eq!(tap.sent(GET), 8);
    tap.set(Way::Open);
    for client in clients {
        assert_eq!(client.await.expect("it does not panic"), numbers(0..20));
    }
}

/// A client that has missed little costs a question for each event; one that has missed much costs one consumer.
#[tokio::test]
async fn a_replay_costs_few_requests_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    let (near, far) = (hub(&nats), tap.hub());
    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(publish(&topic(&near), &number.to_string()).await);
    }
    let mut live = topic(&far).subscribe();
    is_known(&mut live).await;
    tap.settled().await;
    tap.forget();
    let mut events = topic(&far).subscribe_from(Cursor::after(&*ids[96]));
    assert_eq!(several(&mut events, 3).await, numbers(97..100));
    tap.settled().await;
    assert_eq!(tap.sent(CREATE), 0);
    tap.forget();
    let mut events = topic(&far).subscribe_from(Cursor::after(&*ids[0]));
    assert_eq!(several(&mut events, 99).await, numbers(1..100));
    tap.settled().await;
    assert_eq!(tap.sent(CREATE), 1);
    // Half of what the client's channel holds.
    assert_eq!(tap.sent("\"batch\":4096,"), 1);
    // Of each read: one message by itself, and the one that it goes on after.
    assert!(tap.sent(GET) <= 6, "{}", tap.sent(GET));
}

/// Thousands of the smallest messages fit into the bytes of one read, but not into the client's channel.
#[tokio::test]
async fn many_small_messages_are_caught_up_with_on_nats() {
    let nats = Nats::start();
    let options = || Hub::builder().history(History::new().max_events(50_000));
    let tap = Tap::to(nats.address(), None).await;
    let far = options().nats(tap.url()).expect("the URL is one");
    let a = far.topic("a").expect("a name");
    publish(&a, "first").await;
    let mut events = a.subscribe();
    is_known(&mut events).await;
    let before = tap.connections();
    tap.set(Way::Refused);
    wait::within("the loss of the connection", async {
        while tap.connections() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    nats.flood("bocadillo.events.a", 30_000);
    tap.forget();
    tap.set(Way::Open);
    assert_eq!(several(&mut events, 30_000).await, numbers(0..30_000));
    // Eight reads, of which the first asks for some messages one by one.
    assert!(tap.sent(GET) <= 25, "{}", tap.sent(GET));
}

#[tokio::test]
async fn a_consumer_goes_after_its_read_or_by_itself_on_nats() {
    let denied = "publish: { deny: [\"$JS.API.CONSUMER.DELETE.>\"] }";
    let nats = Nats::configured(&settings(denied));
    for number in 0..20 {
        publish(&topic(&hub(&nats)), &number.to_string()).await;
    }
    let free = hub(&nats);
    let mut events = topic(&free).subscribe_from(Cursor::start());
    assert_eq!(several(&mut events, 20).await, numbers(0..20));
    let gone = async {
        while !nats.consumers().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Sooner than the server removes it.
    tokio::time::timeout(Duration::from_secs(15), gone)
        .await
        .expect("it is deleted");
    let limited = limited_at(nats.address());
    let mut events = topic(&limited).subscribe_from(Cursor::start());
    assert_eq!(several(&mut events, 20).await, numbers(0..20));
    let consumers = nats.consumers();
    assert!(!consumers.is_empty());
    for consumer in consumers {
        let config = &consumer["config"];
        let unused = config["inactive_threshold"].as_u64().expect("a number");
        assert!((1..=60_000_000_000).contains(&unused), "{config}");
        assert_eq!(config["mem_storage"], true, "{config}");
    }
}

/// What is refused is tried again after a pause, not at once, and not much later.
#[tokio::test]
async fn there_is_a_pause_between_attempts_on_nats() {
    for (subject, starts) in [("STREAM.INFO", true), ("STREAM.MSG.GET", false)] {
        let denied = format!("publish: {{ deny: [\"$JS.API.{subject}.>\"] }}");
        let nats = Nats::configured(&settings(&denied));
        let tap = Tap::to(nats.address(), None).await;
        let near = hub(&nats);
        let first = publish(&topic(&near), "0").await;
        publish(&topic(&near), "1").await;
        let far = limited_at(tap.url()["nats://".len()..].parse().expect("an address"));
        let mut events = topic(&far).subscribe_from(Cursor::after(&*first));
        let request = format!("$JS.API.{subject}.");
        let (seen, _) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(1), events.next()),
            tap.has_sent(&request, 1)
        );
        assert!(seen.is_err());
        // A node that starts has one attempt in 250 ms; a topic too.
        let count = tap.sent(&request);
        assert!((1..=20).contains(&count), "{subject}: {count}, {starts}");
        nats.reload(&settings(""));
        let event = tokio::time::timeout(Duration::from_secs(10), events.next());
        let event = event.await.expect("it is tried again").expect("it goes on");
        assert_eq!(event.data(), Some("1"));
    }
}

#[tokio::test]
async fn a_silent_server_is_pinged_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    publish(&topic(&tap.hub()), "x").await;
    tap.forget();
    let hub = tap.hub();
    publish(&topic(&hub), "x").await;
    tap.forget();
    tokio::time::timeout(Duration::from_secs(20), tap.has_sent("PING\r\n", 1))
        .await
        .expect("a ping");
    assert!(tap.sent("PING\r\n") <= 2);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    let hub = tap.hub();
    publish(&topic(&hub), "x").await;
    tap.set(Way::Held);
    let start = Instant::now();
    let error = topic(&hub).publish("y").await.expect_err("no answer");
    assert!(error.is_unconfirmed(), "{error:?}");
    // A slow link is not a broken one.
    assert!(start.elapsed() > Duration::from_secs(9));
    let source = std::error::Error::source(&error).expect("it has a reason");
    assert!(source.to_string().contains("timed out"), "{source}");
    assert_eq!(tap.connections(), 1, "it was not a loss of the connection");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_connected_to_again_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    tap.set(Way::Held);
    let hub = tap.hub();
    let _events = topic(&hub).subscribe();
    let again = async {
        while tap.connections() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .expect("another attempt");
}

#[tokio::test]
async fn there_is_a_pause_between_attempts_to_connect_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    tap.set(Way::Refused);
    let hub = tap.hub();
    let mut events = topic(&hub).subscribe();
    for _ in ["the first connection", "another"] {
        let before = tap.connections();
        let start = Instant::now();
        wait::within("seven attempts", async {
            while tap.connections() < before + 7 {
                let _ = tokio::time::timeout(Duration::from_millis(5), events.next()).await;
            }
        })
        .await;
        // 40, 80, 160, 320 and 640 ms, and 1 s.
        assert!(start.elapsed() > Duration::from_secs(1));
        tap.set(Way::Open);
        wait::within("the broker", events.ready()).await;
        publish(&topic(&hub), "x").await;
        // Whoever subscribed before the first connection is told that it may have missed something.
        while next(&mut events).await != "x" {}
        tap.set(Way::Refused);
    }
}

#[tokio::test]
async fn a_topic_is_trimmed_once_for_many_publishes_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    let options = Hub::builder()
        .history(History::new().max_events(1_000))
        .topics("short", |topic| topic.history(History::new().max_events(5)));
    let hub = options.nats(tap.url()).expect("the URL is one");
    let short = hub.topic("short").expect("a name");
    publish(&short, "warm").await;
    tap.forget();
    let start = Instant::now();
    for _ in 0..10 {
        let all = (0..50).map(|_| short.publish("x"));
        for published in futures_util::future::join_all(all).await {
            published.expect("it is there");
        }
    }
    let purges = tap.sent("$JS.API.STREAM.PURGE.");
    let most = start.elapsed().as_millis() / 500 + 1;
    assert!(purges as u128 <= most, "{purges} in {:?}", start.elapsed());
    let trimmed = async {
        while nats.messages() > 6 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), trimmed)
        .await
        .expect("the topic is trimmed");
}

/// With very many deleted messages the server is not asked for the list of them.
#[tokio::test]
async fn a_long_list_of_deleted_messages_is_not_asked_for_on_nats() {
    for (deleted, is_whole) in [(5_000, true), (10_001, false)] {
        let nats = Nats::start();
        let tap = Tap::to(nats.address(), None).await;
        let options = || Hub::builder().history(History::new().max_events(20_000));
        let far = options().nats(tap.url()).expect("the URL is one");
        publish(&far.topic("first").expect("a name"), "x").await;
        nats.flood("bocadillo.events.many", deleted);
        publish(&far.topic("last").expect("a name"), "x").await;
        let quiet = far.topic("quiet").expect("a name");
        let mut events = quiet.subscribe();
        is_known(&mut events).await;
        let id = events.last_id().expect("it is known").to_string();
        drop(events);
        nats.ask_jetstream(
            "STREAM.PURGE.bocadillo",
            "{\"filter\":\"bocadillo.events.many\"}",
        );
        publish(&far.topic("last").expect("a name"), "y").await;
        let mut live = quiet.subscribe();
        is_known(&mut live).await;
        tap.forget();
        let mut events = quiet.subscribe_from(Cursor::after(&*id));
        publish(&quiet, "event").await;
        let got = next(&mut events).await;
        let expected = if is_whole {
            "event"
        } else {
            r#"reset {"reason":"evicted"}"#
        };
        assert_eq!(got, expected, "{deleted}");
        assert_eq!(tap.sent("deleted_details") > 0, is_whole);
    }
}
