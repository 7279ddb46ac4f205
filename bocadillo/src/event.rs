//! One event: its fields, and the types that convert into one. Not here: its bytes, which `wire` writes.

mod builder;
mod field;
mod id;
mod into_event;
pub(crate) mod json;
mod name;
pub mod wire;

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use crate::error::Result;

pub use builder::{EventBuilder, IntoData, IntoText};
pub use field::FieldError;
pub use id::EventId;
pub use into_event::IntoEvent;
pub use name::EventName;

/// One event of an event stream.
///
/// Make it with the macro [`server_event!`](crate::server_event), or with the methods here. Every event can be written:
/// data can have any line ends, and the types of names and ids accept only valid text. If a field is set twice, the second
/// value counts.
///
/// | field | on the wire | a browser |
/// |---|---|---|
/// | [`data`](Self::new) | a `data:` line for each line | `event.data`, its lines joined by LF |
/// | [`name`](Self::with_name) | `event:` | `event.type`, `message` if there is none |
/// | [`id`](Self::with_id) | `id:` | `event.lastEventId`, and `Last-Event-ID` when it reconnects |
/// | [`retry`](Self::with_retry) | `retry:`, in milliseconds | how long it waits until it reconnects |
/// | [`comment`](Self::with_comment) | a line that begins with `:` | nothing |
///
/// An event with a name or an id but no data is written with empty data, because clients ignore events without data. A
/// comment or a `retry` alone is not an event for the client. It is written without the blank line that ends an event,
/// because several clients report an empty event for that line.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use bocadillo::{EventName, ServerEvent, wire};
///
/// let event = ServerEvent::new("Hello,\nworld")
///     .with_name(EventName::from_static("greeting"))
///     .with_id(1)
///     .with_retry(Duration::from_secs(2));
///
/// let mut bytes = bytes::BytesMut::new();
/// wire::encode(&event, &mut bytes);
/// assert_eq!(bytes, "retry: 2000\nid: 1\nevent: greeting\ndata: Hello,\ndata: world\n\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an event does nothing until it is yielded, published or written"]
pub struct ServerEvent {
    pub(crate) comment: Option<Cow<'static, str>>,
    pub(crate) retry: Option<Duration>,
    pub(crate) id: Option<EventId>,
    pub(crate) name: Option<EventName>,
    pub(crate) data: Option<Cow<'static, str>>,
}

impl ServerEvent {
    /// An event without any field. It is not public, because it cannot be written.
    const EMPTY: Self = Self {
        comment: None,
        retry: None,
        id: None,
        name: None,
        data: None,
    };

    fn is_nothing(&self) -> bool {
        !self.is_dispatched() && self.retry.is_none() && self.comment.is_none()
    }

    /// Whether clients see it as an event. Then it is written with data and a blank line.
    pub(crate) fn is_dispatched(&self) -> bool {
        self.data.is_some() || self.name.is_some() || self.id.is_some()
    }

    /// Makes an event with this data.
    ///
    /// Each CRLF, CR or LF ends one line. A client gets each of them as LF. White space and line ends at both ends are kept.
    /// Empty data is sent as an event too. A `&'static str` is not copied. For another `&str` call `to_owned`.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    ///
    /// let event = ServerEvent::new("tick");
    /// let event = ServerEvent::new(format!("{:.1} °C", 21.54));
    /// assert_eq!(event.data(), Some("21.5 °C"));
    /// ```
    pub fn new(data: impl Into<Cow<'static, str>>) -> Self {
        Self {
            data: Some(data.into()),
            ..Self::EMPTY
        }
    }

    /// Makes an event whose data has these lines. Without lines, the data is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    ///
    /// let event = ServerEvent::lines(["Hello,", "world"]);
    /// assert_eq!(event.data(), Some("Hello,\nworld"));
    ///
    /// let event = ServerEvent::lines((1..=3).map(|n| n.to_string()));
    /// assert_eq!(event.data(), Some("1\n2\n3"));
    /// ```
    pub fn lines<I>(lines: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut data = String::new();
        for (index, line) in lines.into_iter().enumerate() {
            if index > 0 {
                data.push('\n');
            }
            data.push_str(line.as_ref());
        }
        Self::new(data)
    }

