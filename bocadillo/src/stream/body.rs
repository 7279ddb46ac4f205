//! `Body`: the body of a response. The body of a stream is in `stream_body.rs`.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::event::ServerEvent;
use crate::stream::stream_body::StreamBody;

/// The body of a response of this crate.
///
/// It holds an event stream, or the body of axum. An event stream that no layer has wrapped needs no box of its own.
///
/// # Examples
///
/// ```
/// use bocadillo::Body;
///
/// let body = Body::from(axum_core::body::Body::from("hello"));
/// assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
/// ```
#[derive(Debug)]
pub struct Body(BodyKind);

#[derive(Debug)]
enum BodyKind {
    Events(StreamBody<ServerEvent>),
    Other(axum_core::body::Body),
}

impl Body {
    pub(crate) fn events(body: StreamBody<ServerEvent>) -> Self {
        Self(BodyKind::Events(body))
    }

    /// An empty body.
    ///
    /// # Examples
    ///
    /// ```
    /// use http_body::Body as _;
    ///
    /// assert_eq!(bocadillo::Body::empty().size_hint().exact(), Some(0));
    /// ```
    #[must_use]
    pub fn empty() -> Self {
        axum_core::body::Body::empty().into()
    }

    /// Converts the body into axum's type.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::Body;
    ///
    /// let body: axum_core::body::Body = Body::empty().into_axum();
    /// ```
    pub fn into_axum(self) -> axum_core::body::Body {
        match self.0 {
            BodyKind::Events(body) => axum_core::body::Body::new(body),
            BodyKind::Other(body) => body,
        }
    }
}

impl From<axum_core::body::Body> for Body {
    fn from(body: axum_core::body::Body) -> Self {
        Self(BodyKind::Other(body))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        match &mut self.0 {
            BodyKind::Events(body) => Pin::new(body).poll_frame(cx).map_err(axum_core::Error::new),
            BodyKind::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            BodyKind::Events(body) => body.is_end_stream(),
            BodyKind::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            BodyKind::Events(body) => body.size_hint(),
            BodyKind::Other(body) => body.size_hint(),
        }
    }
}
