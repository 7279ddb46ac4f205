//! What a stream learns from the server that it is served by: when to end, who waits for its clean-up, and the app's
//! defaults. It reaches the stream by a task-local, so that layers and axum's types may stand between the two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Connections and clean-ups: what a shutdown waits for.
    pub(crate) tracker: TaskTracker,
    /// Read for every frame, where the token would take a lock.
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

    pub(crate) fn drained(&self) -> WaitForCancellationFutureOwned {
        self.drain.clone().cancelled_owned()
    }
}
