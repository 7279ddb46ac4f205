//! Checks that the tests, examples and files that the README and the pages in `docs/` name exist.

use std::fs;
use std::path::Path;

/// Appends the text of all Rust files below a folder.
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

fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(name)).expect("a page of the repository")
}

#[test]
fn each_test_that_the_guarantees_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guarantees = page("docs/guarantees.md");
    let rows = guarantees.lines().filter(|line| line.starts_with('|'));
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
            .unwrap_or_else(|| panic!("docs/guarantees.md names `{name}`, which is not a test"));
        let attribute = before.trim_end().lines().rev().take(3);
        assert!(
            attribute.into_iter().any(|line| line.contains("test")),
            "`{name}` is not a test"
        );
    }
}

#[test]
fn the_program_for_axum_in_the_readme_is_the_example() {
    let readme = page("README.md");
    let (_, section) = readme.split_once("## In axum").expect("a section");
    let (_, code) = section.split_once("```rust,no_run\n").expect("code");
    let (code, _) = code.split_once("```").expect("the end of the code");
    let example = page("examples/axum_rooms.rs");
    // The example takes its address from the environment.
    let lines = code.lines().filter(|line| !line.contains("127.0.0.1"));
    let missing: Vec<_> = lines.filter(|line| !example.contains(line)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_list_of_examples_is_complete() {
    let list = page("examples/README.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in
        fs::read_dir(root.join("examples")).expect("the folder of the examples can be read")
    {
        let name = entry.expect("it can be read").file_name();
        let name = name.to_string_lossy();
        let name = name.strip_suffix(".rs").unwrap_or(&name);
        assert!(
            name == "README.md" || list.contains(&format!("| [`{name}`](")),
            "examples/README.md does not list {name}"
        );
    }
}

#[test]
fn links_between_pages_point_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/clients.md",
        "docs/features.md",
        "docs/guarantees.md",
        "examples/README.md",
    ] {
        let text = page(name);
        let folder = Path::new(name).parent().expect("a file is in a folder");
        for link in text.split("](").skip(1) {
            let (link, _) = link.split_once(')').expect("the end of a link");
            let file = root.join(folder).join(link);
            assert!(
                link.contains("://") || file.exists(),
                "{name} links to {link}"
            );
        }
    }
}
