//! The traits that the code of `#[route]` uses. They extract the arguments from a request, and call the function.
//!
//! Generated code uses these traits instead of axum's. So the compiler's messages about arguments mention routes.

use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use axum_core::extract::{FromRequest, FromRequestParts, Request};
use axum_core::response::{IntoResponse, Response};
use http::{StatusCode, request};

use crate::app::route::RouteInfo;
use crate::http::problem::Problem;
use crate::http::respond::{self, StreamResponse};
use crate::stream::body::Body;

/// A type for a path parameter. Every type that implements [`FromStr`] is one, if its error implements [`Display`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be parsed from a path parameter",
    label = "this argument has the name of a path parameter",
    note = "use a type that implements `FromStr` with an error that implements `Display`",
    note = "if the argument is an extractor, give it a name that is not in the path"
)]
pub trait PathParameter: Sized {
    /// Parses the parameter.
    ///
    /// # Errors
    ///
    /// The message of the parse error.
    fn read(text: &str) -> Result<Self, String>;
}

#[diagnostic::do_not_recommend]
impl<T: FromStr<Err: Display>> PathParameter for T {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: T::Err| error.to_string())
    }
}

/// A type for an argument of a route that is not the last. Every type that implements [`FromRequestParts`] is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be extracted from a request to an app with the state `{S}`",
    label = "an argument of the type `{Self}` is neither a path parameter nor an extractor",
    note = "if the argument is a path parameter, give it the name of the parameter",
    note = "any other argument must be an extractor: it implements `FromRequestParts`, or `FromRequest` if it is the last argument",
    note = "write an argument that reads the body, such as `Json`, `String` or `Bytes`, last",
    note = "write `State<T>` to take the state of the app"
)]
pub trait FromRouteParts<S>: Sized {
    /// Extracts the argument. The error is the response that is sent instead.
    fn extract(
        parts: &mut request::Parts,
        state: &S,
    ) -> impl Future<Output = Result<Self, Response>> + Send;
}

#[diagnostic::do_not_recommend]
impl<T: FromRequestParts<S>, S: Sync> FromRouteParts<S> for T {
    async fn extract(parts: &mut request::Parts, state: &S) -> Result<Self, Response> {
        Self::from_request_parts(parts, state)
            .await
            .map_err(IntoResponse::into_response)
    }
}

/// A type for the last argument of a route. Only the last argument may take the request's body. Every type that
/// implements [`FromRequest`] is one. `M` is the marker of that trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be extracted from a request to an app with the state `{S}`",
    label = "an argument of the type `{Self}` is neither a path parameter nor an extractor",
    note = "if the argument is a path parameter, give it the name of the parameter",
    note = "any other argument must be an extractor: it implements `FromRequestParts`, or `FromRequest` if it is the last argument",
    note = "write an argument that reads the body, such as `Json`, `String` or `Bytes`, last",
    note = "write `State<T>` to take the state of the app"
)]
pub trait FromRouteRequest<S, M>: Sized {
    /// Extracts the argument. The error is the response that is sent instead.
    fn extract(request: Request, state: &S) -> impl Future<Output = Result<Self, Response>> + Send;
}

#[diagnostic::do_not_recommend]
impl<T: FromRequest<S, M>, S: Sync, M> FromRouteRequest<S, M> for T {
    async fn extract(request: Request, state: &S) -> Result<Self, Response> {
        Self::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)
    }
}

/// A type that a route can return. Every type that implements [`IntoResponse`] is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a route",
    label = "`{Self}` does not implement `IntoResponse`",
    note = "return an `EventStream`, text, `Json`, or a `Result` such as `Result<EventStream, Problem>`",
    note = "or implement `IntoResponse` for your own type"
)]
pub trait RouteResponse: IntoResponse + 'static {}

#[diagnostic::do_not_recommend]
impl<T: IntoResponse + 'static> RouteResponse for T {}

/// Turns what a handler returned into a response.
pub fn respond<T: RouteResponse>(value: T) -> StreamResponse {
    respond::respond(value)
}

/// A function with `#[route]`, in an app whose state is `S`. `M` is the marker of its last extractor.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a route of an app with the state `{S}`",
    label = "`{Self}` is not a route for the state `{S}`",
    note = "write `#[route(\"/path\")]` above the function",
    note = "each argument must be a path parameter, or an extractor that works with the state `{S}`; see `App::with_state`"
)]
pub trait Endpoint<S: 'static, M>: 'static {
    /// The description of the route.
    const INFO: RouteInfo;

