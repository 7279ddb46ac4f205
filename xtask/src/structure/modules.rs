//! Finds which file of a crate names an item of which other file.
//!
//! It splits the text into tokens. So it ignores comments, documentation and strings, and reads the arguments of
//! macros. `layers` says which imports are allowed.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module's path from the root of its crate: `["topic", "ring"]`.
type Module = Vec<String>;

/// In this line `from` names something that `to` defines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) line: usize,
}

/// The modules of one crate, the names that they import, and the names that they use.
#[derive(Default)]
struct Modules {
    /// The file of a module. A module in braces has the file of its parent.
    files: BTreeMap<Module, String>,
    /// The names that a `use` binds in a module, with their paths.
    bindings: BTreeMap<(Module, String), Vec<String>>,
    /// Every path that starts with `crate`, `self` or `super`, and every `use`.
    named: Vec<(Module, Vec<String>, usize)>,
}

/// Returns the imports between the files of a crate. Each file is given by its path below `src` and its text.
pub(crate) fn imports<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<BTreeSet<Import>, String> {
    let mut modules = Modules::default();
    for (file, text) in files {
        let tokens: TokenStream = text.parse().map_err(|error| format!("{file}: {error}"))?;
        let module = module_of(file);
        modules.files.insert(module.clone(), file.to_owned());
        modules.read(&module, tokens);
    }
    let mut found = BTreeSet::new();
    for (module, path, line) in &modules.named {
        let (Some(from), Some(to)) = (modules.file_of(module), modules.resolve(module, path, 0))
        else {
            continue;
        };
        let Some(to) = modules.file_of(&to) else {
            continue;
        };
        if from != to {
            found.insert(Import {
                from: from.to_owned(),
                to: to.to_owned(),
                line: *line,
            });
        }
    }
    Ok(found)
}

/// `topic/ring.rs` is the module `topic::ring`; `lib.rs` is the root.
fn module_of(file: &str) -> Module {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    match path {
        "lib" | "main" => Vec::new(),
        _ => path
            .split('/')
            .filter(|part| *part != "mod")
            .map(str::to_owned)
            .collect(),
    }
}

impl Modules {
    fn read(&mut self, module: &Module, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if *word == "mod" => {
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                        && body.delimiter() == Delimiter::Brace
                    {
                        let mut inner = module.clone();
                        inner.push(name.to_string());
                        let file = self.file_of(module).unwrap_or_default().to_owned();
                        self.files.insert(inner.clone(), file);
                        self.read(&inner, body.stream());
                        at += 2;
                    }
                }
                // Not the `use<'a>` of a bound.
                TokenTree::Ident(word) if *word == "use" && !is(&tokens, at + 1, '<') => {
                    let line = word.span().start().line;
                    let end = (at..tokens.len()).find(|end| is(&tokens, *end, ';'));
                    let end = end.unwrap_or(tokens.len());
                    let mut uses = Vec::new();
                    tree(&tokens[at + 1..end], &[], &mut uses);
                    for (path, name) in uses {
                        if let Some(name) = name {
                            self.bindings.insert((module.clone(), name), path.clone());
                        }
                        self.named.push((module.clone(), path, line));
                    }
                    at = end;
                }
                TokenTree::Ident(word)
                    if (*word == "crate" || *word == "super" || *word == "self")
                        && is(&tokens, at + 1, ':') =>
                {
                    let line = word.span().start().line;
                    let (path, end) = path(&tokens, at);
                    self.named.push((module.clone(), path, line));
                    at = end;
                    continue;
                }
                TokenTree::Group(group) => self.read(module, group.stream()),
                _ => {}
            }
            at += 1;
        }
    }

    /// Returns the module that the last name of a path is, or that defines it. `None` means that it belongs to another
    /// crate.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        if depth > 20 {
            return None;
        }
        let mut here = from.clone();
        let mut rest = path;
        let mut anchored = false;
        while let [first, others @ ..] = rest {
            match first.as_str() {
                "crate" => here.clear(),
                "self" => {}
                "super" => {
                    here.pop();
                }
                _ => break,
            }
            anchored = true;
            rest = others;
        }
        for (index, name) in rest.iter().enumerate() {
            let mut inner = here.clone();
            inner.push(name.clone());
            if self.files.contains_key(&inner) {
                here = inner;
            } else if let Some(target) = self.bindings.get(&(here.clone(), name.clone()))
                && target != path
            {
                let found = self.resolve(&here, target, depth + 1)?;
                if !self.is_module(&here, target) {
                    return Some(found);
                }
                here = found;
            } else if anchored || index > 0 {
                return Some(here);
            } else {
                return None;
            }
        }
        Some(here)
    }

    /// Whether a path ends at a module and not at an item in it.
    fn is_module(&self, from: &Module, path: &[String]) -> bool {
        let Some(last) = path.last() else {
            return true;
        };
        self.resolve(from, path, 0)
            .is_some_and(|module| module.last() == Some(last))
    }

    fn file_of(&self, module: &Module) -> Option<&str> {
        self.files.get(module).map(String::as_str)
    }
}

