//! `App`: routes, state and layers, as a `tower` service.

pub(crate) mod endpoint;
pub(crate) mod route;
mod router;

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::response::IntoResponse;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};
use tower_layer::Layer;

use crate::app::endpoint::{Route, RouteRequest};
use crate::app::route::RouteInfo;
use crate::app::router::{Found, Router};
use crate::error::{BoxError, Result};
use crate::http::layer::RequestScope;
use crate::http::problem::Problem;
use crate::stream::body::Body;
use crate::stream::streams::OuterStreams;
use crate::stream::{StreamOptions, Streams};

type Layered = BoxCloneSyncService<
    Request<axum_core::body::Body>,
    Response<axum_core::body::Body>,
    Infallible,
>;
type Wrap = Box<dyn FnOnce(Layered) -> Layered + Send>;

/// Routes with their state and layers, to be run, served, or called as a [`tower::Service`].
///
/// # Examples
///
/// ```no_run
/// use bocadillo::{App, event_stream, generators, route, routes};
///
/// generators!(
///     #[route("/greeting")]
///     #[event_stream]
///     async fn greeting() {
///         yield "hello";
///     }
/// );
///
/// fn main() -> bocadillo::Result<()> {
///     App::new().routes(routes![greeting]).run()
/// }
/// ```
#[must_use = "an app does nothing until it is run, served or called"]
pub struct App<S = ()> {
    state: S,
    routes: Vec<Route<S>>,
    layers: Vec<Wrap>,
    fallback: Option<Layered>,
    /// The routes of the fallback, if it is an app.
    fallback_routes: Arc<[&'static RouteInfo]>,
    options: StreamOptions,
    streams: Streams,
}

impl App {
    /// An app without state.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, route, routes};
    ///
    /// #[route("/hello")]
    /// async fn hello() -> &'static str { "hello" }
    ///
    /// # fn main() {
    /// let app = App::new().routes(routes![hello]);
    /// # }
    /// ```
    pub fn new() -> Self {
        Self::with_state(())
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> App<S> {
    /// An app whose handlers may ask for `state`, or parts of it, by [`State`](crate::State).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, State, route, routes};
    ///
    /// #[route("/name")]
    /// async fn name(State(name): State<String>) -> String { name }
    ///
    /// # fn main() {
    /// let app = App::with_state("Bocadillo".to_owned()).routes(routes![name]);
    /// # }
    /// ```
    pub fn with_state(state: S) -> Self {
        Self {
            state,
            routes: Vec::new(),
            layers: Vec::new(),
            fallback: None,
            fallback_routes: Arc::default(),
            options: StreamOptions::new(),
            streams: Streams::new(),
        }
    }

    /// Adds routes, as [`routes!`](crate::routes) makes them.
    ///
    /// It may be called several times, by each module of a program for its own. Two routes that would answer the same
    /// requests are found by [`into_service`](Self::into_service), and so by whatever serves the app.
    ///
    /// "Expected `Route<()>`, found `Route<Sensor>`" means that a handler takes a `State<Sensor>`, which this app does not
    /// have: see [`with_state`](Self::with_state).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, route, routes};
    ///
    /// #[route("/hello")]
    /// async fn hello() -> &'static str { "hello" }
    ///
    /// #[route("/hello", methods = [POST])]
    /// async fn greet(name: String) -> String { format!("hello, {name}") }
    ///
    /// # fn main() {
    /// let app = App::new().routes(routes![hello]).routes(routes![greet]);
    /// # }
    /// ```
    pub fn routes(mut self, routes: impl IntoIterator<Item = Route<S>>) -> Self {
        self.routes.extend(routes);
        self
    }

    /// What the routes say of themselves, in the order in which they were added. If the
    /// [fallback](Self::fallback_service) is an app, its routes follow.
    ///
    /// For a page that lists them, say, or a description of the API.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, route, routes};
    ///
    /// #[route("/hello")]
    /// async fn hello() -> &'static str { "hello" }
    ///
    /// # fn main() {
    /// let app = App::new().routes(routes![hello]);
    /// let patterns: Vec<_> = app.route_infos().map(|info| info.pattern).collect();
    /// assert_eq!(patterns, ["/hello"]);
    /// # }
    /// ```
    pub fn route_infos(&self) -> impl Iterator<Item = &'static RouteInfo> + '_ {
        let fallback = self.fallback_routes.iter().copied();
        self.routes.iter().map(Route::info).chain(fallback)
    }

    /// Wraps the whole app in a layer of tower's: one of tower-http's, or your own. It sees every request, also those to
    /// routes that are added later, to the fallback, and to what is answered 404 or 405. The layer added last sees a
    /// request first.
    ///
    /// A layer answers, and never fails: its error is `Infallible`. One that fails, as tower's own time-out does ("the
    /// trait `From<Box<dyn Error …>>` is not implemented for `Infallible`"), goes under something that makes an answer of
    /// the error, such as axum's `HandleErrorLayer`; tower-http's `TimeoutLayer` answers by itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, http::Request};
    /// use tower::util::MapRequestLayer;
    ///
    /// let logged = MapRequestLayer::new(|request: Request<_>| {
    ///     println!("{} {}", request.method(), request.uri());
    ///     request
    /// });
    /// let app = App::new().layer(logged);
    /// ```
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<Layered> + Send + 'static,
        L::Service: Service<Request<axum_core::body::Body>, Response = Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<Request<axum_core::body::Body>>>::Error: Into<Infallible>,
        <L::Service as Service<Request<axum_core::body::Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        self.layers.push(Box::new(move |inner| {
            let service = layer.layer(inner);
            let service = service
                .map_response(|response: Response<B>| response.map(axum_core::body::Body::new));
            BoxCloneSyncService::new(service.map_err(Into::into))
        }));
        self
    }

    /// Hands requests for which there is no route to another service, for example an axum router, a directory of files,
    /// or another app.
    ///
    /// An app as the fallback is the way to a layer for some of the routes. Its options hold for its streams, and the
    /// outer app's hold where it has none. Its streams end with the outer app's at a shutdown, which also waits for their
    /// clean-ups. Limits of connections are those of the outer app. The log at the start has the routes of both, unless
    /// a service of another type stands between the two.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use bocadillo::{App, http::Request, http::Response};
    ///
    /// let rest = tower::service_fn(async |request: Request<_>| {
    ///     Ok::<_, Infallible>(Response::new(format!("no feed at {}", request.uri())))
    /// });
    /// let app = App::new().fallback_service(rest);
    /// ```
    pub fn fallback_service<F, B>(mut self, service: F) -> Self
    where
        F: Service<Request<axum_core::body::Body>, Response = Response<B>, Error = Infallible>,
        F: Clone + Send + Sync + 'static,
        F::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        self.fallback_routes = (&service as &dyn Any)
            .downcast_ref::<AppService>()
            .map_or_else(Arc::default, |app| Arc::clone(&app.routes));
        let service =
            service.map_response(|response: Response<B>| response.map(axum_core::body::Body::new));
        self.fallback = Some(BoxCloneSyncService::new(service));
        self
    }

