//! Status and headers of a stream's response, and when there is none.

use std::any::Any;

use axum_core::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, request};
use http_body::Body as _;

use crate::body::{Body, StreamBody};
use crate::byte_stream::ByteStream;
use crate::problem::Problem;
use crate::stream::EventStream;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const INCREMENTAL: HeaderName = HeaderName::from_static("incremental");

/// Marks a response whose body is an event stream, wherever the handler has put it.
#[derive(Clone, Copy, Debug)]
struct IsEventStream;

impl IntoResponse for EventStream {
    /// 200 with the headers of an event stream (WHATWG HTML, section 9.2.5).
    fn into_response(self) -> Response {
        event_stream(self).map(Body::into_axum)
    }
}

fn event_stream(stream: EventStream) -> http::Response<Body> {
    let body = StreamBody::new(stream.feed);
    let adoption = body.adoption();
    let mut response = http::Response::new(Body::events(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    headers.insert(header::CACHE_CONTROL, NO_CACHE);
    // nginx, and those who took the header over from it, hold a response back until a buffer is full.
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    // The same for every other proxy (draft-ietf-httpbis-incremental).
    headers.insert(INCREMENTAL, HeaderValue::from_static("?1"));
    response.extensions_mut().insert(IsEventStream);
    adoption.and_then(|adoption| response.extensions_mut().insert(adoption));
    response
}

impl IntoResponse for ByteStream {
    /// 200 with the stream's content type.
    fn into_response(self) -> Response {
        let body = StreamBody::new(self.feed);
        let adoption = body.adoption();
        let mut response = Response::new(axum_core::body::Body::new(body));
        adoption.and_then(|adoption| response.extensions_mut().insert(adoption));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, self.content_type);
        response
            .headers_mut()
            .insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        response
    }
}

/// 204 No Content: tells an `EventSource` to stop reconnecting (WHATWG HTML, section 9.2.1).
///
/// # Examples
///
/// ```
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

/// Turns what a handler returned into a response, and keeps the type of an event stream's body where it can.
pub(crate) fn respond<T: IntoResponse + 'static>(value: T) -> http::Response<Body> {
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

fn take<T: 'static, U: 'static>(value: T) -> Result<U, T> {
    let mut value = Some(value);
    if let Some(found) = (&mut value as &mut dyn Any).downcast_mut::<Option<U>>() {
        return Ok(found.take().expect("it was put in above"));
    }
    Err(value.expect("nothing has taken it"))
}

/// What of a request decides about its response.
#[derive(Debug)]
pub(crate) struct Asked {
    method: Method,
    version: Version,
    closes: bool,
    takes_event_stream: bool,
}

impl Asked {
    pub(crate) fn of(parts: &request::Parts) -> Self {
        Self {
            method: parts.method.clone(),
            version: parts.version,
            closes: asks_to_close(&parts.headers),
            // With other methods a body may ask for the stream: official clients of the OpenAI API say `stream: true`
            // there, and `Accept: application/json`. A server may disregard the field (RFC 9110, section 12.5.1).
            takes_event_stream: !matches!(parts.method, Method::GET | Method::HEAD)
                || accepts_event_stream(&parts.headers),
        }
    }

    /// Applies to a handler's response what the handler cannot know or must not change.
    pub(crate) fn complete(&self, mut response: http::Response<Body>) -> http::Response<Body> {
        if response
            .extensions_mut()
            .remove::<IsEventStream>()
            .is_some()
        {
            response = self.complete_event_stream(response);
        }
        let length = response.body().size_hint().exact();
        if self.version == Version::HTTP_10 && length.is_none() {
            // The connection's end is then the body's (RFC 9112, section 6.3); of an HTTP/1.1 response hyper would tell
            // a client that asks for it that the connection is kept.
            *response.version_mut() = Version::HTTP_10;
        }
        if self.method == Method::HEAD
            && let Some(length @ 1..) = length
        {
            // What GET would have sent. No length is given for an empty body: its handler may know of HEAD.
            response
                .headers_mut()
                .entry(header::CONTENT_LENGTH)
                .or_insert(length.into());
        }
        if self.method == Method::HEAD || has_no_body(response.status()) {
            // A stream that is not polled has not started; dropping it here starts nothing either.
            response = response.map(|_| Body::empty());
        }
        response
    }

    fn complete_event_stream(&self, mut response: http::Response<Body>) -> http::Response<Body> {
        if !self.takes_event_stream {
            return Problem::new(StatusCode::NOT_ACCEPTABLE)
                .detail("this is an event stream: send `Accept: text/event-stream`, or no `Accept` at all")
                .into_response()
                .map(Body::from);
        }
        let has_body = !has_no_body(response.status());
        let headers = response.headers_mut();
        if has_body {
            headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
            if self.version == Version::HTTP_11 && !self.closes {
                headers
                    .entry(header::CONNECTION)
                    .or_insert(HeaderValue::from_static("keep-alive"));
            }
        } else {
            for of_a_stream in [header::CONTENT_TYPE, X_ACCEL_BUFFERING, INCREMENTAL] {
                headers.remove(of_a_stream);
            }
        }
        response
    }
}

/// RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5. hyper sees to it in HTTP/1 alone.
fn has_no_body(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    )
}

/// Whether this is a connection's last request (RFC 9112, section 9.6).
fn asks_to_close(headers: &HeaderMap) -> bool {
    list(headers, &header::CONNECTION).any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// The members of a header that is a list (RFC 9110, section 5.6.1).
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
}

/// Whether `Accept` (RFC 9110, section 12.5.1) lets an event stream through: the most specific range that fits
/// decides.
fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let mut best: Option<(u8, bool)> = None;
    let mut any = false;
    for range in list(headers, &header::ACCEPT) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        if media.is_empty() {
            continue;
        }
        any = true;
        let precision = match media.to_ascii_lowercase().as_str() {
            "text/event-stream" => 3,
            "text/*" => 2,
            "*/*" => 1,
            _ => continue,
        };
        let refused =
            parts
                .filter_map(|parameter| parameter.split_once('='))
                .any(|(name, value)| {
                    name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0)
                });
        if best.is_none_or(|(known, _)| known <= precision) {
            best = Some((precision, !refused));
        }
    }
    best.map_or(!any, |(_, accepted)| accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &[&str], expected: bool) {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().expect("a header value"));
        }
        assert_eq!(accepts_event_stream(&headers), expected, "{accept:?}");
    }

    #[test]
    fn an_accept_header_is_read_by_its_most_specific_range() {
        check(&[], true);
        check(&[""], true);
        check(&["text/event-stream"], true);
        check(&["Text/Event-Stream; charset=utf-8"], true);
        check(&["*/*"], true);
        check(&["text/*;q=0.1"], true);
        check(&["application/json"], false);
        check(&["application/json", "text/event-stream"], true);
        check(&["application/json, */*;q=0.1"], true);
        check(&["text/event-stream;q=0, */*"], false);
        check(&["*/*, text/event-stream; q=0.000"], false);
        check(&["*/*;q=0"], false);
    }
}
