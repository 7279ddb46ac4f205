//! The steps of each macro: parse, validate, expand. The errors are written before the code.

use proc_macro2::{TokenStream, TokenTree};
use syn::Path;
use syn::Token;
use syn::parse::{ParseStream, Parser as _};

use crate::args::{self, Arguments};
use crate::errors::Context;
use crate::item::Function;
use crate::model::StreamKind;
use crate::server_event::Call;
use crate::{expand, keyword, validate};

pub(crate) fn route(arguments: TokenStream, item: TokenStream) -> TokenStream {
    on_function(arguments, item, "route", |arguments, function, cx| {
        expand::route(validate::route(arguments, function, cx))
    })
}

pub(crate) fn generator(
    kind: StreamKind,
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    on_function(
        arguments,
        item,
        kind.attribute(),
        |arguments, function, cx| {
            expand::generator(&validate::generator(kind, arguments, function, cx))
        },
    )
}

fn on_function(
    arguments: TokenStream,
    item: TokenStream,
    attribute: &str,
    expand: impl FnOnce(Arguments, Function, &Context) -> TokenStream,
) -> TokenStream {
    let cx = Context::new();
    let code = match syn::parse2::<Function>(item.clone()) {
        Ok(function) => expand(Arguments::parse(arguments, &cx), function, &cx),
        Err(error) => {
            cx.error(
                error.span(),
                format!("`#[{attribute}]` goes on an `async fn` with a body: {error}"),
            );
            item
        }
    };
    let mut output = cx.check();
    output.extend(code);
    output
}

pub(crate) fn generators(items: TokenStream) -> TokenStream {
    let read = |input: ParseStream<'_>| {
        let runtime = args::leading_runtime(input)?;
        Ok(keyword::in_items(input.parse()?, &runtime))
    };
    read.parse2(items)
        .unwrap_or_else(|error| error.into_compile_error())
}

/// Expands a `yield_!` that the attribute of a generator has rewritten. Any other `yield_!` is an error.
pub(crate) fn yield_(operand: TokenStream) -> TokenStream {
    let prepared = |input: ParseStream<'_>| {
        input.parse::<Token![@]>()?;
        let yielder: TokenTree = input.parse()?;
        input.parse::<Token![,]>()?;
        Ok((yielder, input.parse::<TokenStream>()?))
    };
    if is_at_alone(&operand) {
        return TokenStream::new();
    }
    match prepared.parse2(operand) {
        Ok((_, operand)) if operand.is_empty() => expand::nothing_to_send(),
        Ok((TokenTree::Ident(nobody), operand)) if nobody == "_" => expand::give_up(operand),
        Ok((yielder, operand)) => expand::send(yielder, operand),
        Err(_) => expand::yield_outside(),
    }
}

/// Whether the operand is only `@`. Generated code calls the macro like this to use its import.
fn is_at_alone(operand: &TokenStream) -> bool {
    let mut trees = operand.clone().into_iter();
    matches!(
        (trees.next(), trees.next()),
        (Some(TokenTree::Punct(at)), None) if at.as_char() == '@'
    )
}

pub(crate) fn routes(paths: TokenStream) -> TokenStream {
    let read = |input: ParseStream<'_>| {
        let runtime = args::leading_runtime(input)?;
        let paths = input.parse_terminated(Path::parse_mod_style, Token![,])?;
        Ok((runtime, paths))
    };
    match read.parse2(paths) {
        Ok((runtime, paths)) => expand::routes(&runtime, paths),
        Err(error) => {
            let message = format!(
                "`routes!` lists functions with `#[route]`, as in `routes![index, api::rooms]`: {error}"
            );
            syn::Error::new(error.span(), message).into_compile_error()
        }
    }
}

pub(crate) fn server_event(fields: TokenStream) -> TokenStream {
    let cx = Context::new();
    let event = validate::event(Call::parse(fields, &cx), &cx);
    expand::event(event, &cx.check())
}
