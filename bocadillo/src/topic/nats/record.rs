//! Writes events as messages of the stream, and reads them. The docs of `Hub::nats` describe the format.

use std::sync::Arc;

use async_nats::header::{NATS_LAST_SEQUENCE, NATS_SEQUENCE};
use async_nats::{HeaderMap, HeaderName, Message};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::{Error, ErrorKind, Result};
use crate::topic::encoded::EventWithoutId;
use crate::topic::hash::fnv;
use crate::topic::position::Position;

const KEYS: &str = "Bocadillo-Keys";
/// The epoch for which a message was published.
const EPOCH: &str = "Bocadillo-Epoch";
/// A number that no other message has.
const NONCE: &str = "Bocadillo-Nonce";
/// The sequence of an earlier message of the topic, the newest that the publisher knew.
const BEFORE: &str = "Bocadillo-Before";

/// The number of different checks: four digits of base 62, so that ids stay short.
const CHECKS: u64 = 62_u64.pow(4);

/// The bytes that a token of a subject or a header may not have, and `%` and `,`, which have a meaning here.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'=')
    .remove(b'+')
    .remove(b'~');

/// The name of a topic as a token of a subject.
pub(super) fn token(topic: &str) -> String {
    utf8_percent_encode(topic, ESCAPED).to_string()
}

/// Writes all events into one message, so that JetStream stores all or none.
pub(super) fn write(events: &[EventWithoutId]) -> (HeaderMap, Bytes) {
    let payload: Vec<u8> = events
        .iter()
        .flat_map(|encoded| encoded.payload())
        .copied()
        .collect();
    let mut headers = HeaderMap::new();
    if events.iter().any(|encoded| encoded.key.is_some()) {
        let keys = events.iter().map(|encoded| match &encoded.key {
            None => String::new(),
            Some(key) => format!("={}", utf8_percent_encode(key, ESCAPED)),
        });
        headers.insert(KEYS, keys.collect::<Vec<_>>().join(","));
    }
    (headers, payload.into())
}

pub(super) fn write_nonce(headers: &mut HeaderMap, nonce: u64) {
    headers.insert(NONCE, format!("{nonce:x}"));
}

pub(super) fn write_before(headers: &mut HeaderMap, sequence: u64) {
    headers.insert(BEFORE, sequence.to_string());
}

/// The sequence in the header `Bocadillo-Before`.
pub(super) fn before(headers: Option<&HeaderMap>) -> Option<u64> {
    headers?.get(BEFORE)?.as_str().parse().ok()
}

/// A number that differs from that of another message with the same sequence, after the stream was restored. Never zero.
pub(super) fn check(headers: Option<&HeaderMap>, payload: &[u8]) -> u64 {
    let nonce = headers.and_then(|headers| headers.get(NONCE));
    let bytes = nonce.map_or(payload, |nonce| nonce.as_str().as_bytes());
    fnv(bytes.iter().copied()) % (CHECKS - 1) + 1
}

/// The positions of the events of a message.
pub(super) fn positions(
    sequence: u64,
    check: u64,
    events: usize,
) -> impl Iterator<Item = Position> {
    (0..events as u64)
        .map(move |index| Position::new(sequence, index.saturating_mul(CHECKS) + check))
}

/// The position of a message of another topic. `check` is zero if there is no message.
pub(super) fn message_position(sequence: u64, check: u64) -> Position {
    Position::new(sequence, check)
}

pub(super) fn check_of(position: Position) -> u64 {
    position.minor % CHECKS
}

/// The index of an event in its message, from zero.
pub(super) fn index_of(position: Position) -> u64 {
    position.minor / CHECKS
}

/// The sequence of a repeated message, and of the message before it in the same topic.
#[derive(Debug)]
pub(super) struct Repeated {
    pub(super) sequence: u64,
    /// Zero if there is none.
    pub(super) previous: u64,
}

/// `None` if the message is not from the stream.
pub(super) fn repeated(message: &Message) -> Option<Repeated> {
    let headers = message.headers.as_ref()?;
    let number = |name: HeaderName| headers.get(name)?.as_str().parse().ok();
    Some(Repeated {
        sequence: number(NATS_SEQUENCE)?,
        previous: number(NATS_LAST_SEQUENCE)?,
    })
}

pub(super) fn write_epoch(headers: &mut HeaderMap, epoch: u64) {
    headers.insert(EPOCH, format!("{epoch:016x}"));
}

/// Whether a message was published for this epoch, or without the header.
pub(super) fn is_of(headers: Option<&HeaderMap>, epoch: u64) -> bool {
    let meant = headers.and_then(|headers| headers.get(EPOCH));
    meant.is_none_or(|meant| u64::from_str_radix(meant.as_str(), 16) == Ok(epoch))
}

