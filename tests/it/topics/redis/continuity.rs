//! A client gets a reset if events are missing, for any reason, and only then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bocadillo::topic::{Cursor, History, Hub, Subscription};

use super::outages::proxy;
use super::*;

/// Publishes four events. The client has received event number `has`. The test runs `damage` after the third event.
async fn check(redis: &Redis, name: &str, has: usize, damage: &[&str], expected: &[&str]) {
    let x = topic(&hub(redis), name);
    let mut ids = Vec::new();
    for text in ["e1", "e2", "e3"] {
        ids.push(publish(&x, text).await);
    }
    for command in damage {
        let mut command = command.replace("KEY", &format!("bocadillo:topic:{name}"));
        for (number, id) in ids.iter().enumerate() {
            let (_, position) = id.split_once('-').expect("an id has a tag");
            let position = if position.contains('-') {
                position.to_owned()
            } else {
                format!("{position}-0")
            };
            command = command.replace(&format!("E{}", number + 1), &position);
        }
        let answer = redis.command(&command);
        assert!(!answer.starts_with('-'), "{command}: {answer}");
    }
    ids.push(publish(&x, "e4").await);
    // A new node.
    let other = topic(&hub(redis), name);
    let mut client = other.subscribe_from(ids[has - 1].as_str());
    let mut got = Vec::new();
    // The client gets the events that are published after its reset.
    for _ in 1..expected.len() {
        got.push(next(&mut client).await);
    }
    publish(&x, "end").await;
    got.extend(up_to("end", &mut client).await);
    assert_eq!(got, expected, "{name}");
}

#[tokio::test]
async fn removed_events_cause_a_reset_for_clients_that_missed_them() {
    let redis = Redis::start();
    let evicted: &[_] = &[EVICTED, "end"];
    check(&redis, "kept", 1, &[], &["e2", "e3", "e4", "end"]).await;
    check(&redis, "deleted", 1, &["DEL KEY"], evicted).await;
    check(&redis, "deleted, all got", 3, &[], &["e4", "end"]).await;
    check(&redis, "deleted-got", 3, &["DEL KEY"], &["e4", "end"]).await;
    check(&redis, "expired", 2, &["PEXPIRE KEY 0"], evicted).await;
    check(&redis, "one-out", 1, &["XDEL KEY E2"], evicted).await;
    check(
        &redis,
        "own-out",
        1,
        &["XDEL KEY E1"],
        &["e2", "e3", "e4", "end"],
    )
    .await;
    check(&redis, "last-out", 2, &["XDEL KEY E3"], evicted).await;
    check(
        &redis,
        "middle-out",
        1,
        &["XDEL KEY E3"],
        &["e2", EVICTED, "end"],
    )
    .await;
    check(&redis, "trimmed", 1, &["XTRIM KEY MAXLEN 1"], evicted).await;
    check(
        &redis,
        "trimmed-got",
        2,
        &["XTRIM KEY MAXLEN 1"],
        &["e3", "e4", "end"],
    )
    .await;
    check(&redis, "emptied", 2, &["XTRIM KEY MAXLEN 0"], evicted).await;
    let foreign = "XADD KEY * temperature 20";
    check(&redis, "foreign", 1, &[foreign], &["e2", "e3", "e4", "end"]).await;
    check(&redis, "foreign-out", 2, &[foreign, "XDEL KEY E3"], evicted).await;
    check(&redis, "foreign-new", 2, &["DEL KEY", foreign], evicted).await;
    check(&redis, "places", 3, &["DEL bocadillo:positions"], evicted).await;
    check(
        &redis,
        "both",
        1,
        &["DEL KEY", "DEL bocadillo:positions"],
        evicted,
    )
    .await;
    check(&redis, "all", 3, &["FLUSHDB"], &[EPOCH, "end"]).await;
}

#[tokio::test]
async fn a_client_resumes_after_the_id_of_a_topic_without_events() {
    let redis = Redis::start();
    let x = topic(&hub(&redis), "x");
    let mut first = x.subscribe();
    known(&mut first).await;
    let hello = first.last_id().expect("the last id is known").to_string();
    drop(first);
    let mut again = topic(&hub(&redis), "x").subscribe_from(hello.as_str());
    publish(&x, "e1").await;
    assert_eq!(next(&mut again).await, "e1");
    redis.command("DEL bocadillo:topic:x");
    let mut late = topic(&hub(&redis), "x").subscribe_from(hello.as_str());
    assert_eq!(next(&mut late).await, EVICTED, "e1 was removed");
}

