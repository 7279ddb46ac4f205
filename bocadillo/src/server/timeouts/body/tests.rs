use std::convert::Infallible;

use http_body_util::{BodyExt, Empty, StreamBody};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::*;

type Frames = mpsc::UnboundedSender<Frame<Bytes>>;

fn limits(body: u64, min_body_rate: u32) -> Timeouts {
    Timeouts {
        body: Duration::from_secs(body),
        min_body_rate,
        ..Timeouts::default()
    }
}

/// A body whose frames the test sends.
fn body(
    timeouts: Timeouts,
    shutdown: &Arc<Drain>,
) -> (
    Frames,
    RequestBody<impl HttpBody<Data = Bytes, Error = Infallible> + Unpin + use<>>,
    TimedOut,
) {
    let (frames, mut received) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| {
        received.poll_recv(cx).map(|frame| Some(Ok(frame?)))
    });
    let (body, timed_out) = RequestBody::new(StreamBody::new(stream), timeouts, shutdown);
    (frames, body, timed_out.expect("the body is not complete"))
}

fn send(frames: &Frames, length: usize) {
    let frame = Frame::data(Bytes::from(vec![b'x'; length]));
    frames.send(frame).expect("the body is there");
}

/// Reads to the end. Returns when it ended, and how much came before.
async fn end<B>(mut body: RequestBody<B>) -> (Duration, usize, bool)
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let start = Instant::now();
    let mut length = 0;
    loop {
        match body.frame().await {
            Some(Ok(frame)) => length += frame.into_data().expect("only data is sent").len(),
            Some(Err(error)) => {
                let error = error.downcast::<io::Error>().expect("it is one of ours");
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                assert!(body.frame().await.is_none(), "an error is the end");
                let clock = body.clock.expect("it was incomplete");
                assert!(clock.wait.is_none(), "its timer is released");
                return (start.elapsed(), length, false);
            }
            None => return (start.elapsed(), length, true),
        }
    }
}

/// A client that sends `length` bytes every `interval`, `times` times, and how far it comes.
#[track_caller]
fn check(
    timeouts: Timeouts,
    length: usize,
    interval: f64,
    times: usize,
    expected: (f64, usize, bool),
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (time, received, whole) = runtime.block_on(async {
        let (frames, body, timed_out) = body(timeouts, &Arc::default());
        tokio::spawn(async move {
            for _ in 0..times {
                sleep(Duration::from_secs_f64(interval)).await;
                if frames
                    .send(Frame::data(Bytes::from(vec![b'x'; length])))
                    .is_err()
                {
                    return;
                }
            }
        });
        let ended = end(body).await;
        assert_eq!(timed_out.get(), !ended.2);
        ended
    });
    let (at, most, is_whole) = expected;
    assert!((time.as_secs_f64() - at).abs() < 0.1, "{time:?}");
    assert_eq!((received, whole), (most, is_whole));
}

#[test]
fn a_client_may_be_silent_for_a_time_and_no_slower_than_the_rate() {
    let defaults = Timeouts::default();
    // Silent from the start.
    check(defaults, 1, 1000.0, 1, (30.0, 0, false));
    // A byte every 29 seconds: the second one is too late.
    check(defaults, 1, 29.0, 100, (30.0, 1, false));
    // A byte every second.
    check(defaults, 1, 1.0, 100, (30.1, 30, false));
    // As fast as the rate, for longer than the time-out.
    check(defaults, 240, 1.0, 100, (100.0, 24_000, true));
    check(defaults, 2400, 10.0, 10, (100.0, 24_000, true));
    check(defaults, 1_000_000, 29.0, 4, (116.0, 4_000_000, true));
    check(defaults, 1_000_000, 31.0, 4, (30.0, 0, false));
    // Without a rate, any byte buys the whole time.
    check(limits(30, 0), 1, 29.0, 10, (290.0, 10, true));
    check(limits(30, 0), 1, 31.0, 10, (30.0, 0, false));
    check(limits(5, 1), 1, 2.1, 10, (8.0, 3, false));
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_reads_does_not_count() {
    let (frames, mut body, _) = body(Timeouts::default(), &Arc::default());
    for _ in 0..5 {
        // It waits a little, and the frame comes.
        assert!(timeout(Duration::from_secs(1), body.frame()).await.is_err());
        send(&frames, 10);
        // Now the reader has something else to do.
        sleep(Duration::from_secs(3600)).await;
        body.frame().await.expect("not the end").expect("in time");
    }
    // Five seconds of waiting, less fifty bytes' worth.
    let (time, _, whole) = end(body).await;
    assert!(
        !whole && (25.0..26.0).contains(&time.as_secs_f64()),
        "{time:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn much_at_once_does_not_buy_more_than_the_whole_time() {
    for rate in [240, 0] {
        let (frames, body, _) = body(limits(30, rate), &Arc::default());
        send(&frames, 1_000_000);
        let (time, length, whole) = end(body).await;
        assert_eq!((time.as_secs(), length, whole), (30, 1_000_000, false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_waited_for_has_no_timer() {
    let (frames, mut body, _) = body(Timeouts::default(), &Arc::default());
    send(&frames, 10);
    body.frame().await.expect("not the end").expect("in time");
    assert!(body.clock.as_ref().expect("it goes on").wait.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_shortens_the_time() {
    let shutdown = Arc::<Drain>::default();
    let (frames, waiting, _) = body(limits(600, 0), &shutdown);
    let waiting = tokio::spawn(end(waiting));
    let (trickled, slow, _) = body(Timeouts::default(), &shutdown);
    let slow = tokio::spawn(end(slow));
    let (fast_frames, fast, _) = body(Timeouts::default(), &shutdown);
    let fast = tokio::spawn(end(fast));
    sleep(Duration::from_secs(1)).await;
    shutdown.begin();
    let begin = Instant::now();
    for _ in 0..20 {
        send(&fast_frames, 1000);
        let _ = trickled.send(Frame::data(Bytes::from_static(b"x")));
        sleep(Duration::from_secs(1)).await;
    }
    drop(fast_frames);
    assert!(fast.await.expect("no panic").2, "it is fast enough");
    let (time, _, whole) = slow.await.expect("no panic");
    assert!(!whole && time < Duration::from_secs(4), "{time:?}");
    assert!(begin.elapsed() >= Duration::from_secs(20));
    let (time, _, whole) = waiting.await.expect("no panic");
    assert!(!whole && time < Duration::from_secs(4), "{time:?}");
    drop(frames);
    // One that is waited for later has no more either.
    let (_late_frames, late, _) = body(limits(600, 0), &shutdown);
    assert_eq!(end(late).await.0.as_secs(), SHUTDOWN.as_secs());
}

#[tokio::test]
async fn an_empty_body_has_no_clock() {
    let (body, timed_out) =
        RequestBody::new(Empty::<Bytes>::new(), Timeouts::default(), &Arc::default());
    assert!(body.clock.is_none() && timed_out.is_none());
}
