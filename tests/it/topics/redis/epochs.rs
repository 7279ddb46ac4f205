//! Redis has lost events, or a client has a wrong id: each client gets one reset.

use super::*;

/// Restarts the broker with other data. Checks that each client on several nodes gets one reset, then the new events.
async fn check_new_epoch(redis: &mut Redis, restart: impl FnOnce(&mut Redis)) {
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
    restart(redis);

    // First the nodes must notice the restart. An earlier publish may fail as unconfirmed, and be stored twice.
    for client in &mut clients {
        assert_eq!(next(client).await, EPOCH);
    }
    publish(&topics[2], "new").await;
    clients.push(topic(&hubs[0], "x").subscribe_from(old.as_str()));
    assert_eq!(
        next(clients.last_mut().expect("the list has a client")).await,
        EPOCH
    );
    publish(&topics[0], "end").await;
    let late = clients.pop().expect("the list has a client");
    for client in &mut clients {
        assert_eq!(up_to("end", client).await, ["new", "end"]);
    }
    let mut late = late;
    assert_eq!(up_to("end", &mut late).await, ["end"]);
}

#[tokio::test]
async fn redis_that_comes_back_empty_gives_each_client_one_reset() {
    let mut redis = Redis::start();
    check_new_epoch(&mut redis, Redis::restart_empty).await;
}

#[tokio::test]
async fn redis_that_has_lost_its_last_events_gives_each_client_one_reset() {
    let mut redis = Redis::start();
    check_new_epoch(&mut redis, Redis::restart).await;
}

#[tokio::test]
async fn hostile_cursors_give_a_reset_on_redis() {
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
        // A position before the first event of the topic. The topic may have had earlier events.
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
