//! `EventStream`: a stream of events and its options. What goes out as an HTTP body is in `body.rs`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use tracing::Span;

use crate::error::{Error, Result};
use crate::event::wire;
use crate::event::{IntoEvent, ServerEvent};
use crate::stream::Client;
use crate::stream::feed::{Batch, Feed, Payload, Source};

impl Payload for ServerEvent {
    fn write(self, batch: &mut Batch) {
        wire::encode(&self, &mut batch.own);
    }
}

/// A stream of events, on its way to one client.
///
/// A function with `#[event_stream]` returns one; [`EventStream::new`] makes one of any [`Stream`]. Return it from a
/// route, or from a handler of axum: it is an [`IntoResponse`](axum_core::response::IntoResponse). It is a [`Stream`]
/// itself, so a test can read it without HTTP.
///
/// Dropping it is what the client's leaving does: a generator is dropped where it stands, or, with
/// `raise_on_disconnect`, goes on running detached to clean up.
///
/// # Examples
///
/// ```
/// use bocadillo::EventStream;
/// use futures_util::{StreamExt, stream};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let mut events = EventStream::new(stream::iter(["one", "two"]));
/// let first = events.next().await.expect("there are two")?;
/// assert_eq!(first, bocadillo::ServerEvent::new("one"));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a stream does nothing until it is returned from a handler, or polled"]
pub struct EventStream {
    pub(crate) feed: Feed<ServerEvent>,
}

impl EventStream {
    /// Makes an event stream of any stream whose items turn into events.
    ///
    /// An `Err` item ends it: it is logged, and the client sees what [`on_error`](Self::on_error) says. A panic of the
    /// stream is for the server to contain.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{EventStream, inline::stream};
    ///
    /// let numbers = EventStream::new(stream!({
    ///     for n in 1..=3 {
    ///         yield n.to_string();
    ///     }
    /// }));
    /// ```
    pub fn new<S>(stream: S) -> Self
    where
        S: Stream<Item: IntoEvent> + Send + 'static,
    {
        Self::from_source(Streamed {
            stream,
            span: Span::current(),
        })
    }

    pub(crate) fn from_source(source: impl Source<ServerEvent> + 'static) -> Self {
        Self {
            feed: Feed::new(source),
        }
    }

    /// Sends a comment line whenever the stream has been silent for `interval`; 15 seconds unless the app says
    /// otherwise.
    ///
    /// It keeps proxies from closing an idle connection, as the standard advises (WHATWG HTML, section 9.2.7), and shows
    /// by its failing that the client has gone. Set it lower than the read time-out of your clients: the default of
    /// `httpx` is 5 seconds. Zero is as [`no_keep_alive`](Self::no_keep_alive).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let events = bocadillo::EventStream::new(futures_util::stream::iter(["one"]));
    /// let events = events.keep_alive(Duration::from_secs(5));
    /// ```
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.feed.options.keep_alive = Some(Some(interval));
        self
    }

    /// Sends no keep-alive comments.
    ///
    /// A client that vanished without a word (its power, its network) is then found at the next event only.
    ///
    /// # Examples
    ///
    /// ```
    /// # let events = bocadillo::EventStream::new(futures_util::stream::iter(["one"]));
    /// let events = events.no_keep_alive();
    /// ```
    pub fn no_keep_alive(mut self) -> Self {
        self.feed.options.keep_alive = Some(None);
        self
    }

    /// Tells the client, at the start, how long to wait before it reconnects; sent in whole milliseconds (WHATWG HTML,
    /// section 9.2.6).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let events = bocadillo::EventStream::new(futures_util::stream::iter(["one"]));
    /// let events = events.retry(Duration::from_millis(500));
    /// ```
    pub fn retry(mut self, delay: Duration) -> Self {
        self.feed.options.retry = Some(delay);
        self
    }

    /// How long the clean-up of `raise_on_disconnect` may take, counted from the client's leaving; 30 seconds unless
    /// the app says otherwise. A clean-up that takes longer is dropped where it stands, with a warning in the log.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let events = bocadillo::EventStream::new(futures_util::stream::iter(["one"]));
    /// let events = events.clean_up_deadline(Duration::from_secs(5));
    /// ```
    pub fn clean_up_deadline(mut self, deadline: Duration) -> Self {
        self.feed.options.clean_up_deadline = Some(deadline);
        self
    }

    /// Ends the stream after this time, less up to a tenth at random, so that streams that began together do not end
    /// together. The client reconnects. For credentials that expire, and to spread clients over the nodes anew.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let events = bocadillo::EventStream::new(futures_util::stream::iter(["one"]));
    /// let events = events.max_lifetime(Duration::from_secs(60 * 60));
    /// ```
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.feed.options.max_lifetime = Some(lifetime);
        self
    }

    /// What the client sees last when the stream ends with an error: nothing (the default), or an event.
    ///
    /// Do not name this event `error`: a browser then runs `onerror`, as for a lost connection. See
    /// [`EventName`](crate::EventName).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{EventName, ServerEvent};
    ///
    /// # let events = bocadillo::EventStream::new(futures_util::stream::iter(["one"]));
    /// const FAILED: EventName = EventName::from_static("failed");
    /// let events = events.on_error(|_| Some(ServerEvent::new("try again later").with_name(FAILED)));
    /// ```
    pub fn on_error(
        mut self,
        show: impl Fn(&Error) -> Option<ServerEvent> + Send + Sync + 'static,
    ) -> Self {
        self.feed.options.on_error = Some(std::sync::Arc::new(show));
        self
    }

    /// Whether the response's `Content-Type` ends in `; charset=utf-8`. The default is the app's
    /// [own setting](crate::App::charset), which is off by default.
    ///
    /// # Examples
    ///
    /// ```
    /// # let events = bocadillo::EventStream::new(futures_util::stream::iter(["one"]));
    /// let events = events.charset(true);
    /// ```
    pub fn charset(mut self, charset: bool) -> Self {
        self.feed.options.charset = Some(charset);
        self
    }

    /// Lets `client` know when this stream is over.
    ///
    /// An `#[event_stream]` function does this by itself for its arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Client, EventStream};
    ///
    /// let client = Client::new();
    /// let events = EventStream::new(futures_util::stream::pending::<String>()).bind(client.clone());
    /// drop(events);
    /// assert!(client.is_disconnected());
    /// ```
    pub fn bind(mut self, client: Client) -> Self {
        self.feed.clients.push(client);
        self
    }
}

impl Stream for EventStream {
    type Item = Result<ServerEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.feed.poll_item(cx)
    }
}

pin_project! {
    /// Any stream, as a source.
    struct Streamed<S> {
        #[pin]
        stream: S,
        span: Span,
    }
}

impl<S> Source<ServerEvent> for Streamed<S>
where
    S: Stream<Item: IntoEvent> + Send,
{
    fn poll_item(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<ServerEvent>>> {
        let this = self.project();
        let _in_span = this.span.enter();
        this.stream
            .poll_next(cx)
            .map(|item| item.map(IntoEvent::into_event))
    }

    fn span(&self) -> &Span {
        &self.span
    }
}
