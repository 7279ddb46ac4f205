//! The limits of a history over Redis.

use super::*;

/// The history that a new node gives to a client. The last event is `end`.
async fn history_of(redis: &Redis, history: History, name: &str) -> Vec<String> {
    let hub = limited(redis, history);
    publish(&topic(&hub, name), "end").await;
    let mut events = topic(&hub, name).subscribe_from(Cursor::start());
    up_to("end", &mut events).await
}

#[tokio::test]
async fn a_node_that_starts_later_sees_the_same_history_on_redis() {
    let redis = Redis::start();
    let by_count = History::new().max_events(5);
    let node = topic(&limited(&redis, by_count), "count");
    for number in 0..20 {
        publish(&node, &number.to_string()).await;
    }
    assert_eq!(
        history_of(&redis, by_count, "count").await,
        ["16", "17", "18", "19", "end"]
    );

    // `data: `, the text and two line ends are 108 bytes.
    let by_bytes = History::new().max_bytes(1_000);
    let node = topic(&limited(&redis, by_bytes), "bytes");
    for number in 0..20 {
        publish(&node, &format!("{number:0100}")).await;
    }
    let kept = history_of(&redis, by_bytes, "bytes").await;
    assert_eq!(
        kept,
        (11..20)
            .map(|number| format!("{number:0100}"))
            .chain(["end".to_owned()])
            .collect::<Vec<_>>()
    );

    let by_age = History::new().max_age(Duration::from_millis(300));
    let node = topic(&limited(&redis, by_age), "age");
    publish(&node, "old").await;
    let is_over = async {
        while history_of(&redis, by_age, "age")
            .await
            .contains(&"old".to_owned())
        {}
    };
    wait::within("the event to expire", is_over).await;

    let none = topic(&limited(&redis, History::none()), "none");
    let mut live = none.subscribe();
    known(&mut live).await;
    none.publish_all(["a", "b", "c"])
        .await
        .expect("Redis is up");
    assert_eq!(
        up_to("c", &mut live).await,
        ["a", "b", "c"],
        "a subscriber gets all events"
    );
    let late = limited(&redis, History::none());
    let mut late = topic(&late, "none").subscribe_from(Cursor::start());
    known(&mut late).await;
    publish(&none, "end").await;
    assert_eq!(up_to("end", &mut late).await, ["end"]);
}

/// The time to live of a key, in milliseconds.
pub(super) fn lifetime(redis: &Redis, key: &str) -> i64 {
    let answer = redis.command(&format!("PTTL {key}"));
    answer
        .trim()
        .strip_prefix(':')
        .and_then(|number| number.parse().ok())
        .expect("PTTL gives a number")
}

#[tokio::test]
async fn a_key_expires_with_its_history_and_stays_without_a_maximum_age() {
    let redis = Redis::start();
    for (name, history, expected) in [
        (
            "minute",
            History::new().max_age(Duration::from_secs(60)),
            1..=60_000,
        ),
        (
            "short",
            History::new().max_age(Duration::from_millis(1)),
            1..=10_000,
        ),
        ("none", History::none(), 1..=10_000),
        ("forever", History::new().unlimited_age(), -1..=-1),
    ] {
        publish(&topic(&limited(&redis, history), name), "x").await;
        let lifetime = lifetime(&redis, &format!("bocadillo:topic:{name}"));
        assert!(expected.contains(&lifetime), "{name}: {lifetime} ms");
    }
}

#[tokio::test]
async fn subscribers_get_no_reset_when_a_key_expires() {
    let mut redis = Redis::start();
    let hub = limited(&redis, History::none());
    let x = topic(&hub, "x");
    let mut events = x.subscribe();
    known(&mut events).await;
    publish(&x, "one").await;
    assert_eq!(next(&mut events).await, "one");
    // The test does not block the thread, because the hub must run meanwhile.
    let is_over = async {
        while !redis.command("EXISTS bocadillo:topic:x").starts_with(":0") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    wait::within("the key to expire", is_over).await;
    redis.restart();
    publish(&x, "two").await;
    assert_eq!(next(&mut events).await, "two");
}

#[tokio::test]
async fn trimmed_events_cause_a_reset_and_the_length_of_the_stream_is_limited() {
    let redis = Redis::start();
    let hub = limited(&redis, History::new().max_events(3));
    let x = topic(&hub, "x");
    let first = publish(&x, "first").await;
    let big = "x".repeat(1 << 20);
    // More events than Redis keeps for nodes that are a little behind.
    let mut last = String::new();
    for _ in 0..22 {
        last = publish(&x, &big).await;
    }
    let length = redis.command("XLEN bocadillo:topic:x");
    let length: usize = length
        .trim()
        .trim_start_matches(':')
        .parse()
        .expect("XLEN gives a number");
    assert!((15..=18).contains(&length), "{length} entries are kept");
    let mut evicted = x.subscribe_from(first.as_str());
    let mut whole = x.subscribe_from(last.as_str());
    assert_eq!(next(&mut evicted).await, EVICTED);
    publish(&x, "end").await;
    assert_eq!(up_to("end", &mut evicted).await, ["end"]);
    assert_eq!(up_to("end", &mut whole).await, ["end"]);
}
