//! Conversion into an event: for the items of a stream, and for `yield`.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{IntoText, ServerEvent};
use crate::error::{BoxError, Error, Result};
use crate::event::wire;

/// The types that `yield` and [`EventStream::new`](crate::EventStream::new) take.
///
/// Text becomes an event with this data. A `Result` is accepted too, so `yield server_event!(json = …)` needs no `?`: an
/// `Err` ends the stream, as if the generator had returned it.
///
/// Implement it for your own types.
///
/// # Examples
///
/// ```
/// use bocadillo::{EventName, IntoEvent, Result, ServerEvent};
///
/// enum Weather {
///     Temperature(f64),
///     Storm,
/// }
///
/// impl IntoEvent for Weather {
///     fn into_event(self) -> Result<ServerEvent> {
///         const TEMPERATURE: EventName = EventName::from_static("temperature");
///         const STORM: EventName = EventName::from_static("storm");
///
///         Ok(match self {
///             Self::Temperature(value) => ServerEvent::json(&value)?.with_name(TEMPERATURE),
///             Self::Storm => ServerEvent::new("").with_name(STORM),
///         })
///     }
/// }
///
/// assert_eq!(Weather::Temperature(21.5).into_event()?.data(), Some("21.5"));
/// assert_eq!(Weather::Storm.into_event()?.name().unwrap(), "storm");
/// assert_eq!("Hello".into_event()?, ServerEvent::new("Hello"));
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as an event",
    label = "expected an event, text, or a `Result` of one of these",
    note = "write `server_event!(json = value)` if the value implements `Serialize`, or `server_event!(data = text)` for text",
    note = "or implement `IntoEvent` for your own type"
)]
pub trait IntoEvent {
    /// Converts the value into an event.
    ///
    /// # Errors
    ///
    /// If the value is an `Err`, or cannot be an event.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{IntoEvent, ServerEvent};
    ///
    /// assert_eq!(String::from("Hello").into_event()?.data(), Some("Hello"));
    ///
    /// let failed: Result<ServerEvent, std::fmt::Error> = Err(std::fmt::Error);
    /// assert!(failed.into_event().unwrap_err().is_stream());
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    fn into_event(self) -> Result<ServerEvent>;

    /// Writes the bytes of the event at the end of `out`. It writes nothing if there is an error. `yield` uses it, so that
    /// text does not have to become an event first.
    #[doc(hidden)]
    fn write(self, out: &mut BytesMut) -> Result<()>
    where
        Self: Sized,
    {
        wire::encode(&self.into_event()?, out);
        Ok(())
    }
}

impl IntoEvent for ServerEvent {
    fn into_event(self) -> Result<ServerEvent> {
        Ok(self)
    }
}

macro_rules! text_into_event {
    ($($text:ty)*) => {$(
        impl IntoEvent for $text {
            fn into_event(self) -> Result<ServerEvent> {
                Ok(ServerEvent::new(self.into_text()))
            }

            fn write(self, out: &mut BytesMut) -> Result<()> {
                wire::encode_data(&self, out);
                Ok(())
            }
        }
    )*};
}

text_into_event!(&str String &String Cow<'_, str> Box<str>);

impl<T: IntoEvent, E: Into<BoxError>> IntoEvent for Result<T, E> {
    fn into_event(self) -> Result<ServerEvent> {
        self.map_err(Error::stream)?.into_event()
    }

    fn write(self, out: &mut BytesMut) -> Result<()> {
        self.map_err(Error::stream)?.write(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_text_is_the_data_of_an_event() {
        let expected = ServerEvent::new("Hello");
        let owned = String::from("Hello");
        assert_eq!((&owned).into_event().unwrap(), expected);
        assert_eq!(owned.as_str().into_event().unwrap(), expected);
        assert_eq!(Cow::from(owned.as_str()).into_event().unwrap(), expected);
        assert_eq!(Box::<str>::from("Hello").into_event().unwrap(), expected);
        assert_eq!(owned.into_event().unwrap(), expected);
    }

    #[test]
    fn a_result_in_a_result_is_an_event_and_keeps_the_kind_of_its_error() {
        let nested: Result<Result<&str>, std::fmt::Error> = Ok(Ok("Hello"));
        assert_eq!(nested.into_event().unwrap(), ServerEvent::new("Hello"));
        assert!(
            ServerEvent::json(&f64::NAN)
                .into_event()
                .unwrap_err()
                .is_json()
        );
    }
}
