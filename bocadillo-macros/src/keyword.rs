//! Rewrites each keyword `yield x` to a call of `yield_!(x)`. The operand is the same as in rustc's grammar.
//!
//! syn parses the operand of `yield` in a different way: in `if let Err(_) = yield event { … }` it parses `event { … }`
//! as a struct. syn parses the body of a closure as rustc parses the operand of `yield`. So each `yield` is first
//! replaced by `|marker|`, which begins a closure. Then syn parses the code, and each closure with the marker becomes a
//! call.
//!
//! Some tokens are neither statements nor expressions: most arguments of other macros, and code with a mistake. There
//! the operand ends before the next `;`, `,` or `=>`, or at the end of the brackets. In the head of an `if`, `while`,
//! `match` or `for` it ends before the brace. The content of nested brackets is again parsed as code, if possible.
//!
//! Tokens without the keyword are not changed.

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::parse::{ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Block, Expr, Macro, MacroDelimiter, Pat, Token};

use crate::paths::Runtime;

const MARKER: &str = "__bocadillo_yield";
const NOTHING: &str = "__bocadillo_nothing";

/// Tokens in which each `yield` is a call of `yield_!`.
pub(crate) struct Translated {
    pub(crate) tokens: TokenStream,
    /// The spans of the keywords that rustc would parse itself: all keywords that are not in arguments of other macros.
    pub(crate) parsed: Vec<Span>,
}

/// Rewrites the content of a function's body.
pub(crate) fn in_body(tokens: TokenStream, runtime: &Runtime) -> Translated {
    translate(tokens, runtime, |reader, tokens| {
        reader.read(tokens, Delimiter::Brace)
    })
}

/// Rewrites the bodies of items.
pub(crate) fn in_items(tokens: TokenStream, runtime: &Runtime) -> TokenStream {
    translate(tokens, runtime, |reader, tokens| reader.by_tokens(tokens)).tokens
}

fn translate(
    tokens: TokenStream,
    runtime: &Runtime,
    read: impl FnOnce(&mut Reader<'_>, TokenStream) -> TokenStream,
) -> Translated {
    if !contains(&tokens, "yield") {
        return Translated {
            tokens,
            parsed: Vec::new(),
        };
    }
    let mut reader = Reader {
        runtime,
        in_macro: 0,
        parsed: Vec::new(),
    };
    let tokens = read(&mut reader, mark(tokens));
    Translated {
        tokens,
        parsed: reader.parsed,
    }
}

/// Whether the tokens contain this word, at any depth.
pub(crate) fn contains(tokens: &TokenStream, word: &str) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => contains(&group.stream(), word),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Replaces each `yield` by `|__bocadillo_yield|`.
fn mark(tokens: TokenStream) -> TokenStream {
    let mut marked = TokenStream::new();
    let mut trees = tokens.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Ident(keyword) if keyword == "yield" => {
                marked.extend(head(keyword.span()));
                if !trees.peek().is_some_and(begins_operand) {
                    marked.extend([TokenTree::from(Ident::new(NOTHING, keyword.span()))]);
                }
            }
            TokenTree::Group(group) if contains(&group.stream(), "yield") => {
                let content = mark(group.stream());
                marked.extend([regroup(&group, content)]);
            }
            other => marked.extend([other]),
        }
    }
    marked
}

fn head(span: Span) -> [TokenTree; 3] {
    let bar = || {
        let mut bar = Punct::new('|', Spacing::Alone);
        bar.set_span(span);
        TokenTree::from(bar)
    };
    [bar(), Ident::new(MARKER, span).into(), bar()]
}

fn begins_operand(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Punct(punct) => matches!(
            punct.as_char(),
            '&' | '*' | '-' | '!' | '|' | '<' | ':' | '#' | '\''
        ),
        TokenTree::Ident(ident) => !["as", "else", "in"].iter().any(|keyword| ident == keyword),
        TokenTree::Group(_) | TokenTree::Literal(_) => true,
    }
}

fn regroup(group: &Group, content: TokenStream) -> TokenTree {
    let mut new = Group::new(group.delimiter(), content);
    new.set_span(group.span());
    new.into()
}

/// Where an operand in tokens that are not code ends. It always ends at the end of the brackets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Never,
    Separator,
    /// At a separator or a brace. The operand is in the head of an `if`, `while`, `match` or `for`.
    Brace,
}

struct Reader<'a> {
    runtime: &'a Runtime,
    in_macro: usize,
    parsed: Vec<Span>,
}

