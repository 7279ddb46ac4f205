//! JSON straight into text, with no tree between: what `server_event!(json = {…})` and
//! `ServerEvent::json` write with.

mod finite;

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use finite::Finite;

/// Writes one JSON text, token by token, as the straight-line code of `server_event!` asks for
/// them.
///
/// The commas and colons are its own affair. It keeps the first error, so that the calls need no
/// `?` between them; the macro sees to it that arrays and objects are ended.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: Vec<u8>,
    /// Whether a value stands before, in the same array or object.
    needs_comma: bool,
    error: Option<Error>,
}

impl JsonWriter {
    /// A writer that has written nothing.
    #[must_use]
    pub fn new() -> Self {
        // Most messages fit, so that most are one allocation.
        Self {
            out: Vec::with_capacity(128),
            needs_comma: false,
            error: None,
        }
    }

    /// `{`
    pub fn begin_object(&mut self) {
        self.begin(b'{');
    }

    /// `}`
    pub fn end_object(&mut self) {
        self.end(b'}');
    }

    /// `[`
    pub fn begin_array(&mut self) {
        self.begin(b'[');
    }

    /// `]`
    pub fn end_array(&mut self) {
        self.end(b']');
    }

    /// The name of an object's next member.
    pub fn key(&mut self, key: impl AsRef<str>) {
        self.write(key.as_ref());
        self.out.push(b':');
        self.needs_comma = false;
    }

    /// A value.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.write(value);
    }

    /// `null`
    pub fn null(&mut self) {
        self.write(&());
    }

    /// The text, or the first error.
    ///
    /// # Errors
    ///
    /// When a value did not serialise, or was a number that JSON cannot hold.
    pub fn finish(self) -> Result<String> {
        match self.error {
            Some(error) => Err(error),
            None => {
                Ok(String::from_utf8(self.out)
                    .expect("serde_json and this writer write UTF-8 alone"))
            }
        }
    }

    fn begin(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
        self.needs_comma = false;
    }

    fn end(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.needs_comma = true;
    }

    fn write<T: Serialize + ?Sized>(&mut self, value: &T) {
        if self.error.is_some() {
            return;
        }
        self.separate();
        if let Err(error) = serde_json::to_writer(&mut self.out, &Finite(value)) {
            self.error = Some(Error::new(Kind::Json, error));
        }
    }

    fn separate(&mut self) {
        if self.needs_comma {
            self.out.push(b',');
        }
        self.needs_comma = true;
    }
}

/// A value as compact JSON.
pub(crate) fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let mut writer = JsonWriter::new();
    writer.value(value);
    writer.finish()
}

#[cfg(test)]
mod tests;
