use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::event::ServerEvent;
use crate::stream::Client;
use crate::stream::EventStream;
use crate::stream::StreamOptions;
use crate::stream::generator::{byte_stream, event_stream, event_stream_raising};

async fn data(stream: &mut EventStream) -> Option<String> {
    let event = stream.next().await?.expect("no error was yielded");
    event.data().map(str::to_owned)
}

/// A panic that returns nothing: `panic!` would make the generator's output the never type.
fn fail(why: &str) {
    panic!("{why}");
}

async fn all(mut stream: EventStream) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(event) = data(&mut stream).await {
        events.push(event);
    }
    events
}

#[tokio::test]
async fn events_come_in_order_and_the_end_is_the_end() {
    let mut stream = event_stream(|y| async move {
        y.send("one").await;
        tokio::task::yield_now().await;
        y.send("two").await;
    });
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    assert_eq!(data(&mut stream).await.as_deref(), Some("two"));
    assert_eq!(data(&mut stream).await, None);
    assert_eq!(data(&mut stream).await, None);
}

#[tokio::test]
async fn what_follows_a_yield_waits_until_the_next_event_is_asked_for() {
    let (went_on, mut has_gone_on) = oneshot::channel();
    let mut stream = event_stream(|y| async move {
        y.send("one").await;
        let _ = went_on.send(());
        y.send("two").await;
    });
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    assert!(has_gone_on.try_recv().is_err());
    assert_eq!(data(&mut stream).await.as_deref(), Some("two"));
    assert!(has_gone_on.try_recv().is_ok());
}

#[tokio::test]
async fn two_yields_at_once_take_turns() {
    let stream = event_stream(|y| async move {
        let y = &y;
        tokio::join!(
            async {
                for n in 0..3 {
                    y.send(format!("a{n}")).await;
                }
            },
            async {
                for n in 0..3 {
                    y.send(format!("b{n}")).await;
                }
            }
        );
    });
    assert_eq!(all(stream).await, ["a0", "b0", "a1", "b1", "a2", "b2"]);
}

#[tokio::test]
async fn yields_that_are_polled_under_wakers_of_their_own_all_arrive() {
    let stream = event_stream(|y| async move {
        let y = &y;
        let mut parts: FuturesUnordered<_> = (0..50).map(|n| y.send(n.to_string())).collect();
        while parts.next().await.is_some() {}
        y.send("end").await;
    });
    let mut events = all(stream).await;
    assert_eq!(events.pop().as_deref(), Some("end"));
    events.sort_by_key(|event| event.parse::<u32>().expect("a number"));
    assert_eq!(events, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_yield_that_loses_a_select_is_not_sent() {
    let stream = event_stream(|y| async move {
        tokio::select! {
            biased;
            () = y.send("lost") => unreachable!("nobody has taken it yet"),
            () = std::future::ready(()) => {}
        }
        let mut waiting = Box::pin(y.send("behind"));
        tokio::select! {
            biased;
            () = y.send("first") => {}
            () = &mut waiting => unreachable!("it stands behind the first"),
        }
        waiting.await;
    });
    assert_eq!(all(stream).await, ["first", "behind"]);
}

#[tokio::test]
async fn a_yield_dropped_in_the_queue_holds_up_nobody() {
    let stream = event_stream(|y| async move {
        let y = &y;
        let mut first = Box::pin(y.send("first"));
        let mut dropped = Box::pin(y.send("dropped"));
        let mut last = Box::pin(y.send("last"));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut dropped).is_pending());
        assert!(futures_util::poll!(&mut last).is_pending());
        drop(dropped);
        first.await;
        last.await;
    });
    assert_eq!(all(stream).await, ["first", "last"]);
}

