//! Rules about single files: which words a file may contain, and how long it may be.
//!
//! `layers` has the rules about imports between files.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Words that only some files may contain, outside of comments and strings.
struct Promise {
    /// The files that the rule applies to.
    of: &'static str,
    /// The files among these that may contain the words.
    except: &'static [&'static str],
    /// Sequences of tokens, separated by spaces. Each one that is found is a fault.
    words: &'static [&'static str],
    /// Whether code under `#[cfg(test)]` may contain them.
    tests_may: bool,
    says: &'static str,
}

const PROMISES: [Promise; 5] = [
    Promise {
        of: "",
        except: &[],
        words: &["unsafe"],
        tests_may: false,
        says: "there is no `unsafe`",
    },
    Promise {
        of: "bocadillo/src/",
        except: &["bocadillo/src/server/", "bocadillo/src/server.rs"],
        words: &["TcpListener", "UnixListener", "TcpSocket"],
        tests_may: true,
        says: "only `server` names listening sockets",
    },
    Promise {
        of: "bocadillo/src/event/",
        except: &[],
        words: &[
            "async", "await", "fs", "hyper", "io", "net", "process", "thread", "tokio",
        ],
        tests_may: true,
        says: "an event is data: `event` and its `wire` do no input, output or waiting",
    },
    Promise {
        of: "bocadillo-macros/src/",
        except: &[
            "bocadillo-macros/src/expand/",
            "bocadillo-macros/src/expand.rs",
        ],
        words: &[
            "quote !",
            "quote_spanned !",
            "parse_quote !",
            "parse_quote_spanned !",
        ],
        tests_may: true,
        says: "only `expand` quotes",
    },
    Promise {
        of: "bocadillo-macros/src/expand",
        except: &[],
        words: &[":: bocadillo", "$crate"],
        tests_may: true,
        says: "the paths of generated code are made in `paths`",
    },
];

/// What generated code may name at the root of `bocadillo`: `private`, and names that users write too.
const GENERATED: [&str; 4] = ["private", "EventStream", "ByteStream", "yield_"];

const MOST_LINES: usize = 400;

/// The header of a longer file contains this text and a reason. Files of tests are lists of cases and may be longer.
const LONG: &str = "//! Longer than 400 lines: ";

/// Files that are too long and give no reason. If a file of this list is short, the check fails.
pub(crate) const STILL_LONG: &[&str] = &[];

/// Returns the faults of one file. Rules for other files are skipped.
pub(crate) fn faults(name: &str, text: &str) -> Result<Vec<String>, String> {
    let tokens: TokenStream = text.parse().map_err(|error| format!("{name}: {error}"))?;
    let mut words = Vec::new();
    flatten(tokens, is_test(name), &mut words);
    let mut faults = Vec::new();
    for promise in &PROMISES {
        if !name.starts_with(promise.of) || promise.except.iter().any(|at| name.starts_with(at)) {
            continue;
        }
        for pattern in promise.words {
            let pattern: Vec<&str> = pattern.split(' ').collect();
            for found in words.windows(pattern.len()) {
                let same = found
                    .iter()
                    .zip(&pattern)
                    .all(|(word, part)| word.text == *part);
                if same && !(promise.tests_may && found[0].in_test) {
                    faults.push(format!(
                        "{name}:{}: `{}`, but {}",
                        found[0].line,
                        pattern.concat(),
                        promise.says
                    ));
                }
            }
        }
    }
    if name.starts_with("bocadillo-macros/snapshots/") && name.ends_with(".expanded.rs") {
        for found in words.windows(4) {
            let [colons, bocadillo, _, item] = found else {
                continue;
            };
            if colons.text == "::"
                && bocadillo.text == "bocadillo"
                && !GENERATED.contains(&item.text.as_str())
            {
                faults.push(format!(
                    "{name}:{}: generated code names `bocadillo::{}`, which is not in `private`",
                    item.line, item.text
                ));
            }
        }
    }
    Ok(faults)
}

/// Returns a fault for each file that is too long, and for each listed file that is not too long.
pub(crate) fn lengths<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    still_long: &[&str],
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for (name, text) in files.into_iter().filter(|(name, _)| !is_test(name)) {
        let lines = text.lines().count();
        let header = text.lines().take_while(|line| line.starts_with("//!"));
        let explained = header.clone().any(|line| line.starts_with(LONG));
        if lines <= MOST_LINES {
            if explained {
                faults.push(format!(
                    "{name} has {lines} lines: take the reason for its length out of its header"
                ));
            }
        } else if still_long.contains(&name) && !explained {
            used.insert(name);
        } else if !explained {
            faults.push(format!(
                "{name} has {lines} lines: split it by subject, or say in its header why not, in a line that starts with `{LONG}`"
            ));
        }
    }
    for name in still_long.iter().filter(|name| !used.contains(*name)) {
        faults.push(format!(
            "xtask/src/structure/promises.rs: remove {name} from `STILL_LONG`: it is short now, or gives a reason, or is gone"
        ));
    }
    faults
}

/// Whether a file, by its name, is compiled only in tests.
fn is_test(name: &str) -> bool {
    name.starts_with("tests/")
        || name.contains("/tests/")
        || ["/tests.rs", "/properties.rs", "/snapshots.rs"]
            .iter()
            .any(|end| name.ends_with(end))
}

struct Word {
    text: String,
    line: usize,
    in_test: bool,
}

