//! `Streams`: what all streams of a program share, wherever they are served.
//!
//! How it reaches a stream is in `membership.rs`. The tower layer is in `http/layer.rs`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout, timeout_at};

use crate::stream::deadline::after;
use crate::stream::drain::Drain;
use crate::stream::options::StreamOptions;

/// How long a drain waits, unless `Streams` says otherwise.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long clients have to read the end of their streams, unless `Streams` says otherwise.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// What all streams of a program share: their default options, their shutdown, and the work that a shutdown waits for.
///
/// It is a handle: clones share the shutdown. There are two ways to connect it to streams:
///
/// - [`layer`](Self::layer) is a tower layer for an axum `Router`, or for any other service.
/// - An [`App`](crate::App) has one inside, and takes another one by [`App::streams`](crate::App::streams).
///
/// If a service with `Streams` is inside of another one, its streams belong to both: the options of the inner one go
/// first, and they end when either is drained.
///
/// # Examples
///
/// All that an axum app needs:
///
/// ```no_run
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use bocadillo::{EventStream, StreamOptions, Streams};
///
/// async fn ticks() -> EventStream {
///     EventStream::new(futures_util::stream::pending::<String>())
/// }
///
/// # async fn signal() {}
/// # #[tokio::main] async fn main() -> std::io::Result<()> {
/// let streams = Streams::new()
///     .defaults(StreamOptions::new().keep_alive(Duration::from_secs(20)));
/// let app = Router::new().route("/ticks", get(ticks)).layer(streams.layer());
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// let server = axum::serve(listener, app).with_graceful_shutdown({
///     let streams = streams.clone();
///     async move {
///         signal().await;
///         streams.drain().await;
///     }
/// });
/// tokio::select! {
///     served = server.into_future() => served,
///     // Clients that do not read would keep axum's server running.
///     () = streams.shutdown_deadline() => Ok(()),
/// }
/// # }
/// ```
#[derive(Clone)]
#[must_use = "`Streams` does nothing until it is given to an app or made a layer"]
pub struct Streams(Arc<Inner>);

struct Inner {
    options: Arc<StreamOptions>,
    strict_accept: bool,
    drain_timeout: Duration,
    end_timeout: Duration,
    drain: Arc<Drain>,
    /// Two values with the same origin are the same value, alone and inside of another one.
    origin: Arc<()>,
    /// For each `Streams` outside of this one: what holds for requests that came through it.
    nested: Mutex<Vec<(Weak<Inner>, Streams)>>,
}

