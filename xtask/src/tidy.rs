//! Checks that no committed file contains a path of this machine, and that the lines that docs/features.md quotes
//! exist.

use std::path::Path;
use std::process::Command;

use crate::run::{Failure, Outcome, output, root};

pub(crate) fn check() -> Outcome {
    let mut found = machine_paths();
    let docs = root().join("docs");
    let features = std::fs::read_to_string(docs.join("features.md")).map_err(Failure::new)?;
    let quotes: Vec<_> = features.lines().filter_map(quote).collect();
    if quotes.is_empty() {
        found.push("docs/features.md quotes nothing".to_owned());
    }
    let stale = quotes.into_iter().filter(|(line, file)| {
        !std::fs::read_to_string(docs.join(file)).is_ok_and(|text| text.contains(line))
    });
    found.extend(
        stale.map(|(line, file)| format!("docs/features.md says that {file} has `{line}`")),
    );
    if found.is_empty() {
        Ok(None)
    } else {
        Err(Failure(found.join("\n")))
    }
}

fn machine_paths() -> Vec<String> {
    let Some(listed) = output(
        Command::new("git")
            .args(["ls-files", "-z"])
            .current_dir(root()),
    ) else {
        println!("not a git checkout: nothing to look at");
        return Vec::new();
    };
    let places = [root().to_owned(), std::env::home_dir().unwrap_or_default()];
    let mut found = Vec::new();
    for name in String::from_utf8_lossy(&listed).split_terminator('\0') {
        // A file that was deleted or is not text is skipped.
        let Ok(text) = std::fs::read_to_string(root().join(name)) else {
            continue;
        };
        let lines = text.lines().zip(1..);
        let bad = lines.filter(|(line, _)| places.iter().any(|place| names(line, place)));
        found.extend(bad.map(|(line, number)| {
            format!("a path of this machine: {name}:{number}: {}", line.trim())
        }));
    }
    found
}

/// Whether a line contains a path below `place`. The place `/` is ignored.
fn names(line: &str, place: &Path) -> bool {
    let place = format!("{}/", place.display());
    place.len() > 2 && line.contains(&place)
}

/// Returns the code and the file in a row of a table such as ``| feature | `code` | [name](file) |``.
fn quote(row: &str) -> Option<(&str, &str)> {
    let cells: Vec<&str> = row.strip_prefix('|')?.split('|').map(str::trim).collect();
    let [_, code, link, _] = cells[..] else {
        return None;
    };
    let code = code.strip_prefix('`')?.strip_suffix('`')?;
    let (_, file) = link.strip_suffix(')')?.split_once("](")?;
    Some((code, file))
}

#[cfg(test)]
mod tests {
    use super::{names, quote};
    use std::path::Path;

    #[test]
    fn a_path_below_the_place_is_found() {
        assert!(names("see /home/ada/notes", Path::new("/home/ada")));
        assert!(!names("see /home/adam/notes", Path::new("/home/ada")));
        assert!(!names("see /notes", Path::new("")));
    }

    #[test]
    fn a_row_with_code_and_a_link_is_a_quote() {
        assert_eq!(
            quote("| routes | `#[route(\"/\")]` | [a](b/c.rs) |"),
            Some(("#[route(\"/\")]", "b/c.rs"))
        );
        assert_eq!(quote("| routes | by attribute | [a](b/c.rs) |"), None);
        assert_eq!(quote("|---|---|---|"), None);
    }
}
