use std::time::Duration;

use super::*;

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let header = [length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
    [&header, payload].concat()
}

/// Checks `is_incomplete` after each part. The parts are read whole, and byte by byte.
#[track_caller]
fn check(parts: &[(&[u8], bool)]) {
    let (mut whole, mut split) = (Frames::default(), Frames::default());
    for (part, incomplete) in parts {
        whole.read(part);
        part.iter().for_each(|byte| {
            split.read(&[*byte]);
        });
        assert_eq!(whole.is_incomplete(), *incomplete, "{part:?}");
        assert_eq!(split.is_incomplete(), *incomplete, "{part:?}, byte by byte");
    }
}

#[test]
fn a_head_is_incomplete_until_its_last_frame_has_come() {
    let preface: &[u8] = &[b'x'; PREFACE];
    let headers = frame(HEADERS, 0, b"some");
    check(&[
        (preface, true),
        (&frame(SETTINGS, 0, b"")[..8], true),
        (&frame(SETTINGS, 0, b"")[8..], false),
        (&headers[..5], true),
        (&headers[5..], true),
        (&frame(CONTINUATION, 0, b"more"), true),
        (&frame(CONTINUATION, END_HEADERS, b"last"), false),
        (&frame(HEADERS, END_HEADERS, b"all"), false),
        (&frame(DATA, 0, b"body")[..8], true),
        (&frame(DATA, 0, b"body")[8..11], false),
        (&frame(DATA, 0, b"body")[11..], false),
        (&frame(6, 0, b"12345678")[..12], true),
        (&frame(6, 0, b"12345678")[12..], false),
    ]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_last_stream_starts_the_idle_time() {
    let start = Instant::now();
    let (http2, mut timer) = opened(b"");
    let streams = [http2.stream(), http2.stream()];
    // A task that nothing else wakes.
    let expired = tokio::spawn(std::future::poll_fn(move |cx| timer.poll(cx)));
    for stream in streams {
        tokio::time::sleep(Duration::from_secs(100)).await;
        drop(stream);
    }
    let expired = tokio::time::timeout(Duration::from_secs(1000), expired).await;
    let expired = expired.expect("in time").expect("no panic");
    assert_eq!(expired, TimeoutKind::Idle);
    assert_eq!(start.elapsed().as_secs(), 275);
}

/// A connection whose client has sent `bytes` after its opening, and its timer.
fn opened(bytes: &[u8]) -> (Http2, ConnectionTimer) {
    let mut http2 = Http2::new(Timeouts::default(), Instant::now());
    http2.read(&[&[b'x'; PREFACE][..], &frame(SETTINGS, 0, b""), bytes].concat());
    let timer = http2.timer();
    (http2, timer)
}

async fn check_expiry(mut timer: ConnectionTimer, expected: (TimeoutKind, u64)) {
    let start = Instant::now();
    let expired = std::future::poll_fn(|cx| timer.poll(cx));
    let expired = tokio::time::timeout(Duration::from_secs(1000), expired).await;
    let expired = expired.expect("in time");
    assert_eq!((expired, start.elapsed().as_secs()), expected);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_head_has_less_time_while_the_connection_closes() {
    let part = &frame(HEADERS, END_HEADERS, b"head")[..10];
    check_expiry(opened(part).1, (TimeoutKind::Silent, 10)).await;
    let (_http2, mut timer) = opened(part);
    timer.close();
    check_expiry(timer, (TimeoutKind::Silent, 2)).await;
    // The same time-out holds while streams are open.
    let (http2, mut timer) = opened(part);
    let _stream = http2.stream();
    timer.close();
    check_expiry(timer, (TimeoutKind::Silent, 2)).await;
}

/// A client that sends `frame` every four seconds after `opening`, and never completes its head.
async fn check_trickle(opening: &[u8], frame: Vec<u8>) {
    let mut http2 = Http2::new(Timeouts::default(), Instant::now());
    http2.read(opening);
    let timer = http2.timer();
    let trickle = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(4)).await;
            http2.read(&frame);
        }
    });
    check_expiry(timer, (TimeoutKind::Silent, 10)).await;
    trickle.abort();
}

#[tokio::test(start_paused = true)]
async fn whole_frames_do_not_extend_the_time_of_a_head() {
    let preface: &[u8] = &[b'x'; PREFACE];
    let ping = frame(6, 0, b"12345678");
    // Before the client's SETTINGS.
    check_trickle(b"", preface[..2].to_vec()).await;
    check_trickle(preface, ping.clone()).await;
    let open = [
        preface,
        &frame(SETTINGS, 0, b""),
        &frame(HEADERS, 0, b"some"),
    ]
    .concat();
    check_trickle(&open, frame(CONTINUATION, 0, b"more")).await;
    check_trickle(&open, frame(CONTINUATION, 0, b"")).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_first_head_starts_with_the_connection() {
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(9)).await;
    let mut http2 = Http2::new(Timeouts::default(), start);
    let timer = http2.timer();
    http2.read(&[b'x'; PREFACE]);
    check_expiry(timer, (TimeoutKind::Silent, 1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_silent_while_the_connection_closes_has_two_seconds() {
    let (mut http2, mut timer) = opened(b"");
    timer.close();
    let talking = tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            http2.read(&frame(6, 1, b"12345678"));
        }
    });
    check_expiry(timer, (TimeoutKind::Silent, 7)).await;
    talking.await.expect("no panic");
    // It may be silent while a stream is open.
    let (http2, mut timer) = opened(b"");
    let stream = http2.stream();
    timer.close();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        drop(stream);
    });
    check_expiry(timer, (TimeoutKind::Silent, 102)).await;
}
