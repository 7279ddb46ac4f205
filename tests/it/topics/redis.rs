//! Topics over a real Redis: lost events, refusals, entries of other programs, and the number of connections.

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
mod epochs;
mod history;
mod link;
mod load;
mod outages;
mod refused;
mod urls;

fn hub(redis: &Redis) -> Hub {
    Hub::redis(redis.url()).expect("a valid URL")
}

fn topic(hub: &Hub, name: &str) -> Topic {
    hub.topic(name).expect("a valid name")
}

/// The data of the next event. The name of a notice comes before its data.
async fn next(events: &mut Subscription) -> String {
    let event = wait::within("an event", events.next())
        .await
        .expect("the stream continues");
    let data = event.data().expect("events of topics have data");
    match event.name() {
        Some(name) => format!("{}: {data}", name.as_str()),
        None => data.to_owned(),
    }
}

/// All events up to `last`, with `last`.
async fn up_to(last: &str, events: &mut Subscription) -> Vec<String> {
    let mut all = Vec::new();
    while all.last().is_none_or(|event| event != last) {
        all.push(next(events).await);
    }
    all
}

/// Publishes until the event is confirmed. The event may then be stored twice.
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

/// Waits until the node follows the topic. The node gets all events that are published after that.
async fn known(events: &mut Subscription) {
    let known = async {
        loop {
            assert!(
                events.next().now_or_never().is_none(),
                "no event has been published yet"
            );
            if events.last_id().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    wait::within("the subscription to begin", known).await
}

const EPOCH: &str = r#"reset: {"reason":"epoch"}"#;
const EVICTED: &str = r#"reset: {"reason":"evicted"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_topics_share_two_connections_to_redis() {
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

    // Other connections open and close meanwhile.
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
    options.redis(redis.url()).expect("a valid URL")
}

#[tokio::test]
async fn entries_of_other_programs_are_skipped_on_redis() {
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
    // Only the script of the hub writes the position of the event before, so this entry is not an event either.
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
    // Redis refuses the read. The node finds the key that is the reason, and reads without this key.
    let mut other = topic(&hub, "other").subscribe();
    known(&mut other).await;
    publish(&topic(&hub, "other"), "three").await;
    assert_eq!(next(&mut other).await, "three");
}

#[tokio::test]
async fn a_prefix_a_database_and_a_password_are_used_on_redis() {
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
        .expect_err("the hub has no password");
    assert!(locked_out.is_refused(), "{locked_out:?}");
    let reason = locked_out
        .source()
        .expect("the error has a source")
        .to_string();
    assert!(
        reason.contains("NOAUTH") || reason.to_lowercase().contains("auth"),
        "{reason}"
    );
}

#[test]
fn an_invalid_url_is_an_error_that_does_not_show_the_url() {
    let error =
        Hub::redis("http://user:secret@somewhere/").expect_err("the scheme is not one of Redis");
    assert!(error.is_config());
    let source = error.source().expect("the error has a source").to_string();
    assert!(
        source.contains("redis://127.0.0.1:6379/0") && !source.contains("secret"),
        "{source}"
    );
}
