//! Parses the answers of Redis. Other programs may write into the same keys, so nothing is taken for granted.

use std::sync::Arc;

use redis::Value;

use super::super::encoded::EventWithoutId;
use super::super::position::Position;
use super::keys;

/// One entry of a stream.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) position: Position,
    /// `None` if another program wrote the entry.
    pub(super) event: Option<Event>,
}

#[derive(Debug)]
pub(super) struct Event {
    /// The position of the event before it.
    pub(super) before: Position,
    pub(super) encoded: EventWithoutId,
}

pub(super) fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::Nil => Some(Vec::new()),
        _ => None,
    }
}

/// An array of exactly this length.
pub(super) fn exactly<const N: usize>(value: Value) -> Option<[Value; N]> {
    items(value)?.try_into().ok()
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        other => text(other)?.parse().ok(),
    }
}

pub(super) fn position(value: &Value) -> Option<Position> {
    keys::position(text(value)?)
}

/// The status of a topic in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TopicStatus {
    /// The last event that was published. It may have been removed.
    pub(super) last: Position,
    /// Whether there are entries after the one that this node read last.
    pub(super) has_later: bool,
    /// The event before the first of them.
    pub(super) before_later: Option<Position>,
}

/// The error is the text of Redis if the key is not a stream.
pub(super) fn status(value: Value) -> Option<Result<TopicStatus, String>> {
    let items = items(value)?;
    Some(match &items[..] {
        [problem] => Err(text(problem)?.to_owned()),
        [last, has_later, before_later] => Ok(TopicStatus {
            last: position(last)?,
            has_later: number(has_later)? != 0,
            before_later: position(before_later),
        }),
        _ => return None,
    })
}

/// A page of entries of a topic.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) epoch: u64,
    /// The last event that was published. It may have been removed.
    pub(super) last: Position,
    /// Whether there are no later entries.
    pub(super) is_end: bool,
    pub(super) entries: Vec<Entry>,
}

pub(super) fn page(topic: &str, value: Value) -> Option<Page> {
    let [epoch, last, is_end, entries] = exactly(value)?;
    Some(Page {
        epoch: number(&epoch)?,
        last: position(&last)?,
        is_end: number(&is_end)? != 0,
        entries: self::entries(topic, entries)?,
    })
}

/// The entries of one topic.
pub(super) fn entries(topic: &str, value: Value) -> Option<Vec<Entry>> {
    items(value)?
        .into_iter()
        .map(|value| entry(topic, value))
        .collect()
}

fn entry(topic: &str, value: Value) -> Option<Entry> {
    let [id, fields] = exactly(value)?;
    let position = position(&id)?;
    let event = event(items(fields)?).inspect_err(|problem| {
        tracing::warn!(
            topic,
            ?position,
            "an entry of another program is skipped: {problem}"
        )
    });
    Some(Entry {
        position,
        event: event.ok(),
    })
}

fn event(fields: Vec<Value>) -> Result<Event, &'static str> {
    let (mut event, mut before, mut key) = (None, None, None);
    for pair in fields.chunks_exact(2) {
        match text(&pair[0]) {
            Some("event") => event = Some(&pair[1]),
            Some("prev") => before = position(&pair[1]),
            Some("key") => key = Some(Arc::from(text(&pair[1]).ok_or("its key is not text")?)),
            _ => {}
        }
    }
    let Some(Value::BulkString(payload)) = event else {
        return Err("it has no field `event`");
    };
    let encoded = EventWithoutId::from_payload(payload, key)
        .map_err(|_| "its field `event` is not one event as this program writes it")?;
    let before = before.ok_or("its field `prev` is not a position")?;
    Ok(Event { before, encoded })
}

/// The number of entries, and about how many bytes they have.
pub(super) fn size(entries: &Value) -> (usize, usize) {
    fn bytes(value: &Value) -> usize {
        match value {
            Value::BulkString(bytes) => bytes.len() + 16,
            Value::Array(items) => items.iter().map(bytes).sum(),
            _ => 16,
        }
    }
    match entries {
        Value::Array(items) => (items.len(), bytes(entries)),
        _ => (0, 0),
    }
}

/// The id of the last entry.
pub(super) fn last(entries: Value) -> Option<Position> {
    let [id, _] = exactly(items(entries)?.pop()?)?;
    position(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn array(items: impl Into<Vec<Value>>) -> Value {
        Value::Array(items.into())
    }

    #[test]
    fn entries_of_other_programs_have_no_event() {
        let ours = array([
            bulk("7-1"),
            array([
                bulk("event"),
                bulk("data: x\n\n"),
                bulk("prev"),
                bulk("6-1"),
                bulk("key"),
                bulk("k"),
                bulk("new"),
                bulk("y"),
            ]),
        ]);
        let others = [
            array([bulk("7-2"), array([bulk("event"), bulk("not an event")])]),
            array([bulk("7-3"), array([bulk("temperature"), bulk("20")])]),
            array([
                bulk("7-4"),
                array([bulk("event"), bulk("id: 1\ndata: x\n\n")]),
            ]),
            array([
                bulk("7-5"),
                array([
                    bulk("event"),
                    bulk("data: x\n\n"),
                    bulk("key"),
                    Value::BulkString(vec![0xff]),
                ]),
            ]),
            array([bulk("7-6"), array([])]),
            array([
                bulk("7-7"),
                array([bulk("event"), bulk("data: x\n\n"), bulk("prev"), bulk("7")]),
            ]),
            array([bulk("7-8"), array([bulk("event"), bulk("data: x\n\n")])]),
        ];
        let entries = entries("x", array([vec![ours], others.into()].concat())).unwrap();
        let read: Vec<_> = entries
            .iter()
            .map(|entry| (entry.position.minor, entry.event.is_some()))
            .collect();
        assert_eq!(
            read,
            [
                (1, true),
                (2, false),
                (3, false),
                (4, false),
                (5, false),
                (6, false),
                (7, false),
                (8, false)
            ]
        );
        let ours = entries[0].event.as_ref().unwrap();
        assert_eq!(ours.encoded.key.as_deref(), Some("k"));
        assert_eq!(ours.before, Position::new(6, 1));
    }

    #[test]
    fn an_answer_of_another_shape_is_none() {
        for value in [
            Value::Okay,
            Value::Int(7),
            bulk("x"),
            array([bulk("x")]),
            array([array([bulk("7"), array([])])]),
        ] {
            assert!(entries("x", value.clone()).is_none(), "{value:?}");
            assert!(last(value).is_none());
        }
        assert!(status(array([bulk("1-1"), bulk("")])).is_none());
        assert_eq!(
            status(array([bulk("WRONGTYPE")])),
            Some(Err("WRONGTYPE".to_owned()))
        );
        assert!(status(Value::Nil).is_none());
    }
}
