//! `ByteStream`: a stream of bytes or text, for example of NDJSON.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use futures_core::Stream;
use http::HeaderValue;

use crate::error::{BoxError, Error, Result};
use crate::stream::Client;
use crate::stream::options::StreamOptions;
use crate::stream::source::{FrameBuffer, Payload, RunningSource, Source};

/// A chunk of this size or more is sent without a copy. Smaller chunks are collected in one frame.
const LARGE: usize = 4096;

impl Payload for Bytes {
    fn write(self, frame: &mut FrameBuffer) {
        if self.is_empty() {
            frame.empty += 1;
        } else if self.len() < LARGE {
            frame.own.put_slice(&self);
        } else {
            frame.shared = Some(self);
        }
    }
}

/// What `yield` takes in a `#[stream]` function: bytes or text.
///
/// A `Result` of these is a chunk as well. Its `Err` ends the stream.
///
/// You can implement it for your own types.
///
/// # Examples
///
/// ```
/// use bocadillo::{IntoChunk, Result};
/// use bytes::Bytes;
///
/// /// A line of NDJSON.
/// struct Line<T>(T);
///
/// impl<T: serde::Serialize> IntoChunk for Line<T> {
///     fn into_chunk(self) -> Result<Bytes> {
///         // A `Result` is a chunk as well.
///         let line = serde_json::to_string(&self.0).map(|json| json + "\n");
///         line.into_chunk()
///     }
/// }
///
/// assert_eq!(Line([1, 2]).into_chunk()?, "[1,2]\n");
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a chunk of a stream",
    label = "expected text, bytes, or a `Result` of one of these",
    note = "in a `#[stream]`, yield `&str`, `String`, `Bytes`, `Vec<u8>`, `&[u8]`, or a `Result` of one of these",
    note = "or implement `IntoChunk` for your own type"
)]
pub trait IntoChunk {
    /// Converts the value into a chunk.
    ///
    /// # Errors
    ///
    /// If the value is an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::IntoChunk;
    ///
    /// assert_eq!("one\n".into_chunk()?, "one\n");
    /// assert!(Err::<String, _>("the disk is gone").into_chunk().unwrap_err().is_stream());
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    fn into_chunk(self) -> Result<Bytes>;
}

impl IntoChunk for Bytes {
    fn into_chunk(self) -> Result<Bytes> {
        Ok(self)
    }
}

impl IntoChunk for String {
    fn into_chunk(self) -> Result<Bytes> {
        Ok(self.into())
    }
}

impl IntoChunk for Vec<u8> {
    fn into_chunk(self) -> Result<Bytes> {
        Ok(self.into())
    }
}

impl IntoChunk for &str {
    fn into_chunk(self) -> Result<Bytes> {
        self.as_bytes().into_chunk()
    }
}

impl IntoChunk for &[u8] {
    fn into_chunk(self) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(self))
    }
}

impl IntoChunk for Cow<'_, str> {
    fn into_chunk(self) -> Result<Bytes> {
        Ok(self.into_owned().into())
    }
}

impl<T: IntoChunk, E: Into<BoxError>> IntoChunk for Result<T, E> {
    fn into_chunk(self) -> Result<Bytes> {
        self.map_err(Error::stream)?.into_chunk()
    }
}

/// A stream of bytes to one client. A function with `#[stream]` returns it.
///
/// If the client disconnects, the same happens as for an [`EventStream`](crate::EventStream). The default content type
/// is `application/octet-stream`.
///
/// A proxy that compresses may wait until its buffer is full before it sends chunks. To prevent this, add the header
/// `Cache-Control: no-transform` in the handler. Event streams have it by default.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{generators, route, stream};
///
/// generators!(
///     #[route("/numbers")]
///     #[stream(content_type = "application/x-ndjson")]
///     async fn numbers() {
///         for n in 0..3 {
///             yield format!("{{\"n\":{n}}}\n");
///         }
///     }
/// );
/// # fn main() {}
/// ```
#[derive(Debug)]
#[must_use = "a stream does nothing until it is returned from a handler, or polled"]
pub struct ByteStream {
    pub(crate) source: RunningSource<Bytes>,
    pub(crate) content_type: HeaderValue,
}

impl ByteStream {
    pub(crate) fn from_source(source: impl Source<Bytes> + 'static) -> Self {
        Self {
            source: RunningSource::new(source),
            content_type: HeaderValue::from_static("application/octet-stream"),
        }
    }

    /// Sets the `Content-Type` of the response.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{generators, stream};
    /// use bocadillo::http::HeaderValue;
    ///
    /// generators!(
    ///     #[stream]
    ///     async fn greeting() {
    ///         yield "hello";
    ///     }
    /// );
    ///
    /// let greeting = greeting().content_type(HeaderValue::from_static("text/plain; charset=utf-8"));
    /// ```
    pub fn content_type(mut self, value: HeaderValue) -> Self {
        self.content_type = value;
        self
    }

    /// Sets options of this stream, as [`EventStream::with`](crate::EventStream::with) does. Only
    /// [`cleanup_timeout`](StreamOptions::cleanup_timeout) and
    /// [`byte_write_timeout`](StreamOptions::byte_write_timeout) have an effect on a stream of bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::{generators, stream};
    /// # generators!(
    /// #     #[stream]
    /// #     async fn numbers() { for n in 0.. { yield n.to_string(); } }
    /// # );
    /// use std::time::Duration;
    /// use bocadillo::StreamOptions;
    ///
    /// let numbers = numbers().with(StreamOptions::new().cleanup_timeout(Duration::from_secs(5)));
    /// ```
    pub fn with(mut self, options: StreamOptions) -> Self {
        self.source.set_options(options);
        self
    }

    /// Disconnects `client` when this stream ends, as [`EventStream::bind`](crate::EventStream::bind) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::{generators, stream};
    /// # generators!(
    /// #     #[stream]
    /// #     async fn numbers() { for n in 0.. { yield n.to_string(); } }
    /// # );
    ///
    /// let client = bocadillo::Client::new();
    /// let numbers = numbers().bind(client.clone());
    /// drop(numbers);
    /// assert!(client.is_disconnected());
    /// ```
    pub fn bind(mut self, client: Client) -> Self {
        self.source.clients.push(client);
        self
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.source.poll_item(cx)
    }
}

/// The header value for `#[stream(content_type = "…")]`. The macro has checked the literal.
#[must_use]
pub const fn header_value(literal: &'static str) -> HeaderValue {
    HeaderValue::from_static(literal)
}
