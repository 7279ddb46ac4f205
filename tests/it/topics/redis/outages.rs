//! Redis is away, or a node is cut off from it.

use super::*;

#[tokio::test]
async fn streams_stay_open_while_redis_is_away_and_publishing_fails_or_waits() {
    let mut redis = Redis::start();
    let (hasty, patient) = (hub(&redis), Hub::builder().wait_for_broker(Duration::MAX));
    let (hasty, patient) = (
        topic(&hasty, "x"),
        topic(&patient.redis(redis.url()).unwrap(), "x"),
    );
    let mut events = hasty.subscribe_from(Cursor::start());
    publish(&hasty, "before").await;
    assert_eq!(next(&mut events).await, "before");
    publish(&patient, "before").await;
    assert_eq!(next(&mut events).await, "before");
    redis.kill();

    let error = wait::within("an error with a known result", async {
        loop {
            let start = Instant::now();
            let error = hasty.publish("never").await.expect_err("Redis is away");
            if error.is_unavailable() {
                assert!(
                    start.elapsed() < Duration::from_secs(10),
                    "it took {:?}",
                    start.elapsed()
                );
                return error;
            }
        }
    });
    let error = error.await;
    assert_eq!(error.to_string(), "the broker cannot be reached");
    assert!(
        error
            .source()
            .is_some_and(|source| !source.to_string().is_empty())
    );
    // The publish starts when the hub knows that Redis is away. An earlier publish could fail as unconfirmed.
    let waiting = tokio::spawn(async move {
        loop {
            match patient.publish("after").await {
                Err(error) if error.is_unconfirmed() => {}
                published => return published,
            }
        }
    });
    assert!(
        events.next().now_or_never().is_none(),
        "the stream stays open"
    );
    redis.restart();
    wait::within("the publish that waits", waiting)
        .await
        .unwrap()
        .expect("Redis is up again");
    assert_eq!(next(&mut events).await, "after");
}

#[tokio::test]
async fn a_publish_fails_when_its_time_out_ends() {
    let mut redis = Redis::start();
    redis.kill();
    let hub = Hub::builder()
        .wait_for_broker(Duration::from_millis(50))
        .redis(redis.url())
        .unwrap();
    let error = wait::within(
        "the time-out of the publish",
        topic(&hub, "x").publish("never"),
    )
    .await;
    let error = error.expect_err("Redis is away");
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn a_node_may_start_before_its_redis() {
    let mut redis = Redis::start();
    redis.kill();
    let hub = hub(&redis);
    let mut events = topic(&hub, "x").subscribe_from(Cursor::start());
    assert!(
        topic(&hub, "x")
            .publish("too early")
            .await
            .expect_err("Redis is away")
            .is_unavailable()
    );
    redis.restart();
    publish(&topic(&hub, "x"), "now").await;
    assert_eq!(next(&mut events).await, "now");
}

/// A proxy to Redis. When the test sets `swallows`, it drops the next answer and closes the connection.
pub(super) async fn proxy(redis: &Redis, swallows: Arc<AtomicBool>) -> String {
    async fn hand_on(client: TcpStream, redis: std::net::SocketAddr, swallows: Arc<AtomicBool>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let Ok(server) = TcpStream::connect(redis).await else {
            return;
        };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let there = tokio::io::copy(&mut from_client, &mut to_server);
        let back = async {
            let mut bytes = vec![0; 65_536];
            while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                if swallows.load(Ordering::Relaxed)
                    || to_client.write_all(&bytes[..length]).await.is_err()
                {
                    return;
                }
            }
        };
        tokio::select! { _ = there => {}, () = back => {} }
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!(
        "redis://{}/",
        listener.local_addr().expect("the listener is bound")
    );
    let address = redis.address();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(hand_on(client, address, Arc::clone(&swallows)));
        }
    });
    url
}

#[tokio::test]
async fn a_lost_confirmation_is_an_unconfirmed_error() {
    let redis = Redis::start();
    let swallows = Arc::new(AtomicBool::new(false));
    let far = Hub::redis(proxy(&redis, Arc::clone(&swallows)).await).unwrap();
    let far = topic(&far, "x");
    publish(&far, "heard").await;
    swallows.store(true, Ordering::Relaxed);
    let error = far
        .publish("unheard")
        .await
        .expect_err("the answer is dropped");
    assert!(error.is_unconfirmed(), "{error:?}");
    swallows.store(false, Ordering::Relaxed);
    publish(&far, "end").await;
    let mut events = topic(&hub(&redis), "x").subscribe_from(Cursor::start());
    assert_eq!(
        up_to("end", &mut events).await,
        ["heard", "unheard", "end"],
        "the event was stored all the same"
    );
}

#[tokio::test]
async fn a_long_outage_of_a_node_gives_each_client_one_reset() {
    let redis = Redis::start();
    let history = History::new().max_events(3);
    let is_cut = Arc::new(AtomicBool::new(false));
    let far = Hub::builder()
        .history(history)
        .redis(proxy(&redis, Arc::clone(&is_cut)).await);
    let (near, far) = (
        topic(&limited(&redis, history), "x"),
        topic(&far.unwrap(), "x"),
    );
    let mut clients = [far.subscribe(), far.subscribe()];
    for client in &mut clients {
        known(client).await;
    }
    publish(&near, "before").await;
    for client in &mut clients {
        assert_eq!(next(client).await, "before");
    }
    is_cut.store(true, Ordering::Relaxed);
    // The proxy drops an answer and closes the connection, so the node gets no later events.
    let big = "x".repeat(1 << 20);
    for _ in 0..22 {
        publish(&near, &big).await;
    }
    is_cut.store(false, Ordering::Relaxed);
    for client in &mut clients {
        assert_eq!(next(client).await, EVICTED);
    }
    publish(&near, "end").await;
    for client in &mut clients {
        assert_eq!(up_to("end", client).await, ["end"]);
    }
}
