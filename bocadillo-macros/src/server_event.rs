//! Parses the input of `server_event!`. The grammar is:
//!
//! ```text
//! server_event = [ name [ "," ] ] *( field "," )
//! name         = expression                       ; as in `"greeting"`
//! field        = identifier "=" value
//! value        = expression                       ; for `json`: json
//! json         = "null" / "{" *( key ":" json "," ) "}" / "[" *( json "," ) "]" / expression
//! key          = string literal / "(" expression ")"
//! ```
//!
//! If a value does not parse, all tokens up to its comma are kept. So rustc reports the mistake, and an editor can
//! complete the value.

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{Expr, Ident, LitStr, Token};

use crate::errors::Context;
use crate::model::{Json, Key};

/// The parsed input of the macro, before validation.
#[derive(Default)]
pub(crate) struct Call {
    pub(crate) name: Option<Value>,
    pub(crate) fields: Vec<(Ident, Value)>,
}

/// The tokens of one value. The span is for an error about a missing value.
pub(crate) struct Value {
    pub(crate) tokens: TokenStream,
    pub(crate) span: Span,
}

impl Value {
    /// Returns the string literal, if the value is one.
    pub(crate) fn literal(&self) -> Option<LitStr> {
        syn::parse2(self.tokens.clone()).ok()
    }

    /// Whether the value begins with `{ "key":`, or is `[ … ]`. Such a value is not text.
    pub(crate) fn looks_like_json(&self) -> bool {
        let mut trees = self.tokens.clone().into_iter();
        let (Some(TokenTree::Group(group)), None) = (trees.next(), trees.next()) else {
            return false;
        };
        match group.delimiter() {
            Delimiter::Bracket => true,
            Delimiter::Brace => matches!(
                group.stream().into_iter().nth(1),
                Some(TokenTree::Punct(colon)) if colon.as_char() == ':' && colon.spacing() == Spacing::Alone
            ),
            Delimiter::Parenthesis | Delimiter::None => false,
        }
    }
}

impl Call {
    pub(crate) fn parse(tokens: TokenStream, cx: &Context) -> Self {
        let mut call = Self::default();
        cx.ok((|input: ParseStream<'_>| call.read(input, cx)).parse2(tokens));
        call
    }

    fn read(&mut self, input: ParseStream<'_>, cx: &Context) -> syn::Result<()> {
        while !input.is_empty() {
            if input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==]) {
                let name = input.call(Ident::parse_any)?;
                let equals: Token![=] = input.parse()?;
                self.fields.push((name, value(input, equals.span)?));
            } else {
                let value = value(input, input.span())?;
                if self.name.is_some() || !self.fields.is_empty() {
                    cx.error(value.span, "only the name of an event can be written without a field name, and it has to come first: write `data = …` or `json = …`");
                } else {
                    self.name = Some(value);
                }
            }
            if !input.is_empty() && input.parse::<Option<Token![,]>>()?.is_none() {
                return Err(input.error("expected a `,` before the next field"));
            }
        }
        Ok(())
    }
}

/// Parses an expression. If that is not possible, takes all tokens up to the comma.
fn value(input: ParseStream<'_>, before: Span) -> syn::Result<Value> {
    let span = if input.is_empty() {
        before
    } else {
        input.span()
    };
    let begin = input.cursor();
    let ahead = input.fork();
    if ahead.parse::<Expr>().is_ok() && (ahead.is_empty() || ahead.peek(Token![,])) {
        syn::parse::discouraged::Speculative::advance_to(input, &ahead);
    } else {
        while !(input.is_empty() || input.peek(Token![,])) {
            input.parse::<TokenTree>()?;
        }
    }
    let mut tokens = TokenStream::new();
    let mut cursor = begin;
    while cursor != input.cursor() {
        let Some((tree, next)) = cursor.token_tree() else {
            break;
        };
        tokens.extend([tree]);
        cursor = next;
    }
    Ok(Value { tokens, span })
}

/// Parses the value of `json`.
pub(crate) fn json(value: &Value, cx: &Context) -> Json {
    let mut trees = value.tokens.clone().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Ident(word)), None) if word == "null" => Json::Null,
        (Some(TokenTree::Group(group)), None) => match group.delimiter() {
            Delimiter::Brace => Json::Object(cx.ok(members(&group, cx)).unwrap_or_default()),
            Delimiter::Bracket => {
                array(&group, cx).unwrap_or_else(|| Json::Value(value.tokens.clone()))
            }
            Delimiter::Parenthesis | Delimiter::None => Json::Value(value.tokens.clone()),
        },
        _ => Json::Value(value.tokens.clone()),
    }
}

/// Parses the values of `[ … ]`. Returns `None` for `[value; length]`.
fn array(group: &Group, cx: &Context) -> Option<Json> {
    if syn::parse2::<syn::ExprRepeat>(TokenTree::from(group.clone()).into()).is_ok() {
        return None;
    }
    let read = |input: ParseStream<'_>| {
        let mut values = Vec::new();
        while !input.is_empty() {
            let value = value(input, input.span())?;
            if value.tokens.is_empty() {
                return Err(input.error("expected a value before this `,`"));
            }
            values.push(json(&value, cx));
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(values)
    };
    Some(Json::Array(
        cx.ok(read.parse2(group.stream())).unwrap_or_default(),
    ))
}

fn members(group: &Group, cx: &Context) -> syn::Result<Vec<(Key, Json)>> {
    let read = |input: ParseStream<'_>| {
        let mut members = Vec::new();
        while !input.is_empty() {
            let key: Key = input.parse()?;
            if !input.peek(Token![:]) {
                return Err(input.error("expected a `:` between the key and its value"));
            }
            let colon: Token![:] = input.parse()?;
            let value = value(input, colon.span)?;
            if value.tokens.is_empty() {
                cx.error(value.span, "this key has no value: write one, or `null`");
            } else {
                members.push((key, json(&value, cx)));
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(members)
    };
    read.parse2(group.stream())
}

impl Parse for Key {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            return Ok(Self::Literal(input.parse()?));
        }
        let span = input.span();
        match input.parse()? {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
                Ok(Self::Expression(group))
            }
            TokenTree::Ident(word) => Err(syn::Error::new(
                span,
                format!(
                    "a key has to be text: write `\"{0}\"`, or `({word})` for the value of `{word}`",
                    word.unraw()
                ),
            )),
            other => Err(syn::Error::new(
                span,
                format!("a key has to be text: write `\"{other}\"`"),
            )),
        }
    }
}
