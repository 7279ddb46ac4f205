//! What a server serves: an app, a tower service, or a service of its own for each connection.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum_core::response::IntoResponse;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower::util::BoxCloneService;
use tower::{Service, ServiceExt};

use crate::app::App;
use crate::app::route::RouteInfo;
use crate::app::service::{AppService, contained};
use crate::error::{BoxError, Result, chain};
use crate::http::layer::RequestScope;
use crate::http::problem::Problem;
use crate::stream::Streams;
use crate::stream::body::Body;
use crate::stream::membership::OuterStreams;

type AxumBody = axum_core::body::Body;
type BoxService = BoxCloneService<Request<AxumBody>, Response<AxumBody>, BoxError>;
type BoxMakeService = BoxCloneService<SocketAddr, BoxService, BoxError>;
pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What a [`Server`](crate::Server) serves: an [`App`], or any tower service that can be cloned and whose response is
/// an HTTP response.
///
/// The body of its requests is `axum_core::body::Body`, which is the body of axum's requests. If the service fails, the
/// error is logged, and the answer is 500.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use bocadillo::{App, Server, http::Request, http::Response};
///
/// let app = Server::new(App::new());
/// let service = Server::new(tower::service_fn(async |request: Request<_>| {
///     Ok::<_, Infallible>(Response::new(format!("nothing at {}", request.uri())))
/// }));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served",
    label = "expected an `App` or a `tower::Service`",
    note = "a service must implement `tower::Service<http::Request<axum_core::body::Body>>`, `Clone` and `Send`",
    note = "its response must be `http::Response<B>`, where `B` implements `http_body::Body<Data = Bytes>`"
)]
pub trait ServeService: private::Sealed {
    /// For the server.
    #[doc(hidden)]
    fn into_served(self) -> Served;
}

mod private {
    use super::{App, AxumBody, Request, Service};

    pub trait Sealed {}

    impl<S> Sealed for App<S> {}
    impl<T: Service<Request<AxumBody>>> Sealed for T {}
}

#[diagnostic::do_not_recommend]
impl<S: Clone + Send + Sync + 'static> ServeService for App<S> {
    fn into_served(self) -> Served {
        Served(self.into_service().map(ServedKind::App))
    }
}

#[diagnostic::do_not_recommend]
impl<T, B> ServeService for T
where
    T: Service<Request<AxumBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
    T: Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    fn into_served(self) -> Served {
        // An app keeps its own type, which saves two boxes for each request.
        if let Some(app) = (&self as &dyn Any).downcast_ref::<AppService>() {
            return Served(Ok(ServedKind::App(app.clone())));
        }
        Served(Ok(ServedKind::Service(boxed(self))))
    }
}

/// What is served. It is opaque.
#[derive(Debug)]
pub struct Served(pub(crate) Result<ServedKind>);

impl Served {
    pub(crate) fn make<M, T, B>(make: M) -> Self
    where
        M: Service<SocketAddr, Response = T, Error: Into<BoxError>, Future: Send>,
        M: Clone + Send + 'static,
        T: Service<Request<AxumBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
        T: Clone + Send + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let make = make.map_response(boxed).map_err(Into::into);
        Self(Ok(ServedKind::Make(BoxCloneService::new(make))))
    }
}

fn boxed<T, B>(service: T) -> BoxService
where
    T: Service<Request<AxumBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
    T: Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = service
        .map_response(|response: Response<B>| response.map(AxumBody::new))
        .map_err(Into::into);
    BoxCloneService::new(service)
}

/// What a server serves, before a connection is there.
#[derive(Clone)]
pub(crate) enum ServedKind {
    App(AppService),
    Service(BoxService),
    Make(BoxMakeService),
}

impl fmt::Debug for ServedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App(_) => "App",
            Self::Service(_) => "Service",
            Self::Make(_) => "Make",
        })
    }
}

impl ServedKind {
    /// The routes, if it is an app.
    pub(crate) fn routes(&self) -> &[Arc<RouteInfo>] {
        match self {
            Self::App(app) => app.route_infos(),
            Self::Service(_) | Self::Make(_) => &[],
        }
    }

    /// The `Streams` of an app.
    pub(crate) fn streams(&self) -> Option<&Streams> {
        match self {
            Self::App(app) => Some(app.streams()),
            Self::Service(_) | Self::Make(_) => None,
        }
    }

    /// The service of one connection.
    ///
    /// # Errors
    ///
    /// When a make-service fails, or when it is there and the connection has no address.
    pub(crate) async fn connect(
        self,
        peer: Option<SocketAddr>,
        streams: &Streams,
    ) -> Result<ConnectionService, BoxError> {
        let service = match self {
            Self::App(app) => Answerer::App(app),
            Self::Service(service) => Answerer::Service(service),
            Self::Make(make) => {
                let peer = peer.ok_or(
                    "the make-service needs the client's address, and this connection has none",
                )?;
                Answerer::Service(make.oneshot(peer).await?)
            }
        };
        let streams = match &service {
            // The app's own `Streams` are then the server's.
            Answerer::App(app) if app.streams().is_same(streams) => None,
            _ => Some(streams.clone()),
        };
        Ok(ConnectionService { service, streams })
    }
}

/// The service of one connection.
pub(crate) struct ConnectionService {
    service: Answerer,
    /// The `Streams` of the server, unless they are the app's own.
    streams: Option<Streams>,
}

enum Answerer {
    App(AppService),
    Service(BoxService),
}

impl ConnectionService {
    pub(crate) fn call<B>(&self, mut request: Request<B>) -> ResponseFuture
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        match &self.service {
            Answerer::App(app) => {
                if let Some(streams) = &self.streams {
                    request
                        .extensions_mut()
                        .insert(OuterStreams(streams.clone()));
                }
                let answer = app.clone().call(request);
                Box::pin(async {
                    let Ok(response) = answer.await;
                    response
                })
            }
            Answerer::Service(service) => {
                let streams = self.streams.clone().unwrap_or_default();
                Box::pin(answer(service.clone(), request.map(AxumBody::new), streams))
            }
        }
    }
}

/// What a service answers, as a member of `streams`.
async fn answer(
    service: BoxService,
    request: Request<AxumBody>,
    streams: Streams,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let scope = RequestScope::begin(&streams, &mut parts);
    let streams = scope.streams().clone();
    let request = Request::from_parts(parts, body);
    let answer = async {
        let response = service.oneshot(request).await.unwrap_or_else(|error| {
            tracing::error!(error = %chain(&*error), "the service failed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        });
        response.map(Body::from)
    };
    let response = contained(streams.scope(answer), "the service").await;
    scope.finish_stream(response)
}