/// Returns the tokens of the text. `::` is one token.
fn flatten(tokens: TokenStream, in_test: bool, words: &mut Vec<Word>) {
    let mut test_next = false;
    let mut pair = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let attribute = group.delimiter() == Delimiter::Bracket
                    && group.stream().to_string().replace(' ', "") == "cfg(test)";
                flatten(group.stream(), in_test || test_next, words);
                if attribute {
                    test_next = true;
                } else if group.delimiter() == Delimiter::Brace {
                    test_next = false;
                }
            }
            TokenTree::Punct(punct) => {
                let char = punct.as_char();
                if char == ';' {
                    test_next = false;
                }
                if pair {
                    pair = false;
                    words.last_mut().expect("the first colon").text = "::".to_owned();
                    continue;
                }
                pair = char == ':' && punct.spacing() == Spacing::Joint;
                words.push(Word {
                    text: char.to_string(),
                    line: punct.span().start().line,
                    in_test: in_test || test_next,
                });
            }
            TokenTree::Ident(ident) => {
                let dollar = words.last().is_some_and(|word| word.text == "$");
                let text = ident.to_string();
                words.push(Word {
                    text: if dollar { format!("${text}") } else { text },
                    line: ident.span().start().line,
                    in_test: in_test || test_next,
                });
            }
            TokenTree::Literal(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{faults, lengths};

    #[track_caller]
    fn check(name: &str, text: &str, expected: &[&str]) {
        let found = faults(name, text).expect("it parses");
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} should say {expected}");
        }
    }

    #[test]
    fn listening_sockets_are_named_in_server_and_in_tests_alone() {
        let text = "use tokio::net::{TcpListener, TcpStream};";
        check("bocadillo/src/server/run.rs", text, &[]);
        check("bocadillo/src/server.rs", text, &[]);
        check("tests/it/topics.rs", text, &[]);
        check(
            "bocadillo/src/topic/redis.rs",
            text,
            &["redis.rs:1: `TcpListener`, but only `server`"],
        );
        let tests = format!("#[cfg(test)]\nmod tests {{ {text} }}");
        check("bocadillo/src/topic/redis.rs", &tests, &[]);
        let after = format!("{tests}\n{text}");
        check("bocadillo/src/topic/redis.rs", &after, &["redis.rs:3:"]);
    }

    #[test]
    fn the_wire_does_no_input_or_output() {
        for (text, word) in [
            ("use std::{fmt, io};", "io"),
            ("use tokio::sync::mpsc;", "tokio"),
            ("async fn f() {}", "async"),
            ("fn f() { std::thread::yield_now() }", "thread"),
        ] {
            check(
                "bocadillo/src/event/wire/encode.rs",
                text,
                &[&format!("`{word}`, but an event is data")],
            );
            check("bocadillo/src/event/wire/properties.rs", text, &[]);
            check("bocadillo/src/stream/body.rs", text, &[]);
        }
    }

    #[test]
    fn only_expand_quotes() {
        let text = "fn f() -> TokenStream { quote!(a) }";
        check("bocadillo-macros/src/expand/route.rs", text, &[]);
        check("bocadillo-macros/src/snapshots.rs", text, &[]);
        check(
            "bocadillo-macros/src/validate.rs",
            text,
            &["`quote!`, but only `expand`"],
        );
        check(
            "bocadillo-macros/src/model.rs",
            "use quote::ToTokens; fn f() { syn::parse_quote!(a) }",
            &["`parse_quote!`"],
        );
    }

    #[test]
    fn generated_code_names_private_alone() {
        check(
            "bocadillo-macros/src/expand/route.rs",
            "fn f() { quote!(::bocadillo::App) }",
            &["`::bocadillo`, but the paths of generated code are made in `paths`"],
        );
        let snapshot = "bocadillo-macros/snapshots/route.expanded.rs";
        check(
            snapshot,
            "fn f() -> ::bocadillo::EventStream { ::bocadillo::private::respond() }",
            &[],
        );
        check(
            snapshot,
            "fn f(_: ::bocadillo::App) {}",
            &["names `bocadillo::App`"],
        );
    }

    #[test]
    fn unsafe_code_is_found_in_tests_too_and_in_comments_not() {
        check(
            "tests/it/shutdown.rs",
            "// unsafe\nfn f() { unsafe { g() } }",
            &["shutdown.rs:2: `unsafe`"],
        );
    }

    #[test]
    fn a_long_file_gives_its_reason() {
        let long = "//! Header.\n".to_owned() + &"\n".repeat(400);
        let explained = format!("//! Longer than 400 lines: one state machine.\n{long}");
        let files = [
            ("short.rs", "//! Header.\n"),
            ("long.rs", &long),
            ("explained.rs", &explained),
            ("bocadillo/src/stream/body/tests.rs", &long),
            ("tests/it/unread.rs", &long),
        ];
        let found = lengths(files, &[]);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("long.rs has 401 lines"), "{found:#?}");
        assert_eq!(lengths(files, &["long.rs"]), [""; 0]);

        let stale = lengths(files, &["long.rs", "short.rs", "explained.rs", "gone.rs"]);
        assert_eq!(stale.len(), 3, "{stale:#?}");
        let needless = lengths([("short.rs", "//! Longer than 400 lines: once.\n")], &[]);
        assert_eq!(needless.len(), 1, "{needless:#?}");
    }
}
