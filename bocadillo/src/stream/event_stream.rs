//! `EventStream`: a stream of events and its options. What goes out as an HTTP body is in `body.rs`.

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
    pub(crate) source: RunningSource<ServerEvent>,
}

impl EventStream {
    /// Makes an event stream of any stream whose items turn into events.
    ///
    /// An `Err` item ends it: it is logged, and the client sees what
    /// [`StreamOptions::on_error`] says. A panic of the
    /// stream is for the server to contain.
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

    /// Sets options of this stream. They go before the defaults of the app, or of [`Streams`](crate::Streams).
    ///
    /// Options that were set before, by the attribute or by an earlier call, stay where `options` has none.
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
