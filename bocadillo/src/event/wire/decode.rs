//! The decoder: bytes, in whatever pieces they come, into events. The grammar stands in
//! [`wire`](super).
//!
//! It follows [section 9.2.6][spec] to the letter. Two of its consequences are easily missed: the
//! end of the stream ends no event, and an id counts for every event after it until another one
//! comes.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

use std::mem;
use std::time::Duration;

use memchr::{memchr, memchr2};

use super::message::{Decoded, Message};
use crate::error::{Error, Kind, Result};

/// How much of a line, and of an event's data, is held unless the caller says otherwise.
const DEFAULT_LIMIT: usize = 16 << 20;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// Reads an event stream, as the WHATWG HTML standard (section 9.2.6) says and as browsers do.
///
/// It does no input of its own: hand it bytes as they come, cut wherever they may be, in a
/// character too. What it holds is bounded: see [`max_line`](Self::max_line) and
/// [`max_data`](Self::max_data). Bytes that are not UTF-8 become U+FFFD, unknown fields are
/// ignored, and an event that the end of the stream cuts short is never given out.
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
    /// The start of a line whose end has not come.
    line: Vec<u8>,
    /// Whether the last line ended in a CR, so that an LF at once after it belongs to the same end.
    after_cr: bool,
    /// Whether no line has ended yet: the first may begin with a byte order mark.
    at_start: bool,
    /// Whether the block has a field, so that the end of the stream would cut it.
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
    /// A decoder at the start of a stream.
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

    /// Sets how long a line may be, in bytes without its end: 16 MiB by default, `usize::MAX` for
    /// no limit.
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

    /// Sets how long the data of one event may be, in bytes, all its lines together: 16 MiB by
    /// default, `usize::MAX` for no limit.
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

    /// Makes this the decoder of a reconnection that sent `id` as its `Last-Event-ID`: an event
    /// without an id has this one, as in browsers.
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

    /// Reads up to the end of the next event, comment or retry, and takes what it has read off the
    /// front of `input`.
    ///
    /// `None` says that `input` is used up and that more is needed: call it until then for each
    /// chunk.
    ///
    /// # Errors
    ///
    /// When a line or an event is longer than the limit ([`is_too_long`](Error::is_too_long)).
    /// There is no way to go on in such a stream, so every later call fails too.
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

    /// The id that a client would send as `Last-Event-ID` now. It counts from the end of its event
    /// on, and one in a block without data counts too.
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

    /// Whether something has begun that has not ended, so that the end of the stream now would lose
    /// it.
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

    /// A line with no colon is a field with an empty value, so an empty name is always a comment's.
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
        // The LF after the last line; there is none only if there was no line.
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
        Self::new(Kind::TooLong, text)
    }
}

/// A line end is never part of a character, so that each line decodes by itself as the whole stream
/// would.
fn replace(buffer: &mut String, value: &[u8]) {
    buffer.clear();
    buffer.push_str(&String::from_utf8_lossy(value));
}

/// Digits and nothing else. A number without bound is more than any clock counts, so the greatest
/// stands for it.
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
