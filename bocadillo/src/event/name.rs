//! The name of an event.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::field::{Field, FieldError};

/// The name of an event: one line of text. In a browser it is the `type` of the event, for `addEventListener`.
///
/// A name has no line end, so text from outside cannot add a field (WHATWG HTML, section 9.2.6). Everything else is
/// valid. An event with an empty name is dispatched as `message`, as if it had no name.
///
/// # Names that a browser uses itself
///
/// An `EventSource` fires `open` and `error` events of its own. An event of yours with one of these names runs the same
/// listeners: `error` looks like a lost connection, `open` like a new one. Choose another name, such as `failed`. The name
/// `message` is the same as no name.
///
/// # Examples
///
/// ```
/// use bocadillo::{EventName, ServerEvent};
///
/// const GREETING: EventName = EventName::from_static("greeting");
///
/// let event = ServerEvent::new("hello").with_name(GREETING);
/// assert_eq!(event.name().unwrap(), "greeting");
///
/// // Text from outside is checked at run time.
/// assert!(EventName::try_from(String::from("two\nlines")).is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName(Cow<'static, str>);

impl EventName {
    /// Makes a name from a literal, without an allocation.
    ///
    /// # Panics
    ///
    /// If `name` has a line feed or a carriage return. In a `const` or in `const { … }` this is a compile error. Use
    /// [`TryFrom`] for other text.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{EventName, ServerEvent};
    ///
    /// let event = ServerEvent::new("21.5").with_name(const { EventName::from_static("temperature") });
    /// ```
    ///
    /// ```compile_fail,E0080
    /// # use bocadillo::EventName;
    /// const TWO_LINES: EventName = EventName::from_static("two\nlines");
    /// ```
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        assert!(
            Field::Name.find_forbidden(name).is_none(),
            "an event's name cannot contain a line end"
        );
        Self(Cow::Borrowed(name))
    }

    /// The name as text.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventName;
    ///
    /// assert_eq!(EventName::from_static("greeting").as_str(), "greeting");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for EventName {
    type Error = FieldError;

    fn try_from(name: &str) -> Result<Self, FieldError> {
        Field::Name.check(name)?;
        Ok(Self(Cow::Owned(name.to_owned())))
    }
}

impl TryFrom<String> for EventName {
    type Error = FieldError;

    fn try_from(name: String) -> Result<Self, FieldError> {
        Field::Name.check(&name)?;
        Ok(Self(Cow::Owned(name)))
    }
}

impl TryFrom<&String> for EventName {
    type Error = FieldError;

    fn try_from(name: &String) -> Result<Self, FieldError> {
        Self::try_from(name.as_str())
    }
}

impl TryFrom<Cow<'_, str>> for EventName {
    type Error = FieldError;

    fn try_from(name: Cow<'_, str>) -> Result<Self, FieldError> {
        Self::try_from(name.into_owned())
    }
}

impl FromStr for EventName {
    type Err = FieldError;

    fn from_str(name: &str) -> Result<Self, FieldError> {
        Self::try_from(name)
    }
}

impl AsRef<str> for EventName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for EventName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for EventName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
