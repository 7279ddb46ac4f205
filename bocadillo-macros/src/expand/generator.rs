//! `#[event_stream] async fn f(args) { … }` → a function that hands an async closure to the runtime.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::yields;
use crate::model::{Argument, Binding, Generator, Kind, StreamOption};
use crate::paths::{Runtime, at};

pub(crate) fn generator(generator: &Generator) -> TokenStream {
    let Generator {
        runtime,
        kind,
        raise_on_disconnect,
        options,
        attributes,
        visibility,
        signature,
        ..
    } = generator;
    let syn::Signature {
        safety,
        abi,
        ident,
        generics,
        ..
    } = signature;
    let where_clause = &generics.where_clause;
    let (entry, stream) = match (kind, raise_on_disconnect) {
        (Kind::Events, false) => ("event_stream", "EventStream"),
        (Kind::Events, true) => ("event_stream_raising", "EventStream"),
        (Kind::Bytes, false) => ("byte_stream", "ByteStream"),
        (Kind::Bytes, true) => ("byte_stream_raising", "ByteStream"),
    };
    let stream = runtime.public_at(stream, at(ident.span()));
    let entry = runtime.private_at(entry, at(ident.span()));
    let inputs = inputs(generator);
    let options = self::options(runtime, options);

    let body = if generator.receiver.is_some() {
        // What the body borrows from `self` cannot be kept; this was reported.
        quote!(loop {})
    } else {
        let names: Vec<Ident> = argument_names(&generator.arguments);
        let clients = clients(runtime, &names);
        let bind = runtime.private("bind");
        let start = start(&generator.arguments, &names);
        let lowered = yields::lower(&generator.body, runtime);
        let before = lowered.before;
        let mut block = Group::new(Delimiter::Brace, lowered.code);
        block.set_span(at(generator.body.span));
        let outcome = Ident::new("__outcome", Span::mixed_site());
        let yielder = yields::yielder();
        let (turbofish, returns) = match &generator.returns {
            // Under the user's own type, so that what is wrong with it is said there.
            Some(returns) => (quote!(::<#returns, _, _>), quote!(#returns)),
            None => (quote!(), quote!(())),
        };
        let stream = quote_spanned!(at(ident.span())=> #entry #turbofish(async move |#yielder| -> #returns {
            #start
            // A block of a known type: a wrong end of the body is said in the words of any function's.
            let #outcome: #returns = #block;
            #[allow(unreachable_code, reason = "the body of many a generator never ends")]
            return #outcome;
        }));
        match clients {
            Some(clients) => {
                let found = Ident::new("__clients", Span::mixed_site());
                quote! {
                    #before
                    let #found = #clients;
                    #bind(#stream #options, #found)
                }
            }
            None => quote!(#before #stream #options),
        }
    };
    quote! {
        #(#attributes)*
        #visibility #safety #abi fn #ident #generics(#inputs) -> #stream #where_clause {
            #body
        }
    }
}

fn inputs(generator: &Generator) -> TokenStream {
    let receiver = generator.receiver.iter().map(|receiver| quote!(#receiver));
    let names = argument_names(&generator.arguments);
    let arguments = generator
        .arguments
        .iter()
        .zip(&names)
        .map(|(argument, name)| {
            let Argument { attributes, ty, .. } = argument;
            quote!(#(#attributes)* #name: #ty)
        });
    let inputs = receiver.chain(arguments);
    quote!(#(#inputs),*)
}

fn argument_names(arguments: &[Argument]) -> Vec<Ident> {
    arguments
        .iter()
        .enumerate()
        .map(|(index, argument)| match &argument.binding {
            Binding::Name {
                in_options: true,
                ident,
                ..
            } => ident.clone(),
            Binding::Name { ident, .. } => {
                let mut hidden = ident.clone();
                hidden.set_span(at(ident.span()));
                hidden
            }
            Binding::Pattern(pattern) => {
                format_ident!(
                    "__arg{index}",
                    span = at(syn::spanned::Spanned::span(pattern))
                )
            }
        })
        .collect()
}

/// Moves every argument in, as an `async fn` does: one that is never used lives as long as the generator too.
fn start(arguments: &[Argument], names: &[Ident]) -> TokenStream {
    let yielder = yields::yielder();
    let bindings = arguments
        .iter()
        .zip(names)
        .map(|(argument, name)| match &argument.binding {
            Binding::Name {
                mutability, ident, ..
            } => quote!(let #mutability #ident = #name;),
            Binding::Pattern(pattern) => quote!(let #name = #name; let #pattern = #name;),
        });
    // A reference, which is `Copy`: nested `async move` blocks can each have one.
    quote!(let #yielder = &#yielder; #(#bindings)*)
}

/// Finds the arguments that are a `Client` by their types, and not by the types' names.
fn clients(runtime: &Runtime, names: &[Ident]) -> Option<TokenStream> {
    if names.is_empty() {
        return None;
    }
    let (probe, probe_any) = (runtime.private("Probe"), runtime.private("ProbeAny"));
    Some(quote!({
        use #probe_any as _;
        [#((&#probe(&#names)).client()),*]
    }))
}

/// The calls on the stream that set its options.
fn options(runtime: &Runtime, options: &[StreamOption]) -> TokenStream {
    let (on_stream, with): (Vec<_>, Vec<_>) = options
        .iter()
        .partition(|option| option.method == "content_type");
    let on_stream = on_stream.into_iter().map(|option| call(runtime, option));
    let with = (!with.is_empty()).then(|| {
        let (stream_options, with) = (
            runtime.private("StreamOptions"),
            with.into_iter().map(|option| call(runtime, option)),
        );
        quote!(.with(#stream_options::new() #(#with)*))
    });
    quote!(#(#on_stream)* #with)
}

fn call(runtime: &Runtime, option: &StreamOption) -> TokenStream {
    let StreamOption { method, value } = option;
    match value {
        Some(literal @ syn::Expr::Lit(_)) if method == "content_type" => {
            let header_value = runtime.private("header_value");
            quote!(.#method(#header_value(#literal)))
        }
        value => quote!(.#method(#value)),
    }
}