#[tokio::test(start_paused = true)]
async fn a_yield_dropped_in_its_turn_wakes_the_one_behind_it() {
    let stream = event_stream(|y| async move {
        let mut first = Box::pin(y.send("first"));
        let mut dropped = Box::pin(y.send("dropped"));
        let mut last = Box::pin(y.send("last"));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut dropped).is_pending());
        assert!(futures_util::poll!(&mut last).is_pending());
        // Polled in this order: the last has been told to wait when its turn comes.
        futures_util::join!(last, async {
            first.await;
            drop(dropped);
        });
    });
    let begin = Instant::now();
    // The time-out would poll the stream once more, so that the time alone tells whether it was woken.
    let events = timeout(Duration::from_secs(1), all(stream)).await;
    assert_eq!(events.expect("nothing is stuck"), ["first", "last"]);
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_stream_of_empty_chunks_gives_way_to_others() {
    let mut stream = byte_stream(|y| async move {
        // An end, so that this test has one too when it fails.
        for _ in 0..10_000_000 {
            y.send("").await;
        }
    });
    let mut frame = FrameBuffer::default();
    let others = tokio::spawn(async {});
    let frame = std::future::poll_fn(|cx| stream.source.poll_frame(cx, &mut frame, 1000));
    tokio::select! {
        biased;
        () = frame => unreachable!("there is nothing to send"),
        ended = others => ended.expect("it does nothing"),
    }
}

