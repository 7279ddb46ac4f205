//! Properties of all events, and of all ways to cut their bytes: our decoder, a plain implementation of the standard, and
//! two other parsers read what was written.
//!
//! The other parsers differ from the standard on bytes that we write:
//!
//! - `eventsource-stream` 0.2.3 gives an event the last `retry` before it. Elsewhere: it panics at
//!   a byte order mark, stops at bytes that are not UTF-8, takes `+5` for digits, and scans a line
//!   anew for each piece of it.
//! - `sse-stream` 0.3.0 gives a block's own fields: an id does not last, an empty name is a name,
//!   and the last `retry` before comes with the block. It also gives out blocks without data: that
//!   is why we write none.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, TryStreamExt, stream};
use proptest::prelude::*;

use super::decode::tests::decode_chunks;
use super::{Decoded, Decoder, Message, encode};
use crate::event::{EventId, EventName, ServerEvent};

/// Text with the characters that matter in the format.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "\n", "\r", "\r\n", "\n\n", ":", " ", "  ", "\t", "\0", "\u{feff}", "\u{2028}", "\u{85}", "é", "日本", "🦀",
            "data", "data:", "data: ", "event: x", "id: 1", "retry: 1", "a", "{\"a\":1}",
        ]).prop_map(String::from),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// One line of it.
fn line() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace(['\r', '\n'], ""))
}

fn name() -> impl Strategy<Value = EventName> {
    line().prop_map(|line| EventName::try_from(line).expect("one line is a name"))
}

fn id() -> impl Strategy<Value = EventId> {
    prop_oneof![
        line().prop_map(|line| EventId::try_from(line.replace('\0', ""))
            .expect("one line without NUL is an id")),
        any::<u64>().prop_map(EventId::from),
        any::<i64>().prop_map(EventId::from),
    ]
}

fn event() -> impl Strategy<Value = ServerEvent> {
    let retry = (0..1_u64 << 53, 0..1_000_000_u32).prop_map(|(millis, nanos)| {
        Duration::from_millis(millis) + Duration::from_nanos(nanos.into())
    });
    let option = prop::option::of::<BoxedStrategy<_>>;
    (
        option(text().boxed()),
        prop::option::of(retry),
        prop::option::of(id()),
        prop::option::of(name()),
        prop::option::of(text()),
    )
        .prop_map(|(comment, retry, id, name, data)| ServerEvent {
            comment: comment.map(Into::into),
            retry,
            id,
            name,
            data: data.map(Into::into),
        })
}

fn events() -> impl Strategy<Value = Vec<ServerEvent>> {
    prop::collection::vec(event(), 0..6)
}

/// Where to cut, as parts of the length.
fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..8)
}

fn encoded(events: &[ServerEvent]) -> Bytes {
    let mut out = BytesMut::new();
    for event in events {
        encode(event, &mut out);
    }
    out.freeze()
}

fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut start = 0;
    places
        .into_iter()
        .map(|end| &bytes[std::mem::replace(&mut start, end)..end])
        .collect()
}

fn with_lf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn whole_millis(retry: Duration) -> u64 {
    u64::try_from(retry.as_nanos().div_ceil(1_000_000)).expect("the strategy makes no longer one")
}

fn has_block(event: &ServerEvent) -> bool {
    event.data().is_some() || event.name().is_some() || event.id().is_some()
}

/// What a client sees of these events, by the standard.
fn normalise(events: &[ServerEvent]) -> Vec<Decoded> {
    let mut seen = Vec::new();
    let mut last_event_id = String::new();
    for event in events {
        if let Some(comment) = event.comment() {
            seen.extend(
                with_lf(comment)
                    .split('\n')
                    .map(|line| Decoded::Comment(line.to_owned())),
            );
        }
        if let Some(retry) = event.retry() {
            seen.push(Decoded::Retry(Duration::from_millis(whole_millis(retry))));
        }
        if let Some(id) = event.id() {
            last_event_id = id.to_string();
        }
        if has_block(event) {
            let name = event
                .name()
                .map(EventName::as_str)
                .filter(|name| !name.is_empty())
                .unwrap_or("message");
            let data = with_lf(event.data().unwrap_or_default());
            seen.push(Decoded::Event(Message {
                name: name.to_owned(),
                data,
                last_event_id: last_event_id.clone(),
            }));
        }
    }
    seen
}

