use futures_util::stream;
use http_body_util::BodyExt;
use tokio::time::{advance, sleep};

use super::*;
use crate::stream::stream_body::StreamBody;
use crate::stream::{Client, EventStream, StreamOptions, Streams};

/// How often the task looks at the streams.
const SECOND: Duration = Duration::from_secs(1);

/// A client that has read one frame of the stream, and reads no other.
async fn unread(streams: &Streams, events: EventStream) -> StreamBody<crate::ServerEvent> {
    let mut body = streams
        .clone()
        .sync_scope(|| StreamBody::new(events.source));
    assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
    body
}

fn endless() -> EventStream {
    EventStream::new(stream::repeat_with(|| "x".repeat(1000)))
}

#[tokio::test(start_paused = true)]
async fn a_source_is_released_after_its_lifetime_although_nobody_reads() {
    let streams = Streams::new();
    let [limited, unlimited] = [(); 2].map(|()| Client::new());
    let hour = StreamOptions::new().max_lifetime(Duration::from_secs(3600));
    let mut first = unread(&streams, endless().with(hour).bind(limited.clone())).await;
    let _second = unread(&streams, endless().bind(unlimited.clone())).await;
    sleep(Duration::from_secs(3600) * 9 / 10 - Duration::from_secs(1)).await;
    assert!(!limited.is_disconnected());
    sleep(Duration::from_secs(3600) / 10 + SECOND + Duration::from_secs(2)).await;
    assert!(limited.is_disconnected());
    assert!(!unlimited.is_disconnected());
    assert!(first.frame().await.is_none(), "it ends in order");
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_stream_and_another_one_starts() {
    let streams = Streams::new();
    let is_running = || streams.drain_state().is_swept.load(Ordering::Acquire);
    for _ in 0..3 {
        let body = unread(&streams, endless()).await;
        advance(3 * SECOND).await;
        tokio::task::yield_now().await;
        assert!(is_running());
        drop(body);
        sleep(2 * SECOND).await;
        assert!(!is_running());
    }
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        // A second panic would abort the process.
        assert!(std::thread::panicking(), "on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_one_source_does_not_keep_the_others_open() {
    let streams = Streams::new();
    let lifetime = |seconds| StreamOptions::new().max_lifetime(Duration::from_secs(seconds));
    let guard = PanicsOnDrop;
    let panics = EventStream::new(stream::repeat_with(move || {
        let _ = &guard;
        "x".repeat(1000)
    }));
    let _first = unread(&streams, panics.with(lifetime(1))).await;
    let client = Client::new();
    let second = endless().with(lifetime(60)).bind(client.clone());
    let _second = unread(&streams, second).await;
    sleep(62 * SECOND).await;
    assert!(client.is_disconnected());
}

#[test]
fn the_task_starts_anew_in_another_runtime() {
    let streams = Streams::new();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let _body = runtime.block_on(async {
            let client = Client::new();
            let second = StreamOptions::new().max_lifetime(Duration::from_secs(1));
            let body = unread(&streams, endless().with(second).bind(client.clone())).await;
            sleep(2 * SECOND).await;
            assert!(client.is_disconnected());
            body
        });
    }
}
