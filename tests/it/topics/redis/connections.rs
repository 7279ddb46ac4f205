//! The hub notices a connection that Redis has closed before it sends an event on it.

use super::*;

#[tokio::test]
async fn a_node_that_only_reads_publishes_though_redis_closes_idle_connections() {
    let redis = Redis::start();
    redis.command("CONFIG SET timeout 1");
    let (reads, writes) = (hub(&redis), hub(&redis));
    let mut events = topic(&reads, "x").subscribe();
    known(&mut events).await;
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < Duration::from_secs(4) {
        publish(&topic(&writes, "x"), &number.to_string()).await;
        assert_eq!(next(&mut events).await, number.to_string());
        number += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let published = topic(&reads, "x").publish("now").await;
    published.expect("the event is confirmed");
    assert_eq!(next(&mut events).await, "now");
}

#[tokio::test]
async fn a_connection_that_was_closed_before_a_publish_is_replaced() {
    let mut redis = Redis::start();
    let x = topic(&hub(&redis), "x");
    for number in 0..5 {
        publish(&x, "before").await;
        redis.command("CLIENT KILL TYPE normal SKIPME yes");
        let published = x.publish("after").await;
        published.unwrap_or_else(|error| panic!("round {number}: {error:?}"));
    }
    redis.restart();
    x.publish("after a restart").await.expect("Redis is up");
}

#[tokio::test]
async fn a_read_only_redis_refuses_with_a_known_result() {
    let redis = Redis::start();
    let x = topic(&hub(&redis), "x");
    publish(&x, "before").await;
    redis.command("REPLICAOF 127.0.0.1 1");
    let error = x.publish("never").await.expect_err("Redis is a replica");
    assert!(error.is_unavailable(), "{error:?}");
    redis.command("REPLICAOF NO ONE");
    publish(&x, "after").await;
}
