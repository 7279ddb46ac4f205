//! A client in memory, for tests of your own: no socket, no task, and an endless stream is read event by event.
//!
//! The client polls the app's service and its bodies itself, so it works under tokio's paused time: with
//! `#[tokio::test(start_paused = true)]` a keep-alive comment or a deadline comes without waiting.
//!
//! # Examples
//!
#![cfg_attr(feature = "server", doc = "```")]
#![cfg_attr(not(feature = "server"), doc = "```text")]
//! use bocadillo::{App, LastEventId, event_stream, generators, route, routes, server_event};
//! use bocadillo::testing::TestClient;
//!
//! generators!(
//!     #[route("/count")]
//!     #[event_stream]
//!     async fn count(LastEventId(last): LastEventId) {
//!         let seen = last.and_then(|id| id.as_str().parse().ok());
//!         for n in seen.map_or(0, |n: u64| n + 1).. {
//!             yield server_event!(id = n, data = n.to_string());
//!         }
//!     }
//! );
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
//! let client = TestClient::new(App::new().routes(routes![count]))?;
//! let mut stream = client.get("/count").send().await;
//! assert_eq!(stream.status(), 200);
//! assert_eq!(stream.next_event().await.expect("it is endless").data, "0");
//! assert_eq!(stream.next_event().await.expect("it is endless").data, "1");
//!
//! let mut again = stream.reconnect().await;
//! assert_eq!(again.next_event().await.expect("it is endless").data, "2");
//! # Ok(()) }
//! ```

use std::fmt;
use std::time::Duration;

use axum_core::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

#[cfg(feature = "server")]
use crate::app::App;
use crate::error::{BoxError, Result};
use crate::event::wire::{Decoded, Decoder, Message};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A client of one app.
///
/// It is cheap to clone, and clones ask the same app: its state lives on between requests.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
#[doc = include_str!("testing/example.in")]
/// let (one, two) = (client.clone(), client);
/// assert_eq!(one.get("/count").send().await.status(), 200);
/// assert_eq!(two.get("/elsewhere").send().await.status(), 404);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TestClient {
    service: BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>,
}

impl TestClient {
    /// A client of `app`.
    ///
    /// # Errors
    ///
    /// When the app's routes conflict.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// use bocadillo::{App, testing::TestClient};
    ///
    /// let client = TestClient::new(App::new())?;
    /// assert_eq!(client.get("/nowhere").send().await.status(), 404);
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "server")]
    pub fn new<S: Clone + Send + Sync + 'static>(app: App<S>) -> Result<Self> {
        app.into_service().map(Self::of)
    }

    /// A client of any tower service over HTTP, such as an `axum::Router`.
    ///
    /// Each request goes to a clone of the service.
    ///
    /// # Panics
    ///
    /// `send` panics when the service answers with an error and not with a response. The services of `axum` and of
    /// bocadillo never do.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::convert::Infallible;
    /// use axum_core::{body::Body, extract::Request, response::{IntoResponse, Response}};
    /// use bocadillo::{EventStream, ServerEvent, testing::TestClient};
    ///
    /// let service = tower::service_fn(async |_: Request| -> Result<Response, Infallible> {
    ///     let events = futures_util::stream::iter([ServerEvent::new("hello")]);
    ///     Ok(EventStream::new(events).into_response())
    /// });
    /// let mut stream = TestClient::of(service).get("/").send().await;
    /// assert_eq!(stream.next_event().await.expect("one").data, "hello");
    /// # }
    /// ```
    #[must_use]
    pub fn of<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let service = service
            .map_err(Into::into)
            .map_response(|response| response.map(Body::new));
        Self {
            service: BoxCloneSyncService::new(service),
        }
    }

    /// Begins a `GET` request.
    ///
    /// `path` may hold a query.
    ///
    /// # Panics
    ///
    /// When `path` is no URI.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// assert_eq!(client.get("/count?from=3").send().await.status(), 200);
    /// # Ok(()) }
    /// ```
    pub fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    /// Begins a `POST` request.
    ///
    /// `path` may hold a query.
    ///
    /// # Panics
    ///
    /// When `path` is no URI.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// assert_eq!(client.post("/shout").body("hey").send().await.text().await, "HEY");
    /// # Ok(()) }
    /// ```
    pub fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    /// Begins a request. `path` may hold a query.
    ///
    /// # Panics
    ///
    /// When `path` is no URI: it is the test's own mistake.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// use bocadillo::http::Method;
    ///
    /// let answer = client.request(Method::PUT, "/shout").body("hey").send().await;
    /// assert_eq!(answer.text().await, "HEY");
    /// let answer = client.request(Method::DELETE, "/shout").send().await;
    /// assert_eq!(answer.header("allow"), Some("GET, HEAD, POST, PUT"));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        let uri = path
            .parse()
            .unwrap_or_else(|error| panic!("`{path}` is not the path of a request: {error}"));
        let asked = Asked {
            method,
            uri,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        TestRequest {
            client: self.clone(),
            asked,
        }
    }

    async fn send(self, asked: Asked) -> TestResponse {
        let mut request = Request::new(Body::from(asked.body.clone()));
        *request.method_mut() = asked.method.clone();
        *request.uri_mut() = asked.uri.clone();
        *request.headers_mut() = asked.headers.clone();
        let response = match self.service.clone().oneshot(request).await {
            Ok(response) => response,
            Err(error) => panic!("the service failed: {}", crate::error::chain(&*error)),
        };
        let (head, body) = response.into_parts();
        let last = asked
            .headers
            .get(LAST_EVENT_ID)
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default();
        TestResponse {
            status: head.status,
            headers: head.headers,
            body,
            chunk: Bytes::new(),
            decoder: Decoder::new().resume_from(last),
            retry: None,
            client: self,
            asked,
        }
    }
}

