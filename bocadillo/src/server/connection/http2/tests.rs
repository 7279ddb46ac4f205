use std::future::poll_fn;
use std::sync::Weak;
use std::time::Duration;

use tokio::net::TcpStream;

use super::*;
use crate::server::connection::tests::{Open, limits};
use crate::server::link::tests::{connected, fill, link};
use crate::stream::outgoing::Stream;

/// A connection of HTTP/2 whose streams are made by the test.
struct Streaming {
    guard: Http2Guard<TcpStream>,
    link: Arc<Link<TcpStream>>,
    _client: TcpStream,
}

impl Streaming {
    async fn new(end: Duration) -> Self {
        let (client, server) = connected().await;
        let link = link(server, b"");
        Self {
            guard: Http2Guard::new(Arc::clone(&link), limits(end)),
            link,
            _client: client,
        }
    }

    /// Polls once, as if hyper were pending.
    async fn poll(&mut self) -> Poll<Result<(), Cut>> {
        poll_fn(|cx| Poll::Ready(self.guard.poll(cx, |_| Poll::Pending))).await
    }

    /// Runs a request as hyper does, and its response's body if there is one yet. The sender's drop ends it.
    async fn run(&mut self, body: Option<Open>) -> tokio::sync::oneshot::Sender<()> {
        let (ends, ended) = tokio::sync::oneshot::channel();
        let body = body.map(Arc::new);
        let stream = async move {
            if let Some(body) = &body {
                let weak: Weak<Open> = Arc::downgrade(body);
                let weak: Weak<dyn Stream> = weak;
                Outgoing::register(&weak);
            }
            let _ = ended.await;
        };
        let executor = Executor(self.guard.limits.clone());
        let mut stream = Some(stream);
        let executing = poll_fn(|cx| {
            let guarded = self.guard.poll(cx, |_| {
                if let Some(stream) = stream.take() {
                    hyper::rt::Executor::execute(&executor, stream);
                }
                Poll::<()>::Pending
            });
            Poll::Ready(guarded)
        });
        let _ = executing.await;
        ends
    }

    /// Runs a stream whose client takes nothing: it is reset.
    async fn reset(&mut self) {
        let ends = self
            .run(Some(Open {
                write_timeout: Some(Duration::ZERO),
            }))
            .await;
        let reset = async {
            while !ends.is_closed() {
                tokio::task::yield_now().await;
            }
        };
        let soon = Duration::from_secs(20);
        tokio::time::timeout(soon, reset).await.expect("a reset");
    }
}

#[tokio::test]
async fn a_full_connection_is_cut_for_a_reset_once_no_other_stream_may_wait() {
    // A request that is under way, and a stream of bytes.
    for other in [
        None,
        Some(Open {
            write_timeout: None,
        }),
    ] {
        let mut streaming = Streaming::new(Duration::ZERO).await;
        let other = streaming.run(other).await;
        let hour = Some(Duration::from_secs(3600));
        let _limited = streaming
            .run(Some(Open {
                write_timeout: hour,
            }))
            .await;
        fill(&streaming.link).await;
        streaming.reset().await;
        assert!(streaming.poll().await.is_pending(), "the other may wait");
        drop(other);
        // The connection is woken for it.
        let cut = poll_fn(|cx| streaming.guard.poll(cx, |_| Poll::<()>::Pending));
        let soon = Duration::from_secs(20);
        tokio::select! {
            biased;
            () = tokio::time::sleep(soon) => panic!("it is not woken"),
            cut = cut => assert_eq!(cut, Err(Cut::Stalled)),
        }
    }
}

#[tokio::test]
async fn a_reset_that_has_left_does_not_cut_its_connection() {
    let mut streaming = Streaming::new(Duration::ZERO).await;
    streaming.reset().await;
    assert!(streaming.poll().await.is_pending());
    fill(&streaming.link).await;
    assert!(streaming.poll().await.is_pending());
}

#[tokio::test]
async fn the_longest_end_time_out_is_no_limit() {
    let mut streaming = Streaming::new(Duration::MAX).await;
    fill(&streaming.link).await;
    streaming.reset().await;
    assert!(streaming.poll().await.is_pending());
    streaming.guard.limits.drain.begin();
    assert!(streaming.poll().await.is_pending());
}
