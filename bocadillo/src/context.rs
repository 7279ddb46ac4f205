//! What a stream learns from the server that it is served by: when to end, who waits for its clean-up, and the app's
//! defaults. It reaches the stream by a task-local, so that layers and axum's types may stand between the two.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Poller, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use crate::feed::Options;

tokio::task_local! {
    static CURRENT: Arc<Context>;
}

/// One app's, shared by all its streams.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) options: Options,
    /// What a shutdown waits for, beside the connections.
    pub(crate) clean_ups: TaskTracker,
    draining: AtomicBool,
    drain: CancellationToken,
}

impl Context {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs `future` so that the streams which it makes belong to this context.
    pub(crate) async fn scope<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// Tells all streams to end.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.drain.cancel();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn drained(self: &Arc<Self>) -> Drained {
        Drained {
            told: self.drain.clone().cancelled_owned(),
            context: Arc::clone(self),
            waker: None,
        }
    }
}

pin_project! {
    /// Ready once the server drains.
    ///
    /// Made to be polled along with each event: the token takes a lock that all connections share whenever it is polled,
    /// so it is only polled when there is a new waker to leave with it.
    pub(crate) struct Drained {
        #[pin]
        told: WaitForCancellationFutureOwned,
        context: Arc<Context>,
        waker: Option<Waker>,
    }
}

impl Future for Drained {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<()> {
        let this = self.project();
        if this.context.is_draining() {
            return Poll::Ready(());
        }
        if this
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            return Poll::Pending;
        }
        ready!(this.told.poll(cx));
        *this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
