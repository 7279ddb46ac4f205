//! A request that can be sent again, and the service that it goes to.

use axum_core::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, Uri};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::error::{BoxError, chain};

pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The service under test.
pub(super) type Answering = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

#[derive(Clone, Debug)]
pub(super) struct Repeatable {
    pub(super) service: Answering,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Repeatable {
    pub(super) async fn send(&self) -> Response<Body> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        match self.service.clone().oneshot(request).await {
            Ok(response) => response,
            Err(error) => panic!("the service failed: {}", chain(&*error)),
        }
    }
}
