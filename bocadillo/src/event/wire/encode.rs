//! The encoder: from an event to bytes. The grammar is in [`wire`](super).
//!
//! Where the grammar leaves a choice, it writes the form that all known clients read in the same way:
//!
//! - A line ends with LF. Each CRLF, CR or LF in data or in a comment ends one line.
//! - A colon and one space follow the name of a field. So a space at the start of the value is kept.
//! - The order is comment, retry, id, event, data.
//! - A block without data is never written, because several clients report an empty event for it. A name or an id gets an
//!   empty data line. If there is neither, there is no blank line.

use std::time::Duration;

use bytes::BytesMut;
use memchr::{memchr2, memchr2_iter};

use crate::event::ServerEvent;

/// A comment line that keeps an idle connection open. No blank line follows, because several clients report an empty event
/// for it.
///
/// # Examples
///
/// ```
/// use bocadillo::{ServerEvent, wire};
///
/// let mut out = bytes::BytesMut::new();
/// wire::encode(&ServerEvent::comment_only("keep-alive"), &mut out);
/// assert_eq!(out, wire::KEEP_ALIVE);
/// ```
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n";

/// Writes the bytes of an event at the end of `out`.
///
/// It allocates only in `out`. Another event can follow directly.
///
/// # Examples
///
/// ```
/// use bocadillo::{EventName, ServerEvent, wire};
///
/// let mut out = bytes::BytesMut::new();
/// wire::encode(&ServerEvent::new("tick").with_id(1), &mut out);
/// wire::encode(&ServerEvent::new("").with_name(EventName::from_static("bye")), &mut out);
///
/// assert_eq!(out, "id: 1\ndata: tick\n\nevent: bye\ndata: \n\n");
/// ```
pub fn encode(event: &ServerEvent, out: &mut BytesMut) {
    out.reserve(room(event));

    if let Some(comment) = &event.comment {
        lines(b": ", comment, out);
    }
    if let Some(retry) = event.retry {
        let millis = milliseconds(retry);
        line(
            b"retry: ",
            itoa::Buffer::new().format(millis).as_bytes(),
            out,
        );
    }
    if let Some(id) = &event.id {
        line(b"id: ", id.as_bytes(), out);
    }
    if let Some(name) = &event.name {
        line(b"event: ", name.as_str().as_bytes(), out);
    }
    if event.is_dispatched() {
        lines(b"data: ", event.data.as_deref().unwrap_or_default(), out);
        out.extend_from_slice(b"\n");
    }
}

/// Writes the bytes of an event that has only data.
pub(crate) fn encode_data(data: &str, out: &mut BytesMut) {
    out.reserve(data.len() + "data: \n\n".len());
    lines(b"data: ", data, out);
    out.extend_from_slice(b"\n");
}

/// The maximum length of the event, if its data and its comment have one line each.
fn room(event: &ServerEvent) -> usize {
    // The names of the fields, and the digits of the longest `retry`.
    const FIXED: usize = ": \nretry: 18446744073709551616000\nid: \nevent: \ndata: \n\n".len();

    FIXED
        + event.comment.as_deref().map_or(0, str::len)
        + event.id.as_ref().map_or(0, |id| id.as_bytes().len())
        + event.name.as_ref().map_or(0, |name| name.as_str().len())
        + event.data.as_deref().map_or(0, str::len)
}

/// Rounded up, so that a client does not reconnect too early.
fn milliseconds(retry: Duration) -> u128 {
    retry.as_millis() + u128::from(!retry.subsec_nanos().is_multiple_of(1_000_000))
}

#[inline]
fn lines(prefix: &[u8], text: &str, out: &mut BytesMut) {
    let text = text.as_bytes();
    match memchr2(b'\r', b'\n', text) {
        None => line(prefix, text, out),
        Some(end) => several_lines(prefix, text, end, out),
    }
}

fn several_lines(prefix: &[u8], mut rest: &[u8], mut end: usize, out: &mut BytesMut) {
    // A CRLF counts twice. This reserves more space than needed.
    let ends = memchr2_iter(b'\r', b'\n', rest).count();
    out.reserve(rest.len() + (ends + 1) * (prefix.len() + 1) + 1);
    loop {
        line(prefix, &rest[..end], out);
        let width = if rest[end..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        rest = &rest[end + width..];
        match memchr2(b'\r', b'\n', rest) {
            Some(next) => end = next,
            None => return line(prefix, rest, out),
        }
    }
}

#[inline]
fn line(prefix: &[u8], text: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(prefix);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\n");
}

#[cfg(test)]
mod tests;
