//! The README promises guarantees by the names of their tests: each name has to be a test's.

use std::fs;
use std::path::Path;

/// All Rust text below a folder.
fn text(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            text(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path).expect("source is text"));
        }
    }
}

#[test]
fn each_guarantee_of_topics_names_a_test_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("there is one");
    let (_, topics) = readme.split_once("## Topics\n").expect("a section");
    let (topics, _) = topics.split_once("\n## ").expect("a section after it");
    let rows = topics.lines().filter(|line| line.starts_with('|'));
    let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let names: Vec<_> = quoted
        .filter(|name| name.matches('_').count() > 2)
        .collect();
    assert!(names.len() > 20, "{names:?}");

    let mut source = String::new();
    text(&root.join("tests"), &mut source);
    text(&root.join("bocadillo/src"), &mut source);
    for name in names {
        let (before, _) = source
            .split_once(&format!("fn {name}()"))
            .unwrap_or_else(|| panic!("the README names `{name}`, which is no test"));
        let attribute = before.trim_end().lines().rev().take(3);
        assert!(
            attribute.into_iter().any(|line| line.contains("test")),
            "`{name}` is no test"
        );
    }
}
