//! What comes out of a stream that is read.

use std::time::Duration;

/// What a [`Decoder`](super::Decoder) reads.
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
    /// The time to wait until a reconnect, from now on. It counts as soon as its line ends, whether
    /// an event follows or not.
    Retry(Duration),
}

/// An event as a client gets it.
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
    /// The name: `message` if the event has none.
    pub name: String,
    /// The data, its lines joined by LF.
    pub data: String,
    /// The id of this event, or if it has none of the last one that had; empty if there was none.
    pub last_event_id: String,
}
