//! What Redis answers, read with care: other programs may write into the same keys.

use std::sync::Arc;

use redis::Value;

use super::super::encoded::Draft;
use super::super::position::Position;
use super::keys;
use super::stand::Stand;

/// One entry of a stream. `None` for the event where another program wrote it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) draft: Option<Draft>,
}

pub(super) fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::Nil => Some(Vec::new()),
        _ => None,
    }
}

/// So many of them, no more and no fewer.
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

/// `Err` with what Redis says where the key is no stream.
pub(super) fn stand(value: Value) -> Option<Result<Stand, String>> {
    let items = items(value)?;
    Some(match &items[..] {
        [] => Ok(Stand::Absent),
        [problem] => Err(text(problem)?.to_owned()),
        [last, first, is_trimmed, deleted, has] => Ok(Stand::Stream {
            last: position(last)?,
            first: position(first),
            is_trimmed: number(is_trimmed)? != 0,
            deleted: position(deleted)?,
            has: number(has)? != 0,
        }),
        _ => return None,
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
    let draft = draft(items(fields)?).inspect_err(|problem| {
        tracing::warn!(
            topic,
            ?position,
            "an entry of another program's is passed over: {problem}"
        )
    });
    Some(Entry {
        position,
        draft: draft.ok(),
    })
}

fn draft(fields: Vec<Value>) -> Result<Draft, &'static str> {
    let (mut event, mut key) = (None, None);
    for pair in fields.chunks_exact(2) {
        match text(&pair[0]) {
            Some("event") => event = Some(&pair[1]),
            Some("key") => key = Some(Arc::from(text(&pair[1]).ok_or("its key is not text")?)),
            _ => {}
        }
    }
    let Some(Value::BulkString(payload)) = event else {
        return Err("it has no field `event`");
    };
    Draft::from_payload(payload, key)
        .map_err(|_| "its field `event` is not one event as this program writes it")
}

/// The id of the last entry, whatever it holds.
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
    fn entries_of_others_have_no_event() {
        let ours = array([
            bulk("7-1"),
            array([
                bulk("event"),
                bulk("data: x\n\n"),
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
        ];
        let entries = entries("x", array([vec![ours], others.into()].concat())).unwrap();
        let read: Vec<_> = entries
            .iter()
            .map(|entry| (entry.position.minor, entry.draft.is_some()))
            .collect();
        assert_eq!(
            read,
            [
                (1, true),
                (2, false),
                (3, false),
                (4, false),
                (5, false),
                (6, false)
            ]
        );
        assert_eq!(entries[0].draft.as_ref().unwrap().key.as_deref(), Some("k"));
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
        assert!(stand(array([bulk("1-1"), bulk("")])).is_none());
        assert_eq!(
            stand(array([bulk("WRONGTYPE")])),
            Some(Err("WRONGTYPE".to_owned()))
        );
        assert_eq!(stand(Value::Nil), Some(Ok(Stand::Absent)));
    }
}
