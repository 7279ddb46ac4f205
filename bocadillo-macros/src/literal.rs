//! The span of a part of a string literal.

use std::ops::Range;

use proc_macro2::Span;
use syn::LitStr;

/// Returns the span of these bytes of the literal's value.
///
/// Only a nightly compiler supports such spans. With other compilers, this is the span of the whole literal. So a
/// message has to name the part too.
pub(crate) fn span_of(literal: &LitStr, bytes: Range<usize>) -> Span {
    let token = literal.token();
    source_range(&token.to_string(), bytes)
        .and_then(|range| token.subspan(range))
        .unwrap_or_else(|| literal.span())
}

/// Returns the position of bytes of the value in the source text of the literal, with its quotes and escapes.
fn source_range(source: &str, bytes: Range<usize>) -> Option<Range<usize>> {
    let open = source.find('"')? + 1;
    if source.starts_with('r') {
        return Some(open + bytes.start..open + bytes.end);
    }
    let mut value = 0;
    let mut start = None;
    let mut rest = source[open..].char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        let width = match character {
            '"' => return None,
            '\\' => escape(&mut rest),
            other => other.len_utf8(),
        };
        value += width;
        if value > bytes.start {
            start.get_or_insert(open + at);
        }
        if value >= bytes.end {
            let end = rest.peek().map_or(source.len(), |(next, _)| open + next);
            return Some(start?..end);
        }
    }
    None
}

/// Skips the rest of an escape after its backslash. Returns the length of its value in bytes.
fn escape(rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>) -> usize {
    match rest.next() {
        Some((_, 'x')) => {
            rest.nth(1);
            1
        }
        Some((_, 'u')) => {
            let digits: String = rest
                .by_ref()
                .map(|(_, character)| character)
                .take_while(|character| *character != '}')
                .filter(char::is_ascii_hexdigit)
                .collect();
            u32::from_str_radix(&digits, 16)
                .ok()
                .and_then(char::from_u32)
                .map_or(1, char::len_utf8)
        }
        // A backslash at the end of a line removes the line end and the white space after it from the value.
        Some((_, '\n' | '\r')) => {
            while rest
                .next_if(|(_, character)| character.is_ascii_whitespace())
                .is_some()
            {}
            0
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::source_range;

    #[track_caller]
    fn check(source: &str, piece: &str, expected: &str) {
        let value = syn::parse_str::<syn::LitStr>(source).unwrap().value();
        let start = value.find(piece).unwrap();
        let range = source_range(source, start..start + piece.len()).unwrap();
        assert_eq!(&source[range], expected);
    }

    #[test]
    fn pieces_are_found_in_every_kind_of_literal() {
        check(r#""/rooms/{room}""#, "{room}", "{room}");
        check(r##"r#"/rooms/{room}"#"##, "{room}", "{room}");
        check(r#""a\nb""#, "\n", r"\n");
        check(r#""\x41\u{e9}\"é{x}""#, "{x}", "{x}");
        check(r#""\u{1F600}{x}""#, "\u{1F600}", r"\u{1F600}");
        check("\"a\\\n   {x}\"", "{x}", "{x}");
        check(r#""a\0""#, "\0", r"\0");
    }
}
