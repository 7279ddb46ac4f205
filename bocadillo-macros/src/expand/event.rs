//! Expands `server_event!(…)` to calls of the runtime's builder.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::LitStr;

use super::erroneous_expression;
use crate::model::{Event, Field, Json, Key};
use crate::paths::{Runtime, at};

pub(crate) fn event(event: Event, errors: &TokenStream) -> TokenStream {
    let Event { runtime, fields } = &event;
    let builder = runtime.private("EventBuilder");
    let calls = fields.iter().map(|field| self::field(runtime, field));
    let event = quote!(#builder::new() #(#calls)* .build());
    if errors.is_empty() {
        event
    } else {
        erroneous_expression(errors, &event)
    }
}

fn field(runtime: &Runtime, field: &Field) -> TokenStream {
    match field {
        Field::NameLiteral(literal) => {
            let name = runtime.private("EventName");
            quote!(.name_literal(const { #name::from_static(#literal) }))
        }
        Field::Set {
            method,
            span,
            value,
        } => {
            let literal = syn::parse2::<LitStr>(value.clone()).is_ok();
            let suffix = if literal && matches!(*method, "data" | "comment") {
                "_literal"
            } else {
                ""
            };
            let method = quote::format_ident!("{method}{suffix}", span = at(*span));
            quote!(.#method(#value))
        }
        Field::Json { span, value } => {
            let writer = runtime.private("JsonWriter");
            let name = quote_spanned!(Span::mixed_site()=> __json);
            let steps = json(&name, value);
            let method = proc_macro2::Ident::new("json", at(*span));
            quote!(.#method({ let mut #name = #writer::new(); #steps #name }))
        }
    }
}

/// Generates a statement for each value. With closures instead, `.await` and `?` would not work in the values.
fn json(writer: &TokenStream, value: &Json) -> TokenStream {
    match value {
        Json::Null => quote!(#writer.null();),
        Json::Value(value) => {
            let seen = value
                .clone()
                .into_iter()
                .next()
                .map_or_else(Span::mixed_site, |first| at(first.span()));
            // The span of the value, so that the compiler reports an error there.
            let argument = quote_spanned!(seen=> &(#value));
            quote!(#writer.value(#argument);)
        }
        Json::Array(values) => {
            let values = values.iter().map(|value| json(writer, value));
            quote!(#writer.begin_array(); #(#values)* #writer.end_array();)
        }
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| {
                let value = json(writer, value);
                match key {
                    Key::Literal(key) => quote!(#writer.key(#key); #value),
                    Key::Expression(key) => quote!(#writer.key #key; #value),
                }
            });
            quote!(#writer.begin_object(); #(#members)* #writer.end_object();)
        }
    }
}
