//! The keys of a hub in Redis, and what is written into them.

use redis::ScriptInvocation;

use super::super::history::History;
use super::super::position::Position;

/// How long an event is kept though the history is full, so that every node has had the time to fetch it.
const GRACE: u64 = 10_000;

/// How many bytes of events are kept for that at most.
const SLACK: usize = 16 << 20;

/// The last id that Redis can give.
pub(super) const LAST: Position = Position::new(u64::MAX, u64::MAX);

#[derive(Debug)]
pub(super) struct Keys {
    topics: String,
    pub(super) epoch: String,
    /// The hash with the position of the last event of each topic.
    pub(super) places: String,
    /// This node's own, to wake its reader by.
    pub(super) wake: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, node: u64) -> Self {
        Self {
            topics: format!("{prefix}topic:"),
            epoch: format!("{prefix}epoch"),
            places: format!("{prefix}places"),
            wake: format!("{prefix}wake:{node}"),
        }
    }

    pub(super) fn topic(&self, name: &str) -> String {
        [&self.topics, name].concat()
    }

    /// The topic that a key is of.
    pub(super) fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.topics)
    }
}

/// How many topics the hub remembers the last position of. The hash takes about 100 bytes for each.
const PLACES: usize = 100_000;

/// For how many milliseconds a topic's key lives after its last event. `None`: it does not expire.
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

/// A history's limits as the scripts take them: events, bytes, milliseconds.
pub(super) fn limits(history: &History, call: &mut ScriptInvocation<'_>) {
    call.arg(history.max_events).arg(history.max_bytes);
    // Beyond what a script's numbers hold it is as good as none.
    match history.max_age.map(|age| age.as_millis()) {
        Some(age) if age < 1 << 52 => call.arg(age as u64),
        _ => call.arg(-1),
    };
}

/// How long what is published is kept, as the script takes it.
pub(super) fn retention(history: &History, call: &mut ScriptInvocation<'_>) {
    match lifetime(history) {
        Some(time) if time < 1 << 52 => call.arg(time),
        _ => call.arg(-1),
    };
    call.arg(GRACE).arg(SLACK).arg(PLACES);
}

/// An id as Redis writes it.
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
