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
/// It makes room once and allocates nothing else. What it writes is whole: it ends where another
/// event may begin.
///
/// # Examples
///
/// ```
/// use bocadillo::{EventName, ServerEvent, wire};
///
/// let mut out = bytes::BytesMut::new();
/// wire::encode(&ServerEvent::data("tick").id(1), &mut out);
/// wire::encode(&ServerEvent::data("").name(EventName::from_static("bye")), &mut out);
///
/// assert_eq!(out, "id: 1\ndata: tick\n\nevent: bye\ndata: \n\n");
/// ```
pub fn encode(event: &ServerEvent, out: &mut BytesMut) {
    let dispatched = event.data.is_some() || event.name.is_some() || event.id.is_some();
    let data = event.data.as_deref().unwrap_or_default();
    out.reserve(room(event, data));

    if let Some(comment) = &event.comment {
        lines(b": ", comment, out);
    }
    if let Some(retry) = event.retry {
        line(
            b"retry: ",
            itoa::Buffer::new().format(milliseconds(retry)).as_bytes(),
            out,
        );
    }
    if let Some(id) = &event.id {
        line(b"id: ", id.as_bytes(), out);
    }
    if let Some(name) = &event.name {
        line(b"event: ", name.as_str().as_bytes(), out);
    }
    if dispatched {
        lines(b"data: ", data, out);
        out.extend_from_slice(b"\n");
    }
}

/// How many bytes the event takes at most.
fn room(event: &ServerEvent, data: &str) -> usize {
    // The prefixes and ends of one line of each kind, the digits of the longest `retry`, and the
    // blank line.
    const FIXED: usize = 80;

    let comment = event.comment.as_deref().unwrap_or_default();
    FIXED
        + with_prefixes(": ".len(), comment)
        + event.id.as_ref().map_or(0, |id| id.as_bytes().len())
        + event.name.as_ref().map_or(0, |name| name.as_str().len())
        + with_prefixes("data: ".len(), data)
}

/// The text, and a prefix for each line after the first. A CRLF counts as two ends, which is only
/// more room.
fn with_prefixes(prefix: usize, text: &str) -> usize {
    text.len() + prefix * memchr2_iter(b'\r', b'\n', text.as_bytes()).count()
}

/// Rounded up, so that no client comes back earlier than it was asked to.
fn milliseconds(retry: Duration) -> u128 {
    retry.as_millis() + u128::from(!retry.subsec_nanos().is_multiple_of(1_000_000))
}

fn lines(prefix: &[u8], text: &str, out: &mut BytesMut) {
    let mut rest = text.as_bytes();
    while let Some(end) = memchr2(b'\r', b'\n', rest) {
        line(prefix, &rest[..end], out);
        let width = if rest[end..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        rest = &rest[end + width..];
    }
    line(prefix, rest, out);
}

fn line(prefix: &[u8], text: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(prefix);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\n");
}

#[cfg(test)]
mod tests;
