//! What the server does not allow is said at once, with the subject, and works by itself once it is allowed.

use super::*;
use crate::support::Log;

/// Settings of a server on which `limited` may do all but this. Whoever has no name may do all.
fn settings(denied: &str) -> String {
    format!(
        "no_auth_user: admin\nauthorization {{ users: [ {{ user: admin, password: admin }}, {{ user: limited, password: \"pa:ss,word\", permissions: {{ {denied} }} }} ] }}\n"
    )
}

fn limited(nats: &Nats) -> Hub {
    let address = nats.address();
    Hub::nats(format!("nats://limited:pa%3Ass%2Cword@{address}")).expect("the URL is one")
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
async fn a_refused_publish_fails_at_once_and_is_certain_on_nats() {
    let log = Log::start();
    let nats = Nats::configured(&settings("publish: { deny: [\"bocadillo.events.a\"] }"));
    let hub = limited(&nats);
    let (a, b) = (
        hub.topic("a").expect("a name"),
        hub.topic("b").expect("a name"),
    );
    b.publish("warm").await.expect("it is allowed");
    let start = Instant::now();
    let all = futures_util::future::join_all((0..20).map(|_| a.publish("x"))).await;
    for published in all {
        let error = published.expect_err("it is not allowed");
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
    b.publish("x").await.expect("it is allowed");

    nats.reload(&settings(""));
    wait::within("the right to work", async {
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
    let name = |hub: &Hub, name: &str| hub.topic(name).expect("a name");
    publish(&name(&near, "b"), "warm").await;
    publish(&name(&far, "b"), "warm").await;
    let mut a = name(&far, "a").subscribe();
    let mut b = name(&far, "b").subscribe();
    let mut both = far.subscribe(["a", "b"]).expect("two names");
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
async fn a_right_that_is_taken_away_and_given_back_loses_nothing_on_nats() {
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
async fn a_refused_request_to_jetstream_is_named_on_nats() {
    for subject in ["STREAM.INFO", "STREAM.MSG.GET", "CONSUMER.CREATE"] {
        let log = Log::start();
        let denied = format!("publish: {{ deny: [\"$JS.API.{subject}.>\"] }}");
        let nats = Nats::configured(&settings(&denied));
        let (near, far) = (hub(&nats), limited(&nats));
        topic(&near)
            .publish_all(numbers(0..1))
            .await
            .expect("it is there");
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
