//! Rewrites `yield_!(x)` to `yielder.send(x).await`.
//!
//! There are two steps. The attribute rewrites each visible call to `::bocadillo::yield_!(@ __yielder, x)`. Then that
//! `yield_!` expands to the `send`. So the user needs no import. The compiler also reports errors at the call, for
//! example when the result of a `yield` is ignored. The attribute does not see a call in the expansion of another
//! macro. For such calls, the body contains a macro `yield_!` of its own.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, Item, Macro};

use crate::calls::{self, Piece};
use crate::keyword;
use crate::model::{Body, Code};
use crate::paths::{Runtime, at};

/// The name of the yielder in the body.
pub(crate) fn yielder() -> Ident {
    Ident::new("__yielder", Span::mixed_site())
}

/// The body of the generator, and the code before the generator in its function.
pub(crate) struct Lowered {
    pub(crate) code: TokenStream,
    pub(crate) before: TokenStream,
}

pub(crate) fn lower(body: &Body, runtime: &Runtime) -> Lowered {
    let mut lowering = Lowering {
        runtime,
        in_closure: false,
        found_bare: false,
    };
    let code = match &body.code {
        Code::Statements(statements) => {
            let mut statements = statements.clone();
            for statement in &mut statements {
                lowering.visit_stmt_mut(statement);
            }
            quote!(#(#statements)*)
        }
        Code::Tokens(tokens) => lowering.tokens(tokens.clone()),
    };
    let own = if body.has_helpers {
        own_macro(runtime)
    } else {
        TokenStream::new()
    };
    let before = if body.has_helpers || lowering.found_bare {
        use_of_an_import(runtime)
    } else {
        TokenStream::new()
    };
    Lowered {
        code: quote!(#own #code),
        before,
    }
}

/// Generates a macro `yield_!` in the body. The expansion of another macro can call it without an import.
fn own_macro(runtime: &Runtime) -> TokenStream {
    let name = runtime.macro_at("yield_", Span::mixed_site());
    let yielder = yielder();
    quote! {
        #[allow(unused_macros, reason = "for the macros that this body calls")]
        macro_rules! yield_ {
            ($($operand:tt)*) => { #name!(@ #yielder, $($operand)*) };
        }
    }
}

/// Generates a use of the macro `yield_`, so that an import of it in the module is not reported as unused. Both globs
/// import the same macro. The second glob is for a module without that import.
fn use_of_an_import(runtime: &Runtime) -> TokenStream {
    let words = runtime.private("words");
    quote! {
        const _: () = {
            #[allow(unused_imports, clippy::wildcard_imports, reason = "the module may not have it")]
            use self::*;
            #[allow(unused_imports, clippy::wildcard_imports, reason = "the module may have it")]
            use #words::*;
            yield_! { @ }
        };
    }
}

/// The second step: expands `yield_!(@ yielder, operand)`.
pub(crate) fn send(yielder: TokenTree, operand: TokenStream) -> TokenStream {
    // The brackets have the span of the call of `yield_!`. Without them, an error would have the span of the yielder.
    quote!((#yielder).send(#operand).await)
}

/// Expands a `yield` in a closure, where `.await` is not possible. `validate` has reported it. The operand is kept, so
/// that the compiler still checks it.
pub(crate) fn give_up(operand: TokenStream) -> TokenStream {
    quote!({
        let _ = #operand;
        loop {}
    })
}

fn first_step(keyword: Span, operand: &TokenStream) -> TokenStream {
    let yielder = Ident::new("__yielder", at(keyword));
    // The missing operand is already reported. Every generator accepts a string, so there is no second error.
    let operand = if operand.is_empty() {
        quote_spanned!(keyword=> "")
    } else {
        operand.clone()
    };
    quote!(@ #yielder, #operand)
}

fn regroup(group: &Group, content: TokenStream) -> TokenTree {
    let mut new = Group::new(group.delimiter(), content);
    new.set_span(group.span());
    new.into()
}

struct Lowering<'a> {
    runtime: &'a Runtime,
    in_closure: bool,
    found_bare: bool,
}

impl Lowering<'_> {
    fn within(&mut self, in_closure: bool, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.in_closure, in_closure);
        visit(self);
        self.in_closure = before;
    }

    /// Rewrites the calls in tokens that are not parsed, which are the arguments of other macros.
    fn tokens(&mut self, tokens: TokenStream) -> TokenStream {
        let mut lowered: Vec<TokenTree> = Vec::new();
        for piece in calls::pieces(tokens) {
            match piece {
                Piece::Operand { keyword, group } => {
                    let operand = self.tokens(group.stream());
                    let qualified = matches!(
                        &lowered[..],
                        [.., TokenTree::Punct(colon), TokenTree::Ident(_), TokenTree::Punct(_)]
                            if colon.as_char() == ':'
                    );
                    if !qualified {
                        self.found_bare = true;
                        let name = self.runtime.macro_at("yield_", keyword);
                        let bang = lowered.pop();
                        lowered.pop();
                        lowered.extend(name.into_token_stream());
                        lowered.extend(bang);
                    }
                    lowered.push(regroup(&group, first_step(keyword, &operand)));
                }
                Piece::Group(group) if calls::spans(group.stream()).is_empty() => {
                    lowered.push(group.into());
                }
                Piece::Group(group) => {
                    let content = self.tokens(group.stream());
                    lowered.push(regroup(&group, content));
                }
                Piece::Other(tree) => lowered.push(tree),
            }
        }
        lowered.into_iter().collect()
    }
}

impl VisitMut for Lowering<'_> {
    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        let Some(keyword) = calls::yield_span(&mac.path) else {
            return self.visit_token_stream_mut(&mut mac.tokens);
        };
        let operand = match syn::parse2::<Expr>(mac.tokens.clone()) {
            Ok(mut operand) => {
                self.visit_expr_mut(&mut operand);
                operand.into_token_stream()
            }
            Err(_) => self.tokens(mac.tokens.clone()),
        };
        if calls::is_bare(&mac.path) {
            self.found_bare = true;
            mac.path = self.runtime.macro_at("yield_", keyword);
        }
        mac.tokens = if self.in_closure {
            quote!(@ _, #operand)
        } else {
            first_step(keyword, &operand)
        };
    }

    fn visit_token_stream_mut(&mut self, tokens: &mut TokenStream) {
        if !calls::spans(tokens.clone()).is_empty() {
            *tokens = self.tokens(std::mem::take(tokens));
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

    // An item in the body is not a part of the generator.
    fn visit_item_mut(&mut self, item: &mut Item) {
        if let Item::Use(import) = item
            && keyword::contains(&import.tree.to_token_stream(), "yield_")
        {
            import.attrs.push(syn::parse_quote!(
                #[allow(unused_imports, reason = "a generator needs no import of it")]
            ));
        }
    }

    fn visit_attribute_mut(&mut self, _: &mut syn::Attribute) {}
}
