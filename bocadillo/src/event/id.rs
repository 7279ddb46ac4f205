//! The id of an event.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::field::{Field, FieldError};

/// The longest text that needs no allocation. With its length and the tag it takes four words. Every integer up to 64 bits
/// fits, and so do the ids of Redis streams and of topics.
const INLINE: usize = 30;

/// The id of an event: one line of text. A client that reconnects sends the last id in the header `Last-Event-ID`.
///
/// An id has no line end and no NUL. Clients ignore an id with a NUL (WHATWG HTML, section 9.2.6). Integers and short text
/// need no allocation. An empty id is valid: it makes the client forget the last id.
///
/// # Examples
///
/// ```
/// use bocadillo::{EventId, ServerEvent};
///
/// let event = ServerEvent::new("hello").with_id(7);
/// assert_eq!(event.id().unwrap(), "7");
///
/// let event = ServerEvent::new("hello").with_id(EventId::try_from("1719830400000-0")?);
/// assert_eq!(event.id().unwrap(), "1719830400000-0");
///
/// assert!(EventId::try_from("7\n8").is_err());
/// # Ok::<(), bocadillo::FieldError>(())
/// ```
#[derive(Clone)]
pub struct EventId(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Owned(String),
    Inline { len: u8, bytes: [u8; INLINE] },
}

impl EventId {
    /// Makes an id from a literal.
    ///
    /// # Panics
    ///
    /// If `id` has a line feed, a carriage return or a NUL. In a `const` or in `const { … }` this is a compile error. Use
    /// [`TryFrom`] for other text.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventId;
    ///
    /// const START: EventId = EventId::from_static("start");
    /// ```
    ///
    /// ```compile_fail,E0080
    /// # use bocadillo::EventId;
    /// const NUL: EventId = EventId::from_static("a\0b");
    /// ```
    #[must_use]
    pub const fn from_static(id: &'static str) -> Self {
        assert!(
            Field::Id.find_forbidden(id).is_none(),
            "an event's id cannot contain a line end or a NUL"
        );
        Self(Repr::Static(id))
    }

    /// The id as text.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventId;
    ///
    /// assert_eq!(EventId::from(-3).as_str(), "-3");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Owned(text) => text,
            Repr::Inline { .. } => {
                std::str::from_utf8(self.as_bytes()).expect("`inline` copies whole text alone")
            }
        }
    }

    /// The bytes of the text. It does not check that they are UTF-8, as `as_str` does for inline text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Static(text) => text.as_bytes(),
            Repr::Owned(text) => text.as_bytes(),
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
        }
    }

    /// `None` if the text is too long.
    fn inline(text: &str) -> Option<Self> {
        let mut bytes = [0; INLINE];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok()?;
        Some(Self(Repr::Inline { len, bytes }))
    }
}

impl TryFrom<&str> for EventId {
    type Error = FieldError;

    fn try_from(id: &str) -> Result<Self, FieldError> {
        Field::Id.check(id)?;
        Ok(Self::inline(id).unwrap_or_else(|| Self(Repr::Owned(id.to_owned()))))
    }
}

impl TryFrom<String> for EventId {
    type Error = FieldError;

    fn try_from(id: String) -> Result<Self, FieldError> {
        Field::Id.check(&id)?;
        Ok(Self(Repr::Owned(id)))
    }
}

impl TryFrom<&String> for EventId {
    type Error = FieldError;

    fn try_from(id: &String) -> Result<Self, FieldError> {
        Self::try_from(id.as_str())
    }
}

impl TryFrom<Cow<'_, str>> for EventId {
    type Error = FieldError;

    fn try_from(id: Cow<'_, str>) -> Result<Self, FieldError> {
        match id {
            Cow::Borrowed(id) => Self::try_from(id),
            Cow::Owned(id) => Self::try_from(id),
        }
    }
}

impl FromStr for EventId {
    type Err = FieldError;

    fn from_str(id: &str) -> Result<Self, FieldError> {
        Self::try_from(id)
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for EventId {
            fn from(id: $integer) -> Self {
                Self::inline(itoa::Buffer::new().format(id)).expect("64 bits have at most 20 digits and sign")
            }
        }
    )*};
}

from_integers!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl AsRef<str> for EventId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for EventId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for EventId {}

impl Hash for EventId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialEq<str> for EventId {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for EventId {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn integers_of_every_width_are_ids() {
        assert_eq!(EventId::from(0_u8), "0");
        assert_eq!(EventId::from(u64::MAX), "18446744073709551615");
        assert_eq!(EventId::from(i64::MIN), "-9223372036854775808");
        assert_eq!(EventId::from(usize::MAX), usize::MAX.to_string().as_str());
        assert_eq!(EventId::from(i8::MIN), "-128");
    }

    #[test]
    fn the_longest_inline_text_and_one_more_read_back() {
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 10_000] {
            let text = "x".repeat(length);
            assert_eq!(EventId::try_from(text.as_str()).unwrap().as_str(), text);
            assert_eq!(EventId::try_from(text.clone()).unwrap().as_str(), text);
        }
        assert_eq!(EventId::try_from("日本語").unwrap().as_str(), "日本語");
    }

    #[test]
    fn equality_and_hash_are_those_of_the_text() {
        let ids = [
            EventId::from(7_u64),
            EventId::from_static("7"),
            EventId::try_from("7").unwrap(),
            EventId::try_from(String::from("7")).unwrap(),
        ];
        assert_eq!(ids.into_iter().collect::<HashSet<_>>().len(), 1);
        assert_ne!(EventId::from(7), EventId::from(8));
    }

    #[test]
    fn an_id_is_no_larger_than_four_words() {
        assert!(size_of::<EventId>() <= 4 * size_of::<u64>());
        assert_eq!(size_of::<Option<EventId>>(), size_of::<EventId>());
    }

    #[test]
    fn a_bad_text_is_refused_by_each_conversion() {
        assert!(EventId::try_from("a\0").is_err());
        assert!(EventId::try_from(String::from("a\r")).is_err());
        assert!(EventId::try_from(Cow::Borrowed("a\n")).is_err());
        assert!("a\n".parse::<EventId>().is_err());
    }
}
