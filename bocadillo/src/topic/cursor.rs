//! Where a subscription begins.

use std::borrow::Cow;

use crate::event::EventId;
use crate::extract::LastEventId;

/// Where a subscription begins: now, at the start of the history, or after the event with an id.
///
/// Where what comes from outside decides, turn it into a cursor as it is: a missing or empty id is
/// [`live`](Self::live), and no text can do harm. An id that cannot be honoured gives one `reset` event, after which
/// the stream goes on as for a client that comes without an id.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::{Cursor, Hub};
///
/// let rooms = Hub::memory().topic("rooms/7")?;
/// let last_event_id = Some("Kq03xZ1a-1042");        // what the client says
///
/// // New events; after a reconnect those that were missed first.
/// let subscription = rooms.subscribe(last_event_id);
/// // The same, but who is new, or has been away for too long, gets the history.
/// let subscription = rooms.subscribe(Cursor::from(last_event_id).or_start());
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) after: Option<String>,
    pub(crate) otherwise: Otherwise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otherwise {
    Live,
    Start,
}

impl Cursor {
    /// Events from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::{Cursor, Hub};
    /// let subscription = Hub::memory().topic("news")?.subscribe(Cursor::live());
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub const fn live() -> Self {
        Self {
            after: None,
            otherwise: Otherwise::Live,
        }
    }

    /// The whole history, then events from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::{Cursor, Hub};
    /// let subscription = Hub::memory().topic("news")?.subscribe(Cursor::start());
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub const fn start() -> Self {
        Self {
            after: None,
            otherwise: Otherwise::Start,
        }
    }

    /// Events after the one with this id.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::{Cursor, Hub};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// # let topic = Hub::memory().topic("news")?;
    /// let id = topic.publish("one").await?;
    /// topic.publish("two").await?;
    ///
    /// let subscription = topic.subscribe(Cursor::after(id.as_str()));      // begins with "two"
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn after(id: impl Into<String>) -> Self {
        Self {
            after: Some(id.into()),
            otherwise: Otherwise::Live,
        }
    }

    /// The whole history where there is no id, and after a `reset`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::Cursor;
    /// assert_eq!(Cursor::live().or_start(), Cursor::start());
    /// ```
    #[must_use]
    pub fn or_start(mut self) -> Self {
        self.otherwise = Otherwise::Start;
        self
    }
}

/// [`Cursor::live`].
impl Default for Cursor {
    fn default() -> Self {
        Self::live()
    }
}

/// As a client would say it: empty text is no id.
impl From<&str> for Cursor {
    fn from(id: &str) -> Self {
        if id.is_empty() {
            Self::live()
        } else {
            Self::after(id)
        }
    }
}

/// As a client would say it: empty text is no id.
impl From<String> for Cursor {
    fn from(id: String) -> Self {
        if id.is_empty() {
            Self::live()
        } else {
            Self::after(id)
        }
    }
}

impl From<Cow<'_, str>> for Cursor {
    fn from(id: Cow<'_, str>) -> Self {
        id.into_owned().into()
    }
}

impl From<&EventId> for Cursor {
    fn from(id: &EventId) -> Self {
        id.as_str().into()
    }
}

impl From<EventId> for Cursor {
    fn from(id: EventId) -> Self {
        id.as_str().into()
    }
}

/// What the request says.
impl From<LastEventId> for Cursor {
    fn from(LastEventId(id): LastEventId) -> Self {
        id.into()
    }
}

/// `None` is [`Cursor::live`].
impl<T: Into<Self>> From<Option<T>> for Cursor {
    fn from(id: Option<T>) -> Self {
        id.map_or_else(Self::live, Into::into)
    }
}
