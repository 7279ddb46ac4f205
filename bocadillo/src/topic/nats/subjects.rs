//! The subjects of a topic.

use std::sync::Arc;

use super::record;
use crate::error::Error;

#[derive(Clone, Debug)]
pub(super) struct Subjects {
    topic: Arc<str>,
    /// For publishing. The stream stores these messages.
    pub(super) events: String,
    /// Where the stream repeats the stored messages.
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

    /// Logs that a message of another program is skipped.
    pub(super) fn warn(&self, sequence: u64, error: &Error) {
        let why = error.chain();
        tracing::warn!(
            topic = &*self.topic,
            sequence,
            "a message of the stream is skipped: {why}"
        );
    }
}