impl Reader<'_> {
    /// Rewrites the content of one pair of brackets. If syn cannot parse it, rewrites it token by token.
    fn read(&mut self, tokens: TokenStream, delimiter: Delimiter) -> TokenStream {
        if !contains(&tokens, MARKER) {
            return tokens;
        }
        let code = if delimiter == Delimiter::Brace {
            self.statements(&tokens)
                .or_else(|| self.expressions(&tokens))
        } else {
            self.expressions(&tokens)
                .or_else(|| self.statements(&tokens))
        };
        code.unwrap_or_else(|| self.by_tokens(tokens))
    }

    fn statements(&mut self, tokens: &TokenStream) -> Option<TokenStream> {
        let parse = |input: ParseStream<'_>| {
            Ok((
                input.call(Attribute::parse_inner)?,
                input.call(Block::parse_within)?,
            ))
        };
        let (attributes, mut statements) = parse.parse2(tokens.clone()).ok()?;
        let mut code = TokenStream::new();
        for attribute in attributes {
            attribute.to_tokens(&mut code);
        }
        for statement in &mut statements {
            self.visit_stmt_mut(statement);
            statement.to_tokens(&mut code);
        }
        Some(code)
    }

    fn expressions(&mut self, tokens: &TokenStream) -> Option<TokenStream> {
        let mut expressions = Punctuated::<Expr, Token![,]>::parse_terminated
            .parse2(tokens.clone())
            .ok()?;
        for expression in &mut expressions {
            self.visit_expr_mut(expression);
        }
        Some(expressions.into_token_stream())
    }

    fn by_tokens(&mut self, tokens: TokenStream) -> TokenStream {
        self.up_to(Stop::Never, &mut tokens.into_iter()).0
    }

    /// Reads tokens until `stop`. Returns the tokens before it and the token that it stopped at.
    fn up_to(&mut self, stop: Stop, trees: &mut IntoIter) -> (TokenStream, Option<TokenTree>) {
        let mut read = TokenStream::new();
        let mut in_head = false;
        let mut pending = trees.next();
        while let Some(tree) = pending.take() {
            if let Some(span) = self.marker(&tree, trees) {
                self.note(span);
                let stop = if in_head || stop == Stop::Brace {
                    Stop::Brace
                } else {
                    Stop::Separator
                };
                let (operand, end) = self.up_to(stop, trees);
                self.call_around(span, operand).to_tokens(&mut read);
                pending = end;
                continue;
            }
            let separates = separates(&tree, trees);
            if (separates && stop != Stop::Never) || (is_brace(&tree) && stop == Stop::Brace) {
                return (read, Some(tree));
            }
            if separates || is_brace(&tree) {
                in_head = false;
            }
            match tree {
                TokenTree::Group(group) if contains(&group.stream(), MARKER) => {
                    let content = self.read(group.stream(), group.delimiter());
                    read.extend([regroup(&group, content)]);
                }
                TokenTree::Ident(word) => {
                    in_head |= ["if", "while", "match", "for"]
                        .iter()
                        .any(|keyword| word == keyword);
                    read.extend([TokenTree::from(word)]);
                }
                other => read.extend([other]),
            }
            pending = trees.next();
        }
        (read, None)
    }

    /// If `tree` begins a `|marker|`, consumes its other tokens and returns its span.
    fn marker(&self, tree: &TokenTree, trees: &mut IntoIter) -> Option<Span> {
        let TokenTree::Punct(bar) = tree else {
            return None;
        };
        let mut ahead = trees.clone();
        match ahead.next() {
            Some(TokenTree::Ident(ident)) if bar.as_char() == '|' && ident == MARKER => {
                ahead.next();
                *trees = ahead;
                Some(ident.span())
            }
            _ => None,
        }
    }

    fn note(&mut self, span: Span) {
        if self.in_macro == 0 {
            self.parsed.push(span);
        }
    }

    /// Makes the call `yield_!(operand)`. Without an operand, the brackets are empty, and `yield_!` reports that.
    fn call_around(&self, span: Span, operand: TokenStream) -> Macro {
        let missing = matches!(
            operand.clone().into_iter().next(),
            Some(TokenTree::Ident(ident)) if ident == NOTHING
        );
        Macro {
            path: self.runtime.macro_at("yield_", span),
            bang_token: Token![!](span),
            delimiter: MacroDelimiter::Paren(syn::token::Paren(span)),
            tokens: if missing { TokenStream::new() } else { operand },
        }
    }
}

/// Whether `tree` is a `;`, a `,` or the beginning of a `=>`.
fn separates(tree: &TokenTree, rest: &IntoIter) -> bool {
    let TokenTree::Punct(punct) = tree else {
        return false;
    };
    match punct.as_char() {
        ';' | ',' => true,
        '=' => {
            punct.spacing() == Spacing::Joint
                && matches!(rest.clone().next(), Some(TokenTree::Punct(next)) if next.as_char() == '>')
        }
        _ => false,
    }
}

fn is_brace(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// Returns the span of the marker if this closure was a `yield`.
fn marked(expression: &Expr) -> Option<Span> {
    let Expr::Closure(closure) = expression else {
        return None;
    };
    match closure.inputs.first() {
        Some(Pat::Ident(argument)) if argument.ident == MARKER => Some(argument.ident.span()),
        _ => None,
    }
}

impl VisitMut for Reader<'_> {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        visit_mut::visit_expr_mut(self, expression);
        if let Some(span) = marked(expression) {
            let Expr::Closure(closure) = expression else {
                return;
            };
            self.note(span);
            let mac = self.call_around(span, closure.body.to_token_stream());
            *expression = Expr::Macro(syn::ExprMacro {
                attrs: std::mem::take(&mut closure.attrs),
                mac,
            });
        }
    }

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        let delimiter = match mac.delimiter {
            MacroDelimiter::Paren(_) => Delimiter::Parenthesis,
            MacroDelimiter::Brace(_) => Delimiter::Brace,
            MacroDelimiter::Bracket(_) => Delimiter::Bracket,
        };
        self.in_macro += 1;
        mac.tokens = self.read(std::mem::take(&mut mac.tokens), delimiter);
        self.in_macro -= 1;
    }

    // Syntax that syn has no type for.
    fn visit_token_stream_mut(&mut self, tokens: &mut TokenStream) {
        *tokens = self.read(std::mem::take(tokens), Delimiter::None);
    }
}

#[cfg(test)]
mod tests;
