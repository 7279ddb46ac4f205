//! The JSON writer of `server_event!(json = {…})` and `ServerEvent::json`. It writes text at once, and builds no tree.

mod finite;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use finite::Finite;

/// Writes one JSON text, token by token. The code that `server_event!` generates calls it.
///
/// It writes the commas and colons. It keeps the first error until [`finish`](Self::finish). The caller has to end each
/// array and object; the macro does.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: Vec<u8>,
    /// Whether there is a value before this one in the same array or object.
    needs_comma: bool,
    error: Option<Error>,
}

impl JsonWriter {
    /// Makes a writer.
    #[must_use]
    pub fn new() -> Self {
        // Most texts fit, so most need one allocation.
        Self {
            out: Vec::with_capacity(128),
            needs_comma: false,
            error: None,
        }
    }

    /// Writes `{`.
    pub fn begin_object(&mut self) {
        self.begin(b'{');
    }

    /// Writes `}`.
    pub fn end_object(&mut self) {
        self.end(b'}');
    }

    /// Writes `[`.
    pub fn begin_array(&mut self) {
        self.begin(b'[');
    }

    /// Writes `]`.
    pub fn end_array(&mut self) {
        self.end(b']');
    }

    /// Writes the key of the next member of an object.
    pub fn key(&mut self, key: impl AsRef<str>) {
        self.write(key.as_ref());
        self.out.push(b':');
        self.needs_comma = false;
    }

    /// Writes a value.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.write(value);
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.write(&());
    }

    /// Returns the text.
    ///
    /// # Errors
    ///
    /// The first error: a value could not be serialized, or a number was NaN or infinite.
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
            self.error = Some(Error::new(ErrorKind::Json, error));
        }
    }

    fn separate(&mut self) {
        if self.needs_comma {
            self.out.push(b',');
        }
        self.needs_comma = true;
    }
}

/// Writes a value as compact JSON.
pub(crate) fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let mut writer = JsonWriter::new();
    writer.value(value);
    writer.finish()
}

#[cfg(test)]
mod tests;
