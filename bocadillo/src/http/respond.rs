//! `IntoResponse` for streams, and the response of a `#[route]`.

#[cfg(feature = "server")]
use std::any::Any;

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;

#[cfg(feature = "server")]
use crate::http::problem::Problem;
use crate::http::stream_headers::StreamHeaders;
use crate::stream::body::Body;
use crate::stream::stream_body::StreamBody;
use crate::stream::{ByteStream, EventStream};

impl IntoResponse for EventStream {
    /// 200 with the headers of an event stream (WHATWG HTML, section 9.2.5):
    ///
    /// | header | value | why |
    /// |---|---|---|
    /// | `Content-Type` | `text/event-stream` | see [`charset`](crate::StreamOptions::charset) for a charset |
    /// | `Cache-Control` | `no-cache, no-transform` | a proxy that compresses would hold events back |
    /// | `X-Accel-Buffering` | `no` | nginx would hold events back |
    /// | `Incremental` | `?1` | the same for other proxies |
    ///
    /// A value that the handler or a layer sets replaces the value above. There is one exception: a `Content-Type` of the
    /// handler is kept only if it is `text/event-stream`, with any parameters, because an `EventSource` refuses every
    /// other type. If you set `Cache-Control`, include `no-transform`. A `Content-Length` is removed.
    ///
    /// These rules, and those for HEAD and HTTP/1.0, need an `App` or the layer of [`Streams`](crate::Streams).
    fn into_response(self) -> Response {
        event_stream(self).map(Body::into_axum)
    }
}

fn event_stream(stream: EventStream) -> http::Response<Body> {
    let headers = StreamHeaders::of_events(stream.source.options().has_charset());
    let body = StreamBody::new(stream.source);
    let slot = body.slot();
    let mut response = http::Response::new(Body::events(body));
    headers.set_on(&mut response);
    slot.and_then(|slot| response.extensions_mut().insert(slot));
    response
}

impl IntoResponse for ByteStream {
    /// 200 with the stream's content type.
    fn into_response(self) -> Response {
        let body = StreamBody::new(self.source);
        let slot = body.slot();
        let mut response = Response::new(axum_core::body::Body::new(body));
        StreamHeaders::of_bytes(self.content_type).set_on(&mut response);
        slot.and_then(|slot| response.extensions_mut().insert(slot));
        response
    }
}

/// 204 No Content. It makes an `EventSource` stop reconnecting (WHATWG HTML, section 9.2.1).
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{IntoResponse, Response, StopReconnecting, event_stream, generators, route};
///
/// generators!(
///     #[event_stream]
///     async fn progress(job: u64) {
///         yield format!("job {job} runs");
///     }
///
///     #[route("/jobs/{job}")]
///     async fn job_progress(job: u64) -> Response {
///         if job < 10 { StopReconnecting.into_response() } else { progress(job).into_response() }
///     }
/// );
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopReconnecting;

impl IntoResponse for StopReconnecting {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// The response of a route.
pub type StreamResponse = http::Response<Body>;

/// Converts the return value of a handler into a response. Keeps the type of an event stream's body if possible.
#[cfg(feature = "server")]
pub(crate) fn respond<T: IntoResponse + 'static>(value: T) -> StreamResponse {
    let value = match take::<T, EventStream>(value) {
        Ok(stream) => return event_stream(stream),
        Err(value) => value,
    };
    match take::<T, Result<EventStream, Problem>>(value) {
        Ok(Ok(stream)) => event_stream(stream),
        Ok(Err(problem)) => problem.into_response().map(Body::from),
        Err(value) => value.into_response().map(Body::from),
    }
}

#[cfg(feature = "server")]
fn take<T: 'static, U: 'static>(value: T) -> Result<U, T> {
    let mut value = Some(value);
    if let Some(found) = (&mut value as &mut dyn Any).downcast_mut::<Option<U>>() {
        return Ok(found.take().expect("it was put in above"));
    }
    Err(value.expect("nothing has taken it"))
}
