//! Extractors: `State`, `Query`, `Json`, `LastEventId`. `#[route]` binds path parameters. Extractors of axum work too.

use std::convert::Infallible;

use axum_core::extract::{FromRef, FromRequest, FromRequestParts, Request};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::EventId;
use crate::http::problem::Problem;

/// The app's state, or a part of it.
///
/// `State<T>` works in an app whose state is `T`, or whose state `S` has `T: FromRef<S>`. If the app does not have the
/// state of a handler, `routes(…)` does not compile.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{App, State, event_stream, generators, route, routes};
///
/// #[derive(Clone)]
/// struct Sensor { place: &'static str }
///
/// generators!(
///     #[route("/place")]
///     #[event_stream]
///     async fn place(State(sensor): State<Sensor>) {
///         yield sensor.place;
///     }
/// );
///
/// # fn main() {
/// let app = App::with_state(Sensor { place: "roof" }).routes(routes![place]);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct State<T>(pub T);

impl<T, S> FromRequestParts<S> for State<T>
where
    T: FromRef<S>,
    S: Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(T::from_ref(state)))
    }
}

/// The query of the URL, deserialised into a type.
///
/// If the query does not fit the type, the answer is 400 with the reason.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{Query, event_stream, generators, route};
///
/// #[derive(serde::Deserialize)]
/// struct From { start: u32 }
///
/// generators!(
///     #[route("/count")]
///     #[event_stream]
///     async fn count(Query(from): Query<From>) {
///         for n in from.start.. {
///             yield n.to_string();
///         }
///     }
/// );
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query));
        serde_path_to_error::deserialize(pairs)
            .map(Self)
            .map_err(|error| {
                Problem::new(StatusCode::BAD_REQUEST)
                    .detail(format!("the query does not fit: {error}"))
            })
    }
}

/// A JSON body. As an argument it is the body of the request, and as a return value the body of the response.
///
/// A request body can have 2 MiB by default. A [`DefaultBodyLimit`](axum_core::extract::DefaultBodyLimit) layer changes
/// this. The answer is 400 if the JSON is malformed, 422 if it does not fit the type, and 415 if there is a
/// `Content-Type` other than JSON.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{Json, route};
///
/// #[derive(serde::Deserialize)]
/// struct Message { text: String }
///
/// #[route("/shout", methods = [POST])]
/// async fn shout(Json(message): Json<Message>) -> Json<String> {
///     Json(message.text.to_uppercase())
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !may_be_json(request.headers()) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .detail("send the body as JSON, with `Content-Type: application/json`"));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status()).detail(rejection.body_text()))?;
        let mut text = serde_json::Deserializer::from_slice(&body);
        let read = serde_path_to_error::deserialize(&mut text);
        let value = read.map_err(|error| match error.inner().classify() {
            serde_json::error::Category::Data => Problem::new(StatusCode::UNPROCESSABLE_ENTITY)
                .detail(format!("the JSON does not fit: {error}")),
            _ => malformed(error.inner()),
        })?;
        text.end().map_err(|error| malformed(&error))?;
        Ok(Self(value))
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST).detail(format!("the JSON is malformed: {error}"))
}

fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let Some((kind, subtype)) = essence.split_once('/') else {
        return false;
    };
    let subtype = subtype.to_ascii_lowercase();
    kind.eq_ignore_ascii_case("application") && (subtype == "json" || subtype.ends_with("+json"))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let json = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, json)], body).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "an answer does not serialise to JSON");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
            }
        }
    }
}

/// The id of the last event that a client has got. The client sends it when it reconnects (WHATWG HTML, section 9.2.4).
///
/// It is `None` for a client that connects for the first time, and for a client that has got no id.
///
/// The id comes from the header `Last-Event-ID`. If there is no such header, or it is empty, the id comes from the URL,
/// as `?lastEventId=…`: a page that opens a new `EventSource` cannot send the header, and neither can some polyfills.
/// The header has priority over the URL because it is newer: when an `EventSource` reconnects, it sends its newest id in the
/// header, and its URL stays as it was. If the id is there several times, the last one that is not empty counts:
/// polyfills append a new one to the URL each time.
///
/// Text that cannot be an id is not an error. Bytes that are not UTF-8, line ends and NUL become the replacement
/// character U+FFFD, so the id is different from every id that was sent.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{LastEventId, event_stream, generators, route, server_event};
///
/// generators!(
///     #[route("/count")]
///     #[event_stream]
///     async fn count(LastEventId(last): LastEventId) {
///         let seen = last.and_then(|id| id.as_str().parse::<u64>().ok());
///         for n in seen.map_or(0, |n| n + 1)..10 {
///             yield server_event!(id = n, data = n.to_string());
///         }
///     }
/// );
/// # fn main() {}
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastEventId(pub Option<EventId>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let id = last_event_id(parts)
            .and_then(|id| EventId::try_from(id.replace(['\r', '\n', '\0'], "\u{fffd}")).ok());
        Ok(Self(id))
    }
}

/// The last id in the request, not validated.
pub(crate) fn last_event_id(parts: &Parts) -> Option<String> {
    let in_headers = parts.headers.get_all("last-event-id").iter();
    let mut in_headers = in_headers.filter(|value| !value.is_empty());
    if let Some(newest) = in_headers.next_back() {
        return Some(String::from_utf8_lossy(newest.as_bytes()).into_owned());
    }
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .filter(|(name, id)| name == "lastEventId" && !id.is_empty())
        .last()
        .map(|(_, id)| id.into_owned())
}
