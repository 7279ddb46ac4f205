//! The one error type of the crate.
//!
//! A part of the crate that can fail in a new way adds a [`Kind`] with its text, a predicate, and
//! where it has an error of its own a `From`.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;

/// A boxed error of any kind, as generators and extractors hand them over.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// What the fallible functions of this crate return.
///
/// # Examples
///
/// ```
/// use bocadillo::{EventId, ServerEvent};
///
/// fn note(id: &str, text: String) -> bocadillo::Result<ServerEvent> {
///     Ok(ServerEvent::data(text).id(EventId::try_from(id)?))
/// }
///
/// assert!(note("7", "hello".to_owned()).is_ok());
/// assert!(note("7\n8", "hello".to_owned()).is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that can go wrong in this crate.
///
/// It is opaque, so that a new way to fail breaks nobody: ask it with the `is_` predicates.
/// `Display` prints one level; [`source`](StdError::source) is the next, with the particulars. `Debug`, which is what a
/// `main` that returns an error prints, is the [`chain`](Self::chain); with `{:#?}` it is the structure.
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
    kind: Kind,
    source: Option<BoxError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name, id or other field that cannot stand on the wire.
    Field,
    /// A value that does not serialise to JSON.
    Json,
    /// What a generator or a stream ended with.
    Stream,
    /// A generator that panicked.
    Panic,
    /// A stream of bytes that a shutdown has cut.
    Draining,
    /// Routes that cannot be served together.
    Route,
    /// A server that cannot start.
    Listen,
    /// More bytes than the reader of a stream agreed to hold.
    TooLong,
    /// A topic, or an event for one, that cannot be.
    Topic,
    /// A broker that cannot be reached.
    Unavailable,
    /// A broker that was lost before it had confirmed something.
    Unconfirmed,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Field => "an event's field cannot be written",
            Self::Json => "a value cannot be written as JSON",
            Self::Stream => "a stream ended with an error",
            Self::Panic => "a generator panicked",
            Self::Draining => "the server is shutting down",
            Self::Route => "the routes cannot be served",
            Self::Listen => "the server cannot listen",
            Self::TooLong => "an event stream exceeds a limit",
            Self::Topic => "a topic cannot be used in this way",
            Self::Unavailable => "the broker of the topics cannot be reached",
            Self::Unconfirmed => {
                "the broker of the topics was lost before it confirmed: what was published may be there or not"
            }
        }
    }
}

impl Error {
    pub(crate) fn new(kind: Kind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    /// What user code ended a stream with. An error of ours comes through as it is: wrapping it
    /// would hide its kind.
    pub(crate) fn stream(source: impl Into<BoxError>) -> Self {
        match source.into().downcast::<Self>() {
            Ok(ours) => *ours,
            Err(theirs) => Self::new(Kind::Stream, theirs),
        }
    }

    pub(crate) fn panic(message: String) -> Self {
        Self::new(Kind::Panic, message)
    }

    pub(crate) fn draining() -> Self {
        Self {
            kind: Kind::Draining,
            source: None,
        }
    }

    pub(crate) fn route(text: String) -> Self {
        Self::new(Kind::Route, text)
    }

    pub(crate) fn listen(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Listen, source)
    }

    /// The error with its sources, on one line: for a log.
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
    /// Its stream breaks off, so that the client reconnects. The source is the panic's message, where it is text.
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
        self.kind == Kind::Panic
    }

    /// Whether the routes of an app conflict, or one of them cannot be served. The source names them and their places.
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
        self.kind == Kind::Route
    }

    /// Whether a server could not start to listen.
    ///
    /// The address may be taken, or not one of this machine; `HOST` or `PORT` may be unreadable.
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
        self.kind == Kind::Listen
    }

    /// Whether an event's name, id or another field held what cannot stand on the wire. The source
    /// is a [`FieldError`](crate::FieldError).
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
        self.kind == Kind::Field
    }

    /// Whether a value did not serialise to JSON.
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
        self.kind == Kind::Json
    }

    /// Whether this is what a generator or a stream of yours ended with. The source is your error.
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
        self.kind == Kind::Stream
    }

    /// Whether a topic was used in a way that cannot be: a bad name, or an event that it does not take.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::Hub;
    ///
    /// assert!(Hub::memory().topic("").unwrap_err().is_topic());
    /// ```
    #[must_use]
    pub fn is_topic(&self) -> bool {
        self.kind == Kind::Topic
    }

    /// Whether the broker behind the topics could not be reached. What was to be published is not, unless
    /// [`is_unconfirmed`](Self::is_unconfirmed) says that nobody knows.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{IntoResponse, Response, StatusCode};
    /// use bocadillo::topic::Topic;
    ///
    /// async fn post(room: &Topic, text: String) -> Response {
    ///     match room.publish(text).await {
    ///         Ok(id) => (StatusCode::CREATED, id.to_string()).into_response(),
    ///         Err(error) if error.is_unavailable() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    ///         Err(_) => StatusCode::BAD_REQUEST.into_response(),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Unconfirmed)
    }

    /// Whether the connection to the broker was lost after something was sent and before it was confirmed. It may have been
    /// published or not; to publish it again may make two of it. [`is_unavailable`](Self::is_unavailable) is true as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::EventId;
    /// use bocadillo::topic::Topic;
    ///
    /// /// For events of which two do no harm.
    /// async fn at_least_once(topic: &Topic, text: &str) -> bocadillo::Result<EventId> {
    ///     loop {
    ///         match topic.publish(text.to_owned()).await {
    ///             Err(error) if error.is_unconfirmed() => {}
    ///             outcome => return outcome,
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.kind == Kind::Unconfirmed
    }

    /// Whether a [`Decoder`](crate::wire::Decoder) was given a longer line or event than its limits
    /// allow.
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
        self.kind == Kind::TooLong
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

/// An error and what it came from, level by level.
pub(crate) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl fmt::Display + use<'a> {
    struct Chain<'a>(&'a (dyn StdError + 'static));

    impl fmt::Display for Chain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Display::fmt(self.0, f)?;
            let mut sources = std::iter::successors(self.0.source(), |&error| error.source());
            sources.try_for_each(|source| write!(f, ": {source}"))
        }
    }

    Chain(error)
}

/// So that what cannot fail can stand where a conversion may: a number as an id, say.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_ours_is_not_wrapped() {
        let error = Error::stream(Error::new(Kind::Json, "inner"));
        assert!(error.is_json() && !error.is_stream());
    }

    #[test]
    fn display_prints_one_level() {
        let error = Error::stream("the sensor is off");
        assert_eq!(error.to_string(), "a stream ended with an error");
        assert_eq!(error.source().unwrap().to_string(), "the sensor is off");
    }

    #[test]
    fn debug_prints_what_a_main_should_print() {
        let error = Error::stream("the sensor is off");
        assert_eq!(
            format!("{error:?}"),
            "a stream ended with an error: the sensor is off"
        );
        assert!(format!("{error:#?}").contains("kind: Stream"));
    }

    #[test]
    fn an_error_travels_between_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
    }
}
