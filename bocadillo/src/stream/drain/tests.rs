use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::task::{Context, Waker};

use http_body_util::BodyExt;
use tokio::time::timeout;

use super::*;
use crate::stream::generator::event_stream;
use crate::stream::stream_body::StreamBody;
use crate::stream::{Client, EventStream, Streams};

/// How long anything may take before a test gives up.
const LONG: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Counted(AtomicUsize);

impl Drainable for Counted {
    fn drain(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

fn register<T: Drainable + 'static>(drain: &Arc<Drain>, stream: &Arc<T>) -> Registration {
    let stream: Weak<T> = Arc::downgrade(stream);
    drain.register(stream)
}

#[tokio::test]
async fn a_drain_comes_once_to_each_stream_that_is_open() {
    for count in [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 10 * AT_ONCE + 3] {
        let drain = Arc::<Drain>::default();
        let mut open: Vec<_> = (0..2 * count)
            .map(|_| Arc::new(Counted::default()))
            .map(|stream| (register(&drain, &stream), stream))
            .collect();
        let mut number = 0;
        // Half of them have gone, here and there.
        open.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        assert_eq!(drain.open_streams(), count);
        drain.begin();
        drain.begin();
        drain.finished().await;
        for (_, stream) in &open {
            assert_eq!(stream.0.load(Ordering::Relaxed), 1);
        }
        assert_eq!(
            drain.open_streams(),
            count,
            "they are there until they are dropped"
        );
        drop(open);
        assert_eq!(drain.open_streams(), 0);
    }
}

#[test]
fn the_registry_gives_its_memory_back_when_the_last_stream_has_gone() {
    let drain = Arc::<Drain>::default();
    let stream = Arc::new(Counted::default());
    let open: Vec<_> = (0..10_000).map(|_| register(&drain, &stream)).collect();
    assert!(drain.registry().open.capacity() >= 10_000);
    drop(open);
    assert_eq!(drain.registry().open.capacity(), 0);
    assert_eq!(Arc::weak_count(&stream), 0);
}

#[tokio::test]
async fn a_drain_reaches_streams_that_belong_to_two() {
    for begins in [0, 1] {
        let two = [(); 2].map(|()| Arc::<Drain>::default());
        let early = Drain::inside(&two[0], &two[1]);
        let stream = Arc::new(Counted::default());
        let _registration = register(&early, &stream);
        assert_eq!(two[begins].open_streams(), 1);
        two[begins].begin();
        assert!(early.is_draining());
        assert!(!two[1 - begins].is_draining());
        assert_eq!(stream.0.load(Ordering::Relaxed), 1);
        let late = Drain::inside(&two[0], &two[1]);
        assert!(late.is_draining());
    }
}

#[tokio::test]
async fn the_memory_of_drains_inside_is_given_back() {
    let (own, outer) = (Drain::default(), Drain::default());
    for _ in 0..100 {
        drop(Drain::inside(&own, &outer));
    }
    let known = own.inner.lock().expect("no panic").len();
    assert!(known <= 1, "{known}");
}

/// A body whose stream has started.
async fn started(streams: &Streams, stream: EventStream) -> StreamBody<crate::ServerEvent> {
    let mut body = streams
        .clone()
        .sync_scope(|| StreamBody::new(stream.source));
    assert!(futures_util::poll!(body.frame()).is_pending());
    body
}

/// Calls the function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn pending_with(held: impl Send + 'static) -> EventStream {
    event_stream(|_| async move {
        let _held = held;
        std::future::pending::<()>().await;
    })
}

#[tokio::test]
async fn a_source_is_released_although_nobody_polls_its_body() {
    let streams = Streams::new();
    let client = Client::new();
    let body = started(&streams, pending_with(()).bind(client.clone())).await;
    streams.drain_state().begin();
    assert!(client.is_disconnected());
    drop(body);
}

#[tokio::test]
async fn a_panic_of_one_source_does_not_keep_the_others_open() {
    let streams = Streams::new();
    let clients = [(); 3].map(|()| Client::new());
    let mut bodies = Vec::new();
    for (place, client) in clients.iter().enumerate() {
        let on_drop = OnDrop(move || assert!(place != 1, "this is to panic"));
        bodies.push(started(&streams, pending_with(on_drop).bind(client.clone())).await);
    }
    timeout(LONG, streams.drain()).await.expect("it ends");
    assert!(clients[0].is_disconnected() && clients[2].is_disconnected());
}

