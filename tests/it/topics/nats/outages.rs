//! NATS is away, or a node is cut off from it.

use super::*;

#[tokio::test]
async fn streams_stay_open_while_nats_is_away_and_publishing_fails_at_once() {
    let mut nats = Nats::start();
    let hub = hub(&nats);
    let mut events = topic(&hub).subscribe();
    is_known(&mut events).await;
    publish(&topic(&hub), "0").await;
    assert_eq!(next(&mut events).await, "0");

    nats.kill();
    let down = Instant::now();
    let error = loop {
        let error = topic(&hub).publish("lost").await.expect_err("NATS is away");
        // The first publish may have been under way when the connection broke.
        if !error.is_unconfirmed() {
            assert!(error.is_unavailable(), "{error:?}");
            break error;
        }
    };
    assert!(
        down.elapsed() < Duration::from_secs(4),
        "it took {:?}",
        down.elapsed()
    );
    assert!(
        std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("NATS")),
        "{error:?}"
    );
    assert!(futures_util::poll!(events.next()).is_pending());

    nats.restart();
    publish(&topic(&hub), "marker").await;
    // An unconfirmed event may have been stored.
    let late = up_to_marker(&mut events).await;
    assert!(late.iter().all(|data| data == "lost"), "{late:?}");
}

#[tokio::test]
async fn publishing_waits_for_nats_up_to_its_time_out() {
    let mut nats = Nats::start();
    let patient = built(&nats, Hub::builder().wait_for_broker(Duration::MAX));
    let mut events = topic(&patient).subscribe();
    is_known(&mut events).await;
    // Some publishes are under way when the connection breaks. The server recognises an event that is sent again.
    let publisher = tokio::spawn({
        let topic = topic(&patient);
        async move {
            for number in 0..2_000 {
                topic
                    .publish(number.to_string())
                    .await
                    .expect("the broker comes back before the time-out");
            }
        }
    });
    for kill in 1..=3 {
        let seen = several(&mut events, 300).await;
        assert_eq!(seen, numbers((kill - 1) * 300..kill * 300));
        nats.kill();
        nats.restart();
    }
    assert_eq!(several(&mut events, 1_100).await, numbers(900..2_000));
    wait::within("the publisher", publisher)
        .await
        .expect("the task does not panic");

    nats.kill();
    let short = built(
        &nats,
        Hub::builder().wait_for_broker(Duration::from_millis(300)),
    );
    let start = Instant::now();
    let error = topic(&short).publish("x").await.expect_err("NATS is away");
    assert!(
        error.is_unavailable() && start.elapsed() >= Duration::from_millis(250),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_hub_may_start_before_nats() {
    let mut nats = Nats::start();
    nats.kill();
    let hub = hub(&nats);
    let mut events = topic(&hub).subscribe();
    assert!(
        topic(&hub)
            .publish("lost")
            .await
            .expect_err("NATS is away")
            .is_unavailable()
    );
    nats.restart();
    assert_eq!(next(&mut events).await, r#"reset {"reason":"missed"}"#);
    publish(&topic(&hub), "0").await;
    assert_eq!(next(&mut events).await, "0");
}

#[tokio::test]
async fn a_node_cut_off_from_nats_loses_no_event_without_a_reset() {
    let nats = Nats::start();
    let mut wire = Wire::to(nats.address()).await;
    let options = || Hub::builder().history(History::new().max_events(10));
    let (near, far) = (
        built(&nats, options()),
        options().nats(wire.url()).expect("a valid URL"),
    );
    let quiet = |hub: &Hub| hub.topic("quiet").expect("a valid name");
    let mut events = topic(&far).subscribe();
    let mut silence = quiet(&far).subscribe();
    is_known(&mut events).await;
    is_known(&mut silence).await;
    publish(&topic(&near), "0").await;
    publish(&quiet(&near), "0").await;
    assert_eq!(next(&mut events).await, "0");
    assert_eq!(next(&mut silence).await, "0");

    wire.cut();
    for number in 1..=10 {
        publish(&topic(&near), &number.to_string()).await;
    }
    wire.mend().await;
    assert_eq!(several(&mut events, 10).await, numbers(1..11));

    wire.cut();
    for number in 11..=30 {
        publish(&topic(&near), &number.to_string()).await;
    }
    wire.mend().await;
    assert_eq!(next(&mut events).await, r#"reset {"reason":"evicted"}"#);
    publish(&topic(&near), "31").await;
    publish(&quiet(&near), "1").await;
    assert_eq!(next(&mut events).await, "31");
    assert_eq!(next(&mut silence).await, "1", "no event was missed");
}

/// A connection that the test can cut.
pub(super) struct Wire {
    listener: SocketAddr,
    target: SocketAddr,
    task: Option<JoinHandle<()>>,
}

impl Wire {
    pub(super) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut wire = Self {
            listener: listener.local_addr().expect("the listener is bound"),
            target,
            task: None,
        };
        wire.carry(listener);
        wire
    }

    pub(super) fn url(&self) -> String {
        format!("nats://{}", self.listener)
    }

    pub(super) fn cut(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    pub(super) async fn mend(&mut self) {
        let listener = wait::within("the port to be free again", async {
            loop {
                match TcpListener::bind(self.listener).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        let listener = listener.await;
        self.carry(listener);
    }

    pub(super) fn carry(&mut self, listener: TcpListener) {
        let target = self.target;
        self.task = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.expect("the server listens");
                connections.spawn(async move {
                    let mut far = TcpStream::connect(target)
                        .await
                        .expect("the server listens");
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }));
    }
}
