//! The decoder: from bytes to events. The grammar is in [`wire`](super).
//!
//! It follows [section 9.2.6][spec] exactly. Two rules are easy to miss: the end of the stream does not end an event, and an
//! id counts for all later events until the next id.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

use std::mem;
use std::time::Duration;

use memchr::{memchr, memchr2};

use super::message::{Decoded, Message};
use crate::error::{Error, ErrorKind, Result};

/// The default limit of a line, and of the data of an event.
const DEFAULT_LIMIT: usize = 16 << 20;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// Reads an event stream as browsers do (WHATWG HTML, section 9.2.6).
///
/// It does no input: pass it the bytes as they arrive, in pieces of any size. Its memory is limited by
/// [`max_line`](Self::max_line) and [`max_data`](Self::max_data). Bytes that are not UTF-8 become U+FFFD. Unknown fields are
/// ignored. An event that the end of the stream cuts off is not returned.
///
/// # Examples
///
/// ```
/// use bocadillo::wire::{Decoded, Decoder};
///
/// let mut decoder = Decoder::new();
/// let mut events = Vec::new();
/// for mut chunk in [&b"event: greeting\nda"[..], b"ta: Hello\r", b"\n\r\n: a comment\n"] {
///     while let Some(decoded) = decoder.decode(&mut chunk)? {
///         if let Decoded::Event(event) = decoded {
///             events.push((event.name, event.data));
///         }
///     }
/// }
///
/// assert_eq!(events, [("greeting".to_owned(), "Hello".to_owned())]);
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The start of a line that has not ended.
    line: Vec<u8>,
    /// Whether the last line ended with CR. Then an LF directly after it belongs to the same line end.
    after_cr: bool,
    /// Whether no line has ended yet. The first line can begin with a byte order mark.
    at_start: bool,
    /// Whether the block has a field. Then the end of the stream would cut it off.
    in_event: bool,
    /// Each line followed by LF.
    data: String,
    name: String,
    id: String,
    last_event_id: String,
    max_line: usize,
    max_data: usize,
    failed: Option<Limit>,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    Line(usize),
    Data(usize),
}

