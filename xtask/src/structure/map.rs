//! Checks that each name in the map of ARCHITECTURE.md is a file or a folder.

/// Returns the names in the map that are not files of `bocadillo/src`. `exists` says whether a path below it exists.
pub(crate) fn faults(text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let map = text.split("## The map").nth(1).unwrap_or_default();
    let map = map.split("The other folders:").next().unwrap_or_default();
    let is_file = |path: &str| exists(&format!("{path}.rs")) || exists(path);
    let mut faults = Vec::new();
    let mut rows = 0;
    for row in map.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').splitn(2, '|').collect();
        let folders: Vec<&str> = names(cells[0]).collect();
        rows += 1;
        for folder in &folders {
            if !is_file(folder) {
                faults.push(format!(
                    "ARCHITECTURE.md: the map names `{folder}`, which is not in bocadillo/src"
                ));
            }
        }
        let [folder] = folders[..] else {
            continue;
        };
        for name in names(cells.get(1).copied().unwrap_or_default()) {
            if name != "yield" && !is_file(&format!("{folder}/{name}")) {
                faults.push(format!(
                    "ARCHITECTURE.md: the map names `{name}` in `{folder}`, which is not there"
                ));
            }
        }
    }
    if rows == 0 {
        faults.push("ARCHITECTURE.md has no map".to_owned());
    }
    faults
}

/// Returns the words in backticks that look like the name of a file or a folder.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .map(|name| name.trim_end_matches('/'))
        .filter(|name| {
            name.chars()
                .all(|char| char.is_ascii_lowercase() || char == '_')
        })
}

#[cfg(test)]
mod tests {
    use super::faults;

    #[test]
    fn names_of_the_map_have_to_be_files() {
        let files = ["event.rs", "event", "event/name.rs", "lib.rs", "macros.rs"];
        let exists = |path: &str| files.contains(&path);
        let check =
            |rows: &str| faults(&format!("## The map\n{rows}\nThe other folders:\n"), exists);

        let good = "| `event/` | one: `name` is what `yield` and `tower::Service` and `EventStream` need |\n| `lib`, `macros` | the face, and `anything` |";
        assert_eq!(check(good), [""; 0]);
        assert_eq!(check("| `event/` | `gone` |").len(), 1);
        assert_eq!(check("| `gone/` | one |").len(), 1);
        assert_eq!(check("").len(), 1, "a map without rows");
    }
}
