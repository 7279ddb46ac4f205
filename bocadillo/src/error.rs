//! The error type of the crate.
//!
//! A part of the crate that can fail in a new way adds a [`ErrorKind`] with its text, and a predicate.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;

mod kind;
mod topics;

pub(crate) use kind::ErrorKind;

/// A boxed error of any type, as generators and extractors return it.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The result of the functions of this crate that can fail.
///
/// # Examples
///
/// ```
/// use bocadillo::{EventId, ServerEvent};
///
/// fn note(id: &str, text: String) -> bocadillo::Result<ServerEvent> {
///     Ok(ServerEvent::new(text).with_id(EventId::try_from(id)?))
/// }
///
/// assert!(note("7", "hello".to_owned()).is_ok());
/// assert!(note("7\n8", "hello".to_owned()).is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
///
/// The `is_` predicates tell what went wrong. Later versions may add new kinds of errors.
///
/// - `Display` prints one level. [`source`](StdError::source) returns the next level, with the details.
/// - `Debug` prints the [`chain`](Self::chain), because a `main` that returns an error prints it in this way. `{:#?}` prints
///   the structure.
///
/// # Examples
///
/// ```
/// use std::error::Error as _;
///
/// use bocadillo::ServerEvent;
///
/// let error = ServerEvent::json(&f64::NAN).unwrap_err();
///
/// assert!(error.is_json());
/// assert_eq!(error.to_string(), "a value cannot be written as JSON");
/// assert!(error.source().unwrap().to_string().contains("NaN"));
/// ```
pub struct Error {
    kind: ErrorKind,
    source: Option<BoxError>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    /// The error with which user code ended a stream. An error of this type stays as it is, because a wrapper
    /// would hide its kind.
    pub(crate) fn stream(source: impl Into<BoxError>) -> Self {
        match source.into().downcast::<Self>() {
            Ok(ours) => *ours,
            Err(theirs) => Self::new(ErrorKind::Stream, theirs),
        }
    }

    pub(crate) fn panic(message: String) -> Self {
        Self::new(ErrorKind::Panic, message)
    }

    pub(crate) fn draining() -> Self {
        Self {
            kind: ErrorKind::Draining,
            source: None,
        }
    }

    #[cfg(feature = "server")]
    pub(crate) fn route(text: String) -> Self {
        Self::new(ErrorKind::Route, text)
    }