impl Decoder {
    /// Makes a decoder for a new stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::wire::Decoder;
    ///
    /// assert_eq!(Decoder::new().last_event_id(), "");
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            in_event: false,
            data: String::new(),
            name: String::new(),
            id: String::new(),
            last_event_id: String::new(),
            max_line: DEFAULT_LIMIT,
            max_data: DEFAULT_LIMIT,
            failed: None,
        }
    }

    /// Sets the maximum length of a line in bytes, without its end. The default is 16 MiB. `usize::MAX` means no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::wire::Decoder;
    ///
    /// let mut decoder = Decoder::new().max_line(8);
    /// assert!(decoder.decode(&mut &b": 345678\n"[..]).is_ok());
    /// assert!(decoder.decode(&mut &b": 3456789"[..]).unwrap_err().is_too_long());
    /// ```
    #[must_use]
    pub fn max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    /// Sets the maximum length of the data of one event in bytes, for all its lines. The default is 16 MiB. `usize::MAX` means
    /// no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::wire::Decoder;
    ///
    /// let mut decoder = Decoder::new().max_data(5);
    /// assert!(decoder.decode(&mut &b"data: Hello\n\n"[..]).is_ok());
    /// assert!(decoder.decode(&mut &b"data: Hel\ndata: lo\n\n"[..]).unwrap_err().is_too_long());
    /// ```
    #[must_use]
    pub fn max_data(mut self, bytes: usize) -> Self {
        self.max_data = bytes;
        self
    }

    /// Sets the id that the client sent as `Last-Event-ID`. Events before the first id of the stream have this id, as in
    /// browsers.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::wire::{Decoded, Decoder};
    ///
    /// let mut decoder = Decoder::new().resume_from("41");
    /// let Some(Decoded::Event(event)) = decoder.decode(&mut &b"data: Hello\n\n"[..])? else { panic!("an event") };
    /// assert_eq!(event.last_event_id, "41");
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub fn resume_from(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self.last_event_id.clone_from(&self.id);
        self
    }

    /// Reads the next event, comment or `retry`, and removes the bytes that it has read from the front of `input`.
    ///
    /// `None` means that `input` is empty, and that more bytes are needed. Call it for each chunk until it returns `None`.
    ///
    /// # Errors
    ///
    /// If a line or the data of an event exceeds its limit ([`is_too_long`](Error::is_too_long)). Every later call fails too.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::wire::Decoder;
    ///
    /// let mut decoder = Decoder::new();
    /// let mut input = &b"data: one\n\ndata: two\n\ndata: thr"[..];
    ///
    /// assert!(decoder.decode(&mut input)?.is_some());
    /// assert_eq!(input, b"data: two\n\ndata: thr");
    /// assert!(decoder.decode(&mut input)?.is_some());
    /// assert!(decoder.decode(&mut input)?.is_none());
    /// assert!(input.is_empty());
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Decoded>> {
        if let Some(limit) = self.failed {
            return Err(limit.into());
        }
        self.read_lines(input).map_err(|limit| {
            self.failed = Some(limit);
            limit.into()
        })
    }

    /// The id that a client would send as `Last-Event-ID` now. An id counts from the end of its event. An id without data
    /// counts too.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::wire::Decoder;
    ///
    /// let mut decoder = Decoder::new();
    /// decoder.decode(&mut &b"id: 7\n"[..])?;
    /// assert_eq!(decoder.last_event_id(), "");
    /// decoder.decode(&mut &b"\n"[..])?;
    /// assert_eq!(decoder.last_event_id(), "7");
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Whether an event has begun and not ended. The end of the stream would lose it.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::wire::Decoder;
    ///
    /// let mut decoder = Decoder::new();
    /// decoder.decode(&mut &b"data: Hello\n"[..])?;
    /// assert!(decoder.is_in_event());
    /// decoder.decode(&mut &b"\n"[..])?;
    /// assert!(!decoder.is_in_event());
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub fn is_in_event(&self) -> bool {
        self.in_event || !self.line.is_empty()
    }

    fn read_lines(&mut self, input: &mut &[u8]) -> Result<Option<Decoded>, Limit> {
        loop {
            if self.after_cr && !input.is_empty() {
                self.after_cr = false;
                *input = input.strip_prefix(b"\n").unwrap_or(input);
            }
            let end = memchr2(b'\r', b'\n', input);
            let piece = &input[..end.unwrap_or(input.len())];
            if piece.len() > self.max_line - self.line.len() {
                return Err(Limit::Line(self.max_line));
            }
            let Some(end) = end else {
                self.line.extend_from_slice(piece);
                *input = &[];
                return Ok(None);
            };
            self.after_cr = input[end] == b'\r';
            *input = &input[end + 1..];

            let decoded = if self.line.is_empty() {
                self.read_line(piece)
            } else {
                let mut line = mem::take(&mut self.line);
                line.extend_from_slice(piece);
                self.read_line(&line)
            };
            if let Some(decoded) = decoded? {
                return Ok(Some(decoded));
            }
        }
    }

    fn read_line(&mut self, mut line: &[u8]) -> Result<Option<Decoded>, Limit> {
        if mem::take(&mut self.at_start) {
            line = line.strip_prefix(BOM).unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.dispatch().map(Decoded::Event));
        }
        let (field, value) = match memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        self.read_field(field, value.strip_prefix(b" ").unwrap_or(value))
    }

    /// A line without a colon is a field with an empty value. So only a comment has an empty name.
    fn read_field(&mut self, field: &[u8], value: &[u8]) -> Result<Option<Decoded>, Limit> {
        match field {
            b"" => {
                return Ok(Some(Decoded::Comment(
                    String::from_utf8_lossy(value).into_owned(),
                )));
            }
            b"retry" => return Ok(milliseconds(value).map(Decoded::Retry)),
            b"data" => {
                self.data.reserve(value.len() + 1);
                self.data.push_str(&String::from_utf8_lossy(value));
                if self.data.len() > self.max_data {
                    return Err(Limit::Data(self.max_data));
                }
                self.data.push('\n');
            }
            b"event" => replace(&mut self.name, value),
            b"id" if memchr(0, value).is_none() => replace(&mut self.id, value),
            _ => return Ok(None),
        }
        self.in_event = true;
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Message> {
        self.in_event = false;
        self.last_event_id.clone_from(&self.id);
        let name = mem::take(&mut self.name);
        let mut data = mem::take(&mut self.data);
        // The LF after the last line.
        data.pop()?;
        let name = if name.is_empty() {
            String::from("message")
        } else {
            name
        };
        Some(Message {
            name,
            data,
            last_event_id: self.last_event_id.clone(),
        })
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Limit> for Error {
    fn from(limit: Limit) -> Self {
        let text = match limit {
            Limit::Line(bytes) => {
                format!("a line has more than {bytes} bytes: `Decoder::max_line` allows more")
            }
            Limit::Data(bytes) => {
                format!(
                    "an event's data has more than {bytes} bytes: `Decoder::max_data` allows more"
                )
            }
        };
        Self::new(ErrorKind::TooLong, text)
    }
}

/// A line end is never a part of a character, so each line can be decoded alone.
fn replace(buffer: &mut String, value: &[u8]) {
    buffer.clear();
    buffer.push_str(&String::from_utf8_lossy(value));
}

/// Reads a value that has only digits. A larger number than `u64` becomes the maximum.
fn milliseconds(digits: &[u8]) -> Option<Duration> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(Duration::from_millis(number))
}

#[cfg(test)]
pub(super) mod tests;