/// The events of a message, also of another program.
///
/// # Errors
///
/// When the message does not have the form that [`write`] writes.
pub(super) fn read(
    sequence: u64,
    headers: Option<&HeaderMap>,
    payload: &[u8],
) -> Result<Vec<(Position, EventWithoutId)>> {
    let foreign = || {
        Error::new(
            ErrorKind::Event,
            "the message is not a series of encoded events",
        )
    };
    let text = std::str::from_utf8(payload).map_err(|_| foreign())?;
    let keys = headers
        .and_then(|headers| headers.get(KEYS))
        .map(|keys| keys.as_str());
    let mut keys = keys.into_iter().flat_map(|keys| keys.split(','));
    // An event has no blank line inside.
    let events = text.split_inclusive("\n\n").map(|event| {
        let key = match keys.next().and_then(|key| key.strip_prefix('=')) {
            None => None,
            Some(key) => Some(Arc::from(
                percent_decode_str(key)
                    .decode_utf8()
                    .map_err(|_| foreign())?,
            )),
        };
        EventWithoutId::from_payload(event.as_bytes(), key)
    });
    let events: Vec<_> = events.collect::<Result<_>>()?;
    if events.is_empty() {
        return Err(foreign());
    }
    let check = check(headers, payload);
    Ok(positions(sequence, check, events.len())
        .zip(events)
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::ServerEvent;
    use crate::topic::SlowPolicy;

    proptest! {
        #[test]
        fn stored_events_read_back(events in prop::collection::vec((any::<String>(), prop::option::of(any::<String>())), 1..5), at in 1..u64::MAX) {
            let events: Vec<_> = events
                .iter()
                .map(|(data, key)| {
                    let mut encoded = EventWithoutId::new(&ServerEvent::new(data.clone()), &SlowPolicy::disconnect()).unwrap();
                    encoded.key = key.as_deref().map(Arc::from);
                    encoded
                })
                .collect();
            let (headers, payload) = write(&events);
            let back = read(at, Some(&headers), &payload).unwrap();
            prop_assert_eq!(back.len(), events.len());
            for ((position, back), encoded) in back.iter().zip(&events) {
                prop_assert_eq!(back.payload(), encoded.payload());
                prop_assert_eq!(&back.key, &encoded.key);
                prop_assert_eq!((position.major, check_of(*position)), (at, check(Some(&headers), &payload)));
            }
            prop_assert!(back.is_sorted_by(|(a, _), (b, _)| a < b));
            prop_assert!(headers.get(KEYS).is_none_or(|keys| keys.as_str().bytes().all(|byte| byte.is_ascii_graphic())));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(payload: Vec<u8>, keys: String, at: u64) {
            let mut headers = HeaderMap::new();
            if let Ok(keys) = keys.parse::<async_nats::HeaderValue>() {
                headers.insert(KEYS, keys);
            }
            let _ = read(at, Some(&headers), &payload);
        }

        #[test]
        fn a_topic_is_one_token(topic in "[^\\p{Cc}]{1,60}") {
            let token = token(&topic);
            prop_assert!(token.bytes().all(|byte| byte.is_ascii_graphic() && !b".*>".contains(&byte)));
            prop_assert_eq!(percent_decode_str(&token).decode_utf8().unwrap(), topic);
        }
    }

    #[test]
    fn a_check_has_millions_of_values_and_four_digits() {
        let mut headers = HeaderMap::new();
        let mut checks = std::collections::HashSet::new();
        for nonce in 0..1_000 {
            write_nonce(&mut headers, nonce);
            let check = check(Some(&headers), b"");
            assert!((1..62_u64.pow(4)).contains(&check), "{check}");
            checks.insert(check);
        }
        assert!(checks.len() > 995, "{} of 1,000 differ", checks.len());
        let last = positions(7, 62_u64.pow(4) - 1, 3).last().unwrap();
        assert_eq!((index_of(last), check_of(last)), (2, 62_u64.pow(4) - 1));
    }

    #[test]
    fn a_message_of_another_program_is_refused() {
        for payload in [
            "",
            "hello",
            "{\"a\":1}",
            "data: x\n\nrest",
            "data: x\n\n\n\n",
            "id: 7\ndata: x\n\n",
        ] {
            assert!(read(1, None, payload.as_bytes()).is_err(), "{payload:?}");
        }
        assert!(read(1, None, b"data: \xff\n\n").is_err());
        assert_eq!(read(1, None, b"data: x\n\ndata: y\n\n").unwrap().len(), 2);
    }
}
