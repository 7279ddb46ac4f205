//! The forms of a URL and the options that the documentation names.

use super::*;
use crate::support::{Certificates, Log};

async fn works(url: String) {
    let hub = Hub::nats(&*url).expect("a valid URL");
    hub.topic("x")
        .expect("a valid name")
        .publish("x")
        .await
        .unwrap_or_else(|error| panic!("{url}: {error:?}"));
}

#[tokio::test]
async fn credentials_are_sent_on_nats() {
    let nats = Nats::configured("authorization { user: \"us@er\", password: \"p:a,s/s%w\" }");
    let at = nats.address();
    works(format!("nats://us%40er:p%3Aa%2Cs%2Fs%25w@{at}")).await;
    works(format!("us%40er:p%3Aa%2Cs%2Fs%25w@{at}")).await;
    works(format!(
        "nats://us%40er:p%3Aa%2Cs%2Fs%25w@{at},nats://127.0.0.1:1"
    ))
    .await;
    works(format!(
        "nats://127.0.0.1:1, nats://us%40er:p%3Aa%2Cs%2Fs%25w@{at}"
    ))
    .await;
    works(format!(
        "nats://us%40er:p%3Aa%2Cs%2Fs%25w@127.0.0.1:1,nats://{at}"
    ))
    .await;
    let nats = Nats::configured("authorization { token: \"to@ken\" }");
    works(format!("nats://to%40ken@{}", nats.address())).await;
}

#[tokio::test]
async fn a_wrong_password_fails_at_once_on_nats() {
    let log = Log::start();
    let nats = Nats::configured("authorization { user: user, password: right }");
    let hub = Hub::nats(format!("nats://user:wrong@{}", nats.address())).expect("a valid URL");
    let error = topic(&hub)
        .publish("x")
        .await
        .expect_err("the password is wrong");
    assert!(error.is_refused(), "{error:?}");
    assert_eq!(log.lines("NATS refuses the user name").len(), 1);
    assert_eq!(
        log.lines("wrong").len(),
        0,
        "the log does not show the password"
    );
}

#[tokio::test]
async fn addresses_may_use_ipv6_or_have_no_scheme_on_nats() {
    let nats = Nats::start_at("::1", None);
    works(format!("nats://{}", nats.address())).await;
    works(nats.address().to_string()).await;
}

#[tokio::test]
async fn options_reach_the_stream_on_nats() {
    let nats = Nats::start();
    let options = bocadillo::topic::Nats::new(nats.url()).max_bytes(1 << 20);
    let hub = Hub::builder()
        .prefix("shop")
        .nats(options)
        .expect("a valid URL");
    publish(&topic(&hub), "x").await;
    let info = nats.ask_jetstream("STREAM.INFO.shop", "");
    assert_eq!(info["config"]["max_bytes"], 1 << 20);
    assert_eq!(info["config"]["num_replicas"], 1);
    // Two minutes, in nanoseconds.
    assert_eq!(info["config"]["duplicate_window"], 120_000_000_000_u64);
}

#[tokio::test]
async fn a_hub_trusts_a_private_certificate_authority_on_nats() {
    let certificates = Certificates::new();
    let nats = Nats::configured(&format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}\nauthorization {{ token: secret }}",
        certificates.file("server.pem"),
        certificates.file("server.key"),
    ));
    let url = format!("tls://secret@{}", nats.address());
    let trusted = bocadillo::topic::Nats::new(&url).root_certificates(certificates.file("ca.pem"));
    let hub = Hub::nats(trusted).expect("a valid URL");
    let topic = topic(&hub);
    let mut subscription = topic.subscribe();
    publish(&topic, "over TLS").await;
    let event = subscription.next().await.expect("the stream continues");
    assert_eq!(event.data(), Some("over TLS"));

    // No certificate authority of the system has signed the certificate.
    let hub = Hub::nats(url).expect("a valid URL");
    let error = hub
        .topic("x")
        .expect("a valid name")
        .publish("x")
        .await
        .expect_err("the certificate authority is unknown");
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn a_stream_is_kept_on_three_servers_of_a_cluster_on_nats() {
    let free = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let ports = free
        .each_ref()
        .map(|free| free.local_addr().expect("the listener is bound").port());
    drop(free);
    let routes: Vec<_> = ports
        .iter()
        .map(|port| format!("nats://127.0.0.1:{port}"))
        .collect();
    let routes = routes.join(", ");
    let servers: Vec<_> = ports
        .iter()
        .map(|port| {
            Nats::configured(&format!(
                "server_name: s{port}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}"
            ))
        })
        .collect();
    let urls: Vec<_> = servers.iter().map(Nats::url).collect();
    let options = bocadillo::topic::Nats::new(urls.join(",")).replicas(3);
    // A cluster elects a leader first.
    let hub = Hub::builder()
        .wait_for_broker(crate::support::wait::LONG)
        .nats(options)
        .expect("valid URLs");
    let topic = topic(&hub);
    publish(&topic, "once there is one").await;
    let mut subscription = topic.subscribe();
    publish(&topic, "on three").await;
    let event = subscription.next().await.expect("the stream continues");
    assert_eq!(event.data(), Some("on three"));
    let info = servers[0].ask_jetstream("STREAM.INFO.bocadillo", "");
    assert_eq!(info["config"]["num_replicas"], 3);
}
