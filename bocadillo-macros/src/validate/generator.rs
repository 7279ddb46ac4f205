//! What `#[event_stream]` and `#[stream]` ask of a function.

use proc_macro2::{Group, Span, TokenStream};
use quote::ToTokens as _;
use syn::parse::{ParseStream, Parser as _};
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    AttrStyle, Attribute, Block, Expr, FnArg, GenericParam, Item, Lifetime, Lit, Macro, Pat,
    ReturnType, Type,
};

use crate::args::{Arguments, Setting, duplicate};
use crate::calls;
use crate::errors::{Context, suggestion};
use crate::item::Function;
use crate::keyword;
use crate::model::{Argument, Binding, Body, Code, Generator, Kind, StreamOption};
use crate::paths::Runtime;

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

pub(crate) fn generator(
    kind: Kind,
    mut arguments: Arguments,
    function: Function,
    cx: &Context,
) -> Generator {
    let runtime = arguments.runtime(cx);
    let (raise_on_disconnect, options) = options(kind, arguments, cx);
    let Function {
        mut attributes,
        visibility,
        mut signature,
        body,
    } = function;

    let body = self::body(kind, &body, &runtime, &mut attributes, cx);
    if signature.asyncness.take().is_none() {
        cx.error(
            signature.fn_token.span,
            format!(
                "`#[{}]` goes on an `async fn`: write `async` before this `fn`",
                kind.attribute()
            ),
        );
    }
    if let Some(constness) = signature.constness.take() {
        cx.error(
            constness.span,
            "a generator runs later and cannot be `const`: take this word out",
        );
    }
    own_generics(&mut signature.generics, cx);
    let (receiver, arguments) = self::arguments(
        std::mem::take(&mut signature.inputs),
        &signature.generics,
        &options,
        cx,
    );
    let returns = returns(
        std::mem::replace(&mut signature.output, ReturnType::Default),
        cx,
    );
    Generator {
        runtime,
        kind,
        raise_on_disconnect,
        options,
        attributes,
        visibility,
        signature,
        receiver,
        arguments,
        returns,
        body,
    }
}

fn options(kind: Kind, arguments: Arguments, cx: &Context) -> (bool, Vec<StreamOption>) {
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
        Some(Expr::Lit(literal)) if let Lit::Bool(flag) = &literal.lit => flag.value,
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

fn body(
    kind: Kind,
    group: &Group,
    runtime: &Runtime,
    attributes: &mut Vec<Attribute>,
    cx: &Context,
) -> Body {
    let translated = keyword::in_body(group.stream(), runtime);
    if !cfg!(yield_gate_opens) {
        for keyword in &translated.parsed {
            cx.error(
                *keyword,
                "stable Rust refuses `yield` here: write `yield_!(…)`, or put the item into `generators!( … )`, where `yield` works",
            );
        }
    }
    let parse = |input: ParseStream<'_>| {
        Ok((
            input.call(Attribute::parse_inner)?,
            input.call(Block::parse_within)?,
        ))
    };
    let code = match parse.parse2(translated.tokens.clone()) {
        Ok((inner, statements)) => {
            attributes.extend(inner.into_iter().map(|attribute| Attribute {
                style: AttrStyle::Outer,
                ..attribute
            }));
            let mut yields = Yields {
                cx,
                in_closure: false,
                found: 0,
            };
            for statement in &statements {
                yields.visit_stmt(statement);
            }
            require_yield(kind, yields.found, group.span_open(), cx);
            Code::Statements(statements)
        }
        Err(_) => {
            require_yield(
                kind,
                calls::spans(translated.tokens.clone()).len(),
                group.span_open(),
                cx,
            );
            Code::Tokens(translated.tokens)
        }
    };
    Body {
        span: group.span(),
        code,
    }
}

fn require_yield(kind: Kind, found: usize, span: Span, cx: &Context) {
    if found == 0 {
        let what = match kind {
            Kind::Events => "event",
            Kind::Bytes => "chunk",
        };
        cx.error(
            span,
            format!("this generator never yields: write `yield {what}` inside of `generators!( … )`, or `yield_!({what})`"),
        );
    }
}

/// Looks at each `yield_!` of the body.
struct Yields<'a> {
    cx: &'a Context,
    in_closure: bool,
    found: usize,
}

impl Yields<'_> {
    fn within(&mut self, in_closure: bool, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.in_closure, in_closure);
        visit(self);
        self.in_closure = before;
    }

    fn one(&mut self, span: Span, operand: &TokenStream) {
        self.found += 1;
        if operand.is_empty() {
            self.cx.error(span, "this `yield` has nothing to send: write `yield \"hello\"`, say, or `yield server_event!(…)`");
        }
        if self.in_closure {
            self.cx.error(
                span,
                "a closure cannot yield: use a loop in its place, or yield in an `async` block that the generator awaits",
            );
        }
    }
}

