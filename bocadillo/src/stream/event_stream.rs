//! `EventStream`: a stream of events and its options. Its HTTP body is in `stream_body.rs`.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tracing::Span;

use crate::error::Result;
use crate::event::wire;
use crate::event::{IntoEvent, ServerEvent};
use crate::stream::Client;
use crate::stream::options::StreamOptions;
use crate::stream::source::{FrameBuffer, Payload, RunningSource, Source};

impl Payload for ServerEvent {
    fn write(self, frame: &mut FrameBuffer) {
        wire::encode(&self, &mut frame.own);
    }
}

/// A stream of events to one client.
///
/// A function with `#[event_stream]` returns one. [`EventStream::new`] makes one of any [`Stream`]. Return it from a
/// route, or from a handler of axum: it implements [`IntoResponse`](axum_core::response::IntoResponse). It is a
/// [`Stream`] itself, so a test can read it without HTTP.
///
/// If it is dropped, the same happens as if the client disconnects. A generator is dropped at its current `.await`. With
/// `raise_on_disconnect`, it continues in the background with its clean-up.
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
    pub(crate) source: RunningSource<ServerEvent>,
}

impl EventStream {
    /// Makes an event stream of any stream whose items can be converted into events.
    ///
    /// An `Err` item ends it. The error is logged, and [`StreamOptions::on_error`] decides what the client gets. A panic
    /// of the stream cuts the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventStream;
    ///
    /// // With the crate `async-stream`, for a stream that is written where it is returned.
    /// let numbers = EventStream::new(async_stream::stream!({
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
            source: RunningSource::new(source),
        }
    }

    /// Sets options of this stream. They override the defaults of the app and of [`Streams`](crate::Streams).
    ///
    /// An option that is not set in `options` keeps its value from the attribute or from an earlier call.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{EventStream, StreamOptions};
    ///
    /// let events = EventStream::new(futures_util::stream::iter(["one"]))
    ///     .with(StreamOptions::new().keep_alive(Duration::from_secs(5)));
    /// ```
    pub fn with(mut self, options: StreamOptions) -> Self {
        self.source.set_options(options);
        self
    }

    /// Disconnects `client` when this stream ends.
    ///
    /// An `#[event_stream]` function does this for each of its arguments that is a [`Client`].
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
        self.source.clients.push(client);
        self
    }
}

impl Stream for EventStream {
    type Item = Result<ServerEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.source.poll_item(cx)
    }
}

pin_project! {
    /// A source that is any stream.
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
