//! Generates code from a model. Only this module quotes code. It makes no decisions.
//!
//! The generated code is short. It moves arguments and calls generic functions of the runtime. The user's tokens keep
//! their spans.

mod event;
mod generator;
mod route;
mod yields;

use proc_macro2::{Span, TokenStream};
use quote::quote;

use crate::paths::{Runtime, core};

pub(crate) use event::event;
pub(crate) use generator::generator;
pub(crate) use route::route;
pub(crate) use yields::{give_up, send};

/// Expands `routes![a, api::b]`.
pub(crate) fn routes(runtime: &Runtime, paths: impl IntoIterator<Item = syn::Path>) -> TokenStream {
    let endpoint = runtime.private("Endpoint");
    let routes = paths
        .into_iter()
        .map(|path| quote!(<#path as #endpoint<_, _>>::route()));
    quote!([#(#routes),*])
}

/// Adds the errors of a macro's arguments to the expression that the macro expands to.
pub(crate) fn erroneous_expression(errors: &TokenStream, expression: &TokenStream) -> TokenStream {
    quote!({ #errors #expression })
}

pub(crate) fn yield_outside() -> TokenStream {
    error_at_the_call(
        "`yield` outside of a generator: put `#[event_stream]` or `#[stream]` on the `async fn` around it",
    )
}

pub(crate) fn nothing_to_send() -> TokenStream {
    error_at_the_call("this `yield` has nothing to send: write `yield_!(\"hello\")`, for example")
}

fn error_at_the_call(message: &str) -> TokenStream {
    let compile_error = core(&["compile_error"]);
    let message = proc_macro2::Literal::string(message);
    let span = Span::call_site();
    quote::quote_spanned!(span=> #compile_error!(#message))
}
