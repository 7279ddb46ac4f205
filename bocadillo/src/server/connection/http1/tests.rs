use std::future::poll_fn;
use std::sync::Weak;

use tokio::net::TcpStream;

use super::*;
use crate::server::connection::tests::{Open, limits};
use crate::server::link::tests::{connected, fill, link};
use crate::server::timeouts::WriteTimeouts;
use crate::stream::outgoing::Stream;

fn default_limits() -> Limits {
    Limits {
        timeouts: WriteTimeouts::default(),
        drain: Arc::default(),
    }
}

struct Guarded {
    guard: Http1Guard<TcpStream>,
    link: Arc<Link<TcpStream>>,
    stream: Option<Arc<Open>>,
    client: TcpStream,
}

impl Guarded {
    /// A connection with an open stream.
    async fn new(write_timeout: Option<Duration>, limits: Limits) -> Self {
        let (client, server) = connected().await;
        let link = link(server, b"");
        let guard = Http1Guard::new(Arc::clone(&link), limits);
        let stream = Arc::new(Open { write_timeout });
        let weak: Weak<Open> = Arc::downgrade(&stream);
        let weak: Weak<dyn Stream> = weak;
        guard.outgoing.scope(|| Outgoing::register(&weak));
        Self {
            guard,
            link,
            stream: Some(stream),
            client,
        }
    }

    /// Polls once, as if hyper were pending.
    async fn poll(&mut self) -> Poll<Result<(), Cut>> {
        poll_fn(|cx| Poll::Ready(self.guard.poll(cx, |_| Poll::Pending))).await
    }
}

#[tokio::test]
async fn nothing_is_kept_for_a_connection_whose_stream_has_ended() {
    let mut guarded = Guarded::new(None, default_limits()).await;
    assert!(guarded.poll().await.is_pending());
    assert!(guarded.guard.hung_up.0.is_some(), "hyper does not read");
    assert!(
        guarded.guard.ack_probe.is_some(),
        "there is no write time-out"
    );
    guarded.stream = None;
    assert!(guarded.poll().await.is_pending());
    assert!(
        guarded.guard.hung_up.0.is_none(),
        "its descriptor is closed"
    );
    assert!(guarded.guard.ack_probe.is_none());
}

#[tokio::test]
async fn the_kernel_is_asked_only_where_a_paused_client_may_stay() {
    let mut guarded = Guarded::new(Some(Duration::from_secs(30)), default_limits()).await;
    assert!(guarded.poll().await.is_pending());
    assert!(guarded.guard.ack_probe.is_none());
    assert_eq!(guarded.guard.ack_timeout, Some(Duration::from_secs(30)));
    guarded.stream = None;
    assert!(guarded.poll().await.is_pending());
    assert_eq!(guarded.guard.ack_timeout, None);
    drop(guarded.client);
}

#[tokio::test]
async fn an_ordinary_response_has_none_of_the_limits_of_the_stream_before_it() {
    let mut guarded = Guarded::new(Some(Duration::ZERO), limits(Duration::ZERO)).await;
    assert!(guarded.poll().await.is_pending());
    let stream = guarded.stream.take().expect("it is open");
    guarded
        .guard
        .outgoing
        .scope(|| Outgoing::set_ending(Arc::as_ptr(&stream).cast()));
    drop(stream);
    // All of the stream has been written.
    assert!(guarded.poll().await.is_pending());
    fill(&guarded.link).await;
    // `fill` has looked; the socket still takes nothing.
    assert!(guarded.link.view().blocked.is_some());
    assert!(guarded.poll().await.is_pending());
}

#[tokio::test]
async fn a_stream_that_the_server_has_ended_is_cut_while_its_socket_takes_nothing() {
    let mut guarded = Guarded::new(None, limits(Duration::ZERO)).await;
    fill(&guarded.link).await;
    assert!(guarded.poll().await.is_pending());
    let stream = guarded.stream.as_ref().expect("it is open");
    guarded
        .guard
        .outgoing
        .scope(|| Outgoing::set_ending(Arc::as_ptr(stream).cast()));
    assert_eq!(guarded.poll().await, Poll::Ready(Err(Cut::Stalled)));
}

