//! Parses the pattern of a route. The syntax is that of `matchit`, but names must be Rust identifiers.
//!
//! ```text
//! pattern   = 1*( "/" segment )
//! segment   = "{*" name "}"                    ; the rest of the path: the last segment, on its own
//!           / *literal [ "{" name "}" ] *literal
//! literal   = any character but "{" "}" "/" "?" "#" "<" ">" and white space / "{{" / "}}"
//! ```

use std::ops::Range;

/// A parameter of a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// The position of the parameter in the pattern, with its braces.
    pub(crate) bytes: Range<usize>,
}

/// A mistake, and its position in the pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) bytes: Range<usize>,
    pub(crate) message: String,
}

/// Returns the parameters of a pattern, and every mistake in it.
pub(crate) fn parse(pattern: &str) -> (Vec<Parameter>, Vec<Mistake>) {
    let mut parsed = Parsed::default();
    if !pattern.starts_with('/') {
        let message = format!("a route begins with `/`: write `\"/{pattern}\"`");
        parsed.mistake(0..pattern.len().min(1), message);
    }
    let mut start = 0;
    for segment in pattern.split_inclusive('/') {
        let end = start + segment.len();
        let content = segment.strip_suffix('/').unwrap_or(segment);
        parsed.segment(
            content,
            start,
            end == pattern.len() && !pattern.ends_with('/'),
        );
        start = end;
    }
    (parsed.parameters, parsed.mistakes)
}

#[derive(Default)]
struct Parsed {
    parameters: Vec<Parameter>,
    mistakes: Vec<Mistake>,
}

impl Parsed {
    fn mistake(&mut self, bytes: Range<usize>, message: impl Into<String>) {
        self.mistakes.push(Mistake {
            bytes,
            message: message.into(),
        });
    }

    /// Parses one segment. It begins at byte `start` of the pattern.
    fn segment(&mut self, segment: &str, start: usize, last: bool) {
        self.other_dialects(segment, start);
        let mut parameters = 0;
        let mut at = 0;
        while let Some(found) = segment[at..].find(['{', '}']) {
            let open = at + found;
            let rest = &segment[open..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                at = open + 2;
                continue;
            }
            if rest.starts_with('}') {
                self.mistake(
                    start + open..start + open + 1,
                    "this `}` has no opening brace: write `}}` for a literal brace",
                );
                at = open + 1;
                continue;
            }
            let Some(length) = rest.find('}') else {
                let message = format!(
                    "this `{{` is never closed: write `{rest}}}`, or `{{{{` for a literal brace"
                );
                self.mistake(start + open..start + segment.len(), message);
                return;
            };
            parameters += 1;
            let bytes = start + open..start + open + length + 1;
            if parameters == 2 {
                let message = "a segment can have one parameter: put a `/` between the two, or use one parameter and split its value";
                self.mistake(bytes.clone(), message);
            }
            let alone = open == 0 && length + 1 == segment.len();
            self.parameter(&rest[1..length], bytes, last && alone);
            at = open + length + 1;
        }
    }

    fn parameter(&mut self, written: &str, bytes: Range<usize>, may_catch_all: bool) {
        let name = written.strip_prefix('*').unwrap_or(written);
        if written.starts_with('*') && !may_catch_all {
            let message = format!(
                "`{{{written}}}` matches the rest of the path: it has to be the whole last segment"
            );
            self.mistake(bytes.clone(), message);
        }
        if name.is_empty() {
            self.mistake(
                bytes,
                "this parameter has no name: write `{id}`, for example, and an argument `id`",
            );
        } else if syn::parse_str::<syn::Ident>(name).is_err()
            && syn::parse_str::<syn::Ident>(&format!("r#{name}")).is_err()
        {
            let message = format!(
                "`{name}` cannot be the name of an argument: write `{{name}}`, and put the type on the argument"
            );
            self.mistake(bytes, message);
        } else if self
            .parameters
            .iter()
            .any(|parameter| parameter.name == name)
        {
            self.mistake(
                bytes,
                format!("the parameter `{name}` is in this pattern twice: rename one of the two"),
            );
        } else {
            self.parameters.push(Parameter {
                name: name.to_owned(),
                bytes,
            });
        }
    }

