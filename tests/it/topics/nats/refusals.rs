//! Subjects that the server does not allow. The error comes at once and names the subject. The hub tries again until the server
//! allows the subject.

use super::tap::{Tap, Way};
use super::*;
use crate::support::Log;

/// Settings of a server that denies these permissions to the user `limited`. A client without a user name may do everything.
pub(super) fn settings(denied: &str) -> String {
    format!(
        "no_auth_user: admin\nauthorization {{ users: [ {{ user: admin, password: admin }}, {{ user: limited, password: \"pa:ss,word\", permissions: {{ {denied} }} }} ] }}\n"
    )
}

fn limited(nats: &Nats) -> Hub {
    limited_at(nats.address())
}

pub(super) fn limited_at(address: SocketAddr) -> Hub {
    Hub::nats(format!("nats://limited:pa%3Ass%2Cword@{address}")).expect("a valid URL")
}

async fn warned(log: &Log, part: &str) {
    let start = Instant::now();
    wait::within("a warning", async {
        while log.lines(part).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_refused_publish_fails_at_once_with_a_known_result_on_nats() {
    let log = Log::start();
    let nats = Nats::configured(&settings("publish: { deny: [\"bocadillo.events.a\"] }"));
    let hub = limited(&nats);
    let (a, b) = (
        hub.topic("a").expect("a valid name"),
        hub.topic("b").expect("a valid name"),
    );
    b.publish("warm").await.expect("the publish is allowed");
    let start = Instant::now();
    let all = futures_util::future::join_all((0..20).map(|_| a.publish("x"))).await;
    for published in all {
        let error = published.expect_err("the server does not allow the publish");
        assert!(error.is_refused(), "{error:?}");
        assert!(
            format!("{error:?}").contains("bocadillo.events.a"),
            "{error:?}"
        );
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(log.lines("bocadillo.events.a").len(), 1);
    b.publish("x").await.expect("the publish is allowed");

    nats.reload(&settings(""));
    wait::within("the permission to work", async {
        while a.publish("allowed").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_refused_subscription_is_tried_again_on_nats() {
    let log = Log::start();
    let nats = Nats::configured(&settings("subscribe: { deny: [\"bocadillo.live.a\"] }"));
    let (near, far) = (hub(&nats), limited(&nats));
    let name = |hub: &Hub, name: &str| hub.topic(name).expect("a valid name");
    publish(&name(&near, "b"), "warm").await;
    publish(&name(&far, "b"), "warm").await;
    let mut a = name(&far, "a").subscribe();
    let mut b = name(&far, "b").subscribe();
    let mut both = far.subscribe(["a", "b"]).expect("two valid names");
    warned(&log, "bocadillo.live.a").await;
    is_known(&mut b).await;
    publish(&name(&near, "b"), "b").await;
    assert_eq!(next(&mut b).await, "b");
    assert_eq!(next(&mut both).await, "b");
    publish(&name(&near, "a"), "a").await;
    nats.reload(&settings(""));
    assert_eq!(next(&mut a).await, "a");
    assert_eq!(next(&mut both).await, "a");
    publish(&name(&near, "a"), "live").await;
    assert_eq!(next(&mut a).await, "live");
}

#[tokio::test]
async fn a_permission_that_is_removed_and_restored_loses_no_event_on_nats() {
    let log = Log::start();
    let nats = Nats::configured(&settings(""));
    let (near, far) = (hub(&nats), limited(&nats));
    publish(&topic(&near), "0").await;
    let mut events = topic(&far).subscribe_from(Cursor::start());
    assert_eq!(next(&mut events).await, "0");
    nats.reload(&settings("subscribe: { deny: [\"bocadillo.live.>\"] }"));
    warned(&log, "bocadillo.live.").await;
    publish(&topic(&near), "1").await;
    nats.reload(&settings(""));
    publish(&topic(&near), "2").await;
    assert_eq!(several(&mut events, 2).await, ["1", "2"]);
}

#[tokio::test]
async fn a_refused_jetstream_request_names_its_subject_on_nats() {
    for subject in ["STREAM.INFO", "STREAM.MSG.GET", "CONSUMER.CREATE"] {
        let log = Log::start();
        let denied = format!("publish: {{ deny: [\"$JS.API.{subject}.>\"] }}");
        let nats = Nats::configured(&settings(&denied));
        let (near, far) = (hub(&nats), limited(&nats));
        topic(&near)
            .publish_all(numbers(0..1))
            .await
            .expect("NATS is up");
        for number in 1..20 {
            publish(&topic(&near), &number.to_string()).await;
        }
        let mut events = topic(&far).subscribe_from(Cursor::start());
        let _ = tokio::time::timeout(Duration::from_millis(300), events.next()).await;
        warned(&log, &format!("$JS.API.{subject}.")).await;
        nats.reload(&settings(""));
        publish(&topic(&near), "marker").await;
        let all = up_to_marker(&mut events).await;
        assert_eq!(
            all.last().map(String::as_str),
            Some("19"),
            "{subject}: {all:?}"
        );
    }
}

/// The client library drops errors if more than 128 come together.
#[tokio::test]
async fn many_refused_publishes_have_known_results_on_nats() {
    let nats = Nats::configured(&settings("publish: { deny: [\"bocadillo.events.a\"] }"));
    let hub = limited(&nats);
    let (a, b) = (
        hub.topic("a").expect("a valid name"),
        hub.topic("b").expect("a valid name"),
    );
    publish(&b, "warm").await;
    let all = async { futures_util::future::join_all((0..6_000).map(|_| a.publish("x"))).await };
    // The client library allows 5,000 open publishes. Refused publishes must not count.
    let all = tokio::time::timeout(Duration::from_secs(20), all);
    for published in all.await.expect("all publishes are answered") {
        let error = published.expect_err("the server does not allow the publish");
        assert!(error.is_refused(), "{error:?}");
    }
    publish(&b, "x").await;
}

/// The number of open publishes is limited, so the number of refusals at once is limited too.
#[tokio::test]
async fn the_number_of_open_requests_is_limited_on_nats() {
    let nats = Nats::start();
    let tap = Tap::to(nats.address(), None).await;
    let hub = tap.hub();
    publish(&topic(&hub), "warm").await;
    tap.settled().await;
    tap.forget();
    tap.set(Way::Held);
    let topics: Vec<_> = (0..300)
        .map(|number| hub.topic(format!("users/{number}")).expect("a valid name"))
        .collect();
    let subscriptions: Vec<_> = topics.iter().map(|topic| topic.subscribe()).collect();
    let publishers: Vec<_> = (0..300)
        .map(|number| {
            let topic = hub.topic(format!("others/{number}")).expect("a valid name");
            tokio::spawn(async move { topic.publish("x").await })
        })
        .collect();
    tap.has_sent("SUB bocadillo.live.", 1).await;
    tap.has_sent("PUB bocadillo.events.", 64).await;
    tap.settled().await;
    let subscribed = tap.sent("SUB bocadillo.live.");
    assert!((1..=32).contains(&subscribed), "{subscribed}");
    assert_eq!(tap.sent("PUB bocadillo.events."), 64);
    tap.set(Way::Open);
    for publisher in publishers {
        let published = publisher.await.expect("the task does not panic");
        published.expect("NATS is up");
    }
    for mut events in subscriptions {
        is_known(&mut events).await;
    }
}

/// Each topic of a node notices the refusal of its subscription, at its start or when the permission is removed later.
#[tokio::test]
async fn many_refused_subscriptions_all_recover_on_nats() {
    const TOPICS: usize = 400;
    let denied = "subscribe: { deny: [\"bocadillo.live.>\"] }";
    let nats = Nats::configured(&settings(denied));
    let (near, far) = (hub(&nats), limited(&nats));
    let topics = |hub: &Hub| -> Vec<Topic> {
        let topic = |number: usize| hub.topic(format!("users/{number}")).expect("a valid name");
        (0..TOPICS).map(topic).collect()
    };
    let (near, far) = (topics(&near), topics(&far));
    publish(&near[0], "warm").await;
    let mut all: Vec<_> = far.iter().map(|topic| topic.subscribe()).collect();
    for events in &mut all {
        is_known(events).await;
    }
    for round in ["first", "second"] {
        nats.reload(&settings(""));
        for topic in &near {
            publish(topic, round).await;
        }
        for events in &mut all {
            assert_eq!(next(events).await, round);
        }
        // All subscriptions are allowed now. Then the permission of all is removed at once.
        let live = format!("{round}, live");
        for topic in &near {
            publish(topic, &live).await;
        }
        for events in &mut all {
            assert_eq!(next(events).await, live);
        }
        nats.reload(&settings(denied));
    }
}

/// The hub tries a refused subscription again about once a second.
#[tokio::test]
async fn a_refused_subscription_is_tried_again_once_a_second_on_nats() {
    let nats = Nats::configured(&settings("subscribe: { deny: [\"bocadillo.live.a\"] }"));
    let tap = Tap::to(nats.address(), None).await;
    let far = limited_at(tap.url()["nats://".len()..].parse().expect("an address"));
    let mut events = far.topic("a").expect("a valid name").subscribe();
    let start = Instant::now();
    let tried = async {
        while tap.sent("SUB bocadillo.live.a") < 2 {
            let _ = tokio::time::timeout(Duration::from_millis(10), events.next()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tried)
        .await
        .expect("another attempt");
    let most = start.elapsed().as_secs() as usize + 2;
    assert!(tap.sent("SUB bocadillo.live.a") <= most);
    assert!(start.elapsed() >= Duration::from_millis(900));
}

/// The client library allows 5,000 open publishes. A refused publish stops counting at once.
#[tokio::test]
async fn thousands_of_refused_publishes_delay_no_other_publish_on_nats() {
    let nats = Nats::configured(&settings("publish: { deny: [\"bocadillo.events.a\"] }"));
    let hub = limited(&nats);
    publish(&hub.topic("b").expect("a valid name"), "warm").await;
    let a = hub.topic("a").expect("a valid name");
    let start = Instant::now();
    for _ in 0..100 {
        let all = (0..60).map(|_| a.publish("x"));
        for published in futures_util::future::join_all(all).await {
            published.expect_err("the server does not allow the publish");
        }
    }
    // Without that, the library stops counting a publish after 30 seconds.
    let took = start.elapsed();
    assert!(took < Duration::from_secs(25), "{took:?}");
}
