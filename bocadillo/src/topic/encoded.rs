//! Encoded events. An event is encoded once without its id. The id is added when the position is known.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::policy::SlowPolicy;
use super::position::{Position, Tag, write_one};
use crate::error::{Error, ErrorKind, Result};
use crate::event::wire;
use crate::event::{EventName, ServerEvent};

/// The bytes before an event that are reserved for the longest `id` line, so that adding the id copies nothing.
const ROOM: usize = 64;

/// An encoded event without a position and an id.
pub(crate) struct EventWithoutId {
    /// `ROOM` bytes, then the event without an id.
    buffer: BytesMut,
    /// The key of the event, if the topic conflates.
    pub(crate) key: Option<Arc<str>>,
}

impl EventWithoutId {
    pub(crate) fn new(event: &ServerEvent, policy: &SlowPolicy) -> Result<Self> {
        if let Some(id) = &event.id {
            return Err(Error::new(
                ErrorKind::Event,
                format!(
                    "the event has the id `{id}`, but the topic sets the ids of its events: put your id into the data"
                ),
            ));
        }
        if event.data.is_none() && event.name.is_none() {
            return Err(Error::new(
                ErrorKind::Event,
                "clients ignore an event without data and a name: set one of them",
            ));
        }
        let text = event.data.as_ref().map_or(0, |data| data.len());
        // Enough for most events, because growing copies the buffer.
        let mut buffer = BytesMut::with_capacity(ROOM + text + 128);
        buffer.resize(ROOM, 0);
        wire::encode(event, &mut buffer);
        Ok(Self {
            buffer,
            key: policy.key(event),
        })
    }

    /// Reads the bytes of [`payload`](Self::payload) that a broker has stored. Another program may have written them.
    ///
    /// # Errors
    ///
    /// When the bytes are not exactly one event without an id in the form of this crate. Other bytes could inject events into
    /// the streams of clients.
    #[cfg(any(test, feature = "nats", feature = "redis"))]
    pub(crate) fn from_payload(payload: &[u8], key: Option<Arc<str>>) -> Result<Self> {
        if !read(payload).is_some_and(|event| event.id.is_none() && event.data.is_some()) {
            return Err(Error::new(
                ErrorKind::Event,
                "the broker has stored bytes that are not one encoded event",
            ));
        }
        let mut buffer = BytesMut::with_capacity(ROOM + payload.len());
        buffer.resize(ROOM, 0);
        buffer.extend_from_slice(payload);
        Ok(Self { buffer, key })
    }

    /// The encoded event without its id. A broker stores it and `key`.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.buffer[ROOM..]
    }

    /// The maximum size of the encoded event with its id.
    pub(crate) fn size(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn with_id(mut self, tag: Tag, position: Position) -> Encoded {
        let mut id = Vec::with_capacity(ROOM);
        id.extend_from_slice(b"id: ");
        write_one(tag, position, &mut id);
        id.push(b'\n');
        let unused = ROOM - id.len();
        self.buffer[unused..ROOM].copy_from_slice(&id);
        self.buffer.advance(unused);
        let slack = self.buffer.capacity() - self.buffer.len();
        let wire = if slack > 192 + self.buffer.len() / 8 {
            // The event may stay for long, so the unused capacity is freed.
            Bytes::copy_from_slice(&self.buffer)
        } else {
            self.buffer.freeze()
        };
        Encoded {
            wire,
            position,
            id_line: id.len(),
            key: self.key,
        }
    }
}

impl fmt::Debug for EventWithoutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWithoutId")
            .field("payload", &self.payload().escape_ascii().to_string())
            .field("key", &self.key)
            .finish()
    }
}

/// An encoded event with its position and its id. All subscribers share its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) wire: Bytes,
    pub(crate) position: Position,
    pub(crate) key: Option<Arc<str>>,
    id_line: usize,
}

impl Encoded {
    /// The event without its id, because a stream of several topics has other ids.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.wire[self.id_line..]
    }

    /// Frees the bytes, because a newer event has the same key.
    pub(crate) fn supersede(&mut self) {
        self.wire = Bytes::new();
        self.key = None;
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.wire.is_empty()
    }
}

