//! The position of an event in its topic, and the text of ids. Ids are written and read only here.
//!
//! ```text
//! one topic       TAG "-" sequence [ "-" minor ]              Kq03xZ1a-1042
//! several         TAG 1*( "." ( position [ "-" minor ] / "-" ) )        9bTz00Qe.gO.-.1aZ-2
//! ```
//!
//! A hyphen instead of a position means that the position in this topic is not known.
//!
//! The tag has eight letters and digits. It is made of the topic's name and the broker's epoch, so that ids of another topic or
//! another epoch are recognised. A single position is decimal; several positions are in base 62. An id has only
//! letters, digits, `-` and `.`, so a browser sends it without a CORS preflight.

use super::hash::fnv;
use crate::event::EventId;

/// The maximum number of topics in one stream, so that ids are shorter than 128 bytes.
pub(crate) const MAX_TOPICS: usize = 8;

/// The maximum length of an id. Longer text is not read.
const MAX_TEXT: usize = 255;

const TAG: usize = 8;
const TAGS: u64 = 62_u64.pow(TAG as u32);

/// The position of an event in its topic: a number, or the two numbers of an id of Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) major: u64,
    pub(crate) minor: u64,
}

impl Position {
    pub(crate) const fn new(major: u64, minor: u64) -> Self {
        Self { major, minor }
    }
}

/// Identifies a topic in an epoch, as the first part of its ids.
///
/// It is not a secret. A client that may subscribe to a topic may get all of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tag(u64);

impl Tag {
    pub(crate) fn new(epoch: u64, topic: &str) -> Self {
        Self(mix(fnv(topic.bytes()) ^ mix(epoch)) % TAGS)
    }

    pub(crate) fn of_all(tags: impl Iterator<Item = Self>) -> Self {
        Self(tags.fold(0, |all, tag| mix(all ^ tag.0)) % TAGS)
    }

    fn write(self, out: &mut Vec<u8>) {
        let mut digits = [b'0'; TAG];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        out.extend_from_slice(&digits);
    }
}

/// The finaliser of splitmix64. Every bit of the input changes every bit of the output.
fn mix(input: u64) -> u64 {
    let mut x = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Writes the id of an event in a stream of one topic.
pub(crate) fn write_one(tag: Tag, position: Position, out: &mut Vec<u8>) {
    tag.write(out);
    let mut number = itoa::Buffer::new();
    out.push(b'-');
    out.extend_from_slice(number.format(position.major).as_bytes());
    if position.minor != 0 {
        out.push(b'-');
        out.extend_from_slice(number.format(position.minor).as_bytes());
    }
}

/// The id of an event in a stream of one topic.
pub(crate) fn one_id(tag: Tag, position: Position) -> EventId {
    let mut id = Vec::with_capacity(32);
    write_one(tag, position, &mut id);
    event_id(id)
}

/// An id that this module wrote.
pub(crate) fn event_id(id: Vec<u8>) -> EventId {
    let id = String::from_utf8(id).expect("ids are letters, digits, dots and hyphens");
    EventId::try_from(id).expect("ids have no line ends")
}

/// Reads the text of [`write_one`]. `None` for any other text.
pub(crate) fn read_one(text: &str) -> Option<(Tag, Position)> {
    let (tag, rest) = read_tag(text)?;
    Some((tag, read_position(rest.strip_prefix('-')?, decimal)?))
}

/// Writes the id of an event in a stream of several topics: the position in each of them, if it is known.
pub(crate) fn write_several(
    tag: Tag,
    positions: impl IntoIterator<Item = Option<Position>>,
    out: &mut Vec<u8>,
) {
    tag.write(out);
    for position in positions {
        out.push(b'.');
        let Some(position) = position else {
            out.push(b'-');
            continue;
        };
        write_base62(position.major, out);
        if position.minor != 0 {
            out.push(b'-');
            write_base62(position.minor, out);
        }
    }
}

/// Reads the text of [`write_several`]. `None` for any other text.
pub(crate) fn read_several(text: &str) -> Option<(Tag, Vec<Option<Position>>)> {
    let (tag, rest) = read_tag(text)?;
    let positions = rest
        .strip_prefix('.')?
        .split('.')
        .map(|position| match position {
            "-" => Some(None),
            position => read_position(position, base62).map(Some),
        });
    let positions: Vec<_> = positions.collect::<Option<_>>()?;
    (positions.len() <= MAX_TOPICS).then_some((tag, positions))
}

fn read_tag(text: &str) -> Option<(Tag, &str)> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let (tag, rest) = text.split_at_checked(TAG)?;
    let number = tag
        .bytes()
        .try_fold(0, |number, byte| Some(number * 62 + value(byte)?))?;
    Some((Tag(number), rest))
}

