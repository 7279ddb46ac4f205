//! Checks the body of a generator. It needs a `yield` with a value, in a place where `.await` is possible.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser as _};
use syn::visit::{self, Visit};
use syn::{AttrStyle, Attribute, Block, Expr, Item, Macro};

use crate::calls;
use crate::errors::Context;
use crate::keyword;
use crate::model::{Body, Code, StreamKind};
use crate::paths::Runtime;

/// Parses and checks the body. Moves inner attributes to the attributes of the function. If the body uses the result of
/// a `yield` that has none, this sets `raise_on_disconnect`, so that rustc can check the rest of the body.
pub(super) fn body(
    kind: StreamKind,
    returns_nothing: bool,
    raise_on_disconnect: &mut bool,
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
    let has_helpers = calls::has_helpers(translated.tokens.clone());
    let code = match parse.parse2(translated.tokens.clone()) {
        Ok((inner, statements)) => {
            attributes.extend(inner.into_iter().map(|attribute| Attribute {
                style: AttrStyle::Outer,
                ..attribute
            }));
            let mut yields = Yields {
                cx,
                in_closure: false,
                refuses_try: returns_nothing,
                try_is_refused: false,
                has_value: *raise_on_disconnect,
                value_is_missed: false,
                found: 0,
            };
            for statement in &statements {
                yields.visit_stmt(statement);
            }
            *raise_on_disconnect |= yields.value_is_missed;
            if !has_helpers {
                require_yield(kind, yields.found, group.span_open(), cx);
            }
            if yields.try_is_refused {
                // Otherwise rustc would report the same `?` again, with a message about an async closure.
                Code::Tokens(TokenStream::from_iter(endless()))
            } else {
                Code::Statements(statements)
            }
        }
        Err(_) => {
            if !has_helpers {
                let found = calls::spans(translated.tokens.clone()).len();
                require_yield(kind, found, group.span_open(), cx);
            }
            Code::Tokens(translated.tokens)
        }
    };
    Body {
        span: group.span(),
        has_helpers,
        code,
    }
}

/// Returns the first `?` in the values of an event. Returns `None` if the values may contain a closure or an `async`
/// block, because the `?` may belong to it.
fn question_mark(tokens: TokenStream) -> Option<Span> {
    let mut found = None;
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '|' => return None,
            TokenTree::Ident(word) if word == "async" => return None,
            TokenTree::Punct(punct) if punct.as_char() == '?' => {
                found = found.or(Some(punct.span()));
            }
            TokenTree::Group(group) => found = found.or_else(|| question_mark(group.stream())),
            _ => {}
        }
    }
    found
}

/// Generates `loop {}`, which has any type.
fn endless() -> [TokenTree; 2] {
    [
        Ident::new("loop", Span::mixed_site()).into(),
        Group::new(Delimiter::Brace, TokenStream::new()).into(),
    ]
}

fn require_yield(kind: StreamKind, found: usize, span: Span, cx: &Context) {
    if found == 0 {
        let what = match kind {
            StreamKind::Events => "event",
            StreamKind::Bytes => "chunk",
        };
        cx.error(
            span,
            format!("this generator never yields: write `yield {what}` inside of `generators!( … )`, or `yield_!({what})`"),
        );
    }
}

/// Visits each `yield_!` of the body.
struct Yields<'a> {
    cx: &'a Context,
    in_closure: bool,
    /// Whether a `?` is an error here. It is one if the generator has no return type, and the code is not in an `async`
    /// block or a closure.
    refuses_try: bool,
    try_is_refused: bool,
    /// Whether a `yield` has a result that reports the disconnect.
    has_value: bool,
    value_is_missed: bool,
    found: usize,
}

impl Yields<'_> {
    fn within(&mut self, in_closure: bool, visit: impl FnOnce(&mut Self)) {
        let in_closure = std::mem::replace(&mut self.in_closure, in_closure);
        let refuses_try = std::mem::replace(&mut self.refuses_try, false);
        visit(self);
        self.in_closure = in_closure;
        self.refuses_try = refuses_try;
    }

    fn one(&mut self, span: Span, operand: &TokenStream) {
        self.found += 1;
        if operand.is_empty() {
            self.cx.error(span, "this `yield` has nothing to send: write `yield \"hello\"`, for example, or `yield server_event!(…)`");
        }
        if self.in_closure {
            self.cx.error(
                span,
                "a closure cannot yield: use a loop in its place, or yield in an `async` block that the generator awaits",
            );
        }
    }

    fn tried(&mut self, question_mark: Span) {
        if self.refuses_try {
            self.try_is_refused = true;
            self.cx.error(
                question_mark,
                "the `?` operator needs a generator that returns a `Result`: write `-> Result<(), E>` after its arguments, and `Ok(())` at its end",
            );
        }
    }

    /// Reports an expression that uses the result of a `yield` without one. This message says what to write. rustc
    /// would only report a wrong type.
    fn looked_into(&mut self, expression: &Expr) {
        match expression {
            Expr::Paren(inner) => self.looked_into(&inner.expr),
            Expr::Macro(call) if !self.has_value => {
                if let Some(span) = calls::yield_span(&call.mac.path) {
                    self.value_is_missed = true;
                    self.cx.error(span, "this `yield` has no value, because the generator is dropped at a disconnect: add `raise_on_disconnect` to the attribute to get a `Result`");
                }
            }
            _ => {}
        }
    }
}

impl<'ast> Visit<'ast> for Yields<'_> {
    fn visit_expr_let(&mut self, condition: &'ast syn::ExprLet) {
        self.looked_into(&condition.expr);
        visit::visit_expr_let(self, condition);
    }

    fn visit_expr_try(&mut self, expression: &'ast syn::ExprTry) {
        self.looked_into(&expression.expr);
        self.tried(expression.question_token.spans[0]);
        visit::visit_expr_try(self, expression);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let Some(span) = calls::yield_span(&mac.path) else {
            if mac
                .path
                .segments
                .last()
                .is_some_and(|name| name.ident == "server_event")
                && let Some(question_mark) = question_mark(mac.tokens.clone())
            {
                self.tried(question_mark);
            }
            return self.visit_token_stream(&mac.tokens);
        };
        self.one(span, &mac.tokens);
        match syn::parse2::<Expr>(mac.tokens.clone()) {
            Ok(operand) => {
                let mut inner = Yields {
                    cx: self.cx,
                    in_closure: self.in_closure,
                    refuses_try: self.refuses_try,
                    try_is_refused: false,
                    has_value: self.has_value,
                    value_is_missed: false,
                    found: 0,
                };
                inner.visit_expr(&operand);
                self.try_is_refused |= inner.try_is_refused;
            }
            Err(_) => self.visit_token_stream(&mac.tokens),
        }
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        // It is not known what the macro does with its tokens. So a `yield_!` in a closure is not reported here.
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

    // An item in the body is not a part of the generator.
    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}
