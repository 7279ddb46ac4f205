//! `Peer`: the address of a request's client.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum_core::extract::FromRequestParts;
use http::request::Parts;

/// The address of the client, or `None` if the connection has no address, as over a Unix socket.
///
/// A [`Server`](crate::Server) puts it among the extensions of each request. Behind a proxy it is the proxy's address.
/// Under another server, such as `axum::serve`, it is `None`.
///
/// # Examples
///
/// ```
/// use bocadillo::{Peer, route};
///
/// #[route("/whoami")]
/// async fn whoami(Peer(address): Peer) -> String {
///     address.map_or_else(|| "somebody".to_owned(), |address| address.to_string())
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub Option<SocketAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}
