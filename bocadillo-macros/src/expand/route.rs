//! Expands `#[route("/path")] async fn f(args) { … }` to the function and a type with the same name. The app calls the
//! function through the type.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;

use crate::model::{Route, RouteArgument, Served, Source};
use crate::paths::{Runtime, at, core};

pub(crate) fn route(route: Route) -> TokenStream {
    let Route {
        runtime,
        function,
        served,
    } = route;
    let item = {
        let (attributes, visibility) = (&function.attributes, &function.visibility);
        let (signature, body) = (&function.signature, &function.body);
        quote!(#(#attributes)* #visibility #signature #body)
    };
    if function.signature.receiver().is_some() {
        // An `impl` block cannot contain a type.
        return item;
    }
    let visibility = &function.visibility;
    // The type and its implementation need the same `cfg` conditions as the function.
    let conditions: Vec<_> = function
        .attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .collect();
    // A function and a type can have the same name. With `call_site`, every path to the function is a path to the type.
    let name = Ident::new(
        &function.signature.ident.to_string(),
        Span::call_site().located_at(function.signature.ident.span()),
    );
    let endpoint = match &served {
        Some(served) => self::endpoint(&runtime, &name, served),
        None => no_endpoint(&runtime, &name),
    };
    quote! {
        #item

        #(#conditions)*
        #[doc(hidden)]
        #[non_exhaustive]
        #visibility struct #name {}

        #(#conditions)*
        #endpoint
    }
}

fn endpoint(runtime: &Runtime, name: &Ident, served: &Served) -> TokenStream {
    let [endpoint, request, response, respond, info_type] = [
        "Endpoint",
        "RouteRequest",
        "Response",
        "respond",
        "RouteInfo",
    ]
    .map(|item| runtime.private(item));
    let [clone, send, sync] = [
        &["clone", "Clone"],
        &["marker", "Send"],
        &["marker", "Sync"],
    ]
    .map(|path| core(path));
    let (result, ok) = (
        core(&["result", "Result"]),
        core(&["result", "Result", "Ok"]),
    );
    let state = made_up("__State");
    let request_name = made_up("__request");
    let marker = marker_of(served);
    let bounds = bounds(runtime, &state, served);
    let names: Vec<Ident> = served
        .arguments
        .iter()
        .enumerate()
        .map(|(index, argument)| format_ident!("__arg{index}", span = at(argument.ty.span())))
        .collect();
    let takes = takes(served, &names, &request_name);
    let mutability = served
        .arguments
        .iter()
        .any(|argument| argument.source == Source::Part)
        .then(|| quote!(mut));
    let request_binding = if served.arguments.is_empty() {
        made_up("_request")
    } else {
        request_name
    };
    let wait = served
        .awaits
        .then(|| quote_spanned!(at(name.span())=> .await));
    let function = Ident::new(&name.to_string(), name.span());
    let answer = quote_spanned!(at(name.span())=> #respond(#function(#(#names),*) #wait));
    let info = info(runtime, name, served);
    let (declared, used, outlives) = match &marker {
        Some(marker) => (
            quote!(, #marker),
            quote!(#marker),
            quote!(#marker: 'static,),
        ),
        None => (quote!(), quote!(()), quote!()),
    };
    quote! {
        impl<#state #declared> #endpoint<#state, #used> for #name
        where
            #state: #clone + #send + #sync + 'static,
            #(#bounds,)*
            #outlives
        {
            const INFO: #info_type = #info;

            async fn call(#mutability #request_binding: #request<#state>) -> #result<#response, #response> {
                #(#takes)*
                #ok(#answer)
            }
        }
    }
}

/// Generates an implementation for a route whose attribute has mistakes. So `routes!` reports no second error.
fn no_endpoint(runtime: &Runtime, name: &Ident) -> TokenStream {
    let [endpoint, request, response, info] =
        ["Endpoint", "RouteRequest", "Response", "RouteInfo"].map(|item| runtime.private(item));
    let result = core(&["result", "Result"]);
    let [send, sync] = [&["marker", "Send"], &["marker", "Sync"]].map(|path| core(path));
    let state = made_up("__State");
    quote! {
        impl<#state: #send + #sync + 'static> #endpoint<#state, ()> for #name {
            const INFO: #info = #info::new("", &[], "", ("", 0), &[]);

            async fn call(_: #request<#state>) -> #result<#response, #response> {
                loop {}
            }
        }
    }
}

fn made_up(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn marker_of(served: &Served) -> Option<Ident> {
    served
        .arguments
        .iter()
        .any(|argument| argument.source == Source::Last)
        .then(|| made_up("__Marker"))
}

fn bounds(runtime: &Runtime, state: &Ident, served: &Served) -> Vec<TokenStream> {
    let marker = made_up("__Marker");
    served
        .arguments
        .iter()
        .filter_map(|RouteArgument { ty, source, .. }| {
            let span = ty.span();
            match source {
                Source::Path => None,
                Source::Part => {
                    let part = runtime.bound_at("FromRouteParts", span);
                    Some(quote_spanned!(span=> #ty: #part<#state>))
                }
                Source::Last => {
                    let last = runtime.bound_at("FromRouteRequest", span);
                    Some(quote_spanned!(span=> #ty: #last<#state, #marker>))
                }
            }
        })
        .collect()
}

/// Generates the code that extracts the arguments. Path parameters are cheap, so they come first. The argument that may
/// read the body comes last.
fn takes(served: &Served, names: &[Ident], request: &Ident) -> Vec<TokenStream> {
    let marker = made_up("__Marker");
    let take = |wanted: Source| {
        let request = request.clone();
        let marker = marker.clone();
        served
            .arguments
            .iter()
            .zip(names)
            .filter(move |(argument, _)| argument.source == wanted)
            .map(move |(argument, name)| {
                let ty = &argument.ty;
                let parameter = &argument.name;
                let call = match argument.source {
                    Source::Path => {
                        quote_spanned!(at(ty.span())=> path_parameter::<#ty>(#parameter))
                    }
                    Source::Part => quote_spanned!(at(ty.span())=> part::<#ty>().await),
                    Source::Last => quote_spanned!(at(ty.span())=> last::<#ty, #marker>().await),
                };
                quote!(let #name = #request.#call?;)
            })
    };
    take(Source::Path)
        .chain(take(Source::Part))
        .chain(take(Source::Last))
        .collect()
}

fn info(runtime: &Runtime, name: &Ident, served: &Served) -> TokenStream {
    let [info, argument] = ["RouteInfo", "RouteArgument"].map(|item| runtime.private(item));
    let [concat, module_path, file, line] =
        ["concat", "module_path", "file", "line"].map(|item| core(&[item]));
    let Served {
        pattern, methods, ..
    } = served;
    let suffix = format!("::{name}");
    // The span of the function, so that `file!()` and `line!()` are those of the function.
    let place = quote_spanned!(at(name.span())=> (#file!(), #line!()));
    let arguments = served
        .arguments
        .iter()
        .map(|RouteArgument { name, ty, source }| {
            let ty = pretty(ty);
            let in_path = *source == Source::Path;
            quote!(#argument::new(#name, #ty, #in_path))
        });
    quote! {
        #info::new(#pattern, &[#(#methods),*], #concat!(#module_path!(), #suffix), #place, &[#(#arguments),*])
    }
}

/// Formats the type as a person writes it, without spaces between most tokens.
fn pretty(ty: &syn::Type) -> String {
    let mut text = ty.to_token_stream().to_string();
    for (spaced, dense) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("& ", "&"),
        ("' ", "'"),
    ] {
        text = text.replace(spaced, dense);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn types_are_shown_as_they_are_written() {
        for written in [
            "u32",
            "Json<Vec<u8>>",
            "a::b::State<Arc<Db>>",
            "&'static str",
            "(u8, Option<String>)",
        ] {
            assert_eq!(pretty(&syn::parse_str(written).unwrap()), written);
        }
    }
}
