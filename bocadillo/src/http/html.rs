//! `Html`: a response that is a page.

use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, header};

/// A response that is a page: `text/html` in UTF-8.
///
/// A response with another content type keeps it. For example, the error of `Html<Result<String, Problem>>` is still
/// `application/problem+json`.
///
/// # Examples
///
#[cfg_attr(feature = "server", doc = "```")]
#[cfg_attr(not(feature = "server"), doc = "```text")]
/// use bocadillo::{Html, route};
///
/// #[route("/")]
/// async fn page() -> Html<&'static str> {
///     Html("<!doctype html><title>Prices</title>")
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Html<T>(pub T);

impl<T: IntoResponse> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        let headers = response.headers_mut();
        // Text and bytes have these types by default. Any other type was set on purpose, for example by a `Problem`.
        let has_type = headers.get(header::CONTENT_TYPE).is_some_and(|known| {
            known != "text/plain; charset=utf-8" && known != "application/octet-stream"
        });
        if !has_type {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, html);
        }
        response
    }
}
