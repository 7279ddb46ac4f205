//! Finds calls of `yield_!(…)` in paths and in tokens that are not parsed, such as the arguments of other macros.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use syn::Path;

/// Returns the span of `yield_` if it is the last segment of this path. Only the name is compared, because macros run
/// before the compiler resolves the path.
pub(crate) fn yield_span(path: &Path) -> Option<Span> {
    path.segments
        .last()
        .filter(|segment| segment.ident == "yield_")
        .map(|segment| segment.ident.span())
}

/// Whether this path is only the name. The module may not have imported it.
pub(crate) fn is_bare(path: &Path) -> bool {
    path.leading_colon.is_none() && path.segments.len() == 1
}

/// Macros whose expansion contains no `yield_!` of their own, and keywords that can be before `!(…)`.
const NEVER_YIELD: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "cfg",
    "column",
    "concat",
    "dbg",
    "debug",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "env",
    "eprint",
    "eprintln",
    "error",
    "file",
    "format",
    "format_args",
    "include_bytes",
    "include_str",
    "info",
    "join",
    "json",
    "line",
    "matches",
    "module_path",
    "option_env",
    "panic",
    "pin",
    "print",
    "println",
    "select",
    "server_event",
    "stringify",
    "todo",
    "trace",
    "try_join",
    "unimplemented",
    "unreachable",
    "vec",
    "warn",
    "write",
    "writeln",
    "yield_",
    "break",
    "else",
    "if",
    "in",
    "match",
    "return",
    "while",
];

/// Whether the tokens call a macro whose expansion may contain a `yield_!`.
pub(crate) fn has_helpers(tokens: TokenStream) -> bool {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let called = trees.windows(3).any(|window| match window {
        [
            TokenTree::Ident(name),
            TokenTree::Punct(bang),
            TokenTree::Group(_),
        ] => bang.as_char() == '!' && !NEVER_YIELD.iter().any(|known| name == known),
        _ => false,
    });
    called
        || trees.into_iter().any(|tree| match tree {
            TokenTree::Group(group) => has_helpers(group.stream()),
            _ => false,
        })
}

/// A part of a token stream.
pub(crate) enum Piece {
    /// The operand of a call, with its brackets.
    Operand {
        keyword: Span,
        group: Group,
    },
    Group(Group),
    Other(TokenTree),
}

/// Splits tokens into the operands of calls and all other tokens.
pub(crate) fn pieces(tokens: TokenStream) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for tree in tokens {
        let group = match tree {
            TokenTree::Group(group) => group,
            other => {
                pieces.push(Piece::Other(other));
                continue;
            }
        };
        pieces.push(match &pieces[..] {
            [
                ..,
                Piece::Other(TokenTree::Ident(name)),
                Piece::Other(TokenTree::Punct(bang)),
            ] if name == "yield_" && bang.as_char() == '!' => Piece::Operand {
                keyword: name.span(),
                group,
            },
            _ => Piece::Group(group),
        });
    }
    pieces
}

/// Returns the spans of all calls, at any depth.
pub(crate) fn spans(tokens: TokenStream) -> Vec<Span> {
    let mut spans = Vec::new();
    for piece in pieces(tokens) {
        match piece {
            Piece::Operand { keyword, group } => {
                spans.push(keyword);
                spans.extend(self::spans(group.stream()));
            }
            Piece::Group(group) => spans.extend(self::spans(group.stream())),
            Piece::Other(_) => {}
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::spans;

    #[track_caller]
    fn check(source: &str, calls: usize) {
        assert_eq!(spans(source.parse().unwrap()).len(), calls, "{source}");
    }

    #[test]
    fn a_macro_that_may_yield_is_told_from_those_that_never_do() {
        let has_helpers = |source: &str| super::has_helpers(source.parse().unwrap());
        assert!(has_helpers("tick!(1)"));
        assert!(has_helpers("tokio::select! { x = y => crate::tick!() }"));
        assert!(!has_helpers("yield_!(format!(\"{}\", 1)); println!()"));
        assert!(!has_helpers("if !(a) { return !(b) } a != (b)"));
    }

    #[test]
    fn calls_are_found_at_any_depth_and_by_any_path() {
        check("yield_!(x)", 1);
        check("a = ::bocadillo::yield_!(x), crate::yield_![y]", 2);
        check("a { yield_!(yield_!(1)) } yield_!(2)", 3);
        check("yield_ + 1; yield_(2); other!(yield_)", 0);
    }
}
