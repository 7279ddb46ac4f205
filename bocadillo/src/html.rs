//! `Html`: a page as an answer.

use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, header};

/// An answer that is a page: `text/html` in UTF-8.
///
/// # Examples
///
/// ```
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
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        ([(header::CONTENT_TYPE, html)], self.0).into_response()
    }
}