    #[cfg(feature = "server")]
    pub(crate) fn listen(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorKind::Listen, source)
    }

    /// The error and its sources on one line, for a log.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = bocadillo::EventName::try_from("two\nlines").map_err(bocadillo::Error::from).unwrap_err();
    /// assert!(error.chain().to_string().starts_with("an event's field cannot be written: "));
    /// ```
    #[must_use]
    pub fn chain(&self) -> impl fmt::Display {
        chain(self)
    }

    /// Whether a generator panicked.
    ///
    /// Its stream ends without a proper end, so that the client reconnects. The source is the panic's message, if the
    /// message is text.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use bocadillo::{event_stream, generators};
    /// use futures_util::StreamExt;
    ///
    /// generators!(
    ///     #[event_stream]
    ///     async fn broken() {
    ///         yield "one";
    ///         panic!("out of order");
    ///     }
    /// );
    ///
    /// let mut events = broken();
    /// assert!(events.next().await.expect("an event").is_ok());
    /// assert!(events.next().await.expect("an error").unwrap_err().is_panic());
    /// # }
    /// ```
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.kind == ErrorKind::Panic
    }

    /// Whether routes of an app conflict, or a route cannot be served. The source names the routes and their places in
    /// the code.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    /// use bocadillo::{App, route, routes};
    ///
    /// #[route("/")]
    /// async fn index() -> &'static str { "hello" }
    ///
    /// # fn main() {
    /// let error = App::new().routes(routes![index, index]).into_service().unwrap_err();
    /// assert!(error.is_route());
    /// # }
    /// ```
    #[must_use]
    pub fn is_route(&self) -> bool {
        self.kind == ErrorKind::Route
    }

    /// Whether a server could not start to listen.
    ///
    /// The address may be in use, or it may not belong to this machine. `HOST` or `PORT` may be invalid.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "server", doc = "```no_run")]
    #[cfg_attr(not(feature = "server"), doc = "```text")]
    /// use bocadillo::App;
    ///
    /// match App::new().run() {
    ///     Err(error) if error.is_listen() => eprintln!("{}; is it running already?", error.chain()),
    ///     other => other?,
    /// }
    /// # Ok::<(), bocadillo::Error>(())
    /// ```
    #[must_use]
    pub fn is_listen(&self) -> bool {
        self.kind == ErrorKind::Listen
    }

    /// Whether an event's name, id or another field cannot be written to an event stream. The source is a
    /// [`FieldError`](crate::FieldError).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Error, EventName};
    ///
    /// let error = Error::from(EventName::try_from("two\nlines").unwrap_err());
    /// assert!(error.is_field());
    /// ```
    #[must_use]
    pub fn is_field(&self) -> bool {
        self.kind == ErrorKind::Field
    }

    /// Whether a value could not be serialised as JSON.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::ServerEvent;
    ///
    /// assert!(ServerEvent::json(&f32::INFINITY).unwrap_err().is_json());
    /// ```
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.kind == ErrorKind::Json
    }

    /// Whether a generator or a stream of yours ended with an error. The source is your error.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::error::Error as _;
    ///
    /// use bocadillo::IntoEvent;
    ///
    /// let reading: Result<String, std::io::Error> = Err(std::io::Error::other("the sensor is off"));
    /// let error = reading.into_event().unwrap_err();
    ///
    /// assert!(error.is_stream());
    /// assert_eq!(error.source().unwrap().to_string(), "the sensor is off");
    /// ```
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.kind == ErrorKind::Stream
    }

    /// Whether a [`Decoder`](crate::wire::Decoder) got a line or an event that is longer than its limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::wire::Decoder;
    ///
    /// let mut decoder = Decoder::new().max_line(8);
    /// let error = decoder.decode(&mut &b"data: much too long"[..]).unwrap_err();
    /// assert!(error.is_too_long());
    /// ```
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.kind == ErrorKind::TooLong
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(&chain(self), f);
        }
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.text())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// An error and its sources, with colons between them. A source that only repeats the text before it is left out.
pub(crate) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl fmt::Display + use<'a> {
    struct Chain<'a>(&'a (dyn StdError + 'static));

    impl fmt::Display for Chain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let mut text = self.0.to_string();
            for source in std::iter::successors(self.0.source(), |&error| error.source()) {
                let source = source.to_string();
                if !text.ends_with(&source) {
                    text = format!("{text}: {source}");
                }
            }
            f.write_str(&text)
        }
    }

    Chain(error)
}

/// For conversions that cannot fail, where a conversion may fail: a number as an id.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_this_type_is_not_wrapped() {
        let error = Error::stream(Error::new(ErrorKind::Json, "inner"));
        assert!(error.is_json() && !error.is_stream());
    }

    #[test]
    fn display_prints_one_level() {
        let error = Error::stream("the sensor is off");
        assert_eq!(error.to_string(), "a stream ended with an error");
        assert_eq!(error.source().unwrap().to_string(), "the sensor is off");
    }

    #[test]
    fn debug_prints_the_chain() {
        let error = Error::stream("the sensor is off");
        assert_eq!(
            format!("{error:?}"),
            "a stream ended with an error: the sensor is off"
        );
        assert!(format!("{error:#?}").contains("kind: Stream"));
    }

    #[test]
    fn a_source_that_repeats_the_text_is_left_out() {
        let inner = Error::new(ErrorKind::Refused, "out of memory");
        let repeats = format!("the outer says: {inner}");
        #[derive(Debug)]
        struct Outer(String, Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl StdError for Outer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.1)
            }
        }
        assert_eq!(
            chain(&Outer(repeats, inner)).to_string(),
            "the outer says: the broker refuses: out of memory"
        );
    }

    #[test]
    fn an_error_can_be_sent_to_another_thread() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
    }
}
