//! The kinds of errors, and the text of each.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// A name, an id or another field that cannot be written to an event stream.
    Field,
    /// A value that cannot be serialised as JSON.
    Json,
    /// The error with which a generator or a stream of the user ended.
    Stream,
    /// A generator panicked.
    Panic,
    /// A shutdown ended a stream of bytes.
    Draining,
    /// Routes that cannot be served together.
    Route,
    /// A server that cannot start.
    Listen,
    /// A stream with a line or an event that exceeds a limit of its reader.
    TooLong,
    /// An invalid name of a topic, or an invalid number of topics.
    Topic,
    /// An event that cannot be published to a topic.
    Event,
    /// Options of a hub that cannot be used.
    Config,
    /// A broker that cannot be reached.
    Unavailable,
    /// A broker that refuses.
    Refused,
    /// A broker that was lost before it confirmed.
    Unconfirmed,
}

impl ErrorKind {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Field => "an event's field cannot be written",
            Self::Json => "a value cannot be written as JSON",
            Self::Stream => "a stream ended with an error",
            Self::Panic => "a generator panicked",
            Self::Draining => "the server is shutting down",
            Self::Route => "the routes cannot be served",
            Self::Listen => "the server cannot listen",
            Self::TooLong => "an event stream exceeds a limit",
            Self::Topic => "a topic is invalid",
            Self::Event => "an event cannot be published to a topic",
            Self::Config => "the hub's configuration cannot be used",
            Self::Unavailable => "the broker cannot be reached",
            Self::Refused => "the broker refuses",
            Self::Unconfirmed => {
                "the broker was lost before it confirmed: the event may have been published or not"
            }
        }
    }
}