#[tokio::test]
async fn the_end_of_a_stream_may_open_and_drain_streams() {
    let streams = Streams::new();
    let opened = Arc::new(Mutex::new(Vec::new()));
    let on_drop = OnDrop({
        let (streams, opened) = (streams.clone(), Arc::clone(&opened));
        move || {
            let stream = Arc::new(Counted::default());
            let registration = register(streams.drain_state(), &stream);
            streams.drain_state().begin();
            opened.lock().expect("no panic").push(registration);
        }
    });
    let body = started(&streams, pending_with(on_drop)).await;
    timeout(LONG, streams.drain()).await.expect("it ends");
    assert_eq!(opened.lock().expect("no panic").len(), 1);
    assert_eq!(streams.open_streams(), 2);
    drop(body);
}

#[tokio::test]
async fn a_generator_may_drain_its_own_stream() {
    let streams = Streams::new();
    let drain = {
        let streams = streams.clone();
        event_stream(|y| async move {
            y.send("one").await;
            streams.drain().await;
            y.send("never").await;
        })
    };
    let mut body = streams.clone().sync_scope(|| StreamBody::new(drain.source));
    let frame = timeout(LONG, body.frame()).await.expect("a frame");
    assert!(frame.expect("it goes on").is_ok());
    assert!(
        timeout(LONG, body.frame())
            .await
            .expect("the end")
            .is_none()
    );
    streams.drain().await;
}

#[tokio::test]
async fn a_drain_waits_for_a_stream_that_another_thread_is_polling() {
    let streams = Streams::new();
    let client = Client::new();
    let (entered, is_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let blocking = event_stream(move |_| async move {
        entered.send(()).expect("the test waits");
        may_leave.recv().expect("the test says when");
        std::future::pending::<()>().await;
    });
    let blocking = blocking.bind(client.clone());
    let mut body = streams
        .clone()
        .sync_scope(|| StreamBody::new(blocking.source));
    let polling = tokio::task::spawn_blocking(move || {
        let mut cx = Context::from_waker(Waker::noop());
        let polled = http_body::Body::poll_frame(Pin::new(&mut body), &mut cx).is_pending();
        // It is not polled again.
        (polled, body)
    });
    is_entered.recv().expect("it is polled");
    streams.drain_state().begin();
    assert!(!client.is_disconnected());
    let finished = timeout(Duration::from_millis(20), streams.drain_state().finished());
    assert!(finished.await.is_err());
    leave.send(()).expect("it waits");
    timeout(LONG, streams.drain()).await.expect("it ends");
    assert!(client.is_disconnected());
    assert!(polling.await.expect("no panic").0);
}

#[tokio::test]
async fn the_task_of_a_body_is_woken_for_its_end() {
    let streams = Streams::new();
    let stream = pending_with(());
    let mut body = streams
        .clone()
        .sync_scope(|| StreamBody::new(stream.source));
    let waiting = tokio::spawn(async move { body.frame().await.is_none() });
    while streams.open_streams() == 0 {
        tokio::task::yield_now().await;
    }
    streams.drain_state().begin();
    assert!(
        timeout(LONG, waiting)
            .await
            .expect("it is woken")
            .expect("no panic")
    );
}

struct Blocking(Mutex<(mpsc::Sender<()>, mpsc::Receiver<()>)>);

impl Drainable for Blocking {
    fn drain(&self) -> bool {
        let channels = self.0.lock().expect("no panic");
        channels.0.send(()).expect("the test waits");
        channels.1.recv().expect("the test says when");
        true
    }
}

#[tokio::test]
async fn a_second_drain_waits_until_the_first_has_come_to_all_streams() {
    let drain = Arc::<Drain>::default();
    let (entered, is_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel();
    let stream = Arc::new(Blocking(Mutex::new((entered, may_leave))));
    let _registration = register(&drain, &stream);
    let first = tokio::task::spawn_blocking({
        let drain = Arc::clone(&drain);
        move || drain.begin()
    });
    is_entered.recv().expect("it comes to the stream");
    drain.begin();
    let finished = timeout(Duration::from_millis(20), drain.finished());
    assert!(finished.await.is_err());
    leave.send(()).expect("it waits");
    timeout(LONG, drain.finished()).await.expect("it ends");
    first.await.expect("no panic");
}
