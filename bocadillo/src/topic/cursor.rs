//! Where a subscription begins.

use std::borrow::Cow;
use std::convert::Infallible;

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use crate::event::EventId;
use crate::http::extract::{LastEventId, last_event_id};

/// Where a subscription begins: now, at the start of the history, or after the event with an id.
///
/// As an argument of a handler it is the cursor of the client. Any other text converts into a cursor too: no id and empty text
/// are [`live`](Self::live), and invalid text does no harm. If the id is invalid or too old, the stream begins with a
/// `reset` event, and continues as for a client without an id.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::{Cursor, Hub};
///
/// let rooms = Hub::memory().topic("rooms/7")?;
/// let last_event_id = Some("Kq03xZ1a-1042");        // from the client
///
/// // New events. A client that reconnects gets the events that it missed first.
/// let subscription = rooms.subscribe_from(last_event_id);
/// // The same, but a client that is new or was away for too long gets the history.
/// let subscription = rooms.subscribe_from(Cursor::from(last_event_id).or_start());
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) after: Option<String>,
    pub(crate) fallback: Fallback,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    Live,
    Start,
}

impl Cursor {
    /// Begins with the next event.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::{Cursor, Hub};
    /// let subscription = Hub::memory().topic("news")?.subscribe();
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub const fn live() -> Self {
        Self {
            after: None,
            fallback: Fallback::Live,
        }
    }

    /// Begins with the whole history.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::{Cursor, Hub};
    /// let subscription = Hub::memory().topic("news")?.subscribe_from(Cursor::start());
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub const fn start() -> Self {
        Self {
            after: None,
            fallback: Fallback::Start,
        }
    }

    /// Begins after the event with this id.
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
    /// let subscription = topic.subscribe_from(Cursor::after(id.as_str()));      // begins with "two"
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn after(id: impl Into<String>) -> Self {
        Self {
            after: Some(id.into()),
            fallback: Fallback::Live,
        }
    }

    /// The id of the event that the client received last. `None` for a client without one.
    ///
    /// It is the text that the client sent. It may be an id that no hub has given.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::Cursor;
    /// assert_eq!(Cursor::after("Kq03xZ1a-1042").id(), Some("Kq03xZ1a-1042"));
    /// assert_eq!(Cursor::live().id(), None);
    /// ```
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Begins with the whole history if there is no id, and after a `reset`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bocadillo::topic::Cursor;
    /// assert_eq!(Cursor::live().or_start(), Cursor::start());
    /// ```
    #[must_use]
    pub fn or_start(mut self) -> Self {
        self.fallback = Fallback::Start;
        self
    }
}

/// [`Cursor::live`].
impl Default for Cursor {
    fn default() -> Self {
        Self::live()
    }
}

/// Empty text is [`Cursor::live`].
impl From<&str> for Cursor {
    fn from(id: &str) -> Self {
        if id.is_empty() {
            Self::live()
        } else {
            Self::after(id)
        }
    }
}

/// Empty text is [`Cursor::live`].
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

/// No id is [`Cursor::live`].
impl From<LastEventId> for Cursor {
    fn from(LastEventId(id): LastEventId) -> Self {
        id.into()
    }
}

/// As an argument of a handler: the id in the header `Last-Event-ID`, or else in the URL as `?lastEventId=…`.
/// [`LastEventId`] describes which one counts if there are several.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::topic::{Cursor, Hub};
/// use bocadillo::{EventStream, Problem, State, route};
///
/// #[route("/rooms/{room}")]
/// async fn room(room: String, cursor: Cursor, State(hub): State<Hub>) -> Result<EventStream, Problem> {
///     let room = hub.topic(format!("rooms/{room}"))?;
///     Ok(room.subscribe_from(cursor.or_start()).into())
/// }
/// # fn main() {}
/// ```
impl<S: Sync> FromRequestParts<S> for Cursor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(last_event_id(parts).into())
    }
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
    fn check(headers: &[&[u8]], uri: &str, expected: Option<&str>) {
        let mut request = http::Request::get(uri);
        for header in headers {
            request = request.header("last-event-id", *header);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let cursor = Cursor::from_request_parts(&mut parts, &());
        let cursor = futures_util::FutureExt::now_or_never(cursor).expect("it waits for nothing");
        assert_eq!(
            cursor,
            Ok(expected.map_or_else(Cursor::live, Cursor::after)),
            "{headers:?} {uri}"
        );
        // The other extractor reads the same, as far as an id can hold it.
        let id = LastEventId::from_request_parts(&mut parts, &());
        let Ok(LastEventId(id)) =
            futures_util::FutureExt::now_or_never(id).expect("it waits for nothing");
        let expected = expected.map(|id| id.replace(['\r', '\n', '\0'], "\u{fffd}"));
        assert_eq!(id.as_ref().map(EventId::as_str), expected.as_deref());
    }

    #[test]
    fn a_cursor_without_an_id_gets_new_events() {
        for uri in [
            "/",
            "/?",
            "/?lastEventId",
            "/?lastEventId=",
            "/?a=lastEventId&&=",
            "/?lasteventid=x",
        ] {
            check(&[], uri, None);
            check(&[b""], uri, None);
            check(&[b"", b""], uri, None);
        }
    }

    #[test]
    fn the_last_non_empty_id_in_the_url_is_used() {
        check(&[], "/?a=1&lastEventId=x-1&b", Some("x-1"));
        check(&[], "/?lastEventId=old&lastEventId=new", Some("new"));
        check(&[], "/?lastEventId=old&a&lastEventId=new&b", Some("new"));
        check(&[], "/?lastEventId=old&lastEventId=", Some("old"));
        check(
            &[],
            "/?lastEventId=&lastEventId=new&lastEventId",
            Some("new"),
        );
        check(&[], "/?lastEvent%49d=1&lastEventId=2", Some("2"));
    }

    #[test]
    fn an_id_in_the_url_is_decoded_and_never_refused() {
        let odd = "/?lastEventId=%F0%9F%A5%96+%00";
        check(&[], odd, Some("\u{1f956} \0"));
        check(&[], "/?lastEventId=%ff%zz", Some("\u{fffd}%zz"));
        check(&[], "/?lastEventId=a%0D%0Ab%2B", Some("a\r\nb+"));
        let long = "x".repeat(9000);
        check(&[], &format!("/?lastEventId={long}"), Some(&long));
    }

    #[test]
    fn a_non_empty_header_overrides_the_url() {
        let url = "/?lastEventId=x-1&lastEventId=x-2";
        check(&[b"x-3"], url, Some("x-3"));
        check(&[b""], url, Some("x-2"));
        check(&[b"x-3", b"x-4"], url, Some("x-4"));
        check(&[b"x-3", b""], url, Some("x-3"));
        check(&[b"\xff"], url, Some("\u{fffd}"));
    }
}
