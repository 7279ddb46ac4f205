//! Status and headers of a stream's response, and when there is none.

use std::any::Any;

use axum_core::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, request};
use http_body::Body as _;

use crate::http::problem::Problem;
use crate::stream::ByteStream;
use crate::stream::EventStream;
use crate::stream::body::{Body, StreamBody};
use crate::stream::streams::Streams;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const EVENT_STREAM_UTF_8: HeaderValue =
    HeaderValue::from_static("text/event-stream; charset=utf-8");
// A proxy that compresses collects a response until its buffer is full, unless it is told not to transform it
// (RFC 9111, section 5.2.2.6).
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("no-cache, no-transform");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO_BUFFERING: HeaderValue = HeaderValue::from_static("no");
const INCREMENTAL: HeaderName = HeaderName::from_static("incremental");
const IS_INCREMENTAL: HeaderValue = HeaderValue::from_static("?1");

/// Marks a response whose body is a stream, wherever the handler has put it. `headers` are the values that the stream
/// set by itself: any other value is the author's.
#[derive(Clone, Debug)]
struct StreamHeaders {
    is_event_stream: bool,
    headers: [Option<(HeaderName, HeaderValue)>; 4],
}

impl StreamHeaders {
    fn of_events(content_type: HeaderValue) -> Self {
        Self {
            is_event_stream: true,
            headers: [
                Some((header::CONTENT_TYPE, content_type)),
                Some((header::CACHE_CONTROL, CACHE_CONTROL)),
                // nginx, and other proxies that know this header, buffer a response unless it says `no`.
                Some((X_ACCEL_BUFFERING, NO_BUFFERING)),
                // The same for every other proxy (draft-ietf-httpbis-incremental).
                Some((INCREMENTAL, IS_INCREMENTAL)),
            ],
        }
    }

    fn of_bytes(content_type: HeaderValue) -> Self {
        Self {
            is_event_stream: false,
            headers: [
                Some((header::CONTENT_TYPE, content_type)),
                Some((X_ACCEL_BUFFERING, NO_BUFFERING)),
                None,
                None,
            ],
        }
    }

    fn content_type(&self) -> HeaderValue {
        let own = self.iter().find(|(name, _)| name == header::CONTENT_TYPE);
        own.map_or(EVENT_STREAM, |(_, value)| value.clone())
    }

    fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.headers.iter().flatten()
    }

    fn set_on<B>(self, response: &mut http::Response<B>) {
        for (name, value) in self.iter() {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
    }

    /// Where the author has added a value beside the stream's own, the author's alone stays.
    fn yield_to_the_authors(&self, headers: &mut HeaderMap) {
        for (name, own) in self.iter() {
            let mut values: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
            if values.len() < 2 {
                continue;
            }
            values.retain(|value| value != own);
            if name != header::CACHE_CONTROL {
                // The others have one value, so the last one counts.
                values.drain(..values.len().saturating_sub(1));
            }
            headers.remove(name);
            if values.is_empty() {
                values.push(own.clone());
            }
            for value in values {
                headers.append(name, value);
            }
        }
    }

    /// Removes what describes a body, unless the author set it.
    fn remove_from(&self, headers: &mut HeaderMap) {
        for (name, own) in self.iter() {
            if name != header::CACHE_CONTROL && headers.get(name) == Some(own) {
                headers.remove(name);
            }
        }
    }
}

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
    /// A value that the handler or a layer sets replaces the one above. There is one exception: a `Content-Type` of a
    /// handler stays only if it is `text/event-stream`, with any parameters, because an `EventSource` refuses every
    /// other type. If you set `Cache-Control`, keep `no-transform` in it. A `Content-Length` is removed.
    fn into_response(self) -> Response {
        event_stream(self).map(Body::into_axum)
    }
}

fn event_stream(stream: EventStream) -> http::Response<Body> {
    let charset = stream.feed.options.has_charset();
    let charset = charset.or_else(|| Streams::current()?.options().has_charset());
    let content_type = match charset {
        Some(true) => EVENT_STREAM_UTF_8,
        _ => EVENT_STREAM,
    };
    let body = StreamBody::new(stream.feed);
    let adoption = body.adoption();
    let mut response = http::Response::new(Body::events(body));
    StreamHeaders::of_events(content_type).set_on(&mut response);
    adoption.and_then(|adoption| response.extensions_mut().insert(adoption));
    response
}

