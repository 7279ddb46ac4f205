//! The check that names and ids share, and its error.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// The two fields that are one line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Id,
}

impl Field {
    /// The position of the first byte in `text` that this field cannot have. These bytes are all ASCII, so one byte is one
    /// character.
    pub(super) const fn find_forbidden(self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut offset = 0;
        while offset < bytes.len() {
            match (bytes[offset], self) {
                (b'\n' | b'\r', _) | (b'\0', Self::Id) => return Some(offset),
                _ => offset += 1,
            }
        }
        None
    }

    pub(super) fn check(self, text: &str) -> Result<(), FieldError> {
        match self.find_forbidden(text) {
            None => Ok(()),
            Some(offset) => Err(FieldError {
                field: self,
                character: text.as_bytes()[offset],
                offset,
            }),
        }
    }
}

/// The error for text that cannot be the name or the id of an event.
///
/// Names and ids are one line in the stream. A line end would start another field, so an attacker could send events.
/// Clients ignore an id with a NUL. Such text is refused, and never changed silently.
///
/// # Examples
///
/// ```
/// use bocadillo::EventName;
///
/// let error = EventName::try_from("greeting\ndata: injected").unwrap_err();
///
/// assert_eq!(error.character(), '\n');
/// assert_eq!(error.offset(), 8);
/// assert_eq!(
///     error.to_string(),
///     "an event's name cannot contain a line feed (U+000A), found at byte 8: \
///      a name is one line; text of several lines belongs in the data",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldError {
    field: Field,
    character: u8,
    offset: usize,
}

impl FieldError {
    /// The character that is not allowed.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventId;
    ///
    /// assert_eq!(EventId::try_from("a\0b").unwrap_err().character(), '\0');
    /// ```
    #[must_use]
    pub fn character(&self) -> char {
        self.character.into()
    }

    /// The position of the character, in bytes from the start of the text.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventId;
    ///
    /// assert_eq!(EventId::try_from("é\r").unwrap_err().offset(), 2);
    /// ```
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = match self.field {
            Field::Name => "name",
            Field::Id => "id",
        };
        let (character, advice) = match self.character {
            b'\n' => (
                "a line feed (U+000A)",
                "is one line; text of several lines belongs in the data",
            ),
            b'\r' => (
                "a carriage return (U+000D)",
                "is one line; text of several lines belongs in the data",
            ),
            _ => (
                "a NUL (U+0000)",
                "that has one is ignored by clients; write the bytes as hex or base64",
            ),
        };
        let offset = self.offset;
        let article = if self.field == Field::Id { "an" } else { "a" };
        write!(
            f,
            "an event's {field} cannot contain {character}, found at byte {offset}: {article} {field} {advice}"
        )
    }
}

impl std::error::Error for FieldError {}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        Self::new(ErrorKind::Field, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: Field, text: &str, expected: Option<(char, usize)>) {
        let found = field
            .check(text)
            .err()
            .map(|error| (error.character(), error.offset()));
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_line_end_is_found_where_it_is() {
        for field in [Field::Name, Field::Id] {
            check(field, "", None);
            check(field, "plain", None);
            check(field, " : \t\u{feff}é\u{2028}\u{85}", None);
            check(field, "\n", Some(('\n', 0)));
            check(field, "a\r\nb", Some(('\r', 1)));
            check(field, "日本\n", Some(('\n', 6)));
        }
    }

    #[test]
    fn a_nul_is_refused_in_an_id_alone() {
        check(Field::Id, "a\0", Some(('\0', 1)));
        check(Field::Name, "a\0", None);
    }

    #[test]
    fn the_error_says_what_where_and_what_instead() {
        assert_eq!(
            Field::Id.check("x\0").unwrap_err().to_string(),
            "an event's id cannot contain a NUL (U+0000), found at byte 1: \
             an id that has one is ignored by clients; write the bytes as hex or base64"
        );
        assert_eq!(
            Field::Name.check("\r").unwrap_err().to_string(),
            "an event's name cannot contain a carriage return (U+000D), found at byte 0: \
             a name is one line; text of several lines belongs in the data"
        );
    }
}
