//! The layer of `Streams`: connects the streams of a service to them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::BoxError;
use crate::http::guarded_body::GuardedBody;
use crate::http::rules::ResponseRules;
use crate::http::stream_headers::StreamHeaders;
use crate::stream::Streams;
use crate::stream::body::Body;
use crate::stream::membership::{OuterStreams, StreamsSlot};

/// One request in the care of a `Streams`: what a layer and an app do before and after the handler.
#[derive(Debug)]
pub(crate) struct RequestScope {
    streams: Streams,
    rules: ResponseRules,
}

impl RequestScope {
    /// Finds the `Streams` of a request that has come to `own`, and announces it to the services inside.
    pub(crate) fn begin(own: &Streams, parts: &mut request::Parts) -> Self {
        let streams = own.for_request(&parts.extensions);
        parts.extensions.insert(OuterStreams(streams.clone()));
        let rules = ResponseRules::of(parts, streams.is_strict());
        Self { streams, rules }
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Completes any response of the handler.
    #[cfg(feature = "server")]
    pub(crate) fn finish(self, mut response: Response<Body>) -> Response<Body> {
        self.fill_slot(&mut response);
        self.rules.apply(response, &self.streams)
    }

    /// Completes the response if its body is a stream.
    pub(crate) fn finish_stream(self, mut response: Response<Body>) -> Response<Body> {
        self.fill_slot(&mut response);
        self.rules.apply_to_stream(response, &self.streams)
    }

    fn fill_slot(&self, response: &mut Response<Body>) {
        if let Some(slot) = response.extensions_mut().remove::<StreamsSlot>() {
            slot.fill(self.streams.clone());
        }
    }
}

/// A tower layer that connects the streams of a service to a [`Streams`]. Made by [`Streams::layer`].
///
/// # Examples
///
/// ```
/// use bocadillo::Streams;
///
/// let streams = Streams::new();
/// let layer: bocadillo::StreamsLayer = streams.layer();
/// ```
#[derive(Clone, Debug)]
pub struct StreamsLayer(Streams);

/// A service in a [`StreamsLayer`].
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use bocadillo::{EventStream, IntoResponse, Response, Streams, http::Request};
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let service = tower::service_fn(async |_: Request<()>| {
///     Ok::<Response, Infallible>(EventStream::new(futures_util::stream::iter(["one"])).into_response())
/// });
/// let service = Streams::new().layer().layer(service);
/// let response = service.oneshot(Request::new(())).await.expect("it always answers");
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StreamsService<S> {
    inner: S,
    streams: Streams,
}

impl Streams {
    /// A tower layer that connects the streams of a service to this value.
    ///
    /// It works for an axum `Router`, for an [`AppService`](crate::AppService) and for any other service over HTTP. It
    /// does for the streams of the service what an [`App`](crate::App) does: it gives them their default options, lets
    /// [`drain`](Self::drain) end them, and answers HEAD, HTTP/1.0 and, if [`strict_accept`](Self::strict_accept) asks
    /// for it, 406. It does not change any other response.
    ///
    /// Other layers may stand inside and outside of it. A layer inside that replaces the response, and keeps only its
    /// body, takes these rules of HTTP away, and leaves the options and the drain.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum::{Router, routing::get};
    /// use bocadillo::{EventStream, StreamOptions, Streams};
    ///
    /// async fn ticks() -> EventStream {
    ///     EventStream::new(futures_util::stream::iter(["tick", "tock"]))
    /// }
    ///
    /// let streams = Streams::new().defaults(StreamOptions::new().keep_alive(Duration::from_secs(20)));
    /// let app: Router = Router::new().route("/ticks", get(ticks)).layer(streams.layer());
    /// ```
    #[must_use]
    pub fn layer(&self) -> StreamsLayer {
        StreamsLayer(self.clone())
    }
}

impl<S> Layer<S> for StreamsLayer {
    type Service = StreamsService<S>;

    fn layer(&self, inner: S) -> StreamsService<S> {
        StreamsService {
            inner,
            streams: self.0.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for StreamsService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<axum_core::body::Body>;
    type Error = S::Error;
    type Future = StreamsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let scope = RequestScope::begin(&self.streams, &mut parts);
        let streams = scope.streams().clone();
        let request = Request::from_parts(parts, body);
        let token = streams.drain_state().requests.token();
        // A service may do its work in `call` itself.
        let answer = streams.clone().sync_scope(|| self.inner.call(request));
        StreamsFuture {
            answer: streams.scope(answer),
            request: Some((scope, token)),
        }
    }
}

pin_project! {
    /// The answer of a [`StreamsService`].
    #[derive(Debug)]
    pub struct StreamsFuture<F> {
        #[pin]
        answer: TaskLocalFuture<Streams, F>,
        request: Option<(RequestScope, TaskTrackerToken)>,
    }
}

impl<F, R, E> Future for StreamsFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Output = Result<Response<axum_core::body::Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.answer.poll(cx))?;
        let (scope, token) = this.request.take().expect("it is not polled after its end");
        let response = response.map(|body| Body::from(axum_core::body::Body::new(body)));
        let is_stream = StreamHeaders::are_of(&response);
        let response = scope.finish_stream(response).map(Body::into_axum);
        Poll::Ready(Ok(if is_stream || response.body().is_end_stream() {
            response
        } else {
            response.map(|body| {
                // A shutdown waits for the body of an ordinary response.
                axum_core::body::Body::new(GuardedBody::new(body, token))
            })
        }))
    }
}
