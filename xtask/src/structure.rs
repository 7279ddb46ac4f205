//! Checks the rules of ARCHITECTURE.md that the source text can show.

mod layers;
mod map;
mod modules;
mod promises;

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Failure, Outcome, root};

pub(crate) fn check() -> Outcome {
    let source = sources("bocadillo/src")?;
    let below = source.iter().map(|file| {
        let name = file.name.strip_prefix("bocadillo/src/");
        (name.unwrap_or(&file.name), file.text.as_str())
    });
    let imports = modules::imports(below).map_err(Failure)?;
    let mut faults = layers::faults(&imports, &layers::EXCEPTIONS);
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).map_err(Failure::new)?;
    faults.append(&mut map::faults(&map, |path| {
        root().join("bocadillo/src").join(path).exists()
    }));
    let mut files = source;
    for folder in [
        "bocadillo-macros/src",
        "bocadillo-macros/snapshots",
        "examples",
        "tests/it",
        "tests/without_server",
        "xtask/src",
    ] {
        files.append(&mut sources(folder)?);
    }
    for file in &files {
        faults.append(&mut promises::faults(&file.name, &file.text).map_err(Failure)?);
    }
    let files = files
        .iter()
        .map(|file| (file.name.as_str(), file.text.as_str()));
    faults.append(&mut promises::lengths(files, promises::STILL_LONG));
    if faults.is_empty() {
        println!("{} imports between files", imports.len());
        Ok(None)
    } else {
        Err(Failure(faults.join("\n")))
    }
}

/// One file of the workspace: its path from the root, and its text.
struct File {
    name: String,
    text: String,
}

/// Returns all Rust files below a folder of the workspace, sorted by name.
fn sources(folder: &str) -> Result<Vec<File>, Failure> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths)?;
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap_or(&path);
            Ok(File {
                name: name.to_string_lossy().replace('\\', "/"),
                text: fs::read_to_string(&path).map_err(Failure::new)?,
            })
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::new)? {
        let path = entry.map_err(Failure::new)?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}
