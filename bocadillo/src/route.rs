//! One route: what `#[route]` says of a function, and how the function is called.

use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use axum_core::extract::{FromRequest, FromRequestParts, Request};
use axum_core::response::IntoResponse;
use http::{StatusCode, request};

use crate::body::Body;
use crate::problem::Problem;

/// What a `#[route]` function says of itself: for logs, metrics and descriptions of an API.
///
/// The matched one is among a request's extensions, as `&'static RouteInfo`, for handlers and extractors.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, route, routes};
///
/// #[route("/rooms/{room}")]
/// async fn room(room: u32) -> String { room.to_string() }
///
/// # fn main() {
/// let app = App::new().routes(routes![room]);
/// let info = app.route_infos().next().expect("there is one");
/// assert_eq!((info.pattern, info.methods), ("/rooms/{room}", ["GET"].as_slice()));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The pattern as it is written.
    pub pattern: &'static str,
    /// The methods, in the order in which they are written. A `GET` answers `HEAD` as well.
    pub methods: &'static [&'static str],
    /// The function's path.
    pub name: &'static str,
    /// The file in which the function stands.
    pub file: &'static str,
    /// The line at which it stands.
    pub line: u32,
    /// The function's arguments, in order.
    pub arguments: &'static [RouteArgument],
}

/// One argument of a route's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteArgument {
    /// The argument's name; `_` for a pattern.
    pub name: &'static str,
    /// Its type, as it is written.
    pub ty: &'static str,
    /// Whether it is a parameter of the path, and not an extractor.
    pub in_path: bool,
}

impl RouteInfo {
    /// For generated code.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        pattern: &'static str,
        methods: &'static [&'static str],
        name: &'static str,
        (file, line): (&'static str, u32),
        arguments: &'static [RouteArgument],
    ) -> Self {
        Self {
            pattern,
            methods,
            name,
            file,
            line,
            arguments,
        }
    }
}

impl RouteArgument {
    /// For generated code.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, ty: &'static str, in_path: bool) -> Self {
        Self { name, ty, in_path }
    }
}

/// `GET /rooms/{room} (chat::room, src/chat.rs:12)`.
impl Display for RouteInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pattern,
            name,
            file,
            line,
            ..
        } = self;
        write!(
            f,
            "{} {pattern} ({name}, {file}:{line})",
            self.methods.join("|")
        )
    }
}

pub(crate) type Handler<S> =
    fn(RouteRequest<S>) -> Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

/// A function with `#[route]`, in an app whose state is `S`. Made by [`routes!`](crate::routes).
pub struct Route<S> {
    pub(crate) info: &'static RouteInfo,
    pub(crate) handler: Handler<S>,
}

impl<S> Route<S> {
    /// What the route says of itself.
    #[must_use]
    pub fn info(&self) -> &'static RouteInfo {
        self.info
    }
}

// Not derived: that would ask the same of `S`.
impl<S> Clone for Route<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Route<S> {}

impl<S> fmt::Debug for Route<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.info).finish()
    }
}

/// What `#[route]` makes of a function beside the function itself. `M` is the marker of its last extractor.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a route of an app with the state `{S}`",
    label = "not a route here",
    note = "each argument is a parameter of the path or an extractor that the app's state serves; see `App::with_state`"
)]
pub trait Endpoint<S: 'static, M>: 'static {
    /// What the route says of itself.
    const INFO: RouteInfo;

    /// Extracts the arguments, calls the function, and makes a response of what it returns.
    fn call(
        request: RouteRequest<S>,
    ) -> impl Future<Output = http::Response<Body>> + Send + 'static;

    /// The route.
    #[must_use]
    fn route() -> Route<S> {
        Route {
            info: const { &Self::INFO },
            handler: |request| Box::pin(Self::call(request)),
        }
    }
}

/// A request on its way into a route's arguments.
#[derive(Debug)]
pub struct RouteRequest<S> {
    pub(crate) parts: request::Parts,
    pub(crate) body: axum_core::body::Body,
    pub(crate) path: PathParameters,
    pub(crate) state: Arc<S>,
}

/// The names of a pattern's parameters with what stands in their places, still percent-encoded.
#[derive(Debug, Default)]
pub(crate) struct PathParameters(pub(crate) Vec<(String, String)>);

impl<S: Send + Sync> RouteRequest<S> {
    /// The parameter `name` of the path, decoded and parsed.
    ///
    /// # Errors
    ///
    /// A 400 that names the parameter.
    pub fn path_parameter<T>(&self, name: &'static str) -> Result<T, http::Response<Body>>
    where
        T: FromStr<Err: Display>,
    {
        let raw = self
            .path
            .0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, raw)| raw.as_str())
            .unwrap_or_default();
        let refuse = |why: String| {
            Problem::new(StatusCode::BAD_REQUEST)
                .detail(format!("the path parameter `{name}` does not fit: {why}"))
                .with("parameter", name)
                .into_response()
                .map(Body::from)
        };
        let text = percent_encoding::percent_decode_str(raw)
            .decode_utf8()
            .map_err(|_| refuse("it is not UTF-8 once decoded".to_owned()))?;
        text.parse()
            .map_err(|error: T::Err| refuse(error.to_string()))
    }

    /// An argument that is made of the request's head.
    ///
    /// # Errors
    ///
    /// What the extractor answers instead.
    pub async fn part<T: FromRequestParts<S>>(&mut self) -> Result<T, http::Response<Body>> {
        T::from_request_parts(&mut self.parts, &self.state)
            .await
            .map_err(|no| no.into_response().map(Body::from))
    }

    /// The last argument, which may take the request's body.
    ///
    /// # Errors
    ///
    /// What the extractor answers instead.
    pub async fn last<T: FromRequest<S, M>, M>(self) -> Result<T, http::Response<Body>> {
        let request = Request::from_parts(self.parts, self.body);
        T::from_request(request, &self.state)
            .await
            .map_err(|no| no.into_response().map(Body::from))
    }
}
