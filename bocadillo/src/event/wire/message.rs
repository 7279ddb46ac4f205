//! What the decoder returns.

use std::time::Duration;

/// One item that a [`Decoder`](super::Decoder) returns.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use bocadillo::wire::{Decoded, Decoder};
///
/// let mut decoder = Decoder::new();
/// let mut input = &b": keep-alive\nretry: 500\n"[..];
///
/// assert_eq!(decoder.decode(&mut input)?, Some(Decoded::Comment("keep-alive".to_owned())));
/// assert_eq!(decoder.decode(&mut input)?, Some(Decoded::Retry(Duration::from_millis(500))));
/// assert_eq!(decoder.decode(&mut input)?, None);
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoded {
    /// An event that a client dispatches.
    Event(Message),
    /// A comment line, without the colon and one space after it. Clients ignore it.
    Comment(String),
    /// The time to wait before a reconnect. It counts from the end of its line, also without an event.
    Retry(Duration),
}

/// An event as a client sees it.
///
/// # Examples
///
/// ```
/// use bocadillo::wire::{Decoded, Decoder, Message};
///
/// let mut input = &b"id: 7\ndata: Hello\n\n"[..];
/// let Some(Decoded::Event(message)) = Decoder::new().decode(&mut input)? else { panic!("an event") };
///
/// let Message { name, data, last_event_id, .. } = message;
/// assert_eq!((&*name, &*data, &*last_event_id), ("message", "Hello", "7"));
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Message {
    /// The name. The default is `message`.
    pub name: String,
    /// The data. Its lines are joined by LF.
    pub data: String,
    /// The last id of the stream, up to this event. It is empty if there was none.
    pub last_event_id: String,
}
