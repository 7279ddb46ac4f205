//! Clients that leave and come back.

use std::time::Duration;

use bocadillo::topic::{History, Hub};

use super::{Client, serve};
use crate::support::http::BOTH;
use crate::support::wait;

fn hub() -> Hub {
    Hub::builder()
        .history(History::new().max_events(1_000_000).max_bytes(1 << 30))
        .memory()
}

/// One node with a memory hub, 20,000 events, and 100 clients that leave and come back at random. Each client gets each event
/// once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_that_leave_and_come_back_lose_nothing() {
    const EVENTS: usize = 20_000;
    let hub = hub();
    let server = serve(&hub).await;
    let address = server.address;
    let publisher = tokio::spawn({
        let topic = hub.topic("x").unwrap();
        async move {
            for number in 0..EVENTS {
                topic.publish(number.to_string()).await.unwrap();
                if number % 100 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    });
    let clients: Vec<_> = (0..100_u64)
        .map(|client| {
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(client);
                let path = ["/topics/x", "/generated/x", "/both/x/silent"][client as usize % 3];
                let protocol = BOTH[client as usize / 3 % 2];
                let (mut expected, mut last, mut visits) = (0, String::new(), 0);
                while expected < EVENTS {
                    let mut client = Client::connect(protocol, address, path, &last).await;
                    visits += 1;
                    for _ in 0..random.usize(1..3_000).min(EVENTS - expected) {
                        let event = client.next().await;
                        assert_eq!(
                            (event.name.as_str(), event.data.parse()),
                            ("", Ok(expected))
                        );
                        expected += 1;
                    }
                    last = client.last;
                }
                assert!(visits > 3);
            })
        })
        .collect();
    publisher.await.unwrap();
    for client in clients {
        client.await.unwrap();
    }
    wait::within("the subscribers to leave", async {
        while hub.stats().subscribers > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_restart_of_the_server_gives_one_reset_then_new_events() {
    for protocol in BOTH {
        for path in ["/topics/x", "/generated/x", "/both/x/y"] {
            let mut last = String::new();
            for start in 0..3 {
                let hub = hub();
                let server = serve(&hub).await;
                let topic = hub.topic("x").unwrap();
                topic.publish("history").await.unwrap();
                let mut client = Client::connect(protocol, server.address, path, &last).await;
                if start > 0 {
                    let event = client.next().await;
                    assert_eq!(event.name, "reset");
                    assert!(event.data.starts_with(r#"{"reason":"epoch""#), "{event:?}");
                }
                assert_eq!(
                    client.next().await.data,
                    "history",
                    "the client starts again with the history, which is one event"
                );
                topic.publish("news").await.unwrap();
                let event = client.next().await;
                assert_eq!((event.name.as_str(), event.data.as_str()), ("", "news"));
                last = client.last;
                server.stop().await;
            }
        }
    }
}
