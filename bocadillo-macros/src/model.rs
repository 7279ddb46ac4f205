//! The validated input of each macro. This module has only data types.

use proc_macro2::{Group, Span, TokenStream};
use syn::{Attribute, Expr, Ident, LitStr, Pat, Signature, Stmt, Type, Visibility};

use crate::item::Function;
use crate::paths::Runtime;

/// The kind of a generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StreamKind {
    /// A generator of events: `#[event_stream]`.
    Events,
    /// A generator of bytes: `#[stream]`.
    Bytes,
}

impl StreamKind {
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
    pub(crate) kind: StreamKind,
    pub(crate) raise_on_disconnect: bool,
    pub(crate) options: Vec<StreamOption>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    /// The signature, without `async`. Its inputs and its output are in the fields below.
    pub(crate) signature: Signature,
    pub(crate) receiver: Option<syn::Receiver>,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) returns: Option<Type>,
    pub(crate) body: Body,
}

/// An option of the stream. The method sets it, for example `.keep_alive(value)`.
pub(crate) struct StreamOption {
    pub(crate) method: Ident,
    pub(crate) value: Option<Expr>,
}

pub(crate) struct Argument {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) binding: Binding,
    pub(crate) ty: Type,
}

/// How an argument is bound in the generator.
pub(crate) enum Binding {
    /// `name` or `mut name`. The generator uses the same name. If an option of the attribute contains the name, the
    /// argument has the user's name outside of the generator too. Otherwise it has a hygienic name there, so that the
    /// user's lints do not report a shadowed name.
    Name {
        in_options: bool,
        mutability: Option<syn::Token![mut]>,
        ident: Ident,
    },
    /// Any other pattern. The argument has a generated name, and the generator destructures it.
    Pattern(Pat),
}

pub(crate) struct Body {
    pub(crate) span: Span,
    /// Whether the body calls macros whose expansion may contain a `yield`.
    pub(crate) has_helpers: bool,
    pub(crate) code: Code,
}

pub(crate) enum Code {
    Statements(Vec<Stmt>),
    /// Code that syn cannot parse, because its syntax is too new or it has a mistake. rustc reports the mistake.
    Tokens(TokenStream),
}

/// A function under `#[route]`.
pub(crate) struct Route {
    pub(crate) runtime: Runtime,
    pub(crate) function: Function,
    /// The description of the route. `None` if the attribute has mistakes.
    pub(crate) served: Option<Served>,
}

pub(crate) struct Served {
    pub(crate) pattern: LitStr,
    pub(crate) methods: Vec<String>,
    pub(crate) arguments: Vec<RouteArgument>,
    /// Whether the function returns a future.
    pub(crate) awaits: bool,
}

pub(crate) struct RouteArgument {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) source: Source,
}

/// Where an argument of a route comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Path,
    Part,
    /// The last extractor. Only this one may take the body.
    Last,
}

/// The input of `server_event!(…)`.
pub(crate) struct Event {
    pub(crate) runtime: Runtime,
    pub(crate) fields: Vec<Field>,
}

pub(crate) enum Field {
    /// A name that is already checked.
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

/// JSON that may contain Rust expressions.
pub(crate) enum Json {
    Null,
    Object(Vec<(Key, Json)>),
    Array(Vec<Json>),
    Value(TokenStream),
}

pub(crate) enum Key {
    Literal(LitStr),
    /// An expression, in brackets.
    Expression(Group),
}