/// Reads one event from exactly the bytes that [`wire::encode`] writes, with or without an id. `None` for other bytes.
pub(crate) fn read(wire: &[u8]) -> Option<ServerEvent> {
    let text = std::str::from_utf8(wire).ok()?.strip_suffix("\n\n")?;
    let mut event = ServerEvent {
        comment: None,
        retry: None,
        id: None,
        name: None,
        data: None,
    };
    let (mut data, mut comment) = (None, None);
    for line in text.split('\n') {
        if line.contains('\r') {
            return None;
        }
        match line.split_once(": ")? {
            ("", text) => push_line(&mut comment, text),
            ("data", text) => push_line(&mut data, text),
            ("id", id) if event.id.is_none() => event.id = Some(id.try_into().ok()?),
            ("event", name) if event.name.is_none() => {
                event.name = Some(EventName::try_from(name).ok()?)
            }
            ("retry", retry)
                if event.retry.is_none() && retry.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                event.retry = Some(Duration::from_millis(retry.parse().ok()?));
            }
            _ => return None,
        }
    }
    event.comment = comment.map(Into::into);
    event.data = data.map(Into::into);
    Some(event)
}

fn push_line(lines: &mut Option<String>, line: &str) {
    match lines {
        None => *lines = Some(line.to_owned()),
        Some(lines) => {
            lines.push('\n');
            lines.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded_event(event: &ServerEvent) -> Encoded {
        EventWithoutId::new(event, &SlowPolicy::disconnect())
            .unwrap()
            .with_id(Tag::new(1, "x"), Position::new(u64::MAX, u64::MAX))
    }

    proptest! {
        #[test]
        fn an_encoded_event_reads_back(
            data in prop::collection::vec("[^\r\n]*", 1..4),
            name in prop::option::of("[^\r\n]*"),
            comment in prop::option::of("[^\r\n]*"),
            retry in prop::option::of(0..u64::MAX / 2),
        ) {
            let mut event = ServerEvent::new(data.join("\n"));
            event.name = name.map(|name| EventName::try_from(name).unwrap());
            event.comment = comment.map(Into::into);
            event.retry = retry.map(Duration::from_millis);
            let encoded = encoded_event(&event);
            prop_assert_eq!(read(encoded.payload()), Some(event.clone()));
            let stored = EventWithoutId::from_payload(encoded.payload(), None).unwrap();
            prop_assert_eq!(stored.payload(), encoded.payload());
            event.id = read(&encoded.wire).unwrap().id;
            prop_assert!(event.id.is_some());
            prop_assert_eq!(read(&encoded.wire), Some(event));
        }

        #[test]
        fn stored_bytes_are_refused_or_kept_unchanged(bytes: Vec<u8>) {
            if let Ok(encoded) = EventWithoutId::from_payload(&bytes, None) {
                prop_assert_eq!(encoded.payload(), &bytes);
            }
        }
    }

    #[test]
    fn bytes_of_a_broker_cannot_inject_events() {
        for bytes in [
            "",
            "\n\n",
            "data: x",
            "data: x\n",
            "data: x\n\ndata: y\n\n",
            "data: x\n\n\n",
            "data: x\r\n\n",
            "data:x\n\n",
            "id: 7\ndata: x\n\n",
            "retry: -1\ndata: x\n\n",
            "retry: 1\n\n",
            ": comment\n\n",
            "event: x\n\n",
            "other: x\ndata: x\n\n",
            "\u{feff}data: x\n\n",
        ] {
            assert!(
                EventWithoutId::from_payload(bytes.as_bytes(), None).is_err(),
                "{bytes:?}"
            );
        }
        assert!(EventWithoutId::from_payload(b"data: x\n\n", None).is_ok());
    }

    #[test]
    fn the_memory_of_an_event_is_about_its_size() {
        // Many of these exceed the first capacity of the buffer by a little.
        let sizes = (0..60).flat_map(|width| (1..100).map(move |lines| (width, lines)));
        for (width, lines) in sizes.chain([(0, 10_000), (20, 10_000)]) {
            let text = format!("{}\n", "x".repeat(width)).repeat(lines);
            let encoded = encoded_event(&ServerEvent::new(text));
            let size = encoded.wire.len();
            let room = encoded.wire.try_into_mut().unwrap().capacity();
            assert!(room <= size + 192 + size / 8, "{size} bytes take {room}");
        }
    }

    #[test]
    fn an_event_with_an_id_or_without_anything_to_dispatch_is_refused() {
        let policy = SlowPolicy::disconnect();
        assert!(
            EventWithoutId::new(&ServerEvent::new("x").with_id(7), &policy)
                .unwrap_err()
                .is_event()
        );
        assert!(
            EventWithoutId::new(&ServerEvent::comment_only("x"), &policy)
                .unwrap_err()
                .is_event()
        );
        assert!(
            EventWithoutId::new(&ServerEvent::retry_only(Duration::from_secs(1)), &policy)
                .unwrap_err()
                .is_event()
        );
    }
}
