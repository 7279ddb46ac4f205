//! The keys of a hub in Redis, and the limits of a history as its scripts take them.

use redis::ScriptInvocation;

use super::super::history::History;
use super::super::position::Position;

/// How long an event is kept beyond the history, in milliseconds, so that every node has time to read it.
const GRACE: u64 = 10_000;

/// The maximum number of bytes that are kept beyond the history.
const SLACK: usize = 16 << 20;

/// The highest possible id.
pub(super) const LAST: Position = Position::new(u64::MAX, u64::MAX);

#[derive(Debug)]
pub(super) struct Keys {
    topics: String,
    pub(super) epoch: String,
    /// The hash with the position of the last event of each topic.
    pub(super) positions: String,
    /// The stream that wakes the reader of this node.
    pub(super) wake: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, node: u64) -> Self {
        Self {
            topics: format!("{prefix}topic:"),
            epoch: format!("{prefix}epoch"),
            positions: format!("{prefix}positions"),
            wake: format!("{prefix}wake:{node}"),
        }
    }

    pub(super) fn topic(&self, name: &str) -> String {
        [&self.topics, name].concat()
    }

    /// The name of the topic with this key.
    pub(super) fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.topics)
    }
}

/// The maximum number of topics whose last position is stored. The hash needs about 100 bytes for each topic.
const POSITIONS: usize = 100_000;

/// After how many milliseconds without an event a topic's key expires. `None` if it does not expire.
fn lifetime(history: &History) -> Option<u64> {
    if history.max_events == 0 || history.max_bytes == 0 {
        return Some(GRACE);
    }
    let age = history.max_age?;
    Some(
        u64::try_from(age.as_millis())
            .unwrap_or(u64::MAX / 4)
            .clamp(GRACE, u64::MAX / 4),
    )
}

/// Adds the limits of a history to a call: events, bytes, milliseconds.
pub(super) fn limits(history: &History, call: &mut ScriptInvocation<'_>) {
    call.arg(history.max_events).arg(history.max_bytes);
    // The numbers of a script have 53 bits. A longer age is treated as none.
    match history.max_age.map(|age| age.as_millis()) {
        Some(age) if age < 1 << 52 => call.arg(age as u64),
        _ => call.arg(-1),
    };
}

/// Adds to a call how long events are kept.
pub(super) fn retention(history: &History, call: &mut ScriptInvocation<'_>) {
    match lifetime(history) {
        Some(time) if time < 1 << 52 => call.arg(time),
        _ => call.arg(-1),
    };
    call.arg(GRACE).arg(SLACK).arg(POSITIONS);
}

/// Writes an id of Redis.
pub(super) fn text(position: Position) -> String {
    format!("{}-{}", position.major, position.minor)
}

/// Reads an id of Redis.
pub(super) fn position(text: &str) -> Option<Position> {
    let (milliseconds, sequence) = text.split_once('-')?;
    Some(Position::new(
        milliseconds.parse().ok()?,
        sequence.parse().ok()?,
    ))
}
