//! What no committed file may hold: a place that exists on one machine only.

use std::path::Path;
use std::process::Command;

use crate::run::{Failure, Outcome, output, root};

pub(crate) fn check() -> Outcome {
    let Some(listed) = output(
        Command::new("git")
            .args(["ls-files", "-z"])
            .current_dir(root()),
    ) else {
        println!("not a git checkout: nothing to look at");
        return Ok(None);
    };
    let listed = String::from_utf8_lossy(&listed);
    let mut found = Vec::new();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        // A file that is gone from the work tree, or is no text, has no line to show.
        let Ok(text) = std::fs::read_to_string(root().join(name)) else {
            continue;
        };
        let lines = text
            .lines()
            .zip(1..)
            .filter(|(line, _)| names_this_machine(line));
        found.extend(lines.map(|(line, number)| format!("{name}:{number}: {}", line.trim())));
    }
    if found.is_empty() {
        Ok(None)
    } else {
        Err(Failure(format!(
            "a path of this machine:\n{}",
            found.join("\n")
        )))
    }
}

fn names_this_machine(line: &str) -> bool {
    let checkout = root();
    let home = std::env::home_dir().unwrap_or_default();
    [checkout, &home]
        .into_iter()
        .any(|place| names(line, place))
}

/// Whether a line holds a path below `place`; a place as short as `/` says nothing.
fn names(line: &str, place: &Path) -> bool {
    let place = format!("{}/", place.display());
    place.len() > 2 && line.contains(&place)
}

#[cfg(test)]
mod tests {
    use super::names;
    use std::path::Path;

    #[test]
    fn a_path_below_the_place_is_found() {
        assert!(names("see /home/ada/notes", Path::new("/home/ada")));
        assert!(!names("see /home/adam/notes", Path::new("/home/ada")));
        assert!(!names("see /notes", Path::new("")));
    }
}
