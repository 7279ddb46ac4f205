//! Errors as `application/problem+json` (RFC 9457).

use std::borrow::Cow;
use std::error::Error as _;
use std::fmt;

use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::Error;

/// An error response: a status, and a body of `application/problem+json` (RFC 9457).
///
/// All error responses of the framework have this form. Return one from a handler to refuse a request before a stream
/// starts.
///
/// # Examples
///
/// ```
/// use bocadillo::{Problem, StatusCode};
///
/// let problem = Problem::new(StatusCode::FORBIDDEN).detail("this sensor is not yours");
/// assert_eq!(problem.to_string(), "403 Forbidden: this sensor is not yours");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    detail: Option<Cow<'static, str>>,
    members: Map<String, Value>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    /// Makes a problem with this status. The `title` is the reason phrase of the status.
    ///
    /// Its type is `about:blank` (RFC 9457, section 4.2.1).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Problem, StatusCode};
    ///
    /// assert_eq!(Problem::new(StatusCode::NOT_FOUND).to_string(), "404 Not Found");
    /// ```
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            detail: None,
            members: Map::new(),
            headers: Vec::new(),
        }
    }

    /// Sets the member `detail`: what is wrong with this request, and what to do instead (RFC 9457, section 3.1.4).
    ///
    /// The client reads it, so it should not contain debugging information.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Problem, StatusCode};
    ///
    /// let problem = Problem::new(StatusCode::CONFLICT).detail("the job has ended: start another one");
    /// assert_eq!(problem.to_string(), "409 Conflict: the job has ended: start another one");
    /// ```
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds an extension member (RFC 9457, section 3.2). It replaces a standard member of the same name. If `value`
    /// cannot be serialised, an error is logged, and the member is not added.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Problem, StatusCode};
    ///
    /// let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS).with("limit", 5);
    /// ```
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => drop(self.members.insert(name.to_owned(), value)),
            Err(error) => tracing::error!(%error, name, "a member of a problem does not serialise"),
        }
        self
    }

    /// Adds a header to the response, such as `WWW-Authenticate` or `Retry-After`. A `Content-Type` replaces
    /// `application/problem+json`.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Problem, StatusCode};
    /// use bocadillo::http::{HeaderValue, header};
    ///
    /// let problem = Problem::new(StatusCode::UNAUTHORIZED)
    ///     .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    /// ```
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status of the response.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Problem, StatusCode};
    ///
    /// assert_eq!(Problem::from(StatusCode::GONE).status(), 410);
    /// ```
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<StatusCode> for Problem {
    fn from(status: StatusCode) -> Self {
        Self::new(status)
    }
}

/// The answer to the client for an error, so that `?` works in a handler.
///
/// | error | status | the client gets |
/// |---|---|---|
/// | [`is_topic`](Error::is_topic): the name of a topic is invalid | 400 | the reason |
/// | [`is_unavailable`](Error::is_unavailable): the broker cannot be reached | 503 | `Retry-After: 1`, because nothing was published |
/// | [`is_unconfirmed`](Error::is_unconfirmed): the broker was lost before it confirmed | 503 | no `Retry-After`, because a second attempt may publish the event twice |
/// | [`is_refused`](Error::is_refused): the broker refuses | 500 | nothing more: it does not help the client to try again |
/// | any other error | 500 | nothing more |
///
/// The error and its sources are logged, except for the status 400. What a broker said is never part of the answer.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::topic::Hub;
/// use bocadillo::{EventStream, Problem, State, route};
///
/// #[route("/rooms/{room}")]
/// async fn room(room: String, State(hub): State<Hub>) -> Result<EventStream, Problem> {
///     Ok(hub.topic(format!("rooms/{room}"))?.subscribe().into())
/// }
/// # fn main() {}
/// ```
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if error.is_topic() {
            let reason = error.source().map(ToString::to_string);
            return Self::new(StatusCode::BAD_REQUEST).detail(reason.unwrap_or_default());
        }
        if error.is_unavailable() {
            tracing::warn!(error = %error.chain(), "a handler failed: the broker is away");
            return Self::new(StatusCode::SERVICE_UNAVAILABLE)
                .detail("the broker cannot be reached, so nothing was published; try again")
                .header(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if error.is_unconfirmed() {
            tracing::warn!(error = %error.chain(), "a handler failed: the result is not known");
            return Self::new(StatusCode::SERVICE_UNAVAILABLE).detail(
                "the broker did not confirm; check whether the event was published before you try again",
            );
        }
        tracing::error!(error = %error.chain(), "a handler failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        if let Some(title) = self.status.canonical_reason() {
            body.insert("title".to_owned(), title.into());
        }
        body.insert("status".to_owned(), self.status.as_u16().into());
        if let Some(detail) = self.detail {
            body.insert("detail".to_owned(), detail.into());
        }
        body.extend(self.members);

        let mut response = (self.status, Value::Object(body).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        for (name, value) in self.headers {
            if name == header::CONTENT_TYPE {
                headers.insert(name, value);
            } else {
                headers.append(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn each_kind_of_error_has_its_status_and_tells_the_client_nothing_of_the_broker() {
        const SAID: &str = "OOM command not allowed, 10.0.0.7";
        for (kind, status, may_try_again) in [
            (ErrorKind::Unavailable, 503, true),
            (ErrorKind::Unconfirmed, 503, false),
            (ErrorKind::Refused, 500, false),
            (ErrorKind::Config, 500, false),
            (ErrorKind::Event, 500, false),
            (ErrorKind::Json, 500, false),
        ] {
            let problem = Problem::from(Error::new(kind, SAID));
            assert_eq!(problem.status(), status, "{kind:?}");
            assert!(!format!("{problem:?}").contains("OOM"), "{problem:?}");
            let response = problem.into_response();
            let retry_after = response.headers().get(header::RETRY_AFTER);
            assert_eq!(retry_after.is_some(), may_try_again, "{kind:?}");
        }
    }

    #[test]
    fn an_invalid_topic_is_the_clients_mistake() {
        let error = Error::new(ErrorKind::Topic, "the name of a topic is empty");
        let problem = Problem::from(error).to_string();
        assert_eq!(problem, "400 Bad Request: the name of a topic is empty");
    }
}
