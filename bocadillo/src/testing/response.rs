//! What a test reads of a response: its head, its events, its bytes. Not here: how it was asked for.

use std::fmt;
use std::time::Duration;

use axum_core::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::repeatable::{LAST_EVENT_ID, Repeatable};
use crate::error::Result;
use crate::event::wire::{Decoded, Decoder, Message};

/// A response whose body has not been read yet. Dropping it disconnects the client.
///
/// The body is polled only when the test asks for more of it.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
#[doc = include_str!("example.in")]
/// let mut stream = client.get("/count").send().await;
/// assert_eq!(stream.next_event().await.expect("the first").data, "0");
/// drop(stream);
/// # Ok(()) }
/// ```
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    chunk: Bytes,
    decoder: Decoder,
    retry: Option<Duration>,
    request: Repeatable,
}

impl TestResponse {
    pub(super) fn new(response: Response<Body>, request: Repeatable) -> Self {
        let (head, body) = response.into_parts();
        let last = request
            .headers
            .get(LAST_EVENT_ID)
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default();
        Self {
            status: head.status,
            headers: head.headers,
            body,
            chunk: Bytes::new(),
            decoder: Decoder::new().resume_from(last),
            retry: None,
            request,
        }
    }

    /// The status.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// assert_eq!(client.get("/count").send().await.status(), 200);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let answer = client.get("/count").send().await;
    /// assert_eq!(answer.headers()["cache-control"], "no-cache, no-transform");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// One header as text. `None` if the header is missing or is not text.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let answer = client.get("/count").send().await;
    /// assert_eq!(answer.header("X-Accel-Buffering"), Some("no"));
    /// assert_eq!(answer.header("etag"), None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The last `retry` of the stream: how long a client waits before it reconnects.
    ///
    /// `None` until a `retry` has been read.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let mut stream = client.get("/count").send().await;
    /// assert_eq!(stream.retry(), None);
    /// stream.next_event().await;
    /// assert_eq!(stream.retry(), Some(Duration::from_secs(3)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The id of the last event that has been read. [`reconnect`](Self::reconnect) sends it.
    ///
    /// It is empty if no event had an id.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let mut stream = client.get("/count").send().await;
    /// assert_eq!(stream.last_event_id(), "");
    /// stream.next_event().await;
    /// assert_eq!(stream.last_event_id(), "0");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// The next event. `None` when the stream has ended.
    ///
    /// # Panics
    ///
    /// If the stream breaks off, for example because its generator panics. Use [`next`](Self::next) to test for that.
    ///
    /// # Cancel safety
    ///
    /// No event is lost if the future is dropped, for example by `tokio::time::timeout`.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let mut stream = client.get("/count").send().await;
    /// let mut all = Vec::new();
    /// while let Some(event) = stream.next_event().await {
    ///     all.push(event.data);
    /// }
    /// assert_eq!(all, ["0", "1", "2"]);
    /// # Ok(()) }
    /// ```
    pub async fn next_event(&mut self) -> Option<Message> {
        loop {
            match self.next().await? {
                Ok(Decoded::Event(event)) => return Some(event),
                Ok(_) => {}
                Err(error) => panic!("the stream broke off: {error}"),
            }
        }
    }

