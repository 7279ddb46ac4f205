//! The headers of a stream's response. A response extension marks such a response for the layer.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const EVENT_STREAM_UTF_8: HeaderValue =
    HeaderValue::from_static("text/event-stream; charset=utf-8");
// Without `no-transform` (RFC 9111, section 5.2.2.6), a proxy that compresses waits until its buffer is full.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("no-cache, no-transform");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO_BUFFERING: HeaderValue = HeaderValue::from_static("no");
const INCREMENTAL: HeaderName = HeaderName::from_static("incremental");
const IS_INCREMENTAL: HeaderValue = HeaderValue::from_static("?1");

/// Response extension: marks a response whose body is a stream. `headers` are the values that the stream set itself. Any
/// other value comes from the handler or from a layer.
#[derive(Clone, Debug)]
pub(crate) struct StreamHeaders {
    pub(crate) is_event_stream: bool,
    /// The stream's own option `charset`.
    charset: Option<bool>,
    headers: [Option<(HeaderName, HeaderValue)>; 4],
}

impl StreamHeaders {
    /// `charset` is the stream's own option. Where it is `None`, [`set_default_charset`](Self::set_default_charset) decides.
    pub(crate) fn of_events(charset: Option<bool>) -> Self {
        let content_type = match charset {
            Some(true) => EVENT_STREAM_UTF_8,
            _ => EVENT_STREAM,
        };
        Self {
            is_event_stream: true,
            charset,
            headers: [
                Some((header::CONTENT_TYPE, content_type)),
                Some((header::CACHE_CONTROL, CACHE_CONTROL)),
                // nginx, and other proxies that know this header, buffer a response unless it is `no`.
                Some((X_ACCEL_BUFFERING, NO_BUFFERING)),
                // The same for every other proxy (draft-ietf-httpbis-incremental).
                Some((INCREMENTAL, IS_INCREMENTAL)),
            ],
        }
    }

    pub(crate) fn of_bytes(content_type: HeaderValue) -> Self {
        Self {
            is_event_stream: false,
            charset: None,
            headers: [
                Some((header::CONTENT_TYPE, content_type)),
                Some((X_ACCEL_BUFFERING, NO_BUFFERING)),
                None,
                None,
            ],
        }
    }

    /// Applies the option `charset` of `Streams` to a stream that has no such option of its own.
    pub(crate) fn set_default_charset(&mut self, charset: Option<bool>, headers: &mut HeaderMap) {
        if !self.is_event_stream || self.charset.is_some() || charset != Some(true) {
            return;
        }
        self.charset = charset;
        self.headers[0] = Some((header::CONTENT_TYPE, EVENT_STREAM_UTF_8));
        // Another value comes from the handler or from a layer, and is kept.
        let values = headers.get_all(header::CONTENT_TYPE).iter().cloned();
        let values: Vec<HeaderValue> = values
            .map(|value| match value {
                known if known == EVENT_STREAM => EVENT_STREAM_UTF_8,
                other => other,
            })
            .collect();
        headers.remove(header::CONTENT_TYPE);
        for value in values {
            headers.append(header::CONTENT_TYPE, value);
        }
    }

    pub(crate) fn content_type(&self) -> HeaderValue {
        let own = self.iter().find(|(name, _)| name == header::CONTENT_TYPE);
        own.map_or(EVENT_STREAM, |(_, value)| value.clone())
    }

    fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.headers.iter().flatten()
    }

    /// Whether the body of `response` is a stream.
    pub(crate) fn are_of<B>(response: &http::Response<B>) -> bool {
        response.extensions().get::<Self>().is_some()
    }

    /// Sets the headers, and marks the response as a stream's.
    pub(crate) fn set_on<B>(self, response: &mut http::Response<B>) {
        for (name, value) in self.iter() {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
    }

    /// Removes a value of the stream's where the handler or a layer has added another value.
    pub(crate) fn keep_added_values(&self, headers: &mut HeaderMap) {
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

    /// Removes the headers that describe a body, unless the handler or a layer set them.
    pub(crate) fn remove_from(&self, headers: &mut HeaderMap) {
        for (name, own) in self.iter() {
            if name != header::CACHE_CONTROL && headers.get(name) == Some(own) {
                headers.remove(name);
            }
        }
    }
}
