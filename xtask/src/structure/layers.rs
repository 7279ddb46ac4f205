//! Which part of `bocadillo/src` may import which part, and the exceptions.
//!
//! `modules` reads the imports.

use std::collections::BTreeSet;

use super::modules::Import;

/// A folder of `bocadillo/src` or its file of the same name, and the others that it may import from.
struct Layer {
    name: &'static str,
    imports: &'static [&'static str],
}

const LAYERS: [Layer; 8] = [
    Layer {
        name: "error",
        imports: &[],
    },
    Layer {
        name: "event",
        imports: &["error"],
    },
    Layer {
        name: "stream",
        imports: &["error", "event"],
    },
    Layer {
        name: "http",
        imports: &["error", "event", "stream"],
    },
    Layer {
        name: "topic",
        imports: &["error", "event", "stream", "http"],
    },
    Layer {
        name: "app",
        imports: &["error", "event", "stream", "http"],
    },
    Layer {
        name: "server",
        imports: &["error", "event", "stream", "http", "app"],
    },
    Layer {
        name: "testing",
        imports: &["error", "event", "stream", "http", "topic", "app", "server"],
    },
];

/// The files that users and generated code see. They may import everything, and nothing imports them.
const FACE: [&str; 4] = ["lib", "macros", "private", "recipes"];

/// An import that breaks the rules, and the reason. If there is no such import, the check fails.
pub(crate) struct Exception {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) const EXCEPTIONS: [Exception; 0] = [];

/// Returns one line for each fault in the imports of `bocadillo/src`.
pub(crate) fn faults(imports: &BTreeSet<Import>, exceptions: &[Exception]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut used = vec![false; exceptions.len()];
    for import in imports {
        let Import { from, to, line } = import;
        let fault = upward(from, to).or_else(|| mutual(import, imports));
        let Some(fault) = fault else {
            continue;
        };
        let excepted = exceptions
            .iter()
            .position(|exception| exception.from == from && exception.to == to);
        if let Some(index) = excepted {
            used[index] = true;
        } else {
            faults.push(format!("bocadillo/src/{from}:{line}: {fault}"));
        }
    }
    for (exception, used) in exceptions.iter().zip(used) {
        if !used {
            faults.push(format!(
                "xtask/src/structure/layers.rs: remove the exception for {} -> {} ({}): there is no such import any more",
                exception.from, exception.to, exception.reason
            ));
        }
    }
    faults
}

fn upward(from: &str, to: &str) -> Option<String> {
    let (from_layer, to_layer) = (layer(from), layer(to));
    if from_layer == to_layer || FACE.contains(&from_layer) {
        return None;
    }
    let Some(rule) = LAYERS.iter().find(|layer| layer.name == from_layer) else {
        return Some(format!(
            "`{from_layer}` is in no layer: add it to xtask/src/structure/layers.rs and to ARCHITECTURE.md"
        ));
    };
    (!rule.imports.contains(&to_layer)).then(|| {
        let allowed = match rule.imports {
            [] => "it may import nothing of the crate".to_owned(),
            names => format!("it may import {}", names.join(", ")),
        };
        format!("`{from_layer}` imports {to}, which is above it: {allowed}")
    })
}

/// Returns a fault for each two files that import each other. A file and another file below it in its folder may do so.
fn mutual(import: &Import, imports: &BTreeSet<Import>) -> Option<String> {
    let Import { from, to, .. } = import;
    let (below_from, below_to) = (folder(from), folder(to));
    if FACE.contains(&layer(from)) || to.starts_with(&below_from) || from.starts_with(&below_to) {
        return None;
    }
    imports
        .iter()
        .find(|back| back.from == *to && back.to == *from)
        .map(|back| {
            format!(
                "{from} and {to} import each other (the other import is in line {})",
                back.line
            )
        })
}