    /// Sets default options of the app's streams. They go before the [defaults](Streams::defaults) of its
    /// [`streams`](Self::streams); a stream's [own options](crate::EventStream::with) go before both.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bocadillo::{App, StreamOptions};
    ///
    /// let app = App::new().stream_options(StreamOptions::new().keep_alive(Duration::from_secs(5)));
    /// ```
    pub fn stream_options(mut self, options: StreamOptions) -> Self {
        self.options = options.or(&self.options);
        self
    }

    /// Takes the `Streams` that the app's streams belong to. The default is one of the app's own.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Streams};
    ///
    /// let streams = Streams::new();
    /// let app = App::new().streams(streams.clone());
    /// ```
    pub fn streams(mut self, streams: Streams) -> Self {
        self.streams = streams;
        self
    }

    /// The app as a service: for another server, or to be nested in an axum router by `fallback_service`.
    ///
    /// # Errors
    ///
    /// When two routes answer the same requests; both places are named.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, route, routes};
    ///
    /// #[route("/rooms/{room}")]
    /// async fn by_number(room: u32) -> String { room.to_string() }
    ///
    /// #[route("/rooms/{name}")]
    /// async fn by_name(name: String) -> String { name }
    ///
    /// # fn main() {
    /// assert!(App::new().routes(routes![by_number]).into_service().is_ok());
    ///
    /// let error = App::new().routes(routes![by_number, by_name]).into_service().unwrap_err();
    /// assert!(error.is_route());
    /// # }
    /// ```
    pub fn into_service(self) -> Result<AppService> {
        let routes = self.route_infos().collect();
        let defaults = self.options.or(self.streams.options());
        let streams = self.streams.defaults(defaults);
        let router = Router::new(&self.routes)?;
        let direct = Direct {
            router: Arc::new(router),
            state: Arc::new(self.state),
            fallback: self.fallback,
            streams: streams.clone(),
        };
        let kind = if self.layers.is_empty() {
            Kind::Direct(Arc::new(move |request| {
                Box::pin(direct.clone().answer(request))
            }))
        } else {
            let service = tower::service_fn(move |request| {
                let direct = direct.clone();
                async move { Ok(direct.answer(request).await.map(Body::into_axum)) }
            });
            let layered = self
                .layers
                .into_iter()
                .fold(BoxCloneSyncService::new(service), |inner, wrap| wrap(inner));
            Kind::Layered(layered)
        };
        Ok(AppService {
            kind,
            streams,
            routes,
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for App<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("state", &self.state)
            .field("routes", &self.routes)
            .field("layers", &self.layers.len())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

type AnswerFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// An [`App`] whose routes have been checked: a [`tower::Service`], cheap to clone.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, route, routes};
/// use tower::ServiceExt;
///
/// #[route("/hello")]
/// async fn hello() -> &'static str { "hello" }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = App::new().routes(routes![hello]).into_service()?;
/// let request = http::Request::get("/hello").body(axum_core::body::Body::empty())?;
/// assert_eq!(service.oneshot(request).await?.status(), 200);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AppService {
    kind: Kind,
    pub(crate) streams: Streams,
    routes: Arc<[&'static RouteInfo]>,
}

#[derive(Clone)]
enum Kind {
    /// Without layers a response's body keeps its type.
    Direct(Arc<dyn Fn(Request<axum_core::body::Body>) -> AnswerFuture + Send + Sync>),
    Layered(Layered),
}

impl AppService {
    pub(crate) fn routes(&self) -> &[&'static RouteInfo] {
        &self.routes
    }
}

impl fmt::Debug for AppService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppService").finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for AppService
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A layer's readiness is asked for in `call`, on a clone of its own.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(axum_core::body::Body::new);
        match &self.kind {
            Kind::Direct(answer) => Box::pin(answer(request).map(Ok)),
            Kind::Layered(layered) => {
                let layered = layered.clone();
                let streams = self.streams.for_request(request.extensions());
                request
                    .extensions_mut()
                    .insert(OuterStreams(streams.clone()));
                Box::pin(async move {
                    Ok(streams
                        .scope(layered.oneshot(request))
                        .await?
                        .map(Body::from))
                })
            }
        }
    }
}

/// Routes and state, without layers.
struct Direct<S> {
    router: Arc<Router<S>>,
    state: Arc<S>,
    fallback: Option<Layered>,
    streams: Streams,
}

impl<S> Clone for Direct<S> {
    fn clone(&self) -> Self {
        Self {
            router: Arc::clone(&self.router),
            state: Arc::clone(&self.state),
            fallback: self.fallback.clone(),
            streams: self.streams.clone(),
        }
    }
}

impl<S: Send + Sync + 'static> Direct<S> {
    async fn answer(self, request: Request<axum_core::body::Body>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let scope = RequestScope::begin(&self.streams, &mut parts);
        let streams = scope.streams().clone();
        let response = match self.router.find(&parts.method, parts.uri.path()) {
            Found::Route(route, path) => {
                parts.extensions.insert(route.info);
                let request = RouteRequest {
                    parts,
                    body,
                    path,
                    state: self.state,
                };
                let answer = (route.handler)(request);
                contained(streams.scope(answer), route.info).await
            }
            Found::OtherMethods(allow) => {
                let detail = format!(
                    "{} does not take {}; it takes {allow}",
                    parts.uri.path(),
                    parts.method
                );
                let allow = HeaderValue::try_from(allow)
                    .expect("methods are tokens, and so a header value");
                let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED)
                    .detail(detail)
                    .header(header::ALLOW, allow);
                problem.into_response().map(Body::from)
            }
            Found::Nothing => match self.fallback {
                Some(fallback) => {
                    let request = Request::from_parts(parts, body);
                    let answer = async {
                        let Ok(response) = fallback.oneshot(request).await;
                        response.map(Body::from)
                    };
                    contained(streams.scope(answer), "the fallback").await
                }
                None => {
                    let detail = format!("nothing is served at {}", parts.uri.path());
                    Problem::new(StatusCode::NOT_FOUND)
                        .detail(detail)
                        .into_response()
                        .map(Body::from)
                }
            },
        };
        scope.finish(response)
    }
}

/// What `who` answers, or a 500: a panic that went on would cut the connection, or its one stream in HTTP/2, without a
/// word.
pub(crate) async fn contained(
    answer: impl Future<Output = Response<Body>>,
    who: impl fmt::Display,
) -> Response<Body> {
    AssertUnwindSafe(answer)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            tracing::error!("{who} panicked");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR)
                .into_response()
                .map(Body::from)
        })
}