#[tokio::test]
async fn the_longest_time_outs_are_no_limits() {
    let mut longest = limits(Duration::MAX);
    longest.timeouts.ack = Duration::MAX;
    let mut guarded = Guarded::new(Some(Duration::MAX), longest).await;
    fill(&guarded.link).await;
    let stream = guarded.stream.as_ref().expect("it is open");
    guarded
        .guard
        .outgoing
        .scope(|| Outgoing::set_ending(Arc::as_ptr(stream).cast()));
    assert!(guarded.poll().await.is_pending());
}

/// How often a connection asks within `time`, and when it is cut. `answer` is how many segments were not answered at a time.
async fn ask(
    timeout: Duration,
    time: Duration,
    answer: impl Fn(Duration) -> u32,
) -> (u32, Option<Duration>) {
    let start = Instant::now();
    let asked = std::cell::Cell::new(0);
    let mut asking = AckProbe {
        inode: Some(1),
        silent: None,
        next: start + timeout / 8,
        deadline: Deadline::default(),
        reading: None,
    };
    let cut = poll_fn(|cx| {
        asking.poll(timeout, cx, |_, age| {
            assert_eq!(age, timeout / 16, "another's answer has to be newer");
            asked.set(asked.get() + 1);
            std::future::ready(answer(start.elapsed()))
        })
    });
    let cut = tokio::time::timeout(time, cut).await;
    (asked.get(), cut.is_ok().then(|| start.elapsed()))
}

#[tokio::test(start_paused = true)]
async fn a_client_is_cut_that_leaves_two_segments_unanswered_for_the_whole_time() {
    let second = Duration::from_secs(1);
    for count in [0, 1] {
        let (asked, cut) = ask(second, second * 10, |_| count).await;
        // Eight times in the time that it has.
        assert!((76..=80).contains(&asked), "{asked}");
        assert_eq!(cut, None);
    }
    let (asked, cut) = ask(second, second * 10, |_| 2).await;
    assert!((9..=10).contains(&asked), "{asked}");
    let cut = cut.expect("it is cut");
    assert!((1_125..1_300).contains(&cut.as_millis()), "{cut:?}");
    // It has answered once in between.
    let is_answer = |at| at > second && at < second * 5 / 4;
    let answer = |at| if is_answer(at) { 1 } else { 2 };
    let (_, cut) = ask(second, second * 10, answer).await;
    assert!(cut.expect("it is cut") > second * 2, "{cut:?}");
}

#[tokio::test(start_paused = true)]
async fn the_longest_ack_time_out_is_no_limit() {
    let mut probe = AckProbe {
        inode: Some(1),
        silent: None,
        next: Instant::now(),
        deadline: Deadline::default(),
        reading: None,
    };
    let read = |_, _| std::future::ready(2);
    let cut = poll_fn(|cx| probe.poll(Duration::MAX, cx, read));
    let cut = tokio::time::timeout(Duration::from_secs(3600), cut).await;
    assert!(cut.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_kernel_is_asked_every_ten_milliseconds_at_most() {
    let (asked, _) = ask(Duration::from_millis(8), Duration::from_secs(1), |_| 0).await;
    assert!((80..=100).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_has_fired_for_nothing_is_released() {
    let mut deadline = Deadline::default();
    let at = Instant::now() + Duration::from_secs(1);
    let mut poll = async |at| poll_fn(|cx| Poll::Ready(deadline.has_come(at, cx))).await;
    assert!(!poll(Some(at)).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(poll(Some(at)).await);
    // A later time sets the same timer.
    assert!(!poll(Some(at + Duration::from_secs(10))).await);
    assert!(!poll(None).await);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!poll(None).await);
    assert!(deadline.0.is_none());
}
