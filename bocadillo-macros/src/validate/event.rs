//! Checks the fields of `server_event!`.

use proc_macro2::TokenStream;
use syn::{Ident, LitStr};

use crate::args::duplicate;
use crate::errors::{Context, suggestion};
use crate::literal;
use crate::model::{Event, Field};
use crate::paths::Runtime;
use crate::server_event::{self, Call, Value};

const FIELDS: [&str; 7] = ["name", "data", "json", "id", "retry", "comment", "crate"];

pub(crate) fn event(call: Call, cx: &Context) -> Event {
    let mut path = None;
    let mut fields = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    if let Some(name) = call.name {
        seen.push("name".to_owned());
        fields.extend(self::name(&name, cx));
    }
    for (name, value) in call.fields {
        let word = name.to_string();
        if value.tokens.is_empty() {
            cx.error(
                name.span(),
                format!("`{word}` has no value: write one after the `=`"),
            );
        } else if seen.contains(&word) {
            duplicate(&name, cx);
        } else if word == "crate" {
            path = cx.ok(syn::parse2(value.tokens));
        } else {
            let contradicts = |other: &str| seen.iter().any(|field| field == other);
            if (word == "json" && contradicts("data")) || (word == "data" && contradicts("json")) {
                cx.error(
                    name.span(),
                    "`data` and `json` both set the data: keep one of the two",
                );
            } else {
                fields.extend(field(&name, value, cx));
            }
        }
        seen.push(word);
    }
    if fields.is_empty() && !cx.has_errors() {
        cx.error(
            proc_macro2::Span::call_site(),
            "this event has no fields: write `server_event!(data = …)`, `server_event!(json = …)` or `server_event!(\"name\")`",
        );
    }
    Event {
        runtime: Runtime::at(path),
        fields,
    }
}

fn field(name: &Ident, value: Value, cx: &Context) -> Option<Field> {
    let set = |method, value: Value| {
        Some(Field::Set {
            method,
            span: name.span(),
            value: value.tokens,
        })
    };
    match name.to_string().as_str() {
        "name" => self::name(&value, cx),
        "data" => set("data", value),
        "json" => Some(Field::Json {
            span: name.span(),
            value: server_event::json(&value, cx),
        }),
        "id" => match value.literal() {
            Some(literal) if !check(&literal, "an id", &['\r', '\n', '\0'], cx) => None,
            _ => set("id", value),
        },
        "retry" => set("retry", value),
        "comment" => set("comment", value),
        "event" => {
            cx.error(name.span(), "the name of an event has to come first, or to be written as `name = …`: write `server_event!(\"greeting\", …)`");
            None
        }
        unknown => {
            cx.error(
                name.span(),
                format!(
                    "an event has no field `{unknown}`: {}",
                    suggestion(unknown, &FIELDS)
                ),
            );
            None
        }
    }
}

fn name(value: &Value, cx: &Context) -> Option<Field> {
    if value.looks_like_json() {
        cx.error(
            value.span,
            "JSON has to be the value of a field: write `server_event!(json = …)`",
        );
        return None;
    }
    match value.literal() {
        Some(literal) => {
            check(&literal, "a name", &['\r', '\n'], cx).then_some(Field::NameLiteral(literal))
        }
        None => Some(Field::Set {
            method: "name",
            span: value.span,
            value: TokenStream::clone(&value.tokens),
        }),
    }
}

/// Rejects a literal that contains one of the forbidden characters.
fn check(literal: &LitStr, what: &str, forbidden: &[char], cx: &Context) -> bool {
    let value = literal.value();
    let Some(at) = value.find(forbidden) else {
        return true;
    };
    let (bad, why) = match value.as_bytes()[at] {
        b'\0' => ("NUL", "clients ignore such an id"),
        b'\r' => ("`\\r`", "it ends the line"),
        _ => ("`\\n`", "it ends the line"),
    };
    cx.error(
        literal::span_of(literal, at..at + 1),
        format!("{what} cannot contain {bad} (at byte {at}), because {why}: remove it"),
    );
    false
}
