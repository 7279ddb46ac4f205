//! A topic that Redis refuses does not delay other topics. It works when Redis allows it again.

use super::*;

const RESET: &str = r#"reset: {"reason":"missed","topics":["b"]}"#;

/// Makes Redis refuse topic b with `harm` before the node starts. Makes it work again with `mend`.
async fn check(harm: &[&str], mend: &[&str]) {
    let redis = Redis::start();
    for command in harm {
        let answer = redis.command(command);
        assert!(!answer.starts_with('-'), "{command}: {answer}");
    }
    let hub = hub(&redis);
    let mut both = hub.subscribe(["a", "b"]).unwrap();
    let (a, b) = (topic(&hub, "a"), topic(&hub, "b"));
    publish(&a, "a1").await;
    assert_eq!(next(&mut both).await, "a1");
    let start = Instant::now();
    let error = b.publish("b1").await.expect_err("Redis refuses the key");
    assert!(error.is_refused(), "{error:?}");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "the publish did not wait"
    );
    for command in mend {
        let answer = redis.command(command);
        assert!(!answer.starts_with('-'), "{command}: {answer}");
    }
    // Other events come all the time.
    let mended = async {
        for number in 0.. {
            publish(&a, &number.to_string()).await;
            let got = next(&mut both).await;
            if got == RESET {
                return;
            }
            assert!(!got.starts_with("reset"), "{got}");
        }
    };
    wait::within("topic b to work again", mended).await;
    publish(&b, "b2").await;
    assert!(
        up_to("b2", &mut both)
            .await
            .iter()
            .all(|text| !text.starts_with("reset"))
    );
}

#[tokio::test]
async fn a_key_of_another_type_stops_its_own_topic_alone() {
    check(&["SET bocadillo:topic:b text"], &["DEL bocadillo:topic:b"]).await;
}

#[tokio::test]
async fn a_key_without_permission_stops_its_own_topic_alone() {
    check(
        &["ACL SETUSER default resetkeys ~bocadillo:epoch ~bocadillo:positions ~bocadillo:wake:* ~bocadillo:topic:a"],
        &["ACL SETUSER default allkeys"],
    )
    .await;
}

#[tokio::test]
async fn a_topic_that_is_refused_later_continues_without_a_gap() {
    let redis = Redis::start();
    let hub = hub(&redis);
    let (a, b) = (topic(&hub, "a"), topic(&hub, "b"));
    let (mut of_a, mut of_b) = (a.subscribe(), b.subscribe());
    publish(&b, "b1").await;
    assert_eq!(next(&mut of_b).await, "b1");
    redis.command("ACL SETUSER default resetkeys ~bocadillo:epoch ~bocadillo:positions ~bocadillo:wake:* ~bocadillo:topic:a");
    publish(&a, "a1").await;
    assert_eq!(next(&mut of_a).await, "a1");
    redis.command("ACL SETUSER default allkeys");
    publish(&b, "b2").await;
    assert_eq!(next(&mut of_b).await, "b2", "no event was missed");
}

#[tokio::test]
async fn a_subscription_gets_later_events_on_redis() {
    let redis = Redis::start();
    let hub = hub(&redis);
    for number in 0..50 {
        let x = topic(&hub, &format!("new {number}"));
        let mut events = x.subscribe();
        x.publish("x").await.expect("Redis is up");
        assert_eq!(next(&mut events).await, "x");
    }
}
