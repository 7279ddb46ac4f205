//! Builds the library with the oldest compilers that it supports.
//!
//! The lint `incompatible_msrv` finds newer parts of the standard library. This step finds newer syntax, and
//! dependencies that need a newer compiler.

use std::process::Command;

use crate::run::{Failure, Outcome, output, root, run, target};

/// A compiler, and the features of the library that it has to build.
struct Oldest {
    toolchain: &'static str,
    features: &'static str,
}

/// `rust-version` in `Cargo.toml`, and the version that the client for NATS asks for.
const OLDEST: [Oldest; 2] = [
    Oldest {
        toolchain: "1.88",
        features: "log,redis,testing",
    },
    Oldest {
        toolchain: "1.89",
        features: "nats",
    },
];

pub(crate) fn check() -> Outcome {
    for oldest in OLDEST {
        if !installed(oldest.toolchain) {
            println!(
                "\n!!! NOT CHECKED: Rust {0} is neither here nor can be installed. Install it by other means: rustup toolchain install {0}\n",
                oldest.toolchain
            );
            continue;
        }
        let mut command = Command::new("rustup");
        command
            .args(["run", oldest.toolchain, "cargo", "check", "--locked"])
            .args(["--package", "bocadillo", "--features", oldest.features])
            .current_dir(root())
            .env("CARGO_TARGET_DIR", target()?.join("msrv"))
            .env("CARGO_INCREMENTAL", "0");
        run(&mut command)?;
    }
    Ok(None)
}

fn installed(toolchain: &str) -> bool {
    let there = || output(Command::new("rustup").args(["run", toolchain, "rustc", "--version"]));
    if there().is_some() {
        return true;
    }
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", "--profile", "minimal", toolchain]);
    if let Err(Failure(reason)) = run(&mut install) {
        println!("{reason}");
    }
    there().is_some()
}

#[cfg(test)]
mod tests {
    use super::OLDEST;
    use crate::run::root;

    #[test]
    fn the_oldest_compiler_is_the_one_that_the_manifest_names() {
        let manifest =
            std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest can be read");
        let named = manifest
            .lines()
            .find_map(|line| line.strip_prefix("rust-version = "))
            .expect("the workspace names it");
        assert_eq!(named, format!("\"{}\"", OLDEST[0].toolchain));
    }
}
