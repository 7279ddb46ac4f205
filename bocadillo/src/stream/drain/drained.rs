//! The future with which a connection waits for the drain.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Drain;

impl Drain {
    /// Ready once the drain begins.
    pub(crate) fn drained(self: &Arc<Self>) -> Drained {
        Drained {
            begun: self.begun.clone().cancelled_owned(),
            drain: Arc::clone(self),
            waker: None,
        }
    }
}

pin_project! {
    /// Ready once the drain begins.
    ///
    /// A connection polls it along with each event. The token takes a lock that all connections share, so this polls
    /// the token only if there is a new waker to leave with it.
    #[derive(Debug)]
    pub(crate) struct Drained {
        #[pin]
        begun: WaitForCancellationFutureOwned,
        drain: Arc<Drain>,
        waker: Option<Waker>,
    }
}

impl Future for Drained {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.drain.is_draining() {
            return Poll::Ready(());
        }
        if this
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            return Poll::Pending;
        }
        ready!(this.begun.poll(cx));
        *this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