/// Returns the paths of a `use`, each with the name that it binds.
fn tree(tokens: &[TokenTree], before: &[String], found: &mut Vec<(Vec<String>, Option<String>)>) {
    let mut path = before.to_vec();
    let mut name = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            // `::http` is another crate, also if there is a module `http`.
            TokenTree::Punct(punct) if punct.as_char() == ':' && at == 0 => return,
            TokenTree::Punct(punct) if punct.as_char() == '*' => {
                found.push((path, None));
                return;
            }
            TokenTree::Ident(word) if *word == "as" => {
                name = tokens.get(at + 1).map(ToString::to_string);
                break;
            }
            TokenTree::Ident(word) if *word == "self" && !path.is_empty() => {}
            TokenTree::Ident(word) => path.push(plain(word)),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for part in inner.split(
                    |token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','),
                ) {
                    if !part.is_empty() {
                        tree(part, &path, found);
                    }
                }
                return;
            }
            _ => {}
        }
    }
    let name = name.or_else(|| path.last().cloned());
    found.push((path, name.filter(|name| name != "_")));
}

/// Returns the path that starts at a token, and the position of its end.
fn path(tokens: &[TokenTree], start: usize) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut at = start;
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        path.push(plain(word));
        if !(is(tokens, at + 1, ':') && is(tokens, at + 2, ':')) {
            return (path, at + 1);
        }
        at += 3;
    }
    (path, at)
}

fn plain(word: &proc_macro2::Ident) -> String {
    word.to_string().trim_start_matches("r#").to_owned()
}

fn is(tokens: &[TokenTree], at: usize, char: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

#[cfg(test)]
mod tests {
    use super::imports;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let found = imports(files.iter().copied()).expect("it parses");
        let found: Vec<String> = found
            .iter()
            .map(|import| format!("{} -> {}:{}", import.from, import.to, import.line))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_and_use_trees_lead_to_the_file_of_the_item() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub struct A;\npub fn f() {}"),
            (
                "b.rs",
                "use crate::{a::{self, A as _}};\nfn g() { crate::a::f() }",
            ),
        ];
        check(&files, &["b.rs -> a.rs:1", "b.rs -> a.rs:2"]);
    }

    #[test]
    fn a_name_at_the_root_leads_to_where_it_is_defined() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::Name;"),
            ("a.rs", "mod inner; pub use inner::Name;"),
            ("a/inner.rs", "pub struct Name;"),
            ("b.rs", "use crate::Name;"),
        ];
        check(
            &files,
            &[
                "a.rs -> a/inner.rs:1",
                "b.rs -> a/inner.rs:1",
                "lib.rs -> a/inner.rs:1",
            ],
        );
    }

    #[test]
    fn super_is_followed_out_of_files_and_modules_in_braces() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a.rs", "mod one; mod two;"),
            ("a/one.rs", "pub struct One;"),
            (
                "a/two.rs",
                "mod tests {\n use super::super::one::One; use super::*; }",
            ),
        ];
        check(&files, &["a/two.rs -> a/one.rs:2"]);
    }

    #[test]
    fn arguments_of_macros_are_read_and_text_is_not() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub struct A;"),
            (
                "b.rs",
                "//! [`crate::a::A`]\n/* crate::a::A */ const T: &str = \"crate::a::A\";\nfn f() { select!(x = crate::a::A => {}) }",
            ),
        ];
        check(&files, &["b.rs -> a.rs:3"]);
    }

    #[test]
    fn another_crate_of_the_same_name_is_not_a_module() {
        let files = [
            ("lib.rs", "pub mod http; mod b;"),
            ("http.rs", "pub use ::http::*;"),
            (
                "b.rs",
                "use http::Request; fn f() -> impl Sized + use<'_> { http::x() }",
            ),
        ];
        check(&files, &[]);
    }
}
