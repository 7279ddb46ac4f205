//! The options of `#[event_stream]` and `#[stream]`.

use syn::{Expr, Lit};

use crate::args::{Arguments, Setting, duplicate};
use crate::errors::{Context, suggestion};
use crate::model::{Kind, StreamOption};

const EVENT_OPTIONS: [&str; 6] = [
    "raise_on_disconnect",
    "keep_alive",
    "retry",
    "clean_up_deadline",
    "max_lifetime",
    "crate",
];
const BYTE_OPTIONS: [&str; 4] = [
    "raise_on_disconnect",
    "content_type",
    "clean_up_deadline",
    "crate",
];

/// Whether the generator is told of the disconnect, and what is set on its stream.
pub(super) fn options(kind: Kind, arguments: Arguments, cx: &Context) -> (bool, Vec<StreamOption>) {
    if let Some(literal) = arguments.literal {
        cx.error(
            literal.span(),
            format!(
                "`#[{}]` takes no literal: a path stands in `#[route(…)]`",
                kind.attribute()
            ),
        );
    }
    let known: &[&str] = match kind {
        Kind::Events => &EVENT_OPTIONS,
        Kind::Bytes => &BYTE_OPTIONS,
    };
    let mut raise = None;
    let mut options: Vec<StreamOption> = Vec::new();
    let mut seen = Vec::new();
    for setting in arguments.settings {
        let name = setting.name.to_string();
        if seen.contains(&name) {
            duplicate(&setting.name, cx);
            continue;
        }
        if !known.contains(&name.as_str()) {
            unknown(kind, &setting, known, cx);
            continue;
        }
        if name == "raise_on_disconnect" {
            raise = Some(flag(&setting, cx));
        } else if let Some(option) = option(&setting, cx) {
            options.push(option);
        }
        seen.push(name);
    }
    let raise = raise.unwrap_or(false);
    if !raise
        && let Some(deadline) = options
            .iter()
            .find(|option| option.method == "clean_up_deadline")
    {
        let message = "`clean_up_deadline` has no effect on a generator that is dropped at the disconnect: add `raise_on_disconnect`";
        cx.error(deadline.method.span(), message);
    }
    (raise, options)
}

fn unknown(kind: Kind, setting: &Setting, known: &[&str], cx: &Context) {
    let name = setting.name.to_string();
    let other = match kind {
        Kind::Events => (&BYTE_OPTIONS[..], Kind::Bytes),
        Kind::Bytes => (&EVENT_OPTIONS[..], Kind::Events),
    };
    let attribute = kind.attribute();
    let message = if other.0.contains(&name.as_str()) {
        format!(
            "`{name}` is an option of `#[{}]`, not of `#[{attribute}]`",
            other.1.attribute()
        )
    } else {
        format!(
            "`#[{attribute}]` has no option `{name}`: {}",
            suggestion(&name, known)
        )
    };
    cx.error(setting.name.span(), message);
}

fn flag(setting: &Setting, cx: &Context) -> bool {
    match &setting.value {
        None => true,
        Some(Expr::Lit(syn::ExprLit {
            lit: Lit::Bool(flag),
            ..
        })) => flag.value,
        Some(_) => {
            cx.error(
                setting.name.span(),
                format!(
                    "`{0}` is on when it is there: write `{0}` alone",
                    setting.name
                ),
            );
            true
        }
    }
}

fn option(setting: &Setting, cx: &Context) -> Option<StreamOption> {
    let name = &setting.name;
    let example = if name == "content_type" {
        "\"application/x-ndjson\""
    } else {
        "Duration::from_secs(15)"
    };
    let Some(value) = &setting.value else {
        cx.error(
            name.span(),
            format!("`{name}` needs a value: write `{name} = {example}`"),
        );
        return None;
    };
    match value {
        Expr::Path(path) if name == "keep_alive" && path.path.is_ident("off") => {
            Some(StreamOption {
                method: syn::Ident::new("no_keep_alive", name.span()),
                value: None,
            })
        }
        Expr::Lit(literal) if name == "content_type" => {
            let Lit::Str(text) = &literal.lit else {
                cx.error(literal.lit.span(), format!("`content_type` takes a text or a `HeaderValue`: write `content_type = {example}`"));
                return None;
            };
            if let Some(bad) = text
                .value()
                .chars()
                .find(|character| !matches!(character, ' '..='~'))
            {
                cx.error(
                    text.span(),
                    format!(
                        "{bad:?} cannot stand in a header: write visible ASCII, as in {example}"
                    ),
                );
                return None;
            }
            Some(StreamOption {
                method: name.clone(),
                value: Some(value.clone()),
            })
        }
        Expr::Lit(literal) => {
            cx.error(
                literal.lit.span(),
                format!("`{name}` takes a `Duration`: write `{name} = {example}`"),
            );
            None
        }
        _ => Some(StreamOption {
            method: name.clone(),
            value: Some(value.clone()),
        }),
    }
}
