//! The differences between a stream of events and a stream of bytes, as HTTP bodies.

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use crate::error::Error;
use crate::event::{ServerEvent, wire};
use crate::stream::options::StreamOptions;
use crate::stream::source::Payload;

/// The differences between a stream of events and a stream of bytes.
pub(crate) trait Framing: Payload {
    /// Whether it is a stream of events. It can contain comments and a `retry`, and it can end early, because its client
    /// reconnects and gets the rest. A client of bytes must not take a part for the whole.
    const EVENTS: bool;
    /// How a drain ends the stream.
    fn drained() -> End;
    /// How an error ends the stream. Adds what the client gets to `out`.
    fn failed(error: Error, options: &StreamOptions, out: &mut BytesMut) -> End;
}

impl Framing for ServerEvent {
    const EVENTS: bool = true;

    fn drained() -> End {
        End::InOrder
    }

    fn failed(error: Error, options: &StreamOptions, out: &mut BytesMut) -> End {
        if let Some(event) = options.shown(&error) {
            wire::encode(&event, out);
        }
        End::InOrder
    }
}

impl Framing for Bytes {
    const EVENTS: bool = false;

    fn drained() -> End {
        End::Broken(Error::draining())
    }

    fn failed(error: Error, _: &StreamOptions, _: &mut BytesMut) -> End {
        End::Broken(error)
    }
}

/// How a body ends.
pub(crate) enum End {
    /// The body is complete.
    InOrder,
    /// The connection is cut, so that the client does not take a part for the whole.
    Broken(Error),
}

impl End {
    pub(crate) fn into_frame(self) -> Option<Result<Frame<Bytes>, Error>> {
        match self {
            Self::InOrder => None,
            Self::Broken(error) => Some(Err(error)),
        }
    }
}
