//! A client that comes back gets all events that it missed, or one `reset`.

use super::outages::Wire;
use super::*;

const RESET: &str = "reset {\"reason\":\"";

fn sequence(id: &str) -> u64 {
    let parts: Vec<&str> = id.split('-').collect();
    parts[1].parse().expect("a number")
}

/// A client gets event 1 and leaves. Events 2 and 3 are published. Then `happens` runs, and event 4 is published. The client comes
/// back on the same node and on another node.
async fn comes_back_after(happens: impl Fn(&Nats, &[String])) {
    let nats = Nats::start();
    let hubs = [(); 2].map(|()| hub(&nats));
    let mut ids = Vec::new();
    for data in ["0", "1", "2", "3"] {
        ids.push(publish(&topic(&hubs[0]), data).await);
    }
    happens(&nats, &ids);
    publish(&topic(&hubs[0]), "4").await;
    for hub in &hubs {
        let mut events = topic(hub).subscribe_from(Cursor::after(&*ids[1]));
        let first = next(&mut events).await;
        assert!(first.starts_with(RESET), "{first}");
        publish(&topic(&hubs[1]), "marker").await;
        let rest = up_to_marker(&mut events).await;
        assert!(!rest.iter().any(|data| data.starts_with(RESET)), "{rest:?}");
    }
}

fn purge(nats: &Nats, request: &str) {
    nats.ask_jetstream("STREAM.PURGE.bocadillo", request);
}

fn delete(nats: &Nats, id: &str) {
    let request = format!("{{\"seq\":{}}}", sequence(id));
    nats.ask_jetstream("STREAM.MSG.DELETE.bocadillo", &request);
}

#[tokio::test]
async fn a_purge_of_the_topic_causes_a_reset_on_nats() {
    comes_back_after(|nats, _| purge(nats, "{\"filter\":\"bocadillo.events.*\"}")).await;
}

#[tokio::test]
async fn a_purge_of_the_whole_stream_causes_a_reset_on_nats() {
    comes_back_after(|nats, _| purge(nats, "{}")).await;
}

#[tokio::test]
async fn a_purge_that_keeps_some_messages_causes_a_reset_on_nats() {
    comes_back_after(|nats, _| purge(nats, "{\"keep\":1}")).await;
}

#[tokio::test]
async fn a_purge_up_to_a_message_causes_a_reset_on_nats() {
    comes_back_after(|nats, ids| purge(nats, &format!("{{\"seq\":{}}}", sequence(&ids[3])))).await;
}

#[tokio::test]
async fn a_deleted_message_at_the_clients_position_causes_a_reset_on_nats() {
    comes_back_after(|nats, ids| delete(nats, &ids[1])).await;
}

#[tokio::test]
async fn a_deleted_message_after_the_clients_position_causes_a_reset_on_nats() {
    comes_back_after(|nats, ids| delete(nats, &ids[2])).await;
}

#[tokio::test]
async fn a_deleted_newest_message_causes_a_reset_on_nats() {
    comes_back_after(|nats, ids| delete(nats, &ids[3])).await;
}

#[tokio::test]
async fn a_deleted_message_long_after_the_clients_position_causes_a_reset_on_nats() {
    let nats = Nats::start();
    let hub = hub(&nats);
    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(publish(&topic(&hub), &number.to_string()).await);
    }
    delete(&nats, &ids[60]);
    let mut events = topic(&super::hub(&nats)).subscribe_from(Cursor::after(&*ids[1]));
    let first = next(&mut events).await;
    assert!(first.starts_with(RESET), "{first}");
}