/// The steps of the standard, over the whole stream.
fn read_plainly(bytes: &[u8]) -> Vec<Decoded> {
    let text = String::from_utf8_lossy(bytes);
    let text = with_lf(text.strip_prefix('\u{feff}').unwrap_or(&text));
    let mut lines: Vec<_> = text.split('\n').collect();
    lines.pop(); // has no end

    let mut seen = Vec::new();
    let (mut data, mut name, mut id) = (String::new(), String::new(), String::new());
    for line in lines {
        if line.is_empty() {
            if let Some(data) = data.strip_suffix('\n') {
                let name = if name.is_empty() { "message" } else { &name };
                seen.push(Decoded::Event(Message {
                    name: name.to_owned(),
                    data: data.to_owned(),
                    last_event_id: id.clone(),
                }));
            }
            data.clear();
            name.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => seen.push(Decoded::Comment(value.to_owned())),
            "data" => data += &format!("{value}\n"),
            "event" => name = value.to_owned(),
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                seen.push(Decoded::Retry(Duration::from_millis(
                    value.parse().unwrap_or(u64::MAX),
                )));
            }
            _ => {}
        }
    }
    seen
}

/// Bytes that resemble an event stream.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => text().prop_map(String::into_bytes),
        1 => prop::sample::select(vec![&b"\xff"[..], b"\xf0\x9f", b"\xef\xbb", b"\xbf", b"\xed\xa0\x80", b"\r", b"\n"])
            .prop_map(<[u8]>::to_vec),
        2 => event().prop_map(|event| encoded(&[event]).to_vec()),
    ];
    let start = prop::sample::select(vec![
        &b""[..],
        b"\xef\xbb\xbf",
        b"\xef\xbb",
        b"\xef\xbb\xbf\xef\xbb\xbf",
    ]);
    (start, prop::collection::vec(piece, 0..8))
        .prop_map(|(start, pieces)| [start, &pieces.concat()].concat())
}

fn stream_of(
    bytes: &[u8],
    cuts: &[prop::sample::Index],
) -> impl stream::Stream<Item = Result<Bytes, Infallible>> + use<> {
    let chunks: Vec<_> = cut(bytes, cuts)
        .into_iter()
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    stream::iter(chunks)
}

proptest! {
    #[test]
    fn our_decoder_reads_what_was_put_in(events in events(), cuts in cuts()) {
        let bytes = encoded(&events);
        let expected = normalise(&events);
        prop_assert_eq!(decode_chunks(&mut Decoder::new(), [&*bytes]).unwrap(), expected.clone());
        prop_assert_eq!(decode_chunks(&mut Decoder::new(), cut(&bytes, &cuts)).unwrap(), expected.clone());
        prop_assert_eq!(decode_chunks(&mut Decoder::new(), bytes.chunks(1)).unwrap(), expected);
    }

    #[test]
    fn an_event_ends_where_its_bytes_end(event in event()) {
        let mut decoder = Decoder::new();
        decode_chunks(&mut decoder, [&*encoded(&[event])]).unwrap();
        prop_assert!(!decoder.is_in_event());
    }

    #[test]
    fn any_bytes_read_as_the_standard_says(bytes in any_stream(), cuts in cuts()) {
        let expected = read_plainly(&bytes);
        prop_assert_eq!(decode_chunks(&mut Decoder::new(), [&*bytes]).unwrap(), expected.clone());
        prop_assert_eq!(decode_chunks(&mut Decoder::new(), cut(&bytes, &cuts)).unwrap(), expected.clone());
        prop_assert_eq!(decode_chunks(&mut Decoder::new(), bytes.chunks(1)).unwrap(), expected);
    }

    #[test]
    fn eventsource_stream_reads_what_was_put_in(events in events(), cuts in cuts()) {
        let mut retry = None;
        let mut expected = Vec::new();
        for decoded in normalise(&events) {
            match decoded {
                Decoded::Event(event) => expected.push(eventsource_stream::Event {
                    event: event.name,
                    data: event.data,
                    id: event.last_event_id,
                    retry: retry.take(),
                }),
                Decoded::Retry(time) => retry = Some(time),
                Decoded::Comment(_) => {}
            }
        }
        let parser = eventsource_stream::EventStream::new(stream_of(&encoded(&events), &cuts));
        let read = parser.try_collect::<Vec<_>>().now_or_never().expect("all chunks are there").unwrap();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn sse_stream_reads_what_was_put_in(events in events(), cuts in cuts()) {
        let mut retry = None;
        let mut expected = Vec::new();
        for event in &events {
            retry = event.retry().map(whole_millis).or(retry);
            if has_block(event) {
                expected.push(sse_stream::Sse {
                    event: event.name().map(ToString::to_string),
                    data: Some(with_lf(event.data().unwrap_or_default())),
                    id: event.id().map(ToString::to_string),
                    retry: retry.take(),
                });
            }
        }
        let parser = sse_stream::SseByteStream::new(stream_of(&encoded(&events), &cuts));
        let read = parser.try_collect::<Vec<_>>().now_or_never().expect("all chunks are there").unwrap();
        prop_assert_eq!(read, expected);
    }
}
