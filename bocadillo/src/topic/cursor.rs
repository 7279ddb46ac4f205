//! Where a subscription begins.

use std::borrow::Cow;
use std::convert::Infallible;

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use crate::event::EventId;
use crate::extract::LastEventId;

/// Where a subscription begins: now, at the start of the history, or after the event with an id.
///
/// A handler that has one as an argument gets what the client says. Where anything else from outside decides, turn it into
/// a cursor as it is: a missing or empty id is [`live`](Self::live), and no text can do harm. An id that cannot be honoured gives one `reset` event, after which
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

/// As an argument of a handler: what the request says, in the header `Last-Event-ID`, which an `EventSource` sends when it
/// reconnects, or else in the URL, as `?lastEventId=…`, for a page that opens a new `EventSource` and goes on from the
/// `lastEventId` of the event that it got last.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::{Cursor, Hub};
/// use bocadillo::{EventStream, Problem, State, route};
///
/// #[route("/rooms/{room}")]
/// async fn room(room: String, cursor: Cursor, State(hub): State<Hub>) -> Result<EventStream, Problem> {
///     let room = hub.topic(format!("rooms/{room}"))?;
///     Ok(room.subscribe(cursor.or_start()).into())
/// }
/// # fn main() {}
/// ```
impl<S: Sync> FromRequestParts<S> for Cursor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let LastEventId(header) = LastEventId::from_request_parts(parts, state).await?;
        // The header is the newer one: the URL stays as it was when the page opened the stream.
        Ok(header.map_or_else(|| in_query(parts.uri.query()).into(), Into::into))
    }
}

fn in_query(query: Option<&str>) -> Option<String> {
    let pairs: Vec<(Cow<'_, str>, String)> = serde_urlencoded::from_str(query?).ok()?;
    let (_, id) = pairs.into_iter().find(|(name, _)| name == "lastEventId")?;
    Some(id)
}

/// `None` is [`Cursor::live`].
impl<T: Into<Self>> From<Option<T>> for Cursor {
    fn from(id: Option<T>) -> Self {
        id.map_or_else(Self::live, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: Option<&str>, uri: &str, expected: Cursor) {
        let mut request = http::Request::get(uri);
        if let Some(header) = header {
            request = request.header("last-event-id", header);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let cursor = Cursor::from_request_parts(&mut parts, &());
        let cursor = futures_util::FutureExt::now_or_never(cursor).expect("it waits for nothing");
        assert_eq!(cursor, Ok(expected));
    }

    #[test]
    fn the_header_goes_before_the_url() {
        check(None, "/", Cursor::live());
        check(None, "/?", Cursor::live());
        check(None, "/?lastEventId=", Cursor::live());
        check(None, "/?a=1&lastEventId=x-1&b", Cursor::after("x-1"));
        check(
            None,
            "/?lastEventId=%F0%9F%A5%96+%00",
            Cursor::after("\u{1f956} \0"),
        );
        check(None, "/?lastEventId=%ff%zz", Cursor::after("\u{fffd}%zz"));
        check(Some(""), "/?lastEventId=x-1", Cursor::after("x-1"));
        check(Some("x-2"), "/?lastEventId=x-1", Cursor::after("x-2"));
    }
}
