//! What one message may contain.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::error::{BoxError, Error, Kind, Result};

/// One message of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEvent {
    pub(crate) comment: Option<Cow<'static, str>>,
    pub(crate) retry: Option<Duration>,
    pub(crate) id: Option<EventId>,
    pub(crate) name: Option<EventName>,
    pub(crate) data: Option<Cow<'static, str>>,
}

/// The name (`event:`) of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventName(Cow<'static, str>);

/// The id (`id:`) of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventId(Cow<'static, str>);

/// A text that cannot be a name or an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError;

/// What `yield` takes.
pub trait IntoEvent {
    /// Makes the event.
    ///
    /// # Errors
    ///
    /// When the value is an error, or cannot be written as an event.
    fn into_event(self) -> Result<ServerEvent>;
}

impl ServerEvent {
    /// An event with this data.
    pub fn data(data: impl Into<Cow<'static, str>>) -> Self {
        Self { comment: None, retry: None, id: None, name: None, data: Some(data.into()) }
    }
}

impl IntoEvent for ServerEvent {
    fn into_event(self) -> Result<ServerEvent> {
        Ok(self)
    }
}

impl IntoEvent for &str {
    fn into_event(self) -> Result<ServerEvent> {
        Ok(ServerEvent::data(self.to_owned()))
    }
}

impl IntoEvent for String {
    fn into_event(self) -> Result<ServerEvent> {
        Ok(ServerEvent::data(self))
    }
}

impl<T: IntoEvent, E: Into<BoxError>> IntoEvent for Result<T, E> {
    fn into_event(self) -> Result<ServerEvent> {
        self.map_err(|error| Error::new(Kind::Stream, error))?.into_event()
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field cannot be written")
    }
}

impl std::error::Error for FieldError {}
