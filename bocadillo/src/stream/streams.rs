//! `Streams`: what all streams of a program share, wherever they are served.
//!
//! It reaches a stream by a task-local, so that layers and axum's types may stand between the two. Where the stream is
//! made in another task, it reaches the stream through the response.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::stream::drain::Drain;
use crate::stream::options::StreamOptions;

tokio::task_local! {
    static CURRENT: Streams;
}

/// How long a drain waits, unless `Streams` says otherwise.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// What all streams of a program share: their default options, their drain, and the tracker of their clean-ups.
///
/// It is a handle: a clone shares the drain. An [`App`](crate::App) has one inside, and takes one from outside by
/// [`App::streams`](crate::App::streams).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bocadillo::{StreamOptions, Streams};
///
/// let streams = Streams::new()
///     .defaults(StreamOptions::new().keep_alive(Duration::from_secs(20)));
/// ```
#[derive(Clone)]
#[must_use = "`Streams` does nothing until it is given to an app or made a layer"]
pub struct Streams(Arc<Inner>);

struct Inner {
    options: StreamOptions,
    strict_accept: bool,
    drain_timeout: Duration,
    drain: Arc<Drain>,
    /// Tells whether two values come from the same one: the value itself, and the value inside of another.
    origin: Arc<()>,
    /// For each `Streams` outside of this one: what holds for requests that came through it.
    nested: Mutex<Vec<(Streams, Streams)>>,
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
            options: StreamOptions::new(),
            strict_accept: false,
            drain_timeout: DRAIN_TIMEOUT,
            drain: Arc::default(),
            origin: Arc::default(),
            nested: Mutex::default(),
        }))
    }

    fn change(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner {
            options: self.0.options.clone(),
            strict_accept: self.0.strict_accept,
            drain_timeout: self.0.drain_timeout,
            drain: Arc::clone(&self.0.drain),
            origin: Arc::default(),
            nested: Mutex::default(),
        };
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Sets the default options of the streams.
    ///
    /// A clone that was made before keeps its own defaults, and shares the drain.
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
        self.change(|inner| inner.options = options)
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

    pub(crate) fn is_strict(&self) -> bool {
        self.0.strict_accept
    }

    pub(crate) fn options(&self) -> &StreamOptions {
        &self.0.options
    }

    /// Whether `other` is a clone of this value.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn drain_state(&self) -> &Arc<Drain> {
        &self.0.drain
    }

    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs `future` so that the streams which it makes belong to this value.
    pub(crate) async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// What holds for a request with these extensions: this value, or, inside of another `Streams`, one whose streams end
    /// with the other's too.
    pub(crate) fn for_request(&self, extensions: &http::Extensions) -> Self {
        let outer =
            Self::current().or_else(|| extensions.get::<Outer>().map(|outer| outer.0.clone()));
        match outer {
            None => self.clone(),
            // A layer of this app stands between.
            Some(outer) if Arc::ptr_eq(&outer.0.origin, &self.0.origin) => outer,
            Some(outer) => self.inside(outer),
        }
    }

    fn inside(&self, outer: Self) -> Self {
        let mut nested = self.0.nested.lock().unwrap_or_else(PoisonError::into_inner);
        let known = nested
            .iter()
            .find(|(known, _)| Arc::ptr_eq(&known.0, &outer.0));
        if let Some((_, both)) = known {
            return both.clone();
        }
        let both = Self(Arc::new(Inner {
            options: self.0.options.clone().or(&outer.0.options),
            strict_accept: self.0.strict_accept || outer.0.strict_accept,
            drain_timeout: self.0.drain_timeout,
            drain: Drain::inside(&self.0.drain, &outer.0.drain),
            origin: Arc::clone(&self.0.origin),
            nested: Mutex::default(),
        }));
        nested.push((outer, both.clone()));
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

/// Request extension: the `Streams` outside of the service that gets the request. A service between the two may call the
/// inner one from another task, where the task-local is not set.
#[derive(Clone, Debug)]
pub(crate) struct Outer(pub(crate) Streams);

/// Response extension: lets `Streams` adopt a stream that was made in another task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Adoption(Arc<OnceLock<Streams>>);

impl Adoption {
    pub(crate) fn adopt(&self, streams: Streams) {
        // The innermost comes first, and stays.
        let _ = self.0.set(streams);
    }
}

/// The `Streams` that a stream belongs to.
#[derive(Debug)]
pub(crate) enum Owner {
    Known(Streams),
    /// The stream was made in a task that no `Streams` knows.
    Unknown(Adoption),
}

impl Owner {
    pub(crate) fn current() -> Self {
        Streams::current().map_or_else(|| Self::Unknown(Adoption::default()), Self::Known)
    }

    pub(crate) fn adoption(&self) -> Option<Adoption> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(adoption) => Some(adoption.clone()),
        }
    }

    pub(crate) fn streams(self) -> Option<Streams> {
        match self {
            Self::Known(streams) => Some(streams),
            Self::Unknown(adoption) => adoption.0.get().cloned(),
        }
    }
}