    fn other_dialects(&mut self, segment: &str, start: usize) {
        let whole = start..start + segment.len();
        let named = |name: &str| {
            let name = name.split(':').next().unwrap_or_default();
            if name.is_empty() {
                "id".to_owned()
            } else {
                name.to_owned()
            }
        };
        if let Some(name) = segment.strip_prefix(':') {
            self.mistake(
                whole,
                format!(
                    "a parameter is written `{{{}}}`, not `{segment}`",
                    named(name)
                ),
            );
        } else if segment.starts_with('<') && segment.ends_with('>') && segment.len() > 1 {
            self.mistake(
                whole,
                format!(
                    "a parameter is written `{{{}}}`, not `{segment}`",
                    named(&segment[1..segment.len() - 1])
                ),
            );
        } else if let Some(at) = segment.find(['?', '#']) {
            self.mistake(
                start + at..start + segment.len(),
                "a route has no query: read the query with an argument `Query<…>`",
            );
        } else if let Some(at) = segment.find(char::is_whitespace) {
            self.mistake(
                start + at..start + at + 1,
                "a path cannot contain white space: write `%20` for a space",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        let (parameters, mistakes) = parse(pattern);
        assert_eq!(mistakes, [], "{pattern}");
        let names: Vec<&str> = parameters
            .iter()
            .map(|parameter| parameter.name.as_str())
            .collect();
        assert_eq!(names, expected, "{pattern}");
    }

    /// Checks that `pattern` has one mistake, at `piece`, with `word` in its message.
    #[track_caller]
    fn refuses(pattern: &str, piece: &str, word: &str) {
        let (_, mistakes) = parse(pattern);
        let [mistake] = &mistakes[..] else {
            panic!("{pattern}: {mistakes:?}")
        };
        assert_eq!(&pattern[mistake.bytes.clone()], piece, "{pattern}");
        assert!(
            mistake.message.contains(word),
            "{pattern}: {}",
            mistake.message
        );
    }

    #[test]
    fn what_matchit_takes() {
        check("/", &[]);
        check("/rooms", &[]);
        check("/rooms/", &[]);
        check("/rooms/{room}", &["room"]);
        check("/{a}/b/{c}/", &["a", "c"]);
        check("/img-{id}.png", &["id"]);
        check("/files/{*rest}", &["rest"]);
        check("/{{literal}}", &[]);
        check("/{type}", &["type"]);
    }

    #[test]
    fn one_mistake_each() {
        refuses("rooms", "r", "begins with `/`");
        refuses("", "", "begins with `/`");
        refuses("/{}", "{}", "has no name");
        refuses("/{*}", "{*}", "has no name");
        refuses("/{room", "{room", "never closed");
        refuses("/room}", "}", "no opening brace");
        refuses("/{a-b}", "{a-b}", "cannot be the name");
        refuses("/{id:u32}", "{id:u32}", "cannot be the name");
        refuses("/{a}/{a}", "{a}", "twice");
        refuses("/{a}{b}", "{b}", "one parameter");
        refuses("/{*rest}/x", "{*rest}", "whole last segment");
        refuses("/x{*rest}", "{*rest}", "whole last segment");
        refuses("/:room", ":room", "`{room}`");
        refuses("/<room>", "<room>", "`{room}`");
        refuses("/a?b={c}", "?b={c}", "Query");
        refuses("/a b", " ", "%20");
    }

    #[test]
    fn the_second_of_two_is_pointed_at() {
        let (_, mistakes) = parse("/{a}/{a}");
        assert_eq!(mistakes[0].bytes, 5..8);
    }
}
