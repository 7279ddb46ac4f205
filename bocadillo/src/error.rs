//! The one error type of the crate.

use std::error::Error as StdError;
use std::fmt;

/// A boxed error of any kind, as generators and extractors hand them over.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// What the fallible functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that can go wrong in this crate.
///
/// `Display` prints one level; [`source`](StdError::source) is the next.
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
}

impl Error {
    pub(crate) fn new(kind: Kind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: Some(source.into()) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.kind).field("source", &self.source).finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Field => "an event's field cannot be written",
            Kind::Json => "a value cannot be written as JSON",
            Kind::Stream => "a stream ended with an error",
        })
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
