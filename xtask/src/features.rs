//! Builds the library with its features one by one, and without the server for a system that is not Unix.

use std::process::Command;

use crate::run::{Failure, Outcome, cargo, output, run, shown, strict, target};

/// Each feature is checked alone. So the check finds a feature that needs a dependency of another feature.
const ALONE: [&str; 7] = [
    "",
    "server",
    "log",
    "testing",
    "redis",
    "nats",
    "redis,nats,testing",
];

/// Without `server` the library has to build for Windows too.
const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// The package in `tests/without_server`.
const WITHOUT_SERVER: &str = "bocadillo-without-server";

pub(crate) fn check() -> Outcome {
    for features in ALONE {
        let mut command = cargo();
        command
            .args(["clippy", "--package", "bocadillo", "--no-default-features"])
            .args(["--features", features]);
        if strict() {
            command.args(["--", "-D", "warnings"]);
        }
        run(&mut command)?;
    }
    // The unit tests run with all features in another step. Here they only have to build.
    for arguments in [&["--lib", "--no-run"][..], &["--doc"]] {
        run(cargo()
            .args(["test", "--quiet", "--package", "bocadillo"])
            .arg("--no-default-features")
            .args(arguments))?;
    }
    without_server()?;
    windows()?;
    Ok(None)
}

/// Runs the library in an axum app without the feature `server`. Cargo unifies the features of the packages that it
/// builds together, so this package is built alone.
fn without_server() -> Result<(), Failure> {
    let mut tree = cargo();
    tree.args(["tree", "--package", WITHOUT_SERVER, "--invert", "bocadillo"])
        .args(["--edges", "all", "--format", "{p} [{f}]"]);
    println!("$ {}", shown(&tree));
    let tree = output(&mut tree).ok_or_else(|| Failure::new("`cargo tree` failed"))?;
    let tree = String::from_utf8_lossy(&tree);
    let library = tree.lines().next().unwrap_or_default();
    if !library.starts_with("bocadillo v") || !library.ends_with(" []") {
        return Err(Failure(format!(
            "{WITHOUT_SERVER} has to use bocadillo without features, and has: {library}"
        )));
    }
    run(cargo().args(["test", "--quiet", "--package", WITHOUT_SERVER]))
}

fn windows() -> Outcome {
    if !has_windows() {
        println!(
            "\n!!! NOT CHECKED: the target {WINDOWS} is neither here nor can be installed. Install it by other means: rustup target add {WINDOWS}\n"
        );
        return Ok(None);
    }
    run(cargo()
        .args(["check", "--package", "bocadillo", "--no-default-features"])
        .args(["--features", "testing", "--target", WINDOWS])
        .env("CARGO_TARGET_DIR", target()?.join("windows")))?;
    Ok(None)
}

fn has_windows() -> bool {
    let there = || {
        let listed = output(Command::new("rustup").args(["target", "list", "--installed"]));
        listed.is_some_and(|targets| String::from_utf8_lossy(&targets).contains(WINDOWS))
    };
    there() || run(Command::new("rustup").args(["target", "add", WINDOWS])).is_ok() && there()
}