    /// Makes an event whose data is this value as compact JSON, written by `serde_json`.
    ///
    /// # Errors
    ///
    /// If the value cannot be serialized ([`is_json`](crate::Error::is_json)): its `Serialize` fails, a map has keys that
    /// are not text, or a number is NaN or infinite. JSON does not have these numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Reading {
    ///     temperature: f64,
    ///     place: Option<String>,
    /// }
    ///
    /// let event = ServerEvent::json(&Reading { temperature: 21.5, place: None })?;
    /// assert_eq!(event.data(), Some(r#"{"temperature":21.5,"place":null}"#));
    ///
    /// assert!(ServerEvent::json(&Reading { temperature: f64::NAN, place: None }).is_err());
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        json::to_string(value).map(Self::new)
    }

    /// Makes a comment without an event. Clients ignore it. It keeps a connection open, and people can read it.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{ServerEvent, wire};
    ///
    /// let mut bytes = bytes::BytesMut::new();
    /// wire::encode(&ServerEvent::comment_only("still here"), &mut bytes);
    /// assert_eq!(bytes, ": still here\n");
    /// ```
    pub fn comment_only(comment: impl Into<Cow<'static, str>>) -> Self {
        Self::EMPTY.with_comment(comment)
    }

    /// Makes a reconnection time without an event. See [`with_retry`](Self::with_retry).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use bocadillo::{ServerEvent, wire};
    ///
    /// let mut bytes = bytes::BytesMut::new();
    /// wire::encode(&ServerEvent::retry_only(Duration::from_secs(5)), &mut bytes);
    /// assert_eq!(bytes, "retry: 5000\n");
    /// ```
    pub fn retry_only(retry: Duration) -> Self {
        Self::EMPTY.with_retry(retry)
    }

    /// Sets the name. In a browser it is the `type` of the event, for `addEventListener`.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{EventName, ServerEvent};
    ///
    /// fn message(room: &str, text: String) -> Result<ServerEvent, bocadillo::FieldError> {
    ///     Ok(ServerEvent::new(text).with_name(EventName::try_from(room)?))
    /// }
    /// # assert_eq!(message("hall", String::new()).unwrap().name().unwrap(), "hall");
    /// ```
    pub fn with_name(mut self, name: impl Into<EventName>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the id. A client that reconnects sends the last id in the header `Last-Event-ID`.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{EventId, ServerEvent};
    ///
    /// let event = ServerEvent::new("Hello").with_id(42);
    /// let event = ServerEvent::new("Hello").with_id(EventId::try_from("a-42")?);
    /// # Ok::<(), bocadillo::FieldError>(())
    /// ```
    pub fn with_id(mut self, id: impl Into<EventId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets how long the client waits before it reconnects. The client keeps the value after this event.
    ///
    /// It is written in milliseconds, rounded up. There is no maximum. A client can ignore a value that is too large for
    /// it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use bocadillo::ServerEvent;
    ///
    /// let event = ServerEvent::new("Hello").with_retry(Duration::from_millis(500));
    /// assert_eq!(event.retry(), Some(Duration::from_millis(500)));
    /// ```
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Sets a comment. It is written before the event, with one comment line for each of its lines.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{ServerEvent, wire};
    ///
    /// let mut bytes = bytes::BytesMut::new();
    /// wire::encode(&ServerEvent::new("Hello").with_comment("from the test"), &mut bytes);
    /// assert_eq!(bytes, ": from the test\ndata: Hello\n\n");
    /// ```
    pub fn with_comment(mut self, comment: impl Into<Cow<'static, str>>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// The data, with its original line ends. `None` if no data was set.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    ///
    /// assert_eq!(ServerEvent::new("Hello").data(), Some("Hello"));
    /// assert_eq!(ServerEvent::comment_only("Hello").data(), None);
    /// ```
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// The name, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{EventName, ServerEvent};
    ///
    /// let event = ServerEvent::new("Hello").with_name(EventName::from_static("greeting"));
    /// assert_eq!(event.name().unwrap(), "greeting");
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&EventName> {
        self.name.as_ref()
    }

    /// The id, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    ///
    /// assert_eq!(ServerEvent::new("Hello").with_id(1).id().unwrap(), "1");
    /// ```
    #[must_use]
    pub fn id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// The reconnection time, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    ///
    /// assert_eq!(ServerEvent::new("Hello").retry(), None);
    /// ```
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The comment, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    ///
    /// assert_eq!(ServerEvent::new("Hello").with_comment("hi").comment(), Some("hi"));
    /// ```
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_whatever_they_are() {
        assert_eq!(ServerEvent::lines([""; 0]).data(), Some(""));
        assert_eq!(ServerEvent::lines([""]).data(), Some(""));
        assert_eq!(ServerEvent::lines(["", ""]).data(), Some("\n"));
        assert_eq!(
            ServerEvent::lines(vec![String::from("a"), String::from("b")]).data(),
            Some("a\nb")
        );
        assert_eq!(
            ServerEvent::lines(["a\r\nb", "c"]).data(),
            Some("a\r\nb\nc")
        );
    }

    #[test]
    fn what_is_set_twice_has_the_later_value() {
        let event = ServerEvent::new("Hello")
            .with_id(1)
            .with_id(2)
            .with_comment("a")
            .with_comment("b");
        assert_eq!(
            event,
            ServerEvent::new("Hello").with_id(2).with_comment("b")
        );
    }
}