    /// The next event, comment (such as a keep-alive) or `retry` of the stream. `None` when the stream has ended.
    ///
    /// # Errors
    ///
    /// If the body breaks off, or exceeds the limits of the [`Decoder`].
    ///
    /// # Cancel safety
    ///
    /// No event is lost if the future is dropped.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// use bocadillo::wire::Decoded;
    ///
    /// let mut stream = client.get("/count").send().await;
    /// let first = stream.next().await.expect("something comes")?;
    /// assert_eq!(first, Decoded::Retry(Duration::from_secs(3)));
    /// # Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Option<Result<Decoded, axum_core::Error>> {
        loop {
            let mut unread = &*self.chunk;
            let decoded = self.decoder.decode(&mut unread);
            let read = self.chunk.len() - unread.len();
            self.chunk.advance(read);
            match decoded {
                Ok(Some(decoded)) => {
                    if let Decoded::Retry(delay) = &decoded {
                        self.retry = Some(*delay);
                    }
                    return Some(Ok(decoded));
                }
                Ok(None) => {}
                Err(error) => return Some(Err(axum_core::Error::new(error))),
            }
            match self.chunk().await? {
                Ok(chunk) => self.chunk = chunk,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next frame of the body, as the server would write it. `None` at the end.
    ///
    /// These bytes are not decoded. If [`next`](Self::next) has read a part of a frame, this does not return the rest of
    /// that frame.
    ///
    /// # Errors
    ///
    /// If the body breaks off.
    ///
    /// # Cancel safety
    ///
    /// No byte is lost if the future is dropped.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let mut stream = client.get("/count").last_event_id("1").send().await;
    /// assert_eq!(stream.chunk().await.expect("a frame")?, "retry: 3000\n");
    /// assert_eq!(stream.chunk().await.expect("a frame")?, "id: 2\ndata: 2\n\n");
    /// # Ok(()) }
    /// ```
    pub async fn chunk(&mut self) -> Option<Result<Bytes, axum_core::Error>> {
        loop {
            match self.body.frame().await?.map(Frame::into_data) {
                Ok(Ok(data)) => return Some(Ok(data)),
                Ok(Err(_trailers)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The rest of the body. It waits for the end of the body, so it never returns for an endless stream.
    ///
    /// # Errors
    ///
    /// If the body breaks off.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the client disconnects.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let answer = client.post("/shout").body("hey").send().await;
    /// assert_eq!(answer.bytes().await?, "HEY");
    /// # Ok(()) }
    /// ```
    pub async fn bytes(mut self) -> Result<Bytes, axum_core::Error> {
        let mut all = BytesMut::from(&*self.chunk);
        while let Some(chunk) = self.chunk().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.freeze())
    }

    /// The rest of the body as text.
    ///
    /// # Panics
    ///
    /// If the body breaks off or is not UTF-8.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the client disconnects.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// assert_eq!(client.post("/shout").body("hey").send().await.text().await, "HEY");
    /// # Ok(()) }
    /// ```
    pub async fn text(self) -> String {
        let bytes = self
            .bytes()
            .await
            .unwrap_or_else(|error| panic!("the body broke off: {error}"));
        String::from_utf8(bytes.into())
            .unwrap_or_else(|error| panic!("the body is not UTF-8: {error}"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If the body breaks off or is not JSON of this type.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the client disconnects.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// assert_eq!(client.post("/double").json(&4).send().await.json::<u32>().await, 8);
    /// # Ok(()) }
    /// ```
    pub async fn json<T: DeserializeOwned>(self) -> T {
        let text = self.text().await;
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("the body does not fit: {error}\n{text}"))
    }

    /// Disconnects the client. Dropping the response has the same effect.
    ///
    /// A clean-up of the stream runs on in its own task. A test has to wait for what it does.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let mut stream = client.get("/count").send().await;
    /// stream.next_event().await;
    /// stream.leave();
    /// # Ok(()) }
    /// ```
    pub fn leave(self) {}

    /// Disconnects, and sends the same request again with the id of the last event.
    ///
    /// An `EventSource` does the same (WHATWG HTML, section 9.2.3), but waits first. The old stream is dropped before the
    /// new request is sent.
    ///
    /// # Panics
    ///
    /// If the service returns an error and no response.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the client stays disconnected.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let mut stream = client.get("/count").send().await;
    /// assert_eq!(stream.next_event().await.expect("the first").data, "0");
    /// let mut stream = stream.reconnect().await;
    /// assert_eq!(stream.next_event().await.expect("the second").data, "1");
    /// # Ok(()) }
    /// ```
    pub async fn reconnect(self) -> Self {
        let Self {
            mut request,
            decoder,
            body,
            ..
        } = self;
        drop(body);
        match HeaderValue::from_str(decoder.last_event_id()) {
            Ok(id) if !id.is_empty() => drop(request.headers.insert(LAST_EVENT_ID, id)),
            _ => drop(request.headers.remove(LAST_EVENT_ID)),
        }
        Self::new(request.send().await, request)
    }
}

impl fmt::Debug for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestResponse")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
