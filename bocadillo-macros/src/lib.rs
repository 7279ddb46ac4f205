//! The macros of `bocadillo`. Use them through that crate, where they are documented.
//!
//! Each macro has three steps. First `args`, `item`, `pattern` and `server_event` parse, and `keyword` rewrites
//! `yield`. Then `validate` checks the result and makes a `model`. Finally `expand` generates code from the model. All
//! modules below this file use `proc_macro2` and are tested without the compiler.

mod args;
mod calls;
mod entry;
mod errors;
mod expand;
mod item;
mod keyword;
mod literal;
mod model;
mod paths;
mod pattern;
mod server_event;
#[cfg(test)]
mod snapshots;
mod validate;

use proc_macro::TokenStream;

#[allow(missing_docs, reason = "documented on the re-export")]
#[proc_macro_attribute]
pub fn route(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::route(arguments.into(), item.into()).into()
}

#[allow(missing_docs, reason = "documented on the re-export")]
#[proc_macro]
pub fn routes(paths: TokenStream) -> TokenStream {
    entry::routes(paths.into()).into()
}

#[allow(missing_docs, reason = "documented on the re-export")]
#[proc_macro_attribute]
pub fn event_stream(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::generator(model::StreamKind::Events, arguments.into(), item.into()).into()
}

#[allow(missing_docs, reason = "documented on the re-export")]
#[proc_macro_attribute]
pub fn stream(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::generator(model::StreamKind::Bytes, arguments.into(), item.into()).into()
}

#[allow(missing_docs, reason = "documented on the re-export")]
#[proc_macro]
pub fn generators(items: TokenStream) -> TokenStream {
    entry::generators(items.into()).into()
}

#[allow(missing_docs, reason = "documented on the re-export")]
#[proc_macro]
pub fn yield_(operand: TokenStream) -> TokenStream {
    entry::yield_(operand.into()).into()
}

#[allow(missing_docs, reason = "documented on the re-export")]
#[proc_macro]
pub fn server_event(fields: TokenStream) -> TokenStream {
    entry::server_event(fields.into()).into()
}
