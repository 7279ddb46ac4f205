use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::EventName;
use crate::stream::EventStream;
use crate::stream::Streams;
use crate::stream::generator::{byte_stream, event_stream, event_stream_raising};
use crate::stream::keep_alive::KeepAlive;
use crate::stream::options::StreamOptions;

type Events = Pin<Box<StreamBody<ServerEvent>>>;

fn body(stream: EventStream) -> Events {
    Box::pin(StreamBody::new(stream.source))
}

async fn frame<T: Framing>(body: &mut Pin<Box<StreamBody<T>>>) -> Option<String> {
    let bytes = body
        .frame()
        .await?
        .expect("in order")
        .into_data()
        .expect("no trailers");
    Some(String::from_utf8(bytes.into()).expect("UTF-8"))
}

/// A stream of what is sent through the channel.
fn channel() -> (mpsc::UnboundedSender<&'static str>, EventStream) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let stream = event_stream(|y| async move {
        while let Some(text) = receiver.recv().await {
            y.send(text).await;
        }
    });
    (sender, stream)
}

#[tokio::test]
async fn all_that_is_ready_goes_out_in_one_frame() {
    let (sender, stream) = channel();
    let mut body = body(stream);
    ["one", "two", "three"]
        .into_iter()
        .for_each(|text| sender.send(text).expect("it listens"));
    assert_eq!(
        frame(&mut body).await.as_deref(),
        Some("data: one\n\ndata: two\n\ndata: three\n\n")
    );
    sender.send("four").expect("it listens");
    drop(sender);
    assert_eq!(frame(&mut body).await.as_deref(), Some("data: four\n\n"));
    assert_eq!(frame(&mut body).await, None);
    assert_eq!(frame(&mut body).await, None);
}

#[tokio::test]
async fn a_frame_is_bounded_and_holds_whole_events() {
    let mut body = body(event_stream(|y| async move {
        for _ in 0..100 {
            y.send("x".repeat(1000)).await;
        }
    }));
    let mut total = 0;
    while let Some(frame) = frame(&mut body).await {
        assert!(frame.ends_with("\n\n"));
        assert!(frame.len() < 16 * 1024 + 1010);
        total += frame.len();
    }
    assert_eq!(total, 100 * 1008);
}

