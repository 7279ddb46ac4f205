//! The forms of a URL, and the options, as the docs have them.

use super::*;
use crate::support::Log;

async fn works(url: String) {
    let hub = Hub::nats(&*url).expect("the URL is one");
    hub.topic("x")
        .expect("a name")
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
async fn a_wrong_password_is_said_at_once_on_nats() {
    let log = Log::start();
    let nats = Nats::configured("authorization { user: user, password: right }");
    let hub = Hub::nats(format!("nats://user:wrong@{}", nats.address())).expect("a URL");
    let error = topic(&hub).publish("x").await.expect_err("it is wrong");
    assert!(
        error.is_unavailable() && !error.is_unconfirmed(),
        "{error:?}"
    );
    assert_eq!(log.lines("NATS refuses the user name").len(), 1);
    assert_eq!(log.lines("wrong").len(), 0, "a log has no password");
}

#[tokio::test]
async fn addresses_may_be_of_ipv6_and_have_no_scheme_on_nats() {
    let nats = Nats::start_at("::1", None);
    works(format!("nats://{}", nats.address())).await;
    works(nats.address().to_string()).await;
}

#[tokio::test]
async fn options_reach_the_stream_on_nats() {
    let nats = Nats::start();
    let options = bocadillo::topic::Nats::new(nats.url()).max_bytes(1 << 20);
    let hub = Hub::builder().prefix("shop").nats(options).expect("a URL");
    publish(&topic(&hub), "x").await;
    let info = nats.ask_jetstream("STREAM.INFO.shop", "");
    assert_eq!(info["config"]["max_bytes"], 1 << 20);
    assert_eq!(info["config"]["num_replicas"], 1);
}