/// What is sent, and sent again to reconnect.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    uri: http::Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// A request that is being put together.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
#[doc = include_str!("testing/example.in")]
/// let request = client.post("/double").header("accept", "application/json").json(&21);
/// assert_eq!(request.send().await.json::<u32>().await, 42);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct TestRequest {
    client: TestClient,
    asked: Asked,
}

impl TestRequest {
    /// Adds a header. A second `Content-Type` replaces the first one.
    ///
    /// # Panics
    ///
    /// When the name or the value cannot be that of a header: it is the test's own mistake.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    /// # use bocadillo::{App, testing::TestClient};
    /// # let client = TestClient::new(App::new()).expect("no routes, no conflict");
    /// let request = client.get("/feed").header("accept", "text/event-stream");
    /// ```
    #[track_caller]
    pub fn header<V>(mut self, name: &str, value: V) -> Self
    where
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        let name: HeaderName = name
            .parse()
            .unwrap_or_else(|error| panic!("`{name}` is not a header's name: {error}"));
        let value = value
            .try_into()
            .unwrap_or_else(|error| panic!("not a value for `{name}`: {error}"));
        if name == header::CONTENT_TYPE {
            self.asked.headers.insert(name, value);
        } else {
            self.asked.headers.append(name, value);
        }
        self
    }

    /// Comes back after the event with this id.
    ///
    /// # Panics
    ///
    /// When `id` cannot be a header's value.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// let mut stream = client.get("/count").last_event_id("1").send().await;
    /// assert_eq!(stream.next_event().await.expect("2 is missing yet").data, "2");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn last_event_id(mut self, id: &str) -> Self {
        let id = id
            .parse()
            .unwrap_or_else(|error| panic!("`{id}` cannot be sent as an id: {error}"));
        self.asked.headers.insert(LAST_EVENT_ID, id);
        self
    }

    /// Sets the body.
    ///
    /// Without it the body is empty. No `Content-Type` comes with it.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// assert_eq!(client.post("/shout").body("hey").send().await.text().await, "HEY");
    /// # Ok(()) }
    /// ```
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.asked.body = body.into();
        self
    }

    /// Sets a JSON body, and the content type `application/json` unless the request has one.
    ///
    /// # Panics
    ///
    /// When `value` does not serialise.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// assert_eq!(client.post("/double").json(&21).send().await.json::<u32>().await, 42);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn json(self, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value)
            .unwrap_or_else(|error| panic!("the body does not serialise: {error}"));
        let mut request = self.body(body);
        request
            .asked
            .headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        request
    }

    /// Sends the request, and waits for the head of the response.
    ///
    /// A stream is not read yet: its function does not start before it is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the client's leaving before the answer.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// let answer = client.get("/count").send().await;
    /// assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    /// # Ok(()) }
    /// ```
    pub async fn send(self) -> TestResponse {
        self.client.send(self.asked).await
    }
}