impl IntoResponse for ByteStream {
    /// 200 with the stream's content type.
    fn into_response(self) -> Response {
        let body = StreamBody::new(self.feed);
        let adoption = body.adoption();
        let mut response = Response::new(axum_core::body::Body::new(body));
        StreamHeaders::of_bytes(self.content_type).set_on(&mut response);
        adoption.and_then(|adoption| response.extensions_mut().insert(adoption));
        response
    }
}

/// 204 No Content: tells an `EventSource` to stop reconnecting (WHATWG HTML, section 9.2.1).
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

/// What a route answers.
pub type StreamResponse = http::Response<Body>;

/// Turns what a handler returned into a response, and keeps the type of an event stream's body where it can.
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
    /// Whether `Accept` decides if an event stream is sent.
    depends_on_accept: bool,
}

impl Asked {
    /// `strict_accept` is [`Streams::strict_accept`](crate::Streams::strict_accept).
    pub(crate) fn of(parts: &request::Parts, strict_accept: bool) -> Self {
        // With other methods a body may ask for the stream: official clients of the OpenAI API say `stream: true`
        // there, and `Accept: application/json`. A server may disregard the field (RFC 9110, section 12.5.1).
        let depends_on_accept = strict_accept && matches!(parts.method, Method::GET | Method::HEAD);
        Self {
            method: parts.method.clone(),
            version: parts.version,
            closes: asks_to_close(&parts.headers),
            takes_event_stream: !depends_on_accept || accepts_event_stream(&parts.headers),
            depends_on_accept,
        }
    }

    /// Applies to a handler's response what the handler cannot know or must not change.
    pub(crate) fn complete(&self, mut response: http::Response<Body>) -> http::Response<Body> {
        if let Some(stream) = response.extensions_mut().remove::<StreamHeaders>() {
            response = self.complete_stream(response, &stream);
        }
        let length = response.body().size_hint().exact();
        if self.version == Version::HTTP_10 && length.is_none() {
            // The connection's end is then the body's (RFC 9112, section 6.3); of an HTTP/1.1 response hyper would tell
            // a client that asks for it that the connection is kept.
            *response.version_mut() = Version::HTTP_10;
        }
        let has_body = has_body(response.status());
        if self.method == Method::HEAD
            && has_body
            && let Some(length @ 1..) = length
        {
            // What GET would have sent. No length is given for an empty body: its handler may know of HEAD.
            response
                .headers_mut()
                .entry(header::CONTENT_LENGTH)
                .or_insert(length.into());
        }
        if !has_body && response.status() != StatusCode::NOT_MODIFIED {
            // Of a body that is not sent (RFC 9110, section 8.6). With 304 it is the length that 200 would have.
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        if self.method == Method::HEAD || !has_body {
            // A stream that is not polled has not started; dropping it here starts nothing either.
            response = response.map(|_| Body::empty());
        }
        response
    }

    fn complete_stream(
        &self,
        mut response: http::Response<Body>,
        stream: &StreamHeaders,
    ) -> http::Response<Body> {
        if stream.is_event_stream && !self.takes_event_stream {
            return Problem::new(StatusCode::NOT_ACCEPTABLE)
                .detail("this is an event stream: send `Accept: text/event-stream`, or no `Accept` at all")
                .header(header::VARY, HeaderValue::from_static("accept"))
                .into_response()
                .map(Body::from);
        }
        if stream.is_event_stream && self.depends_on_accept {
            // For caches (RFC 9110, section 12.5.5). A second line adds to the author's.
            let accept = HeaderValue::from_static("accept");
            response.headers_mut().append(header::VARY, accept);
        }
        let has_body = has_body(response.status());
        let headers = response.headers_mut();
        stream.yield_to_the_authors(headers);
        if !has_body {
            stream.remove_from(headers);
        } else if stream.is_event_stream {
            let authors = headers.get(header::CONTENT_TYPE);
            if !authors.is_some_and(is_event_stream) {
                // An `EventSource` refuses every other type.
                headers.insert(header::CONTENT_TYPE, stream.content_type());
            }
            // A length would cut the stream, or make the client wait for more.
            headers.remove(header::CONTENT_LENGTH);
            if self.version == Version::HTTP_11 && !self.closes {
                headers
                    .entry(header::CONNECTION)
                    .or_insert(HeaderValue::from_static("keep-alive"));
            }
        }
        response
    }
}

/// Whether this is the type of an event stream, with any parameters.
fn is_event_stream(content_type: &HeaderValue) -> bool {
    let value = content_type.to_str().unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

/// RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5. hyper sees to it in HTTP/1 alone.
fn has_body(status: StatusCode) -> bool {
    !matches!(
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
