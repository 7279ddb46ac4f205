//! HTTP's rules for responses: HEAD, HTTP/1.0, `Accept`, and statuses without a body.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum_core::response::IntoResponse;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, request};
use http_body::{Body as HttpBody, Frame};

use crate::http::problem::Problem;
use crate::http::stream_headers::StreamHeaders;
use crate::stream::Streams;
use crate::stream::body::Body;

/// The parts of a request that its response depends on.
#[derive(Debug)]
pub(crate) struct ResponseRules {
    method: Method,
    version: Version,
    closes: bool,
    takes_event_stream: bool,
    /// Whether `Accept` decides if an event stream is sent.
    depends_on_accept: bool,
}

impl ResponseRules {
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

    /// Applies HTTP's rules to a response whose body is a stream. Leaves every other response as it is.
    pub(crate) fn apply_to_stream(
        &self,
        mut response: http::Response<Body>,
        streams: &Streams,
    ) -> http::Response<Body> {
        let Some(stream) = response.extensions_mut().remove::<StreamHeaders>() else {
            return response;
        };
        let response = self.set_stream_headers(response, stream, streams);
        let mut response = self.apply_to_body(response);
        if response.body().is_end_stream() {
            // A service around the layer would add the length of an empty body. GET has none, and neither has 204.
            *response.body_mut() = Body::from(axum_core::body::Body::new(NoLength));
        }
        response
    }

    /// Applies HTTP's rules to any response.
    #[cfg(feature = "server")]
    pub(crate) fn apply(
        &self,
        mut response: http::Response<Body>,
        streams: &Streams,
    ) -> http::Response<Body> {
        if let Some(stream) = response.extensions_mut().remove::<StreamHeaders>() {
            response = self.set_stream_headers(response, stream, streams);
        }
        self.apply_to_body(response)
    }

    fn apply_to_body(&self, mut response: http::Response<Body>) -> http::Response<Body> {
        let length = response.body().size_hint().exact();
        if self.version == Version::HTTP_10 && length.is_none() {
            // The end of the connection is then the end of the body (RFC 9112, section 6.3). For an HTTP/1.1 response
            // hyper would send `Connection: keep-alive` to a client that asks for it.
            *response.version_mut() = Version::HTTP_10;
        }
        let has_body = has_body(response.status());
        if self.method == Method::HEAD
            && has_body
            && let Some(length @ 1..) = length
        {
            // The length that GET has. An empty body gets no length: its handler may have handled HEAD itself.
            response
                .headers_mut()
                .entry(header::CONTENT_LENGTH)
                .or_insert(length.into());
        }
        if !has_body && response.status() != StatusCode::NOT_MODIFIED {
            // No body is sent (RFC 9110, section 8.6). With 304 it is the length that 200 would have.
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        if self.method == Method::HEAD || !has_body {
            // A stream starts when it is polled, so this one does not start.
            response = response.map(|_| Body::empty());
        }
        response
    }

    fn set_stream_headers(
        &self,
        mut response: http::Response<Body>,
        mut stream: StreamHeaders,
        streams: &Streams,
    ) -> http::Response<Body> {
        if stream.is_event_stream && !self.takes_event_stream {
            return Problem::new(StatusCode::NOT_ACCEPTABLE)
                .detail("this is an event stream: send `Accept: text/event-stream`, or no `Accept` at all")
                .header(header::VARY, HeaderValue::from_static("accept"))
                .into_response()
                .map(Body::from);
        }
        if stream.is_event_stream && self.depends_on_accept {
            // For caches (RFC 9110, section 12.5.5). It adds to a value of the handler.
            let accept = HeaderValue::from_static("accept");
            response.headers_mut().append(header::VARY, accept);
        }
        let has_body = has_body(response.status());
        let headers = response.headers_mut();
        stream.set_default_charset(streams.options().has_charset(), headers);
        stream.keep_added_values(headers);
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
            if streams.is_draining() && self.version <= Version::HTTP_11 {
                // The client comes back by itself. Its next connection then goes to another process.
                let close = HeaderValue::from_static("close");
                headers.insert(header::CONNECTION, close);
            } else if self.version == Version::HTTP_11 && !self.closes {
                headers
                    .entry(header::CONNECTION)
                    .or_insert(HeaderValue::from_static("keep-alive"));
            }
        }
        response
    }
}

/// A body of no bytes that does not tell its length.
struct NoLength;

impl HttpBody for NoLength {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

/// Whether this is the type of an event stream, with any parameters.
fn is_event_stream(content_type: &HeaderValue) -> bool {
    let value = content_type.to_str().unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

/// Whether responses with this status have a body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5). hyper enforces this
/// only in HTTP/1.
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

/// Whether `Accept` (RFC 9110, section 12.5.1) includes event streams. The most specific range that matches decides.
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
