//! What a stream gets from its app: the app's options, the signal to end, and the tracker of its clean-up. It reaches the
//! stream by a task-local, so that layers and axum's types may stand between the two. Where the stream is made in another
//! task, it reaches the stream through the response.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context as Poller, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use crate::stream::feed::Options;

tokio::task_local! {
    static CURRENT: Arc<Context>;
}

/// What all streams of one app share.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) shutdown: Arc<Shutdown>,
    /// Tells whether two contexts belong to the same app.
    app: Arc<()>,
    /// The context for requests that came through another app, and that app's context.
    nested: OnceLock<(Arc<Context>, Arc<Context>)>,
}

/// The shutdown of one server. All apps that it serves share it.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    /// A shutdown waits for these, and for the connections.
    pub(crate) clean_ups: TaskTracker,
    draining: AtomicBool,
    drain: CancellationToken,
}

impl Shutdown {
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
            shutdown: Arc::clone(self),
            waker: None,
        }
    }
}

/// Request extension: the context of the app that handed the request on. A service between two apps may call the inner
/// one from another task, where the task-local is not set.
#[derive(Clone, Debug)]
pub(crate) struct Outer(pub(crate) Arc<Context>);

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

    /// The context for a request with these extensions: this one, or, in an app inside another app, one that ends its
    /// streams with the outer app's.
    pub(crate) fn for_request(self: &Arc<Self>, extensions: &http::Extensions) -> Arc<Self> {
        let outer =
            Self::current().or_else(|| extensions.get::<Outer>().map(|outer| Arc::clone(&outer.0)));
        match outer {
            None => Arc::clone(self),
            // A layer of this app stands between.
            Some(outer) if Arc::ptr_eq(&outer.app, &self.app) => outer,
            Some(outer) => self.within(outer),
        }
    }

    fn within(&self, outer: Arc<Self>) -> Arc<Self> {
        let make = |outer: Arc<Self>| {
            let nested = Self {
                options: self.options.clone().or(&outer.options),
                shutdown: Arc::clone(&outer.shutdown),
                app: Arc::clone(&self.app),
                nested: OnceLock::new(),
            };
            (outer, Arc::new(nested))
        };
        let (known, nested) = self.nested.get_or_init(|| make(Arc::clone(&outer)));
        if Arc::ptr_eq(known, &outer) {
            Arc::clone(nested)
        } else {
            make(outer).1
        }
    }
}

/// Response extension: lets an app give its context to a stream that was made in another task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Adoption(Arc<OnceLock<Arc<Context>>>);

impl Adoption {
    pub(crate) fn adopt(&self, context: Arc<Context>) {
        // An app inside another app comes first, and its context stays.
        let _ = self.0.set(context);
    }
}

/// The app that a stream belongs to.
#[derive(Debug)]
pub(crate) enum Owner {
    App(Arc<Context>),
    /// The stream was made in a task that no app runs.
    Unknown(Adoption),
}

impl Owner {
    pub(crate) fn current() -> Self {
        Context::current().map_or_else(|| Self::Unknown(Adoption::default()), Self::App)
    }

    pub(crate) fn adoption(&self) -> Option<Adoption> {
        match self {
            Self::App(_) => None,
            Self::Unknown(adoption) => Some(adoption.clone()),
        }
    }

    pub(crate) fn context(self) -> Option<Arc<Context>> {
        match self {
            Self::App(context) => Some(context),
            Self::Unknown(adoption) => adoption.0.get().cloned(),
        }
    }
}

pin_project! {
    /// Ready once the server drains.
    ///
    /// Made to be polled along with each event: the token takes a lock that all connections share whenever it is polled,
    /// so it is only polled when there is a new waker to leave with it.
    #[derive(Debug)]
    pub(crate) struct Drained {
        #[pin]
        told: WaitForCancellationFutureOwned,
        shutdown: Arc<Shutdown>,
        waker: Option<Waker>,
    }
}

impl Future for Drained {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<()> {
        let this = self.project();
        if this.shutdown.is_draining() {
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
