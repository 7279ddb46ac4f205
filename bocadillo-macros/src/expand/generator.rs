//! Expands `#[event_stream] async fn f(args) { … }` to a function that passes an async closure to the runtime.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::yields;
use crate::model::{Argument, Binding, Generator, StreamKind, StreamOption};
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
        (StreamKind::Events, false) => ("event_stream", "EventStream"),
        (StreamKind::Events, true) => ("event_stream_raising", "EventStream"),
        (StreamKind::Bytes, false) => ("byte_stream", "ByteStream"),
        (StreamKind::Bytes, true) => ("byte_stream_raising", "ByteStream"),
    };
    let stream = runtime.public_at(stream, at(ident.span()));
    let entry = runtime.private_at(entry, at(ident.span()));
    let inputs = inputs(generator);
    let options = self::options(runtime, options);

    let body = if generator.receiver.is_some() {
        // The body may borrow from `self`, so it is left out. `validate` has reported the `self`.
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
            // The turbofish contains the user's tokens, so that the compiler reports a wrong type at these tokens.
            Some(returns) => (quote!(::<#returns, _, _>), quote!(#returns)),
            None => (quote!(), quote!(())),
        };
        let stream = quote_spanned!(at(ident.span())=> #entry #turbofish(async move |#yielder| -> #returns {
            #start
            // The variable has a type, so a wrong last expression gets the same error as in an ordinary function.
            let #outcome: #returns = #block;
            #[allow(unreachable_code, reason = "the body of a generator may never end")]
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

/// Moves every argument into the generator, as an `async fn` does. An unused argument lives as long as the generator.
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
    // A reference is `Copy`, so nested `async move` blocks can each use it.
    quote!(let #yielder = &#yielder; #(#bindings)*)
}

/// Finds the arguments of the type `Client`. The runtime compares the types, so a type alias works too.
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

/// Generates the calls that set the options of the stream.
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
