//! The encoder.

use bytes::{BufMut, BytesMut};

use crate::ServerEvent;

/// Writes an event's bytes at the end of `out`.
pub fn encode(event: &ServerEvent, out: &mut BytesMut) {
    if let Some(data) = &event.data {
        out.put_slice(b"data: ");
        out.put_slice(data.as_bytes());
        out.put_slice(b"\n\n");
    }
}
