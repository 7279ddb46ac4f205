use std::future::pending;

use tokio::time::Instant;

use super::*;

/// How long `future` takes in tokio's time.
async fn taken(future: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    timeout(60 * MINUTE, future).await.expect("it ends");
    start.elapsed()
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_tasks_up_to_its_time_out() {
    let streams = Streams::new();
    streams.spawn(tokio::time::sleep(Duration::from_secs(3)));
    let waited = taken(streams.drain()).await;
    assert!((3..4).contains(&waited.as_secs()), "{waited:?}");

    for (streams, expected) in [
        (Streams::new(), Duration::from_secs(20)),
        (Streams::new().drain_timeout(MINUTE), MINUTE),
    ] {
        streams.spawn(pending::<()>());
        let waited = taken(streams.drain()).await;
        assert_eq!(waited.as_secs(), expected.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn clients_have_the_end_time_out_after_the_drain() {
    for (streams, expected) in [
        (Streams::new(), 500),
        (Streams::new().end_timeout(MINUTE), 60_000),
    ] {
        let drained = taken(async {
            tokio::join!(streams.drain(), streams.shutdown_deadline());
        });
        let waited = drained.await;
        assert!(
            (expected..expected + 5).contains(&waited.as_millis()),
            "{waited:?}"
        );
    }
    // Without a drain there is no deadline.
    let streams = Streams::new();
    let never = timeout(MINUTE, streams.shutdown_deadline());
    assert!(never.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn other_requests_have_the_drain_time_out_from_the_start_of_the_drain() {
    let streams = Streams::new().end_timeout(Duration::ZERO);
    // A request that ends, beside a clean-up of ten seconds.
    let token = streams.drain_state().requests.token();
    streams.spawn(tokio::time::sleep(Duration::from_secs(10)));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(15)).await;
        drop(token);
    });
    let waited = taken(async {
        tokio::join!(streams.drain(), streams.shutdown_deadline());
    });
    assert_eq!(waited.await.as_secs(), 15);

    // A request that does not end.
    let streams = Streams::new().end_timeout(Duration::ZERO);
    let _token = streams.drain_state().requests.token();
    streams.spawn(tokio::time::sleep(Duration::from_secs(10)));
    let waited = taken(async {
        tokio::join!(streams.drain(), streams.shutdown_deadline());
    });
    assert_eq!(waited.await.as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn with_the_longest_drain_time_out_other_requests_have_all_the_time() {
    let streams = Streams::new()
        .drain_timeout(Duration::MAX)
        .end_timeout(Duration::ZERO);
    let token = streams.drain_state().requests.token();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(40)).await;
        drop(token);
    });
    let waited = taken(async {
        tokio::join!(streams.drain(), streams.shutdown_deadline());
    });
    assert_eq!(waited.await.as_secs(), 40);
}

#[tokio::test]
async fn a_second_drain_waits_as_well() {
    let streams = Streams::new();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    streams.spawn(ended);
    let first = tokio::spawn({
        let streams = streams.clone();
        async move { streams.drain().await }
    });
    streams.draining().await;
    assert!(futures_util::poll!(std::pin::pin!(streams.drain())).is_pending());
    end.send(()).expect("it waits");
    streams.drain().await;
    first.await.expect("no panic");
}

#[test]
fn what_is_kept_for_streams_outside_goes_with_them() {
    let inner = Streams::new();
    let through = |outer: &Streams| {
        outer
            .clone()
            .sync_scope(|| inner.for_request(&http::Extensions::new()))
    };
    let outer = Streams::new();
    let both = through(&outer);
    assert!(Arc::ptr_eq(&both.0, &through(&outer).0), "it is made once");
    for _ in 0..100 {
        let _ = through(&Streams::new());
    }
    let kept = inner.0.nested.lock().expect("no panic").len();
    assert_eq!(kept, 2, "the one that is there, and the last of the others");
}

#[test]
fn clones_share_the_drain_and_have_their_own_options() {
    let streams = Streams::new();
    let other = streams
        .clone()
        .defaults(StreamOptions::new().charset(true))
        .strict_accept(true);
    assert!(Arc::ptr_eq(streams.drain_state(), other.drain_state()));
    assert_eq!(streams.options().has_charset(), None);
    assert!(!streams.is_strict() && other.is_strict());
}
