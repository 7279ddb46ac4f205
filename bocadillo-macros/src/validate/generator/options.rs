//! Checks the options of `#[event_stream]` and `#[stream]`.

use syn::{Expr, Ident, Lit};

use crate::args::{Arguments, Setting, duplicate};
use crate::errors::{Context, suggestion};
use crate::model::{StreamKind, StreamOption};

const EVENT_OPTIONS: [&str; 9] = [
    "raise_on_disconnect",
    "keep_alive",
    "retry",
    "max_lifetime",
    "cleanup_timeout",
    "write_timeout",
    "on_error",
    "charset",
    "crate",
];
const BYTE_OPTIONS: [&str; 5] = [
    "raise_on_disconnect",
    "content_type",
    "cleanup_timeout",
    "byte_write_timeout",
    "crate",
];
/// Options that accept `off`. The method `no_…` of `StreamOptions` sets it.
const SWITCHES: [&str; 4] = [
    "keep_alive",
    "max_lifetime",
    "write_timeout",
    "byte_write_timeout",
];

/// Returns the value of `raise_on_disconnect`, and the options of the stream.
pub(super) fn options(
    kind: StreamKind,
    arguments: Arguments,
    cx: &Context,
) -> (bool, Vec<StreamOption>) {
    if let Some(literal) = arguments.literal {
        cx.error(
            literal.span(),
            format!(
                "`#[{}]` takes no literal: write the path in `#[route(…)]`",
                kind.attribute()
            ),
        );
    }
    let known: &[&str] = match kind {
        StreamKind::Events => &EVENT_OPTIONS,
        StreamKind::Bytes => &BYTE_OPTIONS,
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
        && let Some(timeout) = options
            .iter()
            .find(|option| option.method == "cleanup_timeout")
    {
        let message = "`cleanup_timeout` has no effect on a generator that is dropped when the client disconnects: add `raise_on_disconnect`";
        cx.error(timeout.method.span(), message);
    }
    (raise, options)
}

fn unknown(kind: StreamKind, setting: &Setting, known: &[&str], cx: &Context) {
    let name = setting.name.to_string();
    let other = match kind {
        StreamKind::Events => (&BYTE_OPTIONS[..], StreamKind::Bytes),
        StreamKind::Bytes => (&EVENT_OPTIONS[..], StreamKind::Events),
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
                format!("`{0}` takes no value: write `{0}` alone", setting.name),
            );
            true
        }
    }
}

fn option(setting: &Setting, cx: &Context) -> Option<StreamOption> {
    let name = &setting.name;
    let example = match name.to_string().as_str() {
        "content_type" => "\"application/x-ndjson\"",
        "charset" => "true",
        "on_error" => "|_| Some(ServerEvent::new(\"try again later\"))",
        _ => "Duration::from_secs(15)",
    };
    let Some(value) = &setting.value else {
        cx.error(
            name.span(),
            format!("`{name}` needs a value: write `{name} = {example}`"),
        );
        return None;
    };
    match value {
        Expr::Path(path)
            if path.path.is_ident("off") && SWITCHES.iter().any(|switch| name == switch) =>
        {
            Some(StreamOption {
                method: Ident::new(&format!("no_{name}"), name.span()),
                value: None,
            })
        }
        Expr::Lit(literal) if name == "content_type" => {
            content_type(&literal.lit, example, cx).then(|| taken(name, value))
        }
        Expr::Lit(literal) if name == "charset" && matches!(literal.lit, Lit::Bool(_)) => {
            Some(taken(name, value))
        }
        Expr::Lit(literal) => {
            let wanted = match name.to_string().as_str() {
                "charset" => "`true` or `false`",
                "on_error" => "a function of the error",
                _ => "a `Duration`",
            };
            cx.error(
                literal.lit.span(),
                format!("`{name}` takes {wanted}: write `{name} = {example}`"),
            );
            None
        }
        _ => Some(taken(name, value)),
    }
}

fn taken(name: &Ident, value: &Expr) -> StreamOption {
    StreamOption {
        method: name.clone(),
        value: Some(value.clone()),
    }
}

/// Whether the literal is a valid value of the header `Content-Type`.
fn content_type(literal: &Lit, example: &str, cx: &Context) -> bool {
    let Lit::Str(text) = literal else {
        cx.error(
            literal.span(),
            format!(
                "`content_type` takes a text or a `HeaderValue`: write `content_type = {example}`"
            ),
        );
        return false;
    };
    let value = text.value();
    let bad = value
        .chars()
        .find(|character| !matches!(character, ' '..='~'));
    if let Some(bad) = bad {
        cx.error(
            text.span(),
            format!("{bad:?} cannot be in a header: write visible ASCII, as in {example}"),
        );
    }
    bad.is_none()
}