#[tokio::test]
async fn an_error_that_is_yielded_ends_the_generator() {
    let (guard, dropped) = oneshot::channel::<()>();
    let mut stream = event_stream(|y| async move {
        let _guard = guard;
        y.send("one").await;
        y.send(Err::<&str, _>("the sensor is off")).await;
        fail("an error ends it");
    });
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    let error = stream
        .next()
        .await
        .expect("an error")
        .expect_err("an error");
    assert_eq!(
        error.chain().to_string(),
        "a stream ended with an error: the sensor is off"
    );
    assert!(dropped.await.is_err(), "the generator is dropped");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_error_that_is_returned_is_the_last_item() {
    let mut stream = event_stream(|y| async move {
        y.send("one").await;
        Err::<(), _>("the sensor is off")
    });
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    assert!(
        stream
            .next()
            .await
            .expect("an error")
            .expect_err("an error")
            .is_stream()
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_own_kind() {
    let mut stream = event_stream(|y| async move {
        y.send("one").await;
        fail(&format!("{} wrong", "something"));
    });
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    let error = stream
        .next()
        .await
        .expect("an error")
        .expect_err("an error");
    assert!(error.is_panic());
    assert_eq!(
        error.chain().to_string(),
        "a generator panicked: something wrong"
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn by_default_leaving_drops_the_generator_where_it_stands() {
    let (guard, dropped) = oneshot::channel::<()>();
    let mut stream = event_stream(|y| async move {
        let _guard = guard;
        y.send("one").await;
        std::future::pending::<()>().await;
    });
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    assert!(timeout(Duration::ZERO, stream.next()).await.is_err());
    drop(stream);
    assert!(dropped.await.is_err());
}

#[tokio::test]
async fn a_generator_that_was_not_started_has_nothing_to_clean_up() {
    let (guard, dropped) = oneshot::channel::<()>();
    drop(event_stream_raising(|y| async move {
        let _guard = guard;
        let _ = y.send("one").await;
        fail("nobody has asked for an event");
    }));
    assert!(dropped.await.is_err());
}

#[tokio::test]
async fn a_yield_that_is_suspended_raises_and_the_clean_up_runs() {
    let (report, reported) = oneshot::channel();
    let mut stream = event_stream_raising(|y| async move {
        assert_eq!(y.send("one").await, Err(ClientDisconnect));
        // Again at each yield.
        assert_eq!(y.send("two").await, Err(ClientDisconnect));
        sleep(Duration::from_millis(1)).await;
        let _ = report.send("cleaned up");
    });
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    drop(stream);
    assert_eq!(reported.await, Ok("cleaned up"));
}

#[tokio::test]
async fn an_idle_generator_raises_at_its_next_yield() {
    let (report, reported) = oneshot::channel();
    let (go, went) = mpsc::channel::<()>(1);
    let mut stream = event_stream_raising(|y| async move {
        let mut went = went;
        assert_eq!(y.send("one").await, Ok(()));
        went.recv().await;
        let _ = report.send(y.send("two").await);
    });
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    assert!(timeout(Duration::ZERO, stream.next()).await.is_err());
    drop(stream);
    tokio::task::yield_now().await;
    go.send(()).await.expect("it waits");
    assert_eq!(reported.await, Ok(Err(ClientDisconnect)));
}

#[tokio::test]
async fn yields_in_a_queue_all_raise() {
    let raised = Arc::new(AtomicUsize::new(0));
    let (report, reported) = oneshot::channel::<()>();
    let count = Arc::clone(&raised);
    let mut stream = event_stream_raising(|y| async move {
        let (y, _report) = (&y, report);
        let mut parts: FuturesUnordered<_> = (0..5).map(|n| y.send(n.to_string())).collect();
        while let Some(sent) = parts.next().await {
            if sent == Err(ClientDisconnect) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    assert!(data(&mut stream).await.is_some());
    drop(stream);
    assert!(reported.await.is_err());
    assert_eq!(raised.load(Ordering::Relaxed), 5);
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_that_never_ends_is_dropped_at_its_deadline() {
    let (guard, dropped) = oneshot::channel::<()>();
    let mut stream = event_stream_raising(|y| async move {
        let _guard = guard;
        let _ = y.send("one").await;
        std::future::pending::<()>().await;
    })
    .with(StreamOptions::new().cleanup_timeout(Duration::from_secs(5)));
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    let left = Instant::now();
    drop(stream);
    assert!(dropped.await.is_err());
    assert_eq!(left.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_has_30_seconds_by_default() {
    let (guard, dropped) = oneshot::channel::<()>();
    let mut stream = event_stream_raising(|y| async move {
        let _guard = guard;
        let _ = y.send("one").await;
        std::future::pending::<()>().await;
    });
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    let left = Instant::now();
    drop(stream);
    assert!(dropped.await.is_err());
    assert_eq!(left.elapsed(), Duration::from_secs(30));
}

#[tokio::test]
async fn a_generator_that_ignores_the_error_and_yields_on_is_dropped_at_its_deadline() {
    let (guard, dropped) = oneshot::channel::<()>();
    let mut stream = event_stream_raising(|y| async move {
        // An end, so that this test has one too when it fails.
        for _ in 0..5_000_000 {
            let _ = y.send("again").await;
        }
        let _ = guard.send(());
    })
    .with(StreamOptions::new().cleanup_timeout(Duration::from_millis(20)));
    assert_eq!(data(&mut stream).await.as_deref(), Some("again"));
    drop(stream);
    assert!(
        timeout(Duration::from_secs(10), dropped)
            .await
            .expect("the deadline holds")
            .is_err()
    );
}

#[tokio::test]
async fn a_disconnect_that_is_passed_on_is_no_error() {
    #[derive(Debug)]
    struct Wrapped(ClientDisconnect);
    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }
    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    assert!(Err::<(), _>(ClientDisconnect).into_result().is_ok());
    assert!(
        Err::<(), _>(Wrapped(ClientDisconnect))
            .into_result()
            .is_ok()
    );
    assert!(Err::<(), _>("another").into_result().is_err());
}

#[tokio::test]
async fn a_client_wakes_an_idle_generator_at_once() {
    let client = Client::new();
    let (report, reported) = oneshot::channel();
    let mut stream = crate::stream::bind::bind(
        event_stream_raising({
            let client = client.clone();
            |y| async move {
                let _ = y.send("one").await;
                client.disconnected().await;
                let _ = report.send(());
            }
        }),
        [None, Some(client)],
    );
    assert_eq!(data(&mut stream).await.as_deref(), Some("one"));
    assert!(timeout(Duration::ZERO, stream.next()).await.is_err());
    drop(stream);
    assert_eq!(reported.await, Ok(()));
}

#[test]
fn only_a_client_is_probed_as_one() {
    use crate::stream::bind::{Probe, ProbeAny as _};
    assert!(Probe(&Client::new()).client().is_some());
    assert!(Probe(&Cell::new(1)).client().is_none());
    assert!(Probe(&ServerEvent::new("x")).client().is_none());
}
