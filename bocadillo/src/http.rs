//! The types of the `http` crate, so that you need not depend on it.
//!
//! Extractors and responses (`Json`, `Query`, `Html`, `Problem` and others) are in the root of this crate.

pub(crate) mod extract;
pub(crate) mod guarded_body;
pub(crate) mod html;
pub(crate) mod layer;
pub(crate) mod problem;
pub(crate) mod respond;
pub(crate) mod rules;
mod stream_headers;

#[doc(no_inline)]
pub use ::http::*;
