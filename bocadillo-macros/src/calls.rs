//! Where `yield_!(…)` stands, in paths and among tokens that nobody has parsed: the arguments of other macros.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use syn::Path;

/// The span of `yield_` when this path names it: by its last segment, as a macro is looked for before it is resolved.
pub(crate) fn yield_span(path: &Path) -> Option<Span> {
    path.segments
        .last()
        .filter(|segment| segment.ident == "yield_")
        .map(|segment| segment.ident.span())
}

/// A piece of tokens of one level.
pub(crate) enum Piece {
    /// What stands in the brackets of a call, brackets included.
    Operand {
        keyword: Span,
        group: Group,
    },
    Group(Group),
    Other(TokenTree),
}

/// Cuts tokens into the operands of calls and the rest.
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

/// The spans of all calls, at any depth.
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
    fn calls_are_found_at_any_depth_and_by_any_path() {
        check("yield_!(x)", 1);
        check("a = ::bocadillo::yield_!(x), crate::yield_![y]", 2);
        check("a { yield_!(yield_!(1)) } yield_!(2)", 3);
        check("yield_ + 1; yield_(2); other!(yield_)", 0);
    }
}