fn read_position(text: &str, number: fn(&str) -> Option<u64>) -> Option<Position> {
    Some(match text.split_once('-') {
        None => Position::new(number(text)?, 0),
        Some((major, minor)) => Position::new(number(major)?, number(minor)?),
    })
}

/// As `u64::from_str`, but without a `+`.
fn decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn value(byte: u8) -> Option<u64> {
    Some(u64::from(match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        b'a'..=b'z' => byte - b'a' + 36,
        _ => return None,
    }))
}

fn write_base62(mut number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(DIGITS[(number % 62) as usize]);
        number /= 62;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
}

fn base62(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.bytes().try_fold(0_u64, |number, byte| {
        number.checked_mul(62)?.checked_add(value(byte)?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(tag: Tag, position: Position) -> String {
        let mut out = Vec::new();
        write_one(tag, position, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn several(tag: Tag, positions: &[Option<Position>]) -> String {
        let mut out = Vec::new();
        write_several(tag, positions.iter().copied(), &mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn an_id_reads_back(epoch: u64, name: String, major: u64, minor: u64) {
            let (tag, position) = (Tag::new(epoch, &name), Position::new(major, minor));
            prop_assert_eq!(read_one(&one(tag, position)), Some((tag, position)));
            prop_assert_eq!(read_several(&one(tag, position)), None);
        }

        #[test]
        fn a_vector_reads_back(epoch: u64, numbers in prop::collection::vec(any::<Option<(u64, u64)>>(), 1..=MAX_TOPICS)) {
            let position = |(major, minor)| Position::new(major, minor);
            let positions: Vec<_> = numbers.into_iter().map(|numbers| numbers.map(position)).collect();
            let tag = Tag::new(epoch, "x");
            let text = several(tag, &positions);
            prop_assert_eq!(read_several(&text), Some((tag, positions)));
            prop_assert_eq!(read_one(&text), None);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = (read_one(&text), read_several(&text));
        }
    }

    #[test]
    fn text_that_is_not_an_id_is_refused() {
        let good = one(Tag::new(1, "x"), Position::new(5, 0));
        assert!(read_one(&good).is_some());
        let tag = &good[..8];
        for bad in [
            "",
            "-",
            "5",
            tag,
            "aaaaaaa-1",
            "aaaaaaaa1",
            "aaaaaaaaa-1",
            "日本語日本-1",
        ] {
            assert_eq!(read_one(bad), None, "{bad}");
        }
        for rest in [
            "-",
            "--5",
            "-+5",
            "-5-",
            "-5-6-7",
            "- 5",
            "-5\0",
            "-18446744073709551616",
            "-0x5",
            "-5.5",
        ] {
            assert_eq!(read_one(&format!("{tag}{rest}")), None, "{rest}");
        }
        for rest in [
            ".",
            "..",
            ".1.",
            ".1.!",
            ".1-",
            ".-1",
            ".--",
            ".1.--.1",
            ".zzzzzzzzzzzz",
            ".1.2.3.4.5.6.7.8.9",
        ] {
            assert_eq!(read_several(&format!("{tag}{rest}")), None, "{rest}");
        }
        assert!(read_one(&format!("{tag}-{}", "0".repeat(255 - 9))).is_some());
        assert_eq!(read_one(&format!("{tag}-{}", "0".repeat(255 - 8))), None);
        assert!(read_several(&format!("{tag}.{}", "0".repeat(255 - 9))).is_some());
        assert_eq!(
            read_several(&format!("{tag}.{}", "0".repeat(255 - 8))),
            None
        );
    }

    #[test]
    fn each_topic_and_epoch_has_its_own_tag() {
        let tags: std::collections::HashSet<_> = (0..100)
            .flat_map(|epoch| (0..100).map(move |topic| Tag::new(epoch, &topic.to_string())))
            .collect();
        assert_eq!(tags.len(), 10_000);
    }

    #[test]
    fn ids_need_no_preflight() {
        let sequences = [Some(Position::new(u64::MAX, 0)); MAX_TOPICS];
        // Redis: a million events in one millisecond of the year 2500.
        let redis = [Some(Position::new(16_725_225_600_000, 999_999)); MAX_TOPICS];
        for text in [
            one(Tag::new(u64::MAX, "x"), Position::new(u64::MAX, u64::MAX)),
            several(Tag::new(u64::MAX, "x"), &sequences),
            several(Tag::new(u64::MAX, "x"), &redis),
        ] {
            assert!(text.len() < 128, "{text}");
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)),
                "{text}"
            );
        }
    }
}
