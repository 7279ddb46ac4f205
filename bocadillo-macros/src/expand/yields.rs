//! The lowering of `yield_!(x)`: a send into the slot that the generator shares with its stream, awaited.
//!
//! It goes by two steps. The attribute makes `yield_!(@ __yielder, x)` of it, and that `yield_!` makes the send. So the
//! name of the macro is resolved as any other's, importing it is neither forgotten nor in vain, and what the compiler
//! has to say of a `yield` (that its result is ignored, say) it says at that place.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, Item, Macro};

use crate::calls::{self, Piece};
use crate::model::Code;
use crate::paths::at;

/// The name under which the body finds its end of the slot.
pub(crate) fn yielder() -> Ident {
    Ident::new("__yielder", Span::mixed_site())
}

pub(crate) fn lower(code: &Code) -> TokenStream {
    match code {
        Code::Statements(statements) => {
            let mut statements = statements.clone();
            let mut lowering = Lowering { in_closure: false };
            for statement in &mut statements {
                lowering.visit_stmt_mut(statement);
            }
            quote!(#(#statements)*)
        }
        Code::Tokens(tokens) => lower_tokens(tokens.clone()),
    }
}

/// The second step, within `yield_!`.
pub(crate) fn send(yielder: TokenTree, operand: TokenStream) -> TokenStream {
    // In brackets, so that the whole is seen where `yield_!` is called, and not where the name was made up.
    quote!((#yielder).send(#operand).await)
}

/// In a closure there is nothing to await with, which was reported; the operand is still looked at.
pub(crate) fn give_up(operand: TokenStream) -> TokenStream {
    quote!({
        let _ = #operand;
        loop {}
    })
}

fn first_step(keyword: Span, operand: &TokenStream) -> TokenStream {
    let yielder = Ident::new("__yielder", at(keyword));
    // Nothing to send was reported; a value that every generator takes keeps the rest checked.
    let operand = if operand.is_empty() {
        quote_spanned!(keyword=> "")
    } else {
        operand.clone()
    };
    quote!(@ #yielder, #operand)
}

fn lower_tokens(tokens: TokenStream) -> TokenStream {
    calls::pieces(tokens)
        .into_iter()
        .map(|piece| match piece {
            Piece::Operand { keyword, group } => {
                regroup(&group, first_step(keyword, &lower_tokens(group.stream())))
            }
            Piece::Group(group) if calls::spans(group.stream()).is_empty() => {
                group.into_token_stream()
            }
            Piece::Group(group) => regroup(&group, lower_tokens(group.stream())),
            Piece::Other(tree) => tree.into_token_stream(),
        })
        .collect()
}

fn regroup(group: &Group, content: TokenStream) -> TokenStream {
    let mut new = Group::new(group.delimiter(), content);
    new.set_span(group.span());
    new.into_token_stream()
}

struct Lowering {
    in_closure: bool,
}

impl Lowering {
    fn within(&mut self, in_closure: bool, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.in_closure, in_closure);
        visit(self);
        self.in_closure = before;
    }
}

impl VisitMut for Lowering {
    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        let Some(keyword) = calls::yield_span(&mac.path) else {
            return self.visit_token_stream_mut(&mut mac.tokens);
        };
        let operand = match syn::parse2::<Expr>(mac.tokens.clone()) {
            Ok(mut operand) => {
                self.visit_expr_mut(&mut operand);
                operand.into_token_stream()
            }
            Err(_) => lower_tokens(mac.tokens.clone()),
        };
        mac.tokens = if self.in_closure {
            quote!(@ _, #operand)
        } else {
            first_step(keyword, &operand)
        };
    }

    fn visit_token_stream_mut(&mut self, tokens: &mut TokenStream) {
        if !calls::spans(tokens.clone()).is_empty() {
            *tokens = lower_tokens(std::mem::take(tokens));
        }
    }

    fn visit_expr_closure_mut(&mut self, closure: &mut syn::ExprClosure) {
        self.within(closure.asyncness.is_none(), |this| {
            visit_mut::visit_expr_closure_mut(this, closure)
        });
    }

    fn visit_expr_async_mut(&mut self, block: &mut syn::ExprAsync) {
        self.within(false, |this| visit_mut::visit_expr_async_mut(this, block));
    }

    // An item in the body is no part of the generator.
    fn visit_item_mut(&mut self, _: &mut Item) {}

    fn visit_attribute_mut(&mut self, _: &mut syn::Attribute) {}
}
