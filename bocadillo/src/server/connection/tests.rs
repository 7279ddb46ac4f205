//! What the tests of both protocols share.

use std::time::Duration;

use super::*;
use crate::stream::outgoing::{State, Stream};

/// A stream that has handed out one frame.
pub(super) struct Open {
    pub(super) write_timeout: Option<Duration>,
}

impl Stream for Open {
    fn poll_state(&self, _: &mut Context<'_>) -> State {
        State::HandedOut(1)
    }

    fn end(&self) {}

    fn write_timeout(&self) -> Option<Duration> {
        self.write_timeout
    }
}

pub(super) fn limits(end: Duration) -> Limits {
    Limits {
        timeouts: WriteTimeouts {
            end,
            ..WriteTimeouts::default()
        },
        drain: Arc::default(),
    }
}
