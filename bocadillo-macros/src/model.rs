//! What the macros are asked for, once it is known to make sense. Nothing here parses, checks or quotes.

use proc_macro2::{Group, Span, TokenStream};
use syn::{Attribute, Expr, Ident, LitStr, Pat, Signature, Stmt, Type, Visibility};

use crate::item::Function;
use crate::paths::Runtime;

/// What a generator's items are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `#[event_stream]`
    Events,
    /// `#[stream]`
    Bytes,
}

impl Kind {
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::Events => "event_stream",
            Self::Bytes => "stream",
        }
    }
}

/// A function under `#[event_stream]` or `#[stream]`.
pub(crate) struct Generator {
    pub(crate) runtime: Runtime,
    pub(crate) kind: Kind,
    pub(crate) raise_on_disconnect: bool,
    pub(crate) options: Vec<StreamOption>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    /// Not `async` any more; its inputs and its output are in the two fields below.
    pub(crate) signature: Signature,
    pub(crate) receiver: Option<syn::Receiver>,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) returns: Option<Type>,
    pub(crate) body: Body,
}

/// An option of the stream, as the method that sets it: `.keep_alive(value)`.
pub(crate) struct StreamOption {
    pub(crate) method: Ident,
    pub(crate) value: Option<Expr>,
}

pub(crate) struct Argument {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) binding: Binding,
    pub(crate) ty: Type,
}

/// How an argument gets into the generator.
pub(crate) enum Binding {
    /// `name` or `mut name`: under the same name. Outside of the generator it is the user's own only where an option of the
    /// attribute says it; else it is hidden, so that no lint of the user's sees it shadowed.
    Name {
        in_options: bool,
        mutability: Option<syn::Token![mut]>,
        ident: Ident,
    },
    /// Any other pattern: under a made-up name, taken apart inside.
    Pattern(Pat),
}

pub(crate) struct Body {
    pub(crate) span: Span,
    /// Whether it calls macros whose expansion may yield.
    pub(crate) has_helpers: bool,
    pub(crate) code: Code,
}

pub(crate) enum Code {
    Statements(Vec<Stmt>),
    /// With syntax that syn does not know, or with a mistake that rustc will explain better.
    Tokens(TokenStream),
}

/// A function under `#[route]`.
pub(crate) struct Route {
    pub(crate) runtime: Runtime,
    pub(crate) function: Function,
    /// What the router gets; nothing when the attribute has mistakes in it.
    pub(crate) served: Option<Served>,
}

pub(crate) struct Served {
    pub(crate) pattern: LitStr,
    pub(crate) methods: Vec<String>,
    pub(crate) arguments: Vec<RouteArgument>,
    /// Whether a call gives a future.
    pub(crate) awaits: bool,
}

pub(crate) struct RouteArgument {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) source: Source,
}

/// Where a handler's argument comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Path,
    Part,
    /// The last extractor, which alone may take the body.
    Last,
}

/// `server_event!(…)`
pub(crate) struct Event {
    pub(crate) runtime: Runtime,
    pub(crate) fields: Vec<Field>,
}

pub(crate) enum Field {
    /// Already checked.
    NameLiteral(LitStr),
    Set {
        method: &'static str,
        span: Span,
        value: TokenStream,
    },
    Json {
        span: Span,
        value: Json,
    },
}

/// A JSON text with expressions in it.
pub(crate) enum Json {
    Null,
    Object(Vec<(Key, Json)>),
    Array(Vec<Json>),
    Value(TokenStream),
}

pub(crate) enum Key {
    Literal(LitStr),
    /// In its brackets.
    Expression(Group),
}
