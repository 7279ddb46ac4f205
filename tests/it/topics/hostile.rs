//! Hostile values of `Last-Event-ID`.

use bocadillo::topic::Hub;

use super::{Client, serve};
use crate::support::http::{BOTH, Raw};

#[tokio::test]
async fn a_hostile_last_event_id_gives_a_reset_and_no_other_data() {
    let hub = Hub::memory();
    let server = serve(&hub).await;
    let other = hub.topic("other").unwrap();
    other.publish("a secret").await.unwrap();
    let of_other = other.publish("another secret").await.unwrap();
    let topic = hub.topic("x").unwrap();
    let last = topic.publish("1").await.unwrap();
    let far = format!("{}-18446744073709551615", &last.as_str()[..8]);
    let long = "9".repeat(10_240);
    for protocol in BOTH {
        for (id, reason) in [
            (long.as_str(), "unreadable"),
            ("-5", "unreadable"),
            (&far, "epoch"),
            (of_other.as_str(), "epoch"),
        ] {
            for path in ["/topics/x", "/generated/x"] {
                let mut client = Client::connect(protocol, server.address, path, id).await;
                let event = client.next().await;
                assert_eq!(event.name, "reset");
                assert_eq!(event.data, format!(r#"{{"reason":"{reason}"}}"#), "{id}");
                assert_eq!(
                    client.next().await.data,
                    "1",
                    "the client gets the history, like a new client"
                );
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_nul_in_the_header_is_400() {
    let hub = Hub::memory();
    let server = serve(&hub).await;
    let request = "GET /topics/x HTTP/1.1\r\nhost: x\r\nlast-event-id: a\0b\r\n\r\n";
    let answer = Raw::exchange(server.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");

    let not_utf8 = b"GET /topics/x HTTP/1.1\r\nhost: x\r\nlast-event-id: \xff\xfe\r\n\r\n";
    let mut raw = Raw::connect(server.address).await;
    raw.send(not_utf8).await;
    raw.until("\r\n\r\n").await;
    assert!(
        raw.until("\n\n")
            .await
            .contains(r#"{"reason":"unreadable"}"#)
    );
    server.stop().await;
}
