//! `App`: routes, state and layers, and other apps under a prefix.

pub(crate) mod endpoint;
mod group;
pub(crate) mod route;
mod router;
pub(crate) mod service;

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};
use tower_layer::Layer;

use crate::app::endpoint::Route;
use crate::app::group::{Group, Groups, Layered, Wrap};
use crate::app::route::RouteInfo;
use crate::app::service::AppService;
use crate::error::{BoxError, Result};
use crate::stream::{StreamOptions, Streams};

/// Routes with their state and layers. Run it with [`run`](Self::run), serve it with a [`Server`](crate::Server), or make
/// it a [`tower::Service`] with [`into_service`](Self::into_service).
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
    fallback_infos: Arc<[Arc<RouteInfo>]>,
    nested: Vec<Groups>,
    options: Option<StreamOptions>,
    streams: Option<Streams>,
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
            fallback_infos: Arc::default(),
            nested: Vec::new(),
            options: None,
            streams: None,
        }
    }

    /// Adds routes, as [`routes!`](crate::routes) makes them.
    ///
    /// It may be called several times, for example with the routes of each module of a program. If two routes would answer
    /// the same requests, [`into_service`](Self::into_service) returns an error, and so does a server of the app.
    ///
    /// The compiler says "expected `Route<()>`, found `Route<Sensor>`" when a handler takes a `State<Sensor>` and the app has
    /// no such state: see [`with_state`](Self::with_state).
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

    /// Describes the routes, for example for a page that lists them. The app's own routes come first, then those of the
    /// [nested](Self::nest) apps, then those of the [fallback](Self::fallback_service) if it is an app.
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
    /// let patterns: Vec<_> = app.route_infos().map(|info| info.pattern.clone()).collect();
    /// assert_eq!(patterns, ["/hello"]);
    /// # }
    /// ```
    pub fn route_infos(&self) -> impl Iterator<Item = &RouteInfo> + '_ {
        let own = self
            .routes
            .iter()
            .map(|route| -> &RouteInfo { route.info() });
        let nested = self.nested.iter().flat_map(|nested| &nested.routes);
        let fallback = self.fallback_infos.iter().map(|info| &**info);
        own.chain(nested.map(|route| &*route.info)).chain(fallback)
    }

    /// Wraps the whole app in a tower layer: one of tower-http, or your own. The layer sees every request: to routes that
    /// are added later, to nested apps, to the fallback, and those that are answered 404 or 405. The layer that is added
    /// last sees a request first. For a layer around some of the routes, see [`nest`](Self::nest).
    ///
    /// The service of the layer must not fail: its error is `Infallible`. Some layers fail, such as tower's own time-out.
    /// The compiler then says "the trait `From<Box<dyn Error …>>` is not implemented for `Infallible`". Put such a layer
    /// under one that makes a response of the error, such as axum's `HandleErrorLayer`. tower-http's `TimeoutLayer`
    /// answers by itself.
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

    /// Puts another app under a prefix. The other app keeps its state, layers, fallback and options.
    ///
    /// This is also how some of the routes get a layer: give it to an app of their own, and nest that app. The prefix `/`
    /// adds nothing to the paths.
    ///
    /// **Paths.** The pattern of each route begins with the prefix: in an app that is nested at `/api`, the route `/rooms`
    /// answers `/api/rooms`, and the route `/` answers `/api`, but not `/api/`. [`RouteInfo`] has the whole pattern.
    /// Handlers, layers and fallbacks of the nested app see the whole path of the request; axum's `Router::nest` removes
    /// the prefix there. A prefix is compared with the path as the client sends it: it is not decoded, so `/%61pi` is
    /// not under `/api`. A prefix has no parameters.
    ///
    /// **Order.** All routes of all apps are one table, and the most specific pattern answers. If two routes of two apps
    /// would answer the same requests, [`into_service`](Self::into_service) returns an error that names both places. The
    /// layers of the nested app run after the routing: a path that they change does not change the route.
    ///
    /// **Unknown paths and methods.** A path under the prefix that has no route goes through the layers of the nested app
    /// to its fallback; without one, to the fallback of the outer app; without one, the answer is 404. An answer of 405
    /// goes through the layers of the app that has the path's first route.
    ///
    /// **Streams.** The options of the nested app go first; what they leave unset comes from the outer app. A shutdown of
    /// the outer app ends the streams of the nested app.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, State, route, routes};
    ///
    /// #[route("/rooms")]
    /// async fn rooms(State(names): State<Vec<String>>) -> String { names.join(", ") }
    ///
    /// #[route("/health")]
    /// async fn health() -> &'static str { "fine" }
    ///
    /// # fn main() {
    /// let api = App::with_state(vec!["garden".to_owned()]).routes(routes![rooms]);
    /// let app = App::new().routes(routes![health]).nest("/api", api);
    /// let patterns: Vec<_> = app.route_infos().map(|info| info.pattern.clone()).collect();
    /// assert_eq!(patterns, ["/health", "/api/rooms"]);
    /// # }
    /// ```
    #[track_caller]
    pub fn nest<T: Clone + Send + Sync + 'static>(mut self, prefix: &str, app: App<T>) -> Self {
        let groups = app.into_groups();
        self.nested.push(groups.under(prefix, Location::caller()));
        self
    }

    /// Sends requests without a route to another service, for example to an axum router, to a directory of files, or to
    /// another app.
    ///
    /// The streams of the service belong to this app as well: they get its default options where they have none, and a
    /// shutdown ends them and waits for their clean-ups. This holds for an axum router, for another app, and for a service
    /// inside of the layer of other [`Streams`]. The limits of connections are those of the server.
    ///
    /// If the service is an [`AppService`], its routes are in the log at the start. A conflict between its routes and those
    /// of this app is not an error: this app's routes go first. With [`nest`](Self::nest) it would be an error.
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
        self.fallback_infos = (&service as &dyn Any)
            .downcast_ref::<AppService>()
            .map_or_else(Arc::default, |app| Arc::clone(app.route_infos()));
        let service =
            service.map_response(|response: Response<B>| response.map(axum_core::body::Body::new));
        self.fallback = Some(BoxCloneSyncService::new(service));
        self
    }

    /// Sets default options of the app's streams. They override the [defaults](Streams::defaults) of its
    /// [`streams`](Self::streams). A stream's [own options](crate::EventStream::with) override both.
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
        self.options = Some(match &self.options {
            Some(earlier) => options.or(earlier),
            None => options,
        });
        self
    }

    /// Sets the [`Streams`] that the app's streams belong to. The default is a new one.
    ///
    /// Use it to drain the streams of an app that runs in another server, to count them, or to start tasks that a shutdown
    /// waits for.
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
        self.streams = Some(streams);
        self
    }

    /// Makes the app a service: for another server, or for the `fallback_service` of an axum router.
    ///
    /// # Errors
    ///
    /// When two routes answer the same requests: the error names both places. When an app is nested at a prefix that cannot
    /// be used. When two apps that are nested at the same prefix have a fallback.
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
        let infos = self.route_infos().cloned().map(Arc::new).collect();
        AppService::new(self.into_groups(), infos)
    }

    fn into_groups(self) -> Groups {
        let group = Group {
            prefix: "/".to_owned(),
            parent: None,
            layers: self.layers,
            fallback: self.fallback,
            options: self.options,
            streams: self.streams,
        };
        let mut groups = Groups::new(group, self.routes, self.state);
        for nested in self.nested {
            groups.add(nested);
        }
        groups
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