impl<'ast> Visit<'ast> for Yields<'_> {
    fn visit_macro(&mut self, mac: &'ast Macro) {
        let Some(span) = calls::yield_span(&mac.path) else {
            return self.visit_token_stream(&mac.tokens);
        };
        self.one(span, &mac.tokens);
        match syn::parse2::<Expr>(mac.tokens.clone()) {
            Ok(operand) => Yields {
                cx: self.cx,
                in_closure: self.in_closure,
                found: 0,
            }
            .visit_expr(&operand),
            Err(_) => self.visit_token_stream(&mac.tokens),
        }
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        // What a macro makes of its tokens cannot be known, so a closure among them is not looked for.
        self.found += calls::spans(tokens.clone()).len();
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.within(closure.asyncness.is_none(), |this| {
            visit::visit_expr_closure(this, closure)
        });
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.within(false, |this| visit::visit_expr_async(this, block));
    }

    // An item in the body is no part of the generator.
    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

fn arguments(
    inputs: syn::punctuated::Punctuated<FnArg, syn::Token![,]>,
    generics: &syn::Generics,
    options: &[StreamOption],
    cx: &Context,
) -> (Option<syn::Receiver>, Vec<Argument>) {
    let mut receiver = None;
    let mut arguments = Vec::new();
    for input in inputs {
        match input {
            FnArg::Receiver(this) => {
                cx.error(
                    this.self_token.span,
                    "a generator outlives the call and cannot borrow `self`: take what it needs as arguments of its own",
                );
                receiver = Some(this);
            }
            FnArg::Typed(mut typed) => {
                Owned {
                    generics,
                    cx,
                    fixed: false,
                }
                .visit_type_mut(&mut typed.ty);
                let binding = match *typed.pat {
                    Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
                        Binding::Name {
                            in_options: options.iter().any(|option| option.names(&name.ident)),
                            mutability: name.mutability,
                            ident: name.ident,
                        }
                    }
                    pattern => Binding::Pattern(pattern),
                };
                arguments.push(Argument {
                    attributes: typed.attrs,
                    binding,
                    ty: *typed.ty,
                });
            }
        }
    }
    (receiver, arguments)
}

impl StreamOption {
    /// Whether the option's value says this name.
    fn names(&self, name: &syn::Ident) -> bool {
        self.value
            .as_ref()
            .is_some_and(|value| keyword::contains(&value.to_token_stream(), &name.to_string()))
    }
}

/// Refuses borrowed arguments, and makes them `'static` so that the rest of the function is looked at all the same.
struct Owned<'a> {
    generics: &'a syn::Generics,
    cx: &'a Context,
    fixed: bool,
}

impl Owned<'_> {
    fn refuse(&mut self, span: Span, written: &str, instead: &str) {
        if !std::mem::replace(&mut self.fixed, true) {
            self.cx.error(
                span,
                format!("`{written}` is borrowed for the call alone, and the stream outlives the call: {instead}"),
            );
        }
    }
}

impl VisitMut for Owned<'_> {
    fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
        if reference.lifetime.is_none() {
            let instead = match &*reference.elem {
                Type::Path(path) if path.path.is_ident("str") => {
                    "take a `String`, or a `&'static str`"
                }
                Type::Slice(_) => "take a `Vec`, or a `&'static` slice",
                _ => "take it by value, or in an `Arc`",
            };
            self.refuse(reference.and_token.spans[0], "&", instead);
            reference.lifetime = Some(Lifetime::new("'static", reference.and_token.spans[0]));
        }
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        let reported = self
            .generics
            .lifetimes()
            .any(|parameter| parameter.lifetime == *lifetime);
        if lifetime.ident == "_" {
            self.refuse(
                lifetime.span(),
                "'_",
                "take what it borrows by value, or make it `'static`",
            );
        }
        if reported || lifetime.ident == "_" {
            *lifetime = Lifetime::new("'static", lifetime.span());
        }
    }

    // `fn(&str)` and `Fn(&str)` borrow when they are called, which is fine.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut syn::TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(
        &mut self,
        _: &mut syn::ParenthesizedGenericArguments,
    ) {
    }
    fn visit_trait_bound_mut(&mut self, bound: &mut syn::TraitBound) {
        if bound.lifetimes.is_none() {
            visit_mut::visit_trait_bound_mut(self, bound);
        }
    }
}

fn own_generics(generics: &mut syn::Generics, cx: &Context) {
    for parameter in &generics.params {
        if let GenericParam::Lifetime(lifetime) = parameter {
            cx.error(
                lifetime.lifetime.span(),
                format!(
                    "`{}` ends before the stream does: take what it borrows by value, or make it `'static`",
                    lifetime.lifetime
                ),
            );
        }
    }
}

fn returns(output: ReturnType, cx: &Context) -> Option<Type> {
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    struct Opaque(Option<Span>);
    impl<'ast> Visit<'ast> for Opaque {
        fn visit_type_impl_trait(&mut self, opaque: &'ast syn::TypeImplTrait) {
            self.0.get_or_insert(opaque.impl_token.span);
        }
    }
    let mut opaque = Opaque(None);
    opaque.visit_type(&ty);
    if let Some(span) = opaque.0 {
        cx.error(span, "a generator has to name what it fails with: write `Result<(), MyError>` or `Result<(), Box<dyn Error + Send + Sync>>`");
        return Some(Type::Infer(syn::TypeInfer {
            attrs: Vec::new(),
            underscore_token: syn::Token![_](span),
        }));
    }
    Some(*ty)
}
