//! NATS has lost events, or a client has a wrong id: each client gets one reset.

use super::*;

#[tokio::test]
async fn nats_that_comes_back_empty_gives_each_client_one_reset() {
    let mut nats = Nats::start();
    let nodes = [(); 3].map(|()| hub(&nats));
    let mut clients = Vec::new();
    for node in nodes.iter().cycle().take(12) {
        let mut events = topic(node).subscribe();
        is_known(&mut events).await;
        clients.push(events);
    }
    topic(&nodes[0])
        .publish_all(numbers(0..20))
        .await
        .expect("NATS is up");
    let mut old = String::new();
    for events in &mut clients {
        assert_eq!(several(events, 20).await, numbers(0..20));
        old = events
            .last_id()
            .expect("the subscription has begun")
            .to_string();
    }

    nats.restart_empty();
    // On each node, because the node that comes back first creates the stream.
    let mut published = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let data = format!("new {number}");
        publish(&topic(node), &data).await;
        published.push(data);
    }
    publish(&topic(&nodes[0]), "marker").await;
    for events in &mut clients {
        assert_eq!(next(events).await, r#"reset {"reason":"epoch"}"#);
        let mut all = up_to_marker(events).await;
        // An unconfirmed event was published again.
        all.dedup();
        assert_eq!(all, published);
    }
    let mut late = topic(&nodes[1]).subscribe_from(Cursor::after(old));
    assert_eq!(next(&mut late).await, r#"reset {"reason":"epoch"}"#);
    publish(&topic(&nodes[2]), "live").await;
    for events in clients.iter_mut().chain([&mut late]) {
        let more = next(events).await;
        assert_eq!(
            if more == "marker" {
                next(events).await
            } else {
                more
            },
            "live"
        );
    }
}

#[tokio::test]
async fn a_stream_that_is_deleted_under_the_nodes_gives_each_client_one_reset_on_nats() {
    let nats = Nats::start();
    let nodes = [(); 2].map(|()| hub(&nats));
    let mut clients = nodes.each_ref().map(|node| topic(node).subscribe());
    for events in &mut clients {
        is_known(events).await;
    }
    publish(&topic(&nodes[0]), "0").await;
    for events in &mut clients {
        assert_eq!(next(events).await, "0");
    }
    // The second word is the subject for the answer.
    nats.publish("$JS.API.STREAM.DELETE.bocadillo answer", "", "");
    for data in ["1", "2", "3", "marker"] {
        publish(&topic(&nodes[0]), data).await;
    }
    for events in &mut clients {
        assert_eq!(next(events).await, r#"reset {"reason":"epoch"}"#);
        assert_eq!(up_to_marker(events).await, numbers(1..4));
    }
}

#[tokio::test]
async fn nats_that_has_lost_its_last_events_gives_each_client_one_reset() {
    let mut nats = Nats::start();
    let nodes = [(); 2].map(|()| hub(&nats));
    publish(&topic(&nodes[0]), "kept").await;
    let backup = nats.backup();
    for node in &nodes {
        let other = node.topic("another").expect("a valid name");
        publish(&other, "to be connected again").await;
    }
    let mut clients = nodes.each_ref().map(|node| topic(node).subscribe());
    for events in &mut clients {
        is_known(events).await;
    }
    publish(&topic(&nodes[0]), "lost").await;
    for events in &mut clients {
        assert_eq!(next(events).await, "lost");
    }

    nats.restart_with(&backup);
    for events in &mut clients {
        assert_eq!(next(events).await, r#"reset {"reason":"epoch"}"#);
    }
    publish(&topic(&nodes[1]), "new").await;
    for events in &mut clients {
        assert_eq!(next(events).await, "new");
    }
    let mut all = topic(&hub(&nats)).subscribe_from(Cursor::start());
    assert_eq!(several(&mut all, 2).await, ["kept", "new"]);
}

#[tokio::test]
async fn hostile_cursors_give_a_reset_on_nats() {
    let nats = Nats::start();
    let hub = hub(&nats);
    let secret = hub.topic("secret").expect("a valid name");
    let others = secret
        .publish("not for you")
        .await
        .expect("NATS is up")
        .to_string();
    let own = topic(&hub)
        .publish("0")
        .await
        .expect("NATS is up")
        .to_string();
    let parts: Vec<&str> = own.split('-').collect();
    let [tag, sequence, check] = parts[..] else {
        panic!("an id has a tag, a sequence and a check: {own}")
    };
    let sequence: u64 = sequence.parse().expect("a number");
    let check: u64 = check.parse().expect("a number");

    for (cursor, reason) in [
        ("x".repeat(10_000), "unreadable"),
        (String::from("\0"), "unreadable"),
        (format!("{tag}--5"), "unreadable"),
        (others, "epoch"),
        (format!("{tag}-{}", sequence + 1), "epoch"),
        (format!("{tag}-{sequence}"), "epoch"),
        (format!("{tag}-{sequence}-{}", check + 1), "epoch"),
        (
            format!("{tag}-{sequence}-{}", check + 62_u64.pow(4)),
            "epoch",
        ),
        (format!("{tag}-{}", sequence - 1), "epoch"),
        (format!("{tag}-0-7"), "epoch"),
        (format!("{tag}-{sequence}-{}", u64::MAX), "epoch"),
        (format!("{tag}-{}", u64::MAX), "epoch"),
        (format!("{tag}-{}-{}", u64::MAX, u64::MAX), "epoch"),
    ] {
        let mut events = topic(&hub).subscribe_from(Cursor::after(cursor.clone()));
        assert_eq!(
            next(&mut events).await,
            format!(r#"reset {{"reason":"{reason}"}}"#),
            "{cursor}"
        );
    }
    // A position before the first message of a complete stream.
    let mut events = topic(&hub).subscribe_from(Cursor::after(format!("{tag}-0")));
    assert_eq!(next(&mut events).await, "0");
}