/// A response, of which the body is still to come. Dropping it is the client's leaving.
///
/// Nothing is read ahead: what is not asked for is not polled.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
#[doc = include_str!("testing/example.in")]
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
    client: TestClient,
    asked: Asked,
}

impl TestResponse {
    /// The status.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
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
    #[doc = include_str!("testing/example.in")]
    /// let answer = client.get("/count").send().await;
    /// assert_eq!(answer.headers()["cache-control"], "no-cache, no-transform");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// One header as text, if it is there.
    ///
    /// `None` for one that is not text, too.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// let answer = client.get("/count").send().await;
    /// assert_eq!(answer.header("X-Accel-Buffering"), Some("no"));
    /// assert_eq!(answer.header("etag"), None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The time that the stream last told its client to wait until a reconnect.
    ///
    /// `None` until it has said so; it counts once it has been read.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
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

    /// The id that the client would send if it reconnected now.
    ///
    /// Empty when there is none.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
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

    /// The next event; `None` when the stream has ended in order.
    ///
    /// # Panics
    ///
    /// When the stream breaks off, as it does when its generator panics; use [`next`](Self::next) to test for that.
    ///
    /// # Cancel safety
    ///
    /// No event is lost when the future is dropped, by a `tokio::time::timeout` for example.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
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
            match self.next().await {
                Some(Ok(Decoded::Event(event))) => return Some(event),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("the stream broke off: {error}"),
                None => return None,
            }
        }
    }

    /// What comes next in the stream: an event, a comment such as a keep-alive, or a `retry`.
    ///
    /// # Errors
    ///
    /// When the body breaks off, or is no event stream within the decoder's limits.
    ///
    /// # Cancel safety
    ///
    /// As [`next_event`](Self::next_event).
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
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

    /// The next bytes of the body as the server would write them: one frame. `None` at the end.
    ///
    /// # Errors
    ///
    /// When the body breaks off.
    ///
    /// These bytes do not go through the decoder: after [`next`](Self::next) has read a part of a frame, the rest of that
    /// frame is not among them.
    ///
    /// # Cancel safety
    ///
    /// No byte is lost when the future is dropped.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// let mut stream = client.get("/count").last_event_id("1").send().await;
    /// assert_eq!(stream.chunk().await.expect("a frame")?, "retry: 3000\n");
    /// assert_eq!(stream.chunk().await.expect("a frame")?, "id: 2\ndata: 2\n\n");
    /// # Ok(()) }
    /// ```
    pub async fn chunk(&mut self) -> Option<Result<Bytes, axum_core::Error>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The rest of the body, to its end.
    ///
    /// # Errors
    ///
    /// When the body breaks off.
    ///
    /// An endless stream never gets there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the client's leaving.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
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
    /// When the body breaks off or is not UTF-8.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the client's leaving.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
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
    /// When the body breaks off or is not JSON of this type.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the client's leaving.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// assert_eq!(client.post("/double").json(&4).send().await.json::<u32>().await, 8);
    /// # Ok(()) }
    /// ```
    pub async fn json<T: DeserializeOwned>(self) -> T {
        let text = self.text().await;
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("the body does not fit: {error}\n{text}"))
    }

    /// Leaves, as a client does that closes its connection.
    ///
    /// The same as to drop it, said aloud. A clean-up goes on by itself: wait for what it does.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// let mut stream = client.get("/count").send().await;
    /// stream.next_event().await;
    /// stream.leave();
    /// # Ok(()) }
    /// ```
    pub fn leave(self) {}

    /// Leaves, and comes back with the same request and the id of the last event seen.
    ///
    /// The old stream is over before the new request is sent. It is what an `EventSource` does by itself (WHATWG HTML,
    /// section 9.2.3), but for the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the client's leaving, for good.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("testing/example.in")]
    /// let mut stream = client.get("/count").send().await;
    /// assert_eq!(stream.next_event().await.expect("the first").data, "0");
    /// let mut stream = stream.reconnect().await;
    /// assert_eq!(stream.next_event().await.expect("the second").data, "1");
    /// # Ok(()) }
    /// ```
    pub async fn reconnect(self) -> Self {
        let Self {
            mut asked,
            client,
            decoder,
            body,
            ..
        } = self;
        drop(body);
        match HeaderValue::from_str(decoder.last_event_id()) {
            Ok(id) if !id.is_empty() => drop(asked.headers.insert(LAST_EVENT_ID, id)),
            _ => drop(asked.headers.remove(LAST_EVENT_ID)),
        }
        client.send(asked).await
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
