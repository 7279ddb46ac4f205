//! The drain of streams: who is told, and what is waited for.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// The drain of one `Streams`, or of one inside of another.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// A drain waits for these.
    pub(crate) tasks: TaskTracker,
    is_draining: AtomicBool,
    told: CancellationToken,
    /// They are drained with this one.
    inner: Mutex<Vec<Weak<Drain>>>,
}

impl Drain {
    /// The drain of streams that belong to both. It begins when one of the two begins.
    pub(crate) fn inside(own: &Self, outer: &Self) -> Arc<Self> {
        let both = Arc::new(Self::default());
        for of in [own, outer] {
            let mut inner = of.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.retain(|known| known.strong_count() > 0);
            inner.push(Arc::downgrade(&both));
            drop(inner);
            if of.is_draining() {
                both.begin();
            }
        }
        both
    }

    fn inner(&self) -> Vec<Arc<Self>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.iter().filter_map(Weak::upgrade).collect()
    }

    /// Tells all streams to end.
    pub(crate) fn begin(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.told.cancel();
        self.tasks.close();
        self.inner().iter().for_each(|inner| inner.begin());
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Ready when the tasks have ended, those of the inner ones too.
    pub(crate) async fn finished(&self) {
        self.tasks.wait().await;
        for inner in self.inner() {
            Box::pin(inner.finished()).await;
        }
    }

    /// How many tasks have not ended.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.len()
            + self
                .inner()
                .iter()
                .map(|inner| inner.tasks())
                .sum::<usize>()
    }

    pub(crate) fn drained(self: &Arc<Self>) -> Drained {
        Drained {
            told: self.told.clone().cancelled_owned(),
            drain: Arc::clone(self),
            waker: None,
        }
    }
}

pin_project! {
    /// Ready once the drain begins.
    ///
    /// Made to be polled along with each event: the token takes a lock that all connections share whenever it is polled,
    /// so it is only polled when there is a new waker to leave with it.
    #[derive(Debug)]
    pub(crate) struct Drained {
        #[pin]
        told: WaitForCancellationFutureOwned,
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
        ready!(this.told.poll(cx));
        *this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
