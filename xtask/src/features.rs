//! Builds the library with its features one by one, and without the server for a system that is not Unix.

use std::process::Command;

use crate::run::{Outcome, cargo, output, run, strict, target};

/// Each feature alone, so that none uses what only another one brings.
const ALONE: [&str; 7] = [
    "",
    "server",
    "log",
    "testing",
    "redis",
    "nats",
    "redis,nats,testing",
];

/// The library without `server` names nothing of Unix: a Windows target has to accept it.
const WINDOWS: &str = "x86_64-pc-windows-gnu";

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
    // The unit tests run with all features in another step. Here it is enough that they build.
    for arguments in [&["--lib", "--no-run"][..], &["--doc"]] {
        run(cargo()
            .args(["test", "--quiet", "--package", "bocadillo"])
            .arg("--no-default-features")
            .args(arguments))?;
    }
    windows()?;
    Ok(None)
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
