//! The client and its requests. Not here: what a test reads of a response.

use std::fmt;

use axum_core::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use serde::Serialize;
use tower::{Service, ServiceExt};

use super::TestResponse;
use super::repeatable::{Answering, LAST_EVENT_ID, Repeatable};
#[cfg(feature = "server")]
use crate::app::App;
use crate::error::BoxError;
#[cfg(feature = "server")]
use crate::error::Result;

/// A client of one service.
///
/// It is cheap to clone. All clones send their requests to the same service, so its state stays between requests.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
#[doc = include_str!("example.in")]
/// let (one, two) = (client.clone(), client);
/// assert_eq!(one.get("/count").send().await.status(), 200);
/// assert_eq!(two.get("/elsewhere").send().await.status(), 404);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TestClient {
    service: Answering,
}

impl TestClient {
    /// Makes a client of an app.
    ///
    /// # Errors
    ///
    /// If the app's routes conflict.
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

    /// Makes a client of any tower service over HTTP, such as an `axum::Router`.
    ///
    /// Each request goes to a clone of the service. If the service returns an error and no response, [`TestRequest::send`]
    /// panics. An `axum::Router` and an app always return a response.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::convert::Infallible;
    /// use axum_core::extract::Request;
    /// use bocadillo::{EventStream, IntoResponse, testing::TestClient};
    ///
    /// let service = tower::service_fn(|_: Request| async {
    ///     let events = futures_util::stream::iter(["hello"]);
    ///     Ok::<_, Infallible>(EventStream::new(events).into_response())
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
            service: Answering::new(service),
        }
    }

    /// Prepares a `GET` request. `path` can have a query.
    ///
    /// # Panics
    ///
    /// If `path` is not a valid URI.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// assert_eq!(client.get("/count?from=3").send().await.status(), 200);
    /// # Ok(()) }
    /// ```
    pub fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    /// Prepares a `POST` request. `path` can have a query.
    ///
    /// # Panics
    ///
    /// If `path` is not a valid URI.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// assert_eq!(client.post("/shout").body("hey").send().await.text().await, "HEY");
    /// # Ok(()) }
    /// ```
    pub fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    /// Prepares a request. `path` can have a query.
    ///
    /// # Panics
    ///
    /// If `path` is not a valid URI.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
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
            .unwrap_or_else(|error| panic!("`{path}` cannot be the path of a request: {error}"));
        TestRequest {
            request: Repeatable {
                service: self.service.clone(),
                method,
                uri,
                headers: HeaderMap::new(),
                body: Bytes::new(),
            },
        }
    }
}

/// A request before it is sent.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
#[doc = include_str!("example.in")]
/// let request = client.post("/double").header("accept", "application/json").json(&21);
/// assert_eq!(request.send().await.json::<u32>().await, 42);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct TestRequest {
    request: Repeatable,
}

impl TestRequest {
    /// Adds a header. A second `Content-Type` replaces the first one.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid in a header.
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
            .unwrap_or_else(|error| panic!("`{name}` is not the name of a header: {error}"));
        let value = value
            .try_into()
            .unwrap_or_else(|error| panic!("not a valid value of `{name}`: {error}"));
        if name == header::CONTENT_TYPE {
            self.request.headers.insert(name, value);
        } else {
            self.request.headers.append(name, value);
        }
        self
    }

    /// Sets `Last-Event-ID`, as a client does that reconnects after the event with this id.
    ///
    /// # Panics
    ///
    /// If `id` is not valid in a header.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let mut stream = client.get("/count").last_event_id("1").send().await;
    /// assert_eq!(stream.next_event().await.expect("2 is missing yet").data, "2");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn last_event_id(mut self, id: &str) -> Self {
        let id = id
            .parse()
            .unwrap_or_else(|error| panic!("`{id}` cannot be sent as an id: {error}"));
        self.request.headers.insert(LAST_EVENT_ID, id);
        self
    }

    /// Sets the body. The default is an empty body.
    ///
    /// It sets no `Content-Type`.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// assert_eq!(client.post("/shout").body("hey").send().await.text().await, "HEY");
    /// # Ok(()) }
    /// ```
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.request.body = body.into();
        self
    }

    /// Sets a JSON body. Sets `Content-Type: application/json` too, unless the request has this header.
    ///
    /// # Panics
    ///
    /// If `value` cannot be serialized.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// assert_eq!(client.post("/double").json(&21).send().await.json::<u32>().await, 42);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn json(self, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value)
            .unwrap_or_else(|error| panic!("the body cannot be serialized: {error}"));
        let mut request = self.body(body);
        request
            .request
            .headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        request
    }

    /// Sends the request, and waits for the head of the response.
    ///
    /// It does not read the body. The function of a stream starts when its body is read.
    ///
    /// # Panics
    ///
    /// If the service returns an error and no response.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the service sees a client that disconnects before the response.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    #[doc = include_str!("example.in")]
    /// let answer = client.get("/count").send().await;
    /// assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    /// # Ok(()) }
    /// ```
    pub async fn send(self) -> TestResponse {
        let response = self.request.send().await;
        TestResponse::new(response, self.request)
    }
}