    /// Extracts the arguments, calls the function, and makes a response of its result. The `Err` is the response of an
    /// extractor that refuses the request.
    fn call(
        request: RouteRequest<S>,
    ) -> impl Future<Output = Result<http::Response<Body>, http::Response<Body>>> + Send + 'static;

    /// The route.
    #[must_use]
    fn route() -> Route<S> {
        Route {
            info: const { &Self::INFO },
            handler: |request| {
                let answer = Self::call(request);
                Box::pin(async { answer.await.unwrap_or_else(|refused| refused) })
            },
        }
    }
}

type HandlerFuture = Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;
pub(crate) type Handler<S> = fn(RouteRequest<S>) -> HandlerFuture;
/// A handler with its state.
pub(crate) type BoundHandler = Arc<
    dyn Fn(request::Parts, axum_core::body::Body, PathParameters) -> HandlerFuture + Send + Sync,
>;

/// A function with `#[route]`, in an app whose state is `S`. Made by [`routes!`](crate::routes).
///
/// Use it to return routes from a module.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Route, route, routes};
///
/// mod greetings {
///     use super::*;
///
///     #[route("/hello")]
///     async fn hello() -> &'static str { "hello" }
///
///     pub fn routes() -> impl IntoIterator<Item = Route<()>> { routes![hello] }
/// }
///
/// # fn main() {
/// let app = App::new().routes(greetings::routes());
/// # }
/// ```
pub struct Route<S> {
    pub(crate) info: &'static RouteInfo,
    pub(crate) handler: Handler<S>,
}

impl<S> Route<S> {
    /// Returns the description of the route.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{Route, route, routes};
    ///
    /// #[route("/hello")]
    /// async fn hello() -> &'static str { "hello" }
    ///
    /// # fn main() {
    /// let [hello]: [Route<()>; 1] = routes![hello];
    /// assert_eq!(hello.info().pattern, "/hello");
    /// # }
    /// ```
    #[must_use]
    pub fn info(&self) -> &'static RouteInfo {
        self.info
    }
}

impl<S: Send + Sync + 'static> Route<S> {
    pub(crate) fn with_state(self, state: Arc<S>) -> BoundHandler {
        Arc::new(move |parts, body, path| {
            (self.handler)(RouteRequest {
                parts,
                body,
                path,
                state: Arc::clone(&state),
            })
        })
    }
}

// Not derived, because a derive would require `S: Clone`.
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

/// A request from which the arguments of a route are extracted.
#[derive(Debug)]
pub struct RouteRequest<S> {
    pub(crate) parts: request::Parts,
    pub(crate) body: axum_core::body::Body,
    pub(crate) path: PathParameters,
    pub(crate) state: Arc<S>,
}

/// The names and the values of a path's parameters. The values are still percent-encoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct PathParameters(pub(crate) Vec<(String, String)>);

impl<S: Send + Sync> RouteRequest<S> {
    /// Decodes and parses the parameter `name` of the path.
    ///
    /// # Errors
    ///
    /// A 400 that names the parameter.
    #[allow(
        clippy::result_large_err,
        reason = "an answer is made once for a request, and goes out as it is"
    )]
    pub fn path_parameter<T: PathParameter>(
        &self,
        name: &'static str,
    ) -> Result<T, http::Response<Body>> {
        let raw = self
            .path
            .0
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, raw)| raw);
        let decoded = percent_encoding::percent_decode_str(raw).decode_utf8();
        let read = match &decoded {
            Ok(text) => T::read(text),
            Err(_) => Err("it is not UTF-8 once decoded".to_owned()),
        };
        read.map_err(|why| {
            Problem::new(StatusCode::BAD_REQUEST)
                .detail(format!("the path parameter `{name}` does not fit: {why}"))
                .with("parameter", name)
                .into_response()
                .map(Body::from)
        })
    }

    /// Extracts an argument from the head of the request.
    ///
    /// # Errors
    ///
    /// The response of an extractor that refuses the request.
    pub async fn part<T: FromRouteParts<S>>(&mut self) -> Result<T, http::Response<Body>> {
        T::extract(&mut self.parts, &self.state)
            .await
            .map_err(|refused| refused.map(Body::from))
    }

    /// Extracts the last argument, which may take the body of the request.
    ///
    /// # Errors
    ///
    /// The response of an extractor that refuses the request.
    pub async fn last<T: FromRouteRequest<S, M>, M>(self) -> Result<T, http::Response<Body>> {
        let request = Request::from_parts(self.parts, self.body);
        T::extract(request, &self.state)
            .await
            .map_err(|refused| refused.map(Body::from))
    }
}
