//! The encoder: one event into bytes. The grammar stands in [`wire`](super).
//!
//! Of what the grammar leaves open it takes what every known client reads alike:
//!
//! - a line ends in LF, and a CRLF, CR or LF in data or a comment ends a line, each once;
//! - a colon and one space stand after the field's name, always, so that the value's own leading
//!   space survives;
//! - the order is comment, retry, id, event, data;
//! - a block without data is never written, because several clients dispatch an empty event at its
//!   blank line: a name or an id gets an empty data line, and where there is neither, no blank line
//!   follows.

use std::time::Duration;

use bytes::BytesMut;
use memchr::{memchr2, memchr2_iter};

use crate::event::ServerEvent;

/// A comment line that keeps an idle connection alive. No blank line is after it: at one, several
/// clients would dispatch an empty event.
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

/// Writes an event's bytes at the end of `out`.
///
/// It allocates nothing but room in `out`. What it writes is whole: it ends where another event may
/// begin.
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

/// Writes the bytes of an event that has data and nothing else.
pub(crate) fn encode_data(data: &str, out: &mut BytesMut) {
    out.reserve(data.len() + "data: \n\n".len());
    lines(b"data: ", data, out);
    out.extend_from_slice(b"\n");
}

/// How many bytes the event takes at most, if its data and its comment are one line each.
fn room(event: &ServerEvent) -> usize {
    // What stands around the values, and the digits of the longest `retry`.
    const FIXED: usize = ": \nretry: 18446744073709551616000\nid: \nevent: \ndata: \n\n".len();

    FIXED
        + event.comment.as_deref().map_or(0, str::len)
        + event.id.as_ref().map_or(0, |id| id.as_bytes().len())
        + event.name.as_ref().map_or(0, |name| name.as_str().len())
        + event.data.as_deref().map_or(0, str::len)
}

/// Rounded up, so that no client comes back earlier than it was asked to.
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
    // A CRLF counts twice, which is only more room.
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