/// `topic/redis/line.rs` and `topic.rs` are in `topic`.
fn layer(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Returns the folder that belongs to a file: `topic/` for `topic.rs`.
fn folder(file: &str) -> String {
    format!("{}/", file.strip_suffix(".rs").unwrap_or(file))
}

#[cfg(test)]
mod tests {
    use super::{Exception, faults};
    use crate::structure::modules::imports;

    #[track_caller]
    fn check(files: &[(&str, &str)], exceptions: &[Exception], expected: &[&str]) {
        let imports = imports(files.iter().copied()).expect("it parses");
        let found = faults(&imports, exceptions);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} should say {expected}");
        }
    }

    const LIB: (&str, &str) = ("lib.rs", "pub use event::Event; pub use server::Server;");

    #[test]
    fn an_import_of_a_layer_below_passes() {
        let files = [
            LIB,
            ("event.rs", "pub struct Event; use crate::error::Error;"),
            ("error.rs", "pub struct Error;"),
            ("server.rs", "pub struct Server; use crate::Event;"),
            ("testing.rs", "use crate::Server;"),
        ];
        check(&files, &[], &[]);
    }

    #[test]
    fn each_way_to_write_an_upward_import_fails() {
        for line in [
            "use crate::server::Server;",
            "use crate::{server, error::X};",
            "use crate::Server;",
            "use super::super::server::Server;",
            "fn f(_: crate::server::Server) {}",
            "fn f() { select!(_ = crate::Server => {}) }",
            "mod tests { use crate::server::*; }",
            "pub(crate) use crate::server::Server as S;",
        ] {
            let files = [
                LIB,
                ("error.rs", "pub struct X;"),
                ("server.rs", "pub struct Server;"),
                ("event.rs", "pub struct Event;"),
                ("stream/body.rs", line),
            ];
            check(
                &files,
                &[],
                &["bocadillo/src/stream/body.rs:1: `stream` imports server.rs"],
            );
        }
    }

    #[test]
    fn topics_and_the_app_do_not_import_each_other() {
        let files = [
            LIB,
            ("app.rs", "pub struct App; use crate::topic::Topic;"),
            ("topic.rs", "pub struct Topic; use crate::app::App;"),
            ("server.rs", "use crate::topic::Topic;"),
        ];
        check(
            &files,
            &[],
            &["`app` imports", "`server` imports", "`topic` imports"],
        );
    }

    #[test]
    fn nothing_imports_the_face() {
        let files = [
            LIB,
            ("private.rs", "pub struct Hidden;"),
            ("testing.rs", "use crate::private::Hidden;"),
        ];
        check(&files, &[], &["`testing` imports private.rs"]);
    }

    #[test]
    fn two_files_of_a_folder_do_not_import_each_other() {
        let files = [
            ("lib.rs", ""),
            ("topic.rs", "mod a; mod b; pub use b::B;"),
            ("topic/a.rs", "use super::B; pub struct A;"),
            ("topic/b.rs", "use super::a::A; pub struct B;"),
        ];
        check(
            &files,
            &[],
            &["topic/a.rs and topic/b.rs", "topic/b.rs and topic/a.rs"],
        );
    }

    #[test]
    fn a_new_folder_has_to_be_given_its_layer() {
        let files = [
            ("lib.rs", ""),
            ("metrics.rs", "use crate::error::Error;"),
            ("error.rs", "pub struct Error;"),
        ];
        check(&files, &[], &["`metrics` is in no layer"]);
    }

    #[test]
    fn an_exception_covers_its_import_and_goes_with_it() {
        let exception = |to| Exception {
            from: "app.rs",
            to,
            reason: "for the test",
        };
        let files = [
            LIB,
            ("app.rs", "use crate::server::Server;"),
            ("server.rs", "pub struct Server;"),
        ];
        check(&files, &[exception("server.rs")], &[]);
        check(
            &files,
            &[exception("server.rs"), exception("topic.rs")],
            &["remove the exception for app.rs -> topic.rs (for the test)"],
        );
    }
}