#[tokio::test]
async fn a_stream_that_is_always_ready_gives_way_to_others() {
    let mut body = body(event_stream(|y| async move {
        for _ in 0_u64.. {
            y.send("x".repeat(20_000)).await;
        }
    }));
    let others = tokio::spawn(async {});
    // On one thread the other task runs only when this one lets it.
    while !others.is_finished() {
        assert!(frame(&mut body).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_sends_a_comment_and_each_event_starts_the_silence_anew() {
    let (sender, stream) = channel();
    let mut body = body(stream);
    let start = Instant::now();
    assert_eq!(frame(&mut body).await.as_deref(), Some(": keep-alive\n"));
    assert_eq!(start.elapsed(), Duration::from_secs(15));
    tokio::spawn(async move {
        sleep(Duration::from_secs(10)).await;
        sender.send("one").expect("it listens");
        std::future::pending::<()>().await;
    });
    assert_eq!(frame(&mut body).await.as_deref(), Some("data: one\n\n"));
    assert_eq!(start.elapsed(), Duration::from_secs(25));
    assert_eq!(frame(&mut body).await.as_deref(), Some(": keep-alive\n"));
    assert_eq!(start.elapsed(), Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn a_keep_alive_is_as_the_stream_says_and_can_be_off() {
    let (_sender, stream) = channel();
    let mut short = body(stream.with(StreamOptions::new().keep_alive(Duration::from_secs(1))));
    let start = Instant::now();
    assert_eq!(frame(&mut short).await.as_deref(), Some(": keep-alive\n"));
    assert_eq!(start.elapsed(), Duration::from_secs(1));

    let off: [fn(EventStream) -> EventStream; 2] = [
        |stream| stream.with(StreamOptions::new().no_keep_alive()),
        |stream| stream.with(StreamOptions::new().keep_alive(Duration::ZERO)),
    ];
    for off in off {
        let (_sender, stream) = channel();
        let mut body = body(off(stream));
        let frame = timeout(Duration::from_secs(3600), frame(&mut body));
        assert!(frame.await.is_err());
    }
}

#[tokio::test]
async fn a_retry_is_the_first_thing_and_no_event() {
    let (sender, stream) = channel();
    sender.send("one").expect("it listens");
    let mut body = body(stream.with(StreamOptions::new().retry(Duration::from_millis(2500))));
    assert_eq!(frame(&mut body).await.as_deref(), Some("retry: 2500\n"));
    assert_eq!(frame(&mut body).await.as_deref(), Some("data: one\n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_ends_the_stream_within_its_last_tenth() {
    let (sender, stream) = channel();
    let mut body = body(
        stream.with(
            StreamOptions::new()
                .max_lifetime(Duration::from_secs(100))
                .no_keep_alive(),
        ),
    );
    let start = Instant::now();
    assert_eq!(frame(&mut body).await, None);
    let lived = start.elapsed();
    assert!(
        (Duration::from_secs(90)..=Duration::from_millis(100_001)).contains(&lived),
        "{lived:?}"
    );
    assert!(sender.is_closed(), "the generator is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_ends_a_stream_that_is_never_silent() {
    let mut body = body(
        event_stream(|y| async move {
            for _ in 0_u64.. {
                sleep(Duration::from_secs(1)).await;
                y.send("tick").await;
            }
        })
        .with(StreamOptions::new().max_lifetime(Duration::from_secs(10))),
    );
    let mut events = 0;
    while frame(&mut body).await.is_some() {
        events += 1;
    }
    assert!((9..=10).contains(&events), "{events}");
}

#[tokio::test]
async fn an_error_ends_the_body_in_order_and_shows_what_was_asked_for() {
    let failing = || {
        event_stream(|y| async move {
            y.send("one").await;
            Err::<(), _>("the sensor is off")
        })
    };
    let mut silent = body(failing());
    assert_eq!(frame(&mut silent).await.as_deref(), Some("data: one\n\n"));
    assert_eq!(frame(&mut silent).await, None);

    const FAILED: EventName = EventName::from_static("failed");
    let mut shown =
        body(failing().with(StreamOptions::new().on_error(|error| {
            Some(ServerEvent::new(error.chain().to_string()).with_name(FAILED))
        })));
    let expected =
        "data: one\n\nevent: failed\ndata: a stream ended with an error: the sensor is off\n\n";
    assert_eq!(frame(&mut shown).await.as_deref(), Some(expected));
    assert_eq!(frame(&mut shown).await, None);
}

#[tokio::test]
async fn a_panic_breaks_the_body_after_what_was_sent() {
    let mut body = body(event_stream(|y| async move {
        y.send("one").await;
        "one".parse::<u8>().map(drop).expect("this is to panic");
    }));
    assert_eq!(frame(&mut body).await.as_deref(), Some("data: one\n\n"));
    assert!(body.frame().await.expect("not the end").is_err());
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_drain_ends_events_in_order_and_breaks_bytes() {
    let streams = Streams::new();
    let (report, reported) = oneshot::channel();
    let (mut events, mut bytes) = streams
        .clone()
        .scope(async {
            let events = body(event_stream_raising(|y| async move {
                let _ = y.send("one").await;
                sleep(Duration::from_millis(20)).await;
                let _ = report.send(y.send("two").await);
            }));
            let bytes = byte_stream(|y| async move {
                y.send("one").await;
                std::future::pending::<()>().await;
            });
            (events, Box::pin(StreamBody::new(bytes.source)))
        })
        .await;
    assert!(frame(&mut events).await.is_some());
    assert_eq!(frame(&mut bytes).await.as_deref(), Some("one"));
    let waiting = tokio::spawn(async move { frame(&mut events).await });
    let breaking = tokio::spawn(async move { bytes.frame().await });
    tokio::task::yield_now().await;
    streams.drain_state().begin();
    assert_eq!(waiting.await.expect("no panic"), None);
    assert!(
        breaking
            .await
            .expect("no panic")
            .expect("not the end")
            .is_err()
    );
    streams.drain_state().finished().await;
    assert_eq!(
        reported.await,
        Ok(Err(crate::ClientDisconnect)),
        "the drain has waited for the clean-up"
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_break_off_with_an_error_and_outlive_the_lifetime_of_events() {
    let options = StreamOptions::new().max_lifetime(Duration::from_secs(1));
    let stream = Streams::new().defaults(options).scope(async {
        let bytes = byte_stream(|y| async move {
            y.send("one").await;
            sleep(Duration::from_secs(5)).await;
            y.send("two").await;
            Err::<(), _>("the disk is gone")
        });
        Box::pin(StreamBody::new(bytes.source))
    });
    let mut body = stream.await;
    assert_eq!(frame(&mut body).await.as_deref(), Some("one"));
    assert_eq!(frame(&mut body).await.as_deref(), Some("two"));
    assert!(body.frame().await.expect("not the end").is_err());
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn bytes_are_gathered_when_small_and_passed_on_when_large() {
    let large = Bytes::from(vec![b'x'; 100_000]);
    let address = large.as_ptr();
    let chunk = large.clone();
    let stream = byte_stream(|y| async move {
        y.send("a").await;
        y.send(vec![b'b']).await;
        y.send(chunk).await;
        y.send("c").await;
    });
    let mut body = Box::pin(StreamBody::new(stream.source));
    assert_eq!(frame(&mut body).await.as_deref(), Some("ab"));
    let passed = body
        .frame()
        .await
        .expect("a frame")
        .expect("in order")
        .into_data()
        .expect("no trailers");
    assert_eq!(
        (passed.len(), passed.as_ptr()),
        (100_000, address),
        "not copied"
    );
    assert_eq!(frame(&mut body).await.as_deref(), Some("c"));
    assert_eq!(frame(&mut body).await, None);
}

/// All data of a stream, read through its body.
async fn all(stream: EventStream) -> Vec<String> {
    let mut body = body(stream);
    let mut text = String::new();
    while let Some(frame) = frame(&mut body).await {
        text.push_str(&frame);
    }
    text.split_terminator("\n\n")
        .map(|event| event.trim_start_matches("data: ").trim_end().to_owned())
        .collect()
}

/// An event that fills most of a frame, under a name of its own.
fn large(name: impl std::fmt::Display) -> String {
    format!("{name}{}", " ".repeat(FRAME / 2 + 1))
}

#[tokio::test]
async fn yields_that_find_no_room_take_turns() {
    let stream = event_stream(async move |y| {
        let y = &y;
        let four = async |name| {
            for n in 0..4 {
                y.send(large(format!("{name}{n}"))).await;
            }
        };
        // Polls the first before the second, always.
        futures_util::future::join(four("a"), four("b")).await;
    });
    // Two fill a frame.
    assert_eq!(
        all(stream).await,
        ["a0", "a1", "a2", "b0", "a3", "b1", "b2", "b3"]
    );
}

#[tokio::test]
async fn yields_under_wakers_of_their_own_all_go_out() {
    use futures_util::StreamExt as _;

    let stream = event_stream(async move |y| {
        let y = &y;
        let mut parts: futures_util::stream::FuturesUnordered<_> =
            (0..50).map(|n| y.send(large(n))).collect();
        while parts.next().await.is_some() {}
        y.send("end").await;
    });
    let mut events = all(stream).await;
    assert_eq!(events.pop().as_deref(), Some("end"));
    events.sort_by_key(|event| event.parse::<u32>().expect("a number"));
    assert_eq!(events, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_yield_that_waits_for_room_and_is_dropped_is_not_sent() {
    let stream = event_stream(async move |y| {
        y.send(large("one")).await;
        y.send(large("two")).await;
        // The frame is full: these two wait.
        let mut waiting = Box::pin(y.send("three"));
        tokio::select! {
            biased;
            () = &mut waiting => unreachable!("there is no room"),
            () = y.send("dropped") => unreachable!("it stands behind"),
            () = std::future::ready(()) => {}
        }
        waiting.await;
        y.send("four").await;
    });
    assert_eq!(all(stream).await, ["one", "two", "three", "four"]);
}

#[tokio::test]
async fn an_error_that_is_yielded_follows_what_was_yielded_before() {
    let (guard, dropped) = oneshot::channel::<()>();
    let mut body = body(event_stream(async move |y| {
        let _guard = guard;
        y.send("one").await;
        y.send(Err::<&str, _>("the sensor is off")).await;
        y.send("never").await;
    }));
    assert_eq!(frame(&mut body).await.as_deref(), Some("data: one\n\n"));
    assert_eq!(frame(&mut body).await, None);
    assert!(dropped.await.is_err(), "the generator is dropped");
}

#[tokio::test]
async fn a_stream_that_was_polled_before_it_became_a_body_loses_nothing() {
    use futures_util::StreamExt as _;

    let mut stream = event_stream(async move |y| {
        for n in 0..3 {
            y.send(n.to_string()).await;
        }
    });
    assert_eq!(
        stream
            .next()
            .await
            .expect("an event")
            .expect("no error")
            .data(),
        Some("0")
    );
    assert_eq!(all(stream).await, ["1", "2"]);
}

/// Whether the stream still holds the memory of its frame once it is idle, after events of these sizes.
async fn holds_its_buffer_after(sizes: &[usize]) -> bool {
    let sizes = sizes.to_vec();
    let stream = event_stream(|y| async move {
        for size in sizes {
            y.send("x".repeat(size - "data: \n\n".len())).await;
        }
        std::future::pending::<()>().await;
    });
    let mut body = body(stream);
    let frame = body.frame().await.expect("a frame").expect("in order");
    let bytes = frame.into_data().expect("no trailers");
    assert!(futures_util::poll!(body.frame()).is_pending());
    !bytes.is_unique()
}

#[tokio::test]
async fn an_idle_stream_holds_no_buffer() {
    for size in [
        8, 100, 1024, 1025, 1500, 4096, 10_000, 16_383, 16_384, 100_000,
    ] {
        assert!(!holds_its_buffer_after(&[size]).await, "{size}");
    }
    assert!(!holds_its_buffer_after(&[600, 600]).await);
}

#[test]
fn a_stream_takes_at_most_408_bytes_beside_its_source() {
    let counts = 2 * size_of::<usize>();
    let body = counts + size_of::<Shared<ServerEvent>>();
    assert!(body <= 264, "{body}");
    let timer = size_of::<tokio::time::Sleep>();
    // A registry whose memory has just been doubled has two places for each stream.
    let registry = 2 * size_of::<Weak<dyn Drainable>>();
    assert!(body + timer + registry <= 408, "{body} {timer} {registry}");
}

#[tokio::test]
async fn streams_share_the_options_of_their_streams() {
    let streams = Streams::new().defaults(StreamOptions::new().retry(Duration::from_secs(1)));
    let mut bodies = Vec::new();
    for _ in 0..10 {
        let mut body = streams.clone().sync_scope(|| body(channel().1));
        assert_eq!(frame(&mut body).await.as_deref(), Some("retry: 1000\n"));
        bodies.push(body);
    }
    assert_eq!(Arc::strong_count(streams.options()), 11);
}

#[tokio::test(start_paused = true)]
async fn streams_that_begin_together_end_at_different_times() {
    let mut ends = std::collections::HashSet::new();
    for _ in 0..20 {
        let (_sender, stream) = channel();
        let stream = stream.with(StreamOptions::new().max_lifetime(Duration::from_secs(1000)));
        let mut body = body(stream.with(StreamOptions::new().no_keep_alive()));
        let start = Instant::now();
        assert_eq!(frame(&mut body).await, None);
        ends.insert(start.elapsed().as_secs());
    }
    assert!(ends.len() > 5, "{ends:?}");
}

#[tokio::test]
async fn chunks_from_4_kib_on_are_passed_on() {
    for (size, is_passed_on) in [(4095, false), (4096, true)] {
        let chunk = Bytes::from(vec![b'x'; size]);
        let address = chunk.as_ptr();
        let stream = byte_stream(|y| async move { y.send(chunk).await });
        let mut body = Box::pin(StreamBody::new(stream.source));
        let frame = body.frame().await.expect("a frame").expect("in order");
        let bytes = frame.into_data().expect("no trailers");
        assert_eq!(bytes.as_ptr() == address, is_passed_on, "{size}");
    }
}

/// The lengths of the frames of one event of `size` bytes.
#[cfg(feature = "server")]
async fn frames(size: usize, is_http2: bool, options: StreamOptions) -> Vec<usize> {
    let stream = event_stream(move |y| async move {
        y.send("x".repeat(size - "data: \n\n".len())).await;
    });
    let mut stream = stream;
    stream.source.set_options(options);
    let mut body = Outgoing::new(is_http2).scope(|| body(stream));
    let mut lengths = Vec::new();
    while let Some(text) = frame(&mut body).await {
        lengths.push(text.len());
    }
    assert_eq!(lengths.iter().sum::<usize>(), size);
    lengths
}

#[tokio::test]
#[cfg(feature = "server")]
async fn a_large_event_is_split_in_http2_if_there_is_a_write_timeout() {
    let unlimited = StreamOptions::new().no_write_timeout();
    for size in [2 * FRAME + 1, 1_000_000] {
        assert_eq!(frames(size, false, StreamOptions::new()).await, [size]);
        assert_eq!(frames(size, true, unlimited.clone()).await, [size]);
        let split = frames(size, true, StreamOptions::new()).await;
        assert!(split.iter().all(|length| *length <= 2 * FRAME), "{split:?}");
        assert!(split.len() > size / (2 * FRAME), "{split:?}");
    }
    assert_eq!(
        frames(2 * FRAME, true, StreamOptions::new()).await,
        [2 * FRAME]
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_sends_its_keep_alive_in_each_form() {
    const PING: EventName = EventName::from_static("ping");
    let every = KeepAlive::every(Duration::from_secs(5));
    for (keep_alive, expected) in [
        (every.clone(), ": keep-alive\n"),
        (every.clone().blank_line(), ": keep-alive\n\n"),
        (every.clone().event_named(PING), "event: ping\ndata: \n\n"),
        (every.event(ServerEvent::new("here")), "data: here\n\n"),
    ] {
        let streams = Streams::new().defaults(StreamOptions::new().keep_alive(keep_alive.clone()));
        let (_sender, stream) = channel();
        let by_default = streams.sync_scope(|| body(stream));
        let (_sender, stream) = channel();
        let by_option = body(stream.with(StreamOptions::new().keep_alive(keep_alive)));
        for mut body in [by_default, by_option] {
            let start = Instant::now();
            for round in 1..=3 {
                assert_eq!(frame(&mut body).await.as_deref(), Some(expected));
                assert_eq!(start.elapsed().as_secs(), 5 * round);
            }
        }
    }
}
