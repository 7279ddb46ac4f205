//! Topics over a real Redis: what it loses, what it refuses, what others write into it, and what it costs.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bocadillo::topic::{Cursor, History, Hub, HubBuilder, Subscription, Topic};
use futures_util::{FutureExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Redis, wait};

mod bounds;
mod connections;
mod continuity;
mod link;
mod load;
mod refused;
mod urls;

fn hub(redis: &Redis) -> Hub {
    Hub::redis(redis.url()).expect("the URL is one")
}

fn topic(hub: &Hub, name: &str) -> Topic {
    hub.topic(name).expect("the name is one")
}

/// The next event, in a word: its data, or what the hub has to say.
async fn next(events: &mut Subscription) -> String {
    let event = wait::within("an event", events.next())
        .await
        .expect("the stream goes on");
    let data = event.data().expect("events of topics have data");
    match event.name() {
        Some(name) => format!("{}: {data}", name.as_str()),
        None => data.to_owned(),
    }
}

/// All events up to and with `last`.
async fn up_to(last: &str, events: &mut Subscription) -> Vec<String> {
    let mut all = Vec::new();
    while all.last().is_none_or(|event| event != last) {
        all.push(next(events).await);
    }
    all
}

/// Publishes, again and again until it has been confirmed. Only where two of it do no harm.
async fn publish(topic: &Topic, text: &str) -> String {
    let published = async {
        loop {
            match topic.publish(text.to_owned()).await {
                Ok(id) => return id.to_string(),
                Err(error) => assert!(
                    error.is_unavailable() || error.is_unconfirmed(),
                    "{error:?}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    wait::within("a publish that is confirmed", published).await
}

/// Waits until the node knows where the topic stands: what is published from then on it is fed.
async fn known(events: &mut Subscription) {
    let known = async {
        loop {
            assert!(
                events.next().now_or_never().is_none(),
                "nothing has been published yet"
            );
            if events.last_id().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    wait::within("the topic to be known", known).await
}

const EPOCH: &str = r#"reset: {"reason":"epoch"}"#;
const EVICTED: &str = r#"reset: {"reason":"evicted"}"#;

/// Brings the broker into another life, and checks that each of several clients on several nodes gets one reset, then what is new.
async fn check_new_epoch(redis: &mut Redis, new_life: impl FnOnce(&mut Redis)) {
    let hubs: Vec<_> = (0..3).map(|_| hub(redis)).collect();
    let mut clients = Vec::new();
    for hub in &hubs {
        for _ in 0..3 {
            clients.push(topic(hub, "x").subscribe());
        }
    }
    for client in &mut clients {
        known(client).await;
    }
    let topics: Vec<_> = hubs.iter().map(|hub| topic(hub, "x")).collect();
    publish(&topics[0], "kept or not").await;
    let backup = redis.backup();
    let old = publish(&topics[1], "lost").await;
    for client in &mut clients {
        assert_eq!(up_to("lost", client).await, ["kept or not", "lost"]);
    }
    redis.kill();
    redis.restore(&backup);
    new_life(redis);

    // Not before they know of it: a publish that overtakes them may fail as unconfirmed, and be there twice.
    for client in &mut clients {
        assert_eq!(next(client).await, EPOCH);
    }
    publish(&topics[2], "new").await;
    clients.push(topic(&hubs[0], "x").subscribe_from(old.as_str()));
    assert_eq!(
        next(clients.last_mut().expect("it was pushed")).await,
        EPOCH
    );
    publish(&topics[0], "end").await;
    let late = clients.pop().expect("it was pushed");
    for client in &mut clients {
        assert_eq!(up_to("end", client).await, ["new", "end"]);
    }
    let mut late = late;
    assert_eq!(up_to("end", &mut late).await, ["end"]);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_one_reset_for_each_client_then_live() {
    let mut redis = Redis::start();
    check_new_epoch(&mut redis, Redis::restart_empty).await;
}

#[tokio::test]
async fn a_redis_that_has_lost_its_last_second_is_one_reset_for_each_client_then_live() {
    let mut redis = Redis::start();
    check_new_epoch(&mut redis, Redis::restart).await;
}

#[tokio::test]
async fn while_redis_is_away_publishing_fails_at_once_or_waits_and_streams_stay_open() {
    let mut redis = Redis::start();
    let (hasty, patient) = (hub(&redis), Hub::builder().wait_for_broker(wait::LONG));
    let (hasty, patient) = (
        topic(&hasty, "x"),
        topic(&patient.redis(redis.url()).unwrap(), "x"),
    );
    let mut events = hasty.subscribe_from(Cursor::start());
    publish(&hasty, "before").await;
    assert_eq!(next(&mut events).await, "before");
    publish(&patient, "before").await;
    assert_eq!(next(&mut events).await, "before");
    redis.kill();

    let error = wait::within("an error that is sure", async {
        loop {
            let start = Instant::now();
            let error = hasty
                .publish("never")
                .await
                .expect_err("nobody is there to confirm it");
            if error.is_unavailable() {
                assert!(
                    start.elapsed() < Duration::from_secs(10),
                    "it took {:?}",
                    start.elapsed()
                );
                return error;
            }
        }
    });
    let error = error.await;
    assert_eq!(error.to_string(), "the broker cannot be reached");
    assert!(
        error
            .source()
            .is_some_and(|source| !source.to_string().is_empty())
    );
    // One that waits begins once it is known that Redis is away: before, the loss of a confirmation is not to be ruled out.
    let waiting = tokio::spawn(async move {
        loop {
            match patient.publish("after").await {
                Err(error) if error.is_unconfirmed() => {}
                published => return published,
            }
        }
    });
    assert!(
        events.next().now_or_never().is_none(),
        "the stream stays open"
    );
    redis.restart();
    wait::within("the publish that waits", waiting)
        .await
        .unwrap()
        .expect("Redis is back");
    assert_eq!(next(&mut events).await, "after");
}

#[tokio::test]
async fn a_patience_that_ends_is_an_error() {
    let mut redis = Redis::start();
    redis.kill();
    let hub = Hub::builder()
        .wait_for_broker(Duration::from_millis(50))
        .redis(redis.url())
        .unwrap();
    let error = wait::within("the end of patience", topic(&hub, "x").publish("never")).await;
    let error = error.expect_err("nobody is there");
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn a_node_may_start_before_its_redis() {
    let mut redis = Redis::start();
    redis.kill();
    let hub = hub(&redis);
    let mut events = topic(&hub, "x").subscribe_from(Cursor::start());
    assert!(
        topic(&hub, "x")
            .publish("too early")
            .await
            .expect_err("nobody is there")
            .is_unavailable()
    );
    redis.restart();
    publish(&topic(&hub, "x"), "now").await;
    assert_eq!(next(&mut events).await, "now");
}

/// Hands bytes on to Redis, and its answers back until it is told to swallow them: then it hangs up instead.
async fn proxy(redis: &Redis, swallows: Arc<AtomicBool>) -> String {
    async fn hand_on(client: TcpStream, redis: std::net::SocketAddr, swallows: Arc<AtomicBool>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let Ok(server) = TcpStream::connect(redis).await else {
            return;
        };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let there = tokio::io::copy(&mut from_client, &mut to_server);
        let back = async {
            let mut bytes = vec![0; 65_536];
            while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                if swallows.load(Ordering::Relaxed)
                    || to_client.write_all(&bytes[..length]).await.is_err()
                {
                    return;
                }
            }
        };
        tokio::select! { _ = there => {}, () = back => {} }
    }

    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("there is a free port");
    let url = format!("redis://{}/", listener.local_addr().expect("it is bound"));
    let address = redis.address();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(hand_on(client, address, Arc::clone(&swallows)));
        }
    });
    url
}

#[tokio::test]
async fn a_confirmation_that_was_lost_is_an_error_that_says_so() {
    let redis = Redis::start();
    let swallows = Arc::new(AtomicBool::new(false));
    let far = Hub::redis(proxy(&redis, Arc::clone(&swallows)).await).unwrap();
    let far = topic(&far, "x");
    publish(&far, "heard").await;
    swallows.store(true, Ordering::Relaxed);
    let error = far
        .publish("unheard")
        .await
        .expect_err("the answer is swallowed");
    assert!(error.is_unconfirmed(), "{error:?}");
    swallows.store(false, Ordering::Relaxed);
    publish(&far, "end").await;
    let mut events = topic(&hub(&redis), "x").subscribe_from(Cursor::start());
    assert_eq!(
        up_to("end", &mut events).await,
        ["heard", "unheard", "end"],
        "it was there nevertheless"
    );
}

#[tokio::test]
async fn a_hostile_cursor_is_a_reset_and_nothing_of_another_topic() {
    let redis = Redis::start();
    let hub = hub(&redis);
    let (ours, others) = (topic(&hub, "ours"), topic(&hub, "others"));
    let id = publish(&ours, "ours").await;
    let foreign = publish(&others, "secret").await;
    let (tag, _) = id.split_once('-').expect("an id has a tag");
    let unreadable = r#"reset: {"reason":"unreadable"}"#;
    let cursors = [
        ("x".repeat(10_000), unreadable),
        (format!("{id}\0"), unreadable),
        (format!("{tag}--1"), unreadable),
        (format!("{tag}-1-2-3"), unreadable),
        (format!("{tag}-99999999999999999999999"), unreadable),
        (format!("{tag}-+1"), unreadable),
        ("$".to_owned(), unreadable),
        (format!("{id}\r\nFLUSHALL\r\n"), unreadable),
        (foreign, EPOCH),
        (
            format!("{tag}-18446744073709551615-18446744073709551615"),
            EPOCH,
        ),
        (format!("{tag}-9999999999999"), EPOCH),
        // From before the topic's first event, for all that is known: it may have had others that are gone.
        (format!("{tag}-0"), EVICTED),
    ];
    let mut clients = Vec::new();
    for (cursor, expected) in cursors {
        let mut client = ours.subscribe_from(Cursor::after(cursor.clone()));
        assert_eq!(next(&mut client).await, expected, "{cursor:.60?}");
        clients.push(client);
    }
    publish(&others, "secret").await;
    publish(&ours, "end").await;
    for client in &mut clients {
        assert_eq!(up_to("end", client).await, ["end"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_topics_take_two_connections_of_each_node() {
    const TOPICS: usize = 2_000;
    let redis = Redis::start();
    let (near, far) = (hub(&redis), hub(&redis));
    let mut clients = Vec::new();
    for number in 0..TOPICS {
        clients.push(topic(&near, &format!("users/{number}")).subscribe());
    }
    for client in &mut clients {
        known(client).await;
    }
    let start = Instant::now();
    let publishing = futures_util::stream::iter(0..TOPICS).for_each_concurrent(50, |number| {
        let far = topic(&far, &format!("users/{number}"));
        async move { drop(publish(&far, &number.to_string()).await) }
    });
    publishing.await;
    let published = start.elapsed();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(next(client).await, number.to_string());
    }
    println!(
        "{TOPICS} topics: published within {published:.1?}, delivered within {:.1?}",
        start.elapsed()
    );
    let connections = redis.command("CLIENT LIST").matches(" cmd=").count();
    assert!(
        connections <= 2 * 2 + 1,
        "{connections} connections for two nodes and this question"
    );

    // Others than these come and go meanwhile.
    let mut late = topic(&near, "late").subscribe();
    known(&mut late).await;
    drop(clients);
    publish(&topic(&far, "late"), "late").await;
    assert_eq!(next(&mut late).await, "late");
    drop((near, far, late));
    wait::until("the connections to be closed", || {
        (redis.command("CLIENT LIST").matches(" cmd=").count() == 1).then_some(())
    });
}

fn limited(redis: &Redis, history: History) -> Hub {
    let options: HubBuilder = Hub::builder().history(history);
    options.redis(redis.url()).expect("the URL is one")
}

/// What a node that starts now gives to who comes for the history. The last of it is `end`.
async fn history_of(redis: &Redis, history: History, name: &str) -> Vec<String> {
    let hub = limited(redis, history);
    publish(&topic(&hub, name), "end").await;
    let mut events = topic(&hub, name).subscribe_from(Cursor::start());
    up_to("end", &mut events).await
}

#[tokio::test]
async fn a_node_that_starts_later_sees_the_historys_limits() {
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
    wait::within("the event to be too old", is_over).await;

    let none = topic(&limited(&redis, History::none()), "none");
    let mut live = none.subscribe();
    known(&mut live).await;
    none.publish_all(["a", "b", "c"])
        .await
        .expect("Redis is there");
    assert_eq!(
        up_to("c", &mut live).await,
        ["a", "b", "c"],
        "who listens gets all of it"
    );
    let late = limited(&redis, History::none());
    let mut late = topic(&late, "none").subscribe_from(Cursor::start());
    known(&mut late).await;
    publish(&none, "end").await;
    assert_eq!(up_to("end", &mut late).await, ["end"]);
}

/// How long a key lives, in milliseconds.
fn lifetime(redis: &Redis, key: &str) -> i64 {
    let answer = redis.command(&format!("PTTL {key}"));
    answer
        .trim()
        .strip_prefix(':')
        .and_then(|number| number.parse().ok())
        .expect("PTTL gives a number")
}

#[tokio::test]
async fn a_topics_key_goes_with_its_history_and_stays_without_an_age() {
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
async fn a_topic_whose_key_is_over_goes_on_for_who_listens_without_a_reset() {
    let mut redis = Redis::start();
    let hub = limited(&redis, History::none());
    let x = topic(&hub, "x");
    let mut events = x.subscribe();
    known(&mut events).await;
    publish(&x, "one").await;
    assert_eq!(next(&mut events).await, "one");
    // Not by blocking: the hub has to notice that time goes by and nothing comes.
    let is_over = async {
        while !redis.command("EXISTS bocadillo:topic:x").starts_with(":0") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    wait::within("the key to be over", is_over).await;
    redis.restart();
    publish(&x, "two").await;
    assert_eq!(next(&mut events).await, "two");
}

#[tokio::test]
async fn what_is_trimmed_is_a_reset_and_redis_keeps_no_more_than_it_should() {
    let redis = Redis::start();
    let hub = limited(&redis, History::new().max_events(3));
    let x = topic(&hub, "x");
    let first = publish(&x, "first").await;
    let big = "x".repeat(1 << 20);
    // More than what is kept for nodes that are a little behind.
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

#[tokio::test]
async fn a_node_that_was_cut_off_for_too_long_gives_each_client_one_reset() {
    let redis = Redis::start();
    let history = History::new().max_events(3);
    let is_cut = Arc::new(AtomicBool::new(false));
    let far = Hub::builder()
        .history(history)
        .redis(proxy(&redis, Arc::clone(&is_cut)).await);
    let (near, far) = (
        topic(&limited(&redis, history), "x"),
        topic(&far.unwrap(), "x"),
    );
    let mut clients = [far.subscribe(), far.subscribe()];
    for client in &mut clients {
        known(client).await;
    }
    publish(&near, "before").await;
    for client in &mut clients {
        assert_eq!(next(client).await, "before");
    }
    is_cut.store(true, Ordering::Relaxed);
    // The first answer that is swallowed cuts the connection: what follows it, the node does not get.
    let big = "x".repeat(1 << 20);
    for _ in 0..22 {
        publish(&near, &big).await;
    }
    is_cut.store(false, Ordering::Relaxed);
    for client in &mut clients {
        assert_eq!(next(client).await, EVICTED);
    }
    publish(&near, "end").await;
    for client in &mut clients {
        assert_eq!(up_to("end", client).await, ["end"]);
    }
}

#[tokio::test]
async fn what_other_programs_write_is_passed_over() {
    let redis = Redis::start();
    let hub = hub(&redis);
    let x = topic(&hub, "x");
    let mut live = x.subscribe();
    known(&mut live).await;
    publish(&x, "one").await;
    for entry in [
        "temperature 20",
        "event nonsense total nan",
        r#"event "data: x\r\n\r\n""#,
        r#"event "id: 7\ndata: x\n\n" total 99999999999999999999"#,
        r#"event "\xff\xfe" total -1"#,
        r#"event "data: x\n\n" key "\xff""#,
    ] {
        let answer = redis.command(&format!("XADD bocadillo:topic:x * {entry}"));
        assert!(answer.starts_with('$'), "{answer}");
    }
    // Only the hub's script can say which event was before, so this one is not an event either.
    redis.command(r#"XADD bocadillo:topic:x * event "data: from another program\n\n""#);
    publish(&x, "two").await;
    let expected = ["one", "two"];
    assert_eq!(up_to("two", &mut live).await, expected);
    assert_eq!(
        up_to("two", &mut x.subscribe_from(Cursor::start())).await,
        expected
    );

    redis.command("SET bocadillo:topic:taken text");
    let taken = topic(&hub, "taken");
    let _waits = taken.subscribe();
    let error = taken.publish("x").await.expect_err("the key is a string");
    assert!(error.is_refused(), "{error:?}");
    redis.command("DEL bocadillo:topic:x");
    redis.command("SET bocadillo:topic:x text");
    // The reader is refused, finds out by which key, and goes on without it.
    let mut other = topic(&hub, "other").subscribe();
    known(&mut other).await;
    publish(&topic(&hub, "other"), "three").await;
    assert_eq!(next(&mut other).await, "three");
}

#[tokio::test]
async fn a_prefix_a_database_and_a_password_are_respected() {
    let redis = Redis::start();
    redis.command("CONFIG SET requirepass open-sesame");
    let url = redis.url().replace("redis://", "redis://:open-sesame@");
    let hubs = HashMap::from([
        ("plain", Hub::redis(&url).unwrap()),
        (
            "prefix",
            Hub::builder().prefix("other:").redis(&url).unwrap(),
        ),
        ("database", Hub::redis(format!("{url}3")).unwrap()),
    ]);
    for (name, hub) in &hubs {
        publish(&topic(hub, "x"), name).await;
    }
    for (name, hub) in &hubs {
        assert_eq!(
            next(&mut topic(hub, "x").subscribe_from(Cursor::start())).await,
            *name
        );
    }
    let locked_out = topic(&hub(&redis), "x")
        .publish("x")
        .await
        .expect_err("there is a password");
    assert!(locked_out.is_refused(), "{locked_out:?}");
    let reason = locked_out.source().expect("with the reason").to_string();
    assert!(
        reason.contains("NOAUTH") || reason.to_lowercase().contains("auth"),
        "{reason}"
    );
}

#[test]
fn a_url_that_is_none_is_an_error_that_does_not_repeat_it() {
    let error = Hub::redis("http://user:secret@somewhere/").expect_err("no URL of Redis");
    assert!(error.is_config());
    let source = error.source().expect("with the reason").to_string();
    assert!(
        source.contains("redis://127.0.0.1:6379/0") && !source.contains("secret"),
        "{source}"
    );
}
