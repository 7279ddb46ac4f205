//! What `#[route]` makes of a function: how its arguments are taken from a request, and how it is called.
//!
//! The traits are between generated code and the traits of axum, so that the compiler's message about a wrong argument
//! speaks of routes.

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

/// What can be a path parameter.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from the path",
    label = "has the name of a path parameter",
    note = "a path parameter is parsed with `FromStr`, whose error has to be `Display`"
)]
pub trait PathParameter: Sized {
    /// Parses the parameter. The error says what is wrong.
    fn read(text: &str) -> Result<Self, String>;
}

#[diagnostic::do_not_recommend]
impl<T: FromStr<Err: Display>> PathParameter for T {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: T::Err| error.to_string())
    }
}

/// What can be an argument that is not the last.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from a request to an app with the state `{S}`",
    label = "neither a path parameter nor an extractor here",
    note = "an argument is a path parameter of the same name, or an extractor: `FromRequestParts`, and for the last one `FromRequest`",
    note = "what takes the request's body (`Json`, `String`, `Bytes`) comes last; the app's state is taken as `State<…>`"
)]
pub trait Part<S>: Sized {
    /// Extracts the argument. The error is the response to send instead.
    fn extract(
        parts: &mut request::Parts,
        state: &S,
    ) -> impl Future<Output = Result<Self, Response>> + Send;
}

#[diagnostic::do_not_recommend]
impl<T: FromRequestParts<S>, S: Sync> Part<S> for T {
    async fn extract(parts: &mut request::Parts, state: &S) -> Result<Self, Response> {
        Self::from_request_parts(parts, state)
            .await
            .map_err(IntoResponse::into_response)
    }
}

/// What can be the last argument, which may take the request's body. `M` is its marker in axum.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from a request to an app with the state `{S}`",
    label = "neither a path parameter nor an extractor here",
    note = "an argument is a path parameter of the same name, or an extractor: `FromRequestParts`, and for the last one `FromRequest`",
    note = "what takes the request's body (`Json`, `String`, `Bytes`) comes last; the app's state is taken as `State<…>`"
)]
pub trait Last<S, M>: Sized {
    /// Extracts the argument. The error is the response to send instead.
    fn extract(request: Request, state: &S) -> impl Future<Output = Result<Self, Response>> + Send;
}

#[diagnostic::do_not_recommend]
impl<T: FromRequest<S, M>, S: Sync, M> Last<S, M> for T {
    async fn extract(request: Request, state: &S) -> Result<Self, Response> {
        Self::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)
    }
}

/// What a handler can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an answer",
    label = "what the handler returns",
    note = "a handler returns anything that is `IntoResponse`: an `EventStream`, text, `Json`, or a `Result` of two such as `Result<EventStream, Problem>`"
)]
pub trait Answer: IntoResponse + 'static {}

#[diagnostic::do_not_recommend]
impl<T: IntoResponse + 'static> Answer for T {}

/// Turns what a handler returned into a response.
pub fn respond<T: Answer>(value: T) -> StreamResponse {
    respond::respond(value)
}

/// What `#[route]` makes of a function beside the function itself. `M` is the marker of its last extractor.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a route of an app with the state `{S}`",
    label = "not a route here",
    note = "each argument is a parameter of the path or an extractor that the app's state serves; see `App::with_state`"
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
    pub async fn part<T: Part<S>>(&mut self) -> Result<T, http::Response<Body>> {
        T::extract(&mut self.parts, &self.state)
            .await
            .map_err(|refused| refused.map(Body::from))
    }

    /// Extracts the last argument, which may take the body of the request.
    ///
    /// # Errors
    ///
    /// The response of an extractor that refuses the request.
    pub async fn last<T: Last<S, M>, M>(self) -> Result<T, http::Response<Body>> {
        let request = Request::from_parts(self.parts, self.body);
        T::extract(request, &self.state)
            .await
            .map_err(|refused| refused.map(Body::from))
    }
}