impl Streams {
    /// `Streams` with no options set.
    ///
    /// # Examples
    ///
    /// ```
    /// let streams = bocadillo::Streams::new();
    /// ```
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            options: Arc::default(),
            strict_accept: false,
            drain_timeout: DRAIN_TIMEOUT,
            end_timeout: END_TIMEOUT,
            drain: Arc::default(),
            origin: Arc::default(),
            nested: Mutex::default(),
        }))
    }

    fn change(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner {
            options: Arc::clone(&self.0.options),
            strict_accept: self.0.strict_accept,
            drain_timeout: self.0.drain_timeout,
            end_timeout: self.0.end_timeout,
            drain: Arc::clone(&self.0.drain),
            origin: Arc::default(),
            nested: Mutex::default(),
        };
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Sets the default options of the streams.
    ///
    /// A clone that was made before keeps its own defaults, and shares the shutdown.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{StreamOptions, Streams};
    ///
    /// let streams = Streams::new().defaults(StreamOptions::new().retry(Duration::from_secs(1)));
    /// ```
    pub fn defaults(self, options: StreamOptions) -> Self {
        self.change(|inner| inner.options = Arc::new(options))
    }

    /// Whether a GET or HEAD request whose `Accept` header excludes event streams gets 406 instead of the stream. The
    /// default is `false`: every client gets the stream, whatever it accepts.
    ///
    /// A server may disregard `Accept` (RFC 9110, section 12.5.1), and many clients always send the same value: the
    /// `openai` client for Python sends `Accept: application/json` and expects a stream. Turn this on for an API whose
    /// clients are known. The answers then have `Vary: accept`.
    ///
    /// # Examples
    ///
    /// ```
    /// let streams = bocadillo::Streams::new().strict_accept(true);
    /// ```
    pub fn strict_accept(self, strict: bool) -> Self {
        self.change(|inner| inner.strict_accept = strict)
    }

    /// How long [`drain`](Self::drain) waits for clean-ups and for tasks of [`spawn`](Self::spawn). The default is 20
    /// seconds.
    ///
    /// Keep it below what the platform grants between SIGTERM and SIGKILL: 30 seconds on Kubernetes, 10 with Docker.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let streams = bocadillo::Streams::new().drain_timeout(Duration::from_secs(8));
    /// ```
    pub fn drain_timeout(self, timeout: Duration) -> Self {
        self.change(|inner| inner.drain_timeout = timeout)
    }

    /// How long [`shutdown_deadline`](Self::shutdown_deadline) gives clients to read the end of their streams. The
    /// default is 500 milliseconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let streams = bocadillo::Streams::new().end_timeout(Duration::from_secs(2));
    /// ```
    pub fn end_timeout(self, timeout: Duration) -> Self {
        self.change(|inner| inner.end_timeout = timeout)
    }

    /// Ends all streams, and waits until their clean-ups and the tasks of [`spawn`](Self::spawn) have ended, for at most
    /// the [`drain_timeout`](Self::drain_timeout).
    ///
    /// An event stream ends in order, so its client reconnects. A stream of bytes is cut, because its client must not
    /// take a part for the whole. The generator, or the subscription, of each stream is released at once, also if its
    /// client does not read. A stream that is opened later ends at once: its client gets 200, the stream's `retry` (or 3
    /// seconds, if none is set), and `Connection: close`, and reconnects.
    ///
    /// It does not wait until the clients have read. A server does that, within
    /// [`shutdown_deadline`](Self::shutdown_deadline). Clean-ups that have not ended in time are reported by a warning in
    /// the log.
    ///
    /// # Cancel safety
    ///
    /// The streams end when the future is polled for the first time. Dropping it later only ends the wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let streams = bocadillo::Streams::new();
    /// streams.drain().await;
    /// assert!(streams.is_draining());
    /// # }
    /// ```
    pub async fn drain(&self) {
        let drain = &self.0.drain;
        drain.begin();
        let wait = self.0.drain_timeout;
        if timeout(wait, drain.finished()).await.is_err() {
            let tasks = drain.tasks();
            tracing::warn!(tasks, ?wait, "clean-ups and tasks have not ended in time");
        }
        drain.set_finished();
    }

    /// Waits until a server has no more reason to run: [`drain`](Self::drain) has returned, other responses of the
    /// service in the [`layer`](Self::layer) have been sent, and clients had time to read the ends of their streams.
    ///
    /// A client that does not read keeps `axum::serve` running for ever. Run the server and this in `tokio::select!`, as
    /// the example of [`Streams`] does. The wait for other responses ends when the [`drain_timeout`](Self::drain_timeout)
    /// is over, counted from the start of the drain. Then clients have the [`end_timeout`](Self::end_timeout). WebSockets
    /// are not waited for.
    ///
    /// # Cancel safety
    ///
    /// Safe to use in `tokio::select!`: nothing is lost when it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let streams = bocadillo::Streams::new();
    /// let _ = tokio::join!(streams.drain(), streams.shutdown_deadline());
    /// # }
    /// ```
    pub async fn shutdown_deadline(&self) {
        let drain = &self.0.drain;
        let begun = drain.wait_until_finished().await;
        let deadline = after(begun, self.0.drain_timeout);
        let _ = timeout_at(deadline, drain.requests_ended()).await;
        sleep(self.0.end_timeout).await;
    }

    /// Whether [`drain`](Self::drain) has been called.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!bocadillo::Streams::new().is_draining());
    /// ```
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.drain.is_draining()
    }

    /// The number of streams that are open now: those that have started, and that the server has not dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(bocadillo::Streams::new().open_streams(), 0);
    /// ```
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.0.drain.open_streams()
    }

    /// Waits until [`drain`](Self::drain) is called.
    ///
    /// For the work of a handler that has to end with the streams.
    ///
    /// # Cancel safety
    ///
    /// Safe to use in `tokio::select!`: nothing is lost when it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let streams = bocadillo::Streams::new();
    /// tokio::join!(streams.draining(), streams.drain());
    /// # }
    /// ```
    pub async fn draining(&self) {
        self.0.drain.begun().await;
    }

    /// Runs `task` in the background. [`drain`](Self::drain) waits for its end, as it waits for clean-ups.
    ///
    /// Inside the task, [`draining`](Self::draining) tells when the drain begins. It is the same as [`tokio::spawn`]
    /// otherwise: dropping the handle does not end the task.
    ///
    /// # Panics
    ///
    /// When it is called outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use bocadillo::Streams;
    ///
    /// let streams = Streams::new();
    /// let job = streams.spawn({
    ///     let streams = streams.clone();
    ///     async move {
    ///         streams.draining().await;
    ///         "saved"
    ///     }
    /// });
    /// streams.drain().await;
    /// assert!(job.is_finished());
    /// # }
    /// ```
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.drain.tasks.spawn(task)
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.0.strict_accept
    }

    pub(crate) fn options(&self) -> &Arc<StreamOptions> {
        &self.0.options
    }

    /// Whether `other` is a clone of this value.
    #[cfg(feature = "server")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn drain_state(&self) -> &Arc<Drain> {
        &self.0.drain
    }

    /// Whether the two are the same value, alone or inside of another one.
    pub(super) fn has_same_origin(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.origin, &other.0.origin)
    }

    /// This value inside of `outer`: its streams end when either is drained.
    pub(super) fn inside(&self, outer: Self) -> Self {
        let mut nested = self.0.nested.lock().unwrap_or_else(PoisonError::into_inner);
        let known = nested
            .iter()
            .find(|(known, _)| known.as_ptr() == Arc::as_ptr(&outer.0));
        if let Some((_, both)) = known {
            return both.clone();
        }
        let drain = if Arc::ptr_eq(&self.0.drain, &outer.0.drain) {
            Arc::clone(&self.0.drain)
        } else {
            Drain::inside(&self.0.drain, &outer.0.drain)
        };
        let both = Self(Arc::new(Inner {
            options: Arc::new(StreamOptions::clone(&self.0.options).or(&outer.0.options)),
            strict_accept: self.0.strict_accept || outer.0.strict_accept,
            drain_timeout: self.0.drain_timeout,
            end_timeout: self.0.end_timeout,
            drain,
            origin: Arc::clone(&self.0.origin),
            nested: Mutex::default(),
        }));
        nested.retain(|(outer, _)| outer.strong_count() > 0);
        nested.push((Arc::downgrade(&outer.0), both.clone()));
        both
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("options", &self.0.options)
            .field("strict_accept", &self.0.strict_accept)
            .field("drain", &self.0.drain)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
