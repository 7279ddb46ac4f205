//! `AppService`: an app as a tower service. It finds the route of a request, and calls it inside of its groups' layers.

use std::cmp::Reverse;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use axum_core::response::IntoResponse;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::app::group::{GroupRoute, Groups, Layered, Wrap};
use crate::app::route::RouteInfo;
use crate::app::router::{Found, Router};
use crate::error::{BoxError, Result};
use crate::http::layer::RequestScope;
use crate::http::problem::Problem;
use crate::stream::Streams;
use crate::stream::body::Body;
use crate::stream::membership::OuterStreams;

type AxumBody = axum_core::body::Body;
type ResponseFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// An [`App`](crate::App) whose routes have been checked: a [`tower::Service`], cheap to clone.
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
    router: Arc<AppRouter>,
    /// The router inside of the app's own layers.
    layered: Option<Layered>,
    infos: Arc<[Arc<RouteInfo>]>,
}

impl AppService {
    /// `infos` are those of the app's routes and of its fallback's.
    pub(super) fn new(mut groups: Groups, infos: Arc<[Arc<RouteInfo>]>) -> Result<Self> {
        groups.check()?;
        let layers = std::mem::take(&mut groups.groups[0].layers);
        let router = AppRouter::new(groups)?;
        let layered = (!layers.is_empty()).then(|| {
            let router = Arc::clone(&router);
            let service = tower::service_fn(move |request| {
                let router = Arc::clone(&router);
                async move { Ok(router.answer(request).await.map(Body::into_axum)) }
            });
            wrap(BoxCloneSyncService::new(service), layers)
        });
        Ok(Self {
            router,
            layered,
            infos,
        })
    }

    pub(crate) fn route_infos(&self) -> &Arc<[Arc<RouteInfo>]> {
        &self.infos
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.router.streams
    }
}

impl fmt::Debug for AppService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppService")
            .field("routes", &self.infos)
            .finish_non_exhaustive()
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
        let mut request = request.map(AxumBody::new);
        let Some(layered) = self.layered.clone() else {
            // Without layers a response's body keeps its type.
            return Box::pin(Arc::clone(&self.router).answer(request).map(Ok));
        };
        let streams = self.streams().for_request(request.extensions());
        request
            .extensions_mut()
            .insert(OuterStreams(streams.clone()));
        Box::pin(async move {
            let answer = streams.scope(call(layered, request));
            Ok(contained(answer, "a layer").await)
        })
    }
}

/// The routes of an app and of its nested apps.
struct AppRouter {
    router: Router,
    routes: Vec<GroupRoute>,
    nodes: Vec<Node>,
    streams: Streams,
}

/// What a request to a nested app goes through.
struct Node {
    prefix: String,
    /// The index of the app that it is nested in.
    parent: Option<usize>,
    fallback: Option<Layered>,
    /// The apps around the group and the group itself, from the outside to the inside, without the outermost app.
    chain: Vec<usize>,
    streams: Option<Streams>,
    layered: Option<Layered>,
}

/// Where a request goes. It is an extension of the request while that goes through the layers of nested apps.
#[derive(Clone)]
struct Target {
    found: Found,
    group: usize,
    /// How many members of the group's chain the request has entered.
    depth: usize,
}

fn wrap(service: Layered, layers: Vec<Wrap>) -> Layered {
    layers.into_iter().fold(service, |inner, wrap| wrap(inner))
}

impl AppRouter {
    fn new(groups: Groups) -> Result<Arc<Self>> {
        let router = Router::new(&groups.routes)?;
        Ok(Arc::new_cyclic(|this| {
            let mut nodes: Vec<Node> = Vec::new();
            for (index, group) in groups.groups.into_iter().enumerate() {
                let mut chain = Vec::new();
                if let Some(parent) = group.parent {
                    chain.clone_from(&nodes[parent].chain);
                    chain.push(index);
                }
                let streams = group.streams();
                let layered = (!group.layers.is_empty())
                    .then(|| wrap(Self::inside_of_layers(this.clone(), index), group.layers));
                nodes.push(Node {
                    prefix: group.prefix,
                    parent: group.parent,
                    fallback: group.fallback,
                    chain,
                    streams,
                    layered,
                });
            }
            let streams = nodes[0].streams.take().unwrap_or_default();
            Self {
                router,
                routes: groups.routes,
                nodes,
                streams,
            }
        }))
    }

    /// What the layers of a group are around.
    fn inside_of_layers(this: Weak<Self>, group: usize) -> Layered {
        BoxCloneSyncService::new(tower::service_fn(move |mut request: Request<AxumBody>| {
            let this = this.upgrade();
            async move {
                let Some(this) = this else {
                    // A layer has kept the request, and the app is gone.
                    return Ok(Problem::new(StatusCode::SERVICE_UNAVAILABLE).into_response());
                };
                let target = request.extensions_mut().remove::<Target>();
                // A layer that makes a new request loses the extensions.
                let target = target.or_else(|| this.find_inside(group, &request));
                let response = match target {
                    Some(target) => this.enter(target, request).await,
                    None => not_found(request.uri().path()),
                };
                Ok(response.map(Body::into_axum))
            }
        }))
    }