/// The stream is restored from an old backup while no node is connected, and other programs have published since.
#[tokio::test]
async fn an_id_from_before_a_restore_causes_a_reset_on_nats() {
    let mut nats = Nats::start();
    let quiet = |hub: &Hub| hub.topic("quiet").expect("a valid name");
    let (lost, hello) = {
        let hub = hub(&nats);
        publish(&topic(&hub), "kept").await;
        drop(hub);
        let backup = nats.backup();
        let hub = super::hub(&nats);
        publish(&topic(&hub), "lost 1").await;
        let lost = publish(&topic(&hub), "lost 2").await;
        let mut silence = quiet(&hub).subscribe();
        is_known(&mut silence).await;
        let hello = silence
            .last_id()
            .expect("the subscription has begun")
            .to_string();
        drop((silence, hub));
        nats.restart_with(&backup);
        (lost, hello)
    };
    let hub = hub(&nats);
    publish(&quiet(&hub), "unseen 1").await;
    publish(&topic(&hub), "unseen 2").await;
    publish(&topic(&hub), "unseen 3").await;
    for (topic, id) in [(topic(&hub), lost), (quiet(&hub), hello)] {
        let mut events = topic.subscribe_from(Cursor::after(&*id));
        let first = next(&mut events).await;
        assert!(first.starts_with(RESET), "{id}: {first}");
    }
}

/// The stream is restored while the node is cut off. Other nodes then publish more events than were lost, before the node reconnects.
#[tokio::test]
async fn a_node_connected_before_a_restore_gives_a_reset_on_nats() {
    let mut nats = Nats::start();
    let other = hub(&nats);
    publish(&topic(&other), "kept").await;
    let backup = nats.backup();
    let mut wire = Wire::to(nats.address()).await;
    let far = Hub::builder().nats(wire.url()).expect("a valid URL");
    publish(&topic(&far), "lost").await;
    let mut events = topic(&far).subscribe();
    is_known(&mut events).await;
    wire.cut();
    drop(other);
    nats.restart_with(&backup);
    let other = hub(&nats);
    for number in 0..5 {
        publish(&topic(&other), &format!("unseen {number}")).await;
    }
    wire.mend().await;
    let first = next(&mut events).await;
    assert!(first.starts_with(RESET), "{first}");
    publish(&topic(&other), "new").await;
    assert_eq!(next(&mut events).await, "new");
}

#[tokio::test]
async fn clients_that_missed_nothing_get_no_reset_on_nats() {
    let mut nats = Nats::start();
    let names = ["busy", "quiet", "empty"];
    let node = hub(&nats);
    let handle = |hub: &Hub, name: &str| hub.topic(name).expect("a valid name");
    publish(&handle(&node, "quiet"), "0").await;
    publish(&handle(&node, "busy"), "0").await;
    let mut ids = Vec::new();
    for name in names {
        let mut events = handle(&node, name).subscribe();
        is_known(&mut events).await;
        ids.push(
            events
                .last_id()
                .expect("the subscription has begun")
                .to_string(),
        );
    }
    for number in 1..20 {
        publish(&handle(&node, "busy"), &number.to_string()).await;
    }
    nats.restart();
    let other = hub(&nats);
    for node in [&node, &other] {
        for (name, id) in names.iter().zip(&ids) {
            let mut events = handle(node, name).subscribe_from(Cursor::after(&**id));
            if *name == "busy" {
                assert_eq!(
                    several(&mut events, 19).await,
                    (1..20).map(|n| n.to_string()).collect::<Vec<_>>()
                );
            }
            is_known(&mut events).await;
            let settled = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
            assert!(settled.is_err(), "{name}: {settled:?}");
        }
    }
}

#[tokio::test]
async fn a_hub_receives_its_own_later_events_on_nats() {
    let nats = Nats::start();
    let hub = hub(&nats);
    for number in 0..50 {
        let topic = hub.topic(format!("new/{number}")).expect("a valid name");
        let mut events = topic.subscribe();
        let names = [format!("a/{number}"), format!("b/{number}")];
        let mut both = hub.subscribe(&names).expect("two valid names");
        topic.publish("x").await.expect("NATS is up");
        let b = hub.topic(&names[1]).expect("a valid name");
        b.publish("y").await.expect("NATS is up");
        assert_eq!(next(&mut events).await, "x");
        assert_eq!(next(&mut both).await, "y");
    }
}