#[tokio::test]
async fn a_reset_of_several_topics_names_the_topic_that_lost_events() {
    let redis = Redis::start();
    let near = hub(&redis);
    let mut both = near.subscribe_from(["a", "b"], Cursor::start()).unwrap();
    publish(&topic(&near, "a"), "a1").await;
    publish(&topic(&near, "b"), "b1").await;
    let (mut got, mut id) = (0, String::new());
    while got < 2 {
        let event = wait::within("an event", both.next()).await.unwrap();
        if event.name().is_none() {
            id = event.id().expect("the event has an id").to_string();
            got += 1;
        }
    }
    drop(both);
    publish(&topic(&near, "a"), "a2").await;
    publish(&topic(&near, "b"), "b2").await;
    redis.command("DEL bocadillo:topic:b");
    let mut back = hub(&redis).subscribe_from(["a", "b"], id.as_str()).unwrap();
    let mut got = [next(&mut back).await, next(&mut back).await];
    got.sort();
    assert_eq!(got, ["a2", r#"reset: {"reason":"evicted","topics":["b"]}"#]);
}

/// A node that was cut off for a while.
async fn cut(redis: &Redis, happens: impl AsyncFnOnce(&Topic)) -> (Subscription, Topic) {
    let is_cut = Arc::new(AtomicBool::new(false));
    let far = Hub::redis(proxy(redis, Arc::clone(&is_cut)).await).unwrap();
    let (near, far) = (topic(&hub(redis), "x"), topic(&far, "x"));
    let mut client = far.subscribe();
    known(&mut client).await;
    publish(&near, "e1").await;
    assert_eq!(next(&mut client).await, "e1");
    is_cut.store(true, Ordering::Relaxed);
    // The proxy drops the answer with the next event, and closes the connection.
    happens(&near).await;
    is_cut.store(false, Ordering::Relaxed);
    (client, near)
}

#[tokio::test]
async fn a_key_that_is_deleted_while_a_node_is_cut_off_causes_a_reset() {
    let redis = Redis::start();
    let (mut client, near) = cut(&redis, async |near| {
        publish(near, "e2").await;
        redis.command("DEL bocadillo:topic:x");
    })
    .await;
    assert_eq!(
        next(&mut client).await,
        EVICTED,
        "the reset comes without a later event"
    );
    publish(&near, "end").await;
    assert_eq!(next(&mut client).await, "end");

    let (mut client, near) = cut(&redis, async |near| {
        publish(near, "e2").await;
        redis.command("DEL bocadillo:topic:x");
        publish(near, "e3").await;
    })
    .await;
    assert_eq!(next(&mut client).await, EVICTED);
    publish(&near, "end").await;
    assert_eq!(up_to("end", &mut client).await.last().unwrap(), "end");

    let (mut client, _) = cut(&redis, async |near| {
        publish(near, "e2").await;
        publish(near, "e3").await;
    })
    .await;
    assert_eq!(
        up_to("e3", &mut client).await,
        ["e2", "e3"],
        "no event was removed"
    );
}

#[tokio::test]
async fn a_gap_in_new_events_causes_a_reset_before_the_next_event() {
    let redis = Redis::start();
    let x = topic(&hub(&redis), "x");
    let mut client = x.subscribe();
    known(&mut client).await;
    // A node reads this if events were published and their key was deleted between two reads.
    redis.command(
        r#"XADD bocadillo:topic:x * event "data: behind\n\n" total 14 prev 99999999999999-0"#,
    );
    assert_eq!(next(&mut client).await, EVICTED);
}

#[tokio::test]
async fn a_quiet_topic_survives_a_restart_without_a_reset() {
    let mut redis = Redis::start();
    let hub = hub(&redis);
    let (x, quiet) = (topic(&hub, "x"), topic(&hub, "quiet"));
    let (mut events, mut nothing) = (x.subscribe(), quiet.subscribe());
    known(&mut events).await;
    known(&mut nothing).await;
    publish(&x, "e1").await;
    assert_eq!(next(&mut events).await, "e1");
    redis.restart();
    publish(&x, "e2").await;
    publish(&quiet, "first").await;
    assert_eq!(next(&mut events).await, "e2");
    assert_eq!(next(&mut nothing).await, "first");
}

#[tokio::test]
async fn the_number_of_stored_positions_is_bounded_and_a_removed_one_causes_a_reset() {
    let redis = Redis::start();
    let x = topic(&hub(&redis), "x");
    let mut none = topic(&hub(&redis), "none").subscribe();
    known(&mut none).await;
    let hello = none.last_id().expect("the last id is known").to_string();
    drop(none);
    let old = publish(&x, "e1").await;
    redis.command("DEL bocadillo:topic:x");
    let fill = r#"EVAL "for i=1,100050 do redis.call('HSET',KEYS[1],'t'..i,'1-0') end" 1 bocadillo:positions"#;
    redis.command(fill);
    for number in 0..20 {
        publish(&topic(&hub(&redis), &format!("new {number}")), "x").await;
    }
    let length = redis.command("HLEN bocadillo:positions");
    let length: usize = length.trim().trim_start_matches(':').parse().unwrap();
    assert!(
        length <= 100_001,
        "Redis keeps the positions of {length} topics"
    );
    // The positions of the other topics were removed, so it is unknown whether events are missing.
    let mut client = topic(&hub(&redis), "none").subscribe_from(hello.as_str());
    assert_eq!(next(&mut client).await, EVICTED);
    // Redis keeps the most recent positions.
    let mut kept = topic(&hub(&redis), "x").subscribe_from(old.as_str());
    publish(&x, "e2").await;
    assert_eq!(next(&mut kept).await, "e2");
}

#[tokio::test]
async fn ids_rise_when_a_key_is_created_again_within_a_millisecond() {
    let redis = Redis::start();
    let x = topic(
        &limited(&redis, History::new().max_age(Duration::from_secs(60))),
        "x",
    );
    let mut events = x.subscribe();
    known(&mut events).await;
    for number in 0..200 {
        publish(&x, &number.to_string()).await;
        assert_eq!(next(&mut events).await, number.to_string());
        redis.command("DEL bocadillo:topic:x");
    }
}
