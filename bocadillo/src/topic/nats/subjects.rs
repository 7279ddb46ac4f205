//! A topic's subjects.

use std::sync::Arc;

use super::record;
use crate::error::Error;

#[derive(Clone, Debug)]
pub(super) struct Subjects {
    topic: Arc<str>,
    /// Where its events are published to, and kept.
    pub(super) events: String,
    /// Where the stream repeats them, once it has them, with their sequence.
    pub(super) live: String,
}

impl Subjects {
    pub(super) fn new(stream: &str, topic: &Arc<str>) -> Self {
        let token = record::token(topic);
        Self {
            topic: Arc::clone(topic),
            events: format!("{stream}.events.{token}"),
            live: format!("{stream}.live.{token}"),
        }
    }

    /// Another program's message is passed over.
    pub(super) fn warn(&self, sequence: u64, error: &Error) {
        let why = error.chain();
        tracing::warn!(
            topic = &*self.topic,
            sequence,
            "a message of the stream is passed over: {why}"
        );
    }
}