    async fn answer(self: Arc<Self>, request: Request<AxumBody>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let scope = RequestScope::begin(&self.streams, &mut parts);
        let streams = scope.streams().clone();
        let target = self.find(&parts.method, parts.uri.path());
        if let Found::Route(route, _) = &target.found {
            parts
                .extensions
                .insert(Arc::clone(&self.routes[*route].info));
        }
        let request = Request::from_parts(parts, body);
        let response = if self.nodes[target.group].chain.is_empty() {
            streams.scope(self.run(target, request)).await
        } else {
            streams.scope(self.enter(target, request)).await
        };
        scope.finish(response)
    }

    fn find(&self, method: &http::Method, path: &str) -> Target {
        let found = self.router.find(method, path);
        let group = match &found {
            Found::Route(route, _) | Found::OtherMethods(route, _) => self.routes[*route].group,
            Found::Nothing => self.group_of_unknown(path),
        };
        Target {
            found,
            group,
            depth: 0,
        }
    }

    /// The group with the longest prefix. Of several with the same prefix, the first one with a fallback, or the first.
    fn group_of_unknown(&self, path: &str) -> usize {
        let covers = |(index, node): &(usize, &Node)| *index == 0 || is_under(path, &node.prefix);
        let nodes = self.nodes.iter().enumerate().filter(covers);
        nodes
            .max_by_key(|(index, node)| {
                (node.prefix.len(), node.fallback.is_some(), Reverse(*index))
            })
            .map_or(0, |(index, _)| index)
    }

    /// Finds the target of a request that a layer of `group` has made, if it is inside of the group.
    fn find_inside(&self, group: usize, request: &Request<AxumBody>) -> Option<Target> {
        let target = self.find(request.method(), request.uri().path());
        let chain = &self.nodes[target.group].chain;
        let depth = chain.iter().position(|member| *member == group)? + 1;
        Some(Target { depth, ..target })
    }

    /// Enters the remaining groups of the target's chain, each with its `Streams` and its layers.
    fn enter(self: Arc<Self>, mut target: Target, request: Request<AxumBody>) -> ResponseFuture {
        Box::pin(async move {
            let Some(index) = self.nodes[target.group].chain.get(target.depth).copied() else {
                return self.run(target, request).await;
            };
            target.depth += 1;
            let (mut parts, body) = request.into_parts();
            let node = &self.nodes[index];
            let scope = node
                .streams
                .as_ref()
                .map(|streams| RequestScope::begin(streams, &mut parts));
            let mut request = Request::from_parts(parts, body);
            let answer: ResponseFuture = match node.layered.clone() {
                Some(layered) => {
                    request.extensions_mut().insert(target);
                    Box::pin(contained(call(layered, request), "a layer"))
                }
                None => Arc::clone(&self).enter(target, request),
            };
            match scope {
                Some(scope) => {
                    let response = scope.streams().clone().scope(answer).await;
                    scope.finish(response)
                }
                None => answer.await,
            }
        })
    }

    /// Answers inside of all groups.
    async fn run(self: Arc<Self>, target: Target, request: Request<AxumBody>) -> Response<Body> {
        match target.found {
            Found::Route(route, path) => {
                let route = &self.routes[route];
                let (parts, body) = request.into_parts();
                contained((route.handler)(parts, body, path), &route.info).await
            }
            Found::OtherMethods(_, allow) => {
                let (path, method) = (request.uri().path(), request.method());
                let detail = format!("{path} does not take {method}; it takes {allow}");
                let allow = HeaderValue::try_from(&*allow)
                    .expect("methods are tokens, and so a header value");
                let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED)
                    .detail(detail)
                    .header(header::ALLOW, allow);
                problem.into_response().map(Body::from)
            }
            Found::Nothing => match self.fallback_of(target.group) {
                Some(fallback) => contained(call(fallback, request), "the fallback").await,
                None => not_found(request.uri().path()),
            },
        }
    }

    /// The fallback of a group, or of the app that it is nested in.
    fn fallback_of(&self, group: usize) -> Option<Layered> {
        let mut node = Some(&self.nodes[group]);
        while let Some(known) = node {
            if known.fallback.is_some() {
                return known.fallback.clone();
            }
            node = known.parent.map(|parent| &self.nodes[parent]);
        }
        None
    }
}

async fn call(service: Layered, request: Request<AxumBody>) -> Response<Body> {
    let Ok(response) = service.oneshot(request).await;
    response.map(Body::from)
}

/// Whether a path is under a prefix.
fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

fn not_found(path: &str) -> Response<Body> {
    Problem::new(StatusCode::NOT_FOUND)
        .detail(format!("nothing is served at {path}"))
        .into_response()
        .map(Body::from)
}

/// Answers 500 if `who` panics. Otherwise the panic would cut the connection, or the one stream in HTTP/2, and the client
/// would not know why.
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
