//! The checks that cargo does: format, lints, documentation, packages and tests.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::run::{Failure, Outcome, cargo, output, root, run, shown, strict, target};

pub(crate) fn fmt() -> Outcome {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    Ok(None)
}

pub(crate) fn clippy() -> Outcome {
    let mut command = cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--all-features"]);
    if strict() {
        command.args(["--", "-D", "warnings"]);
    }
    run(&mut command)?;
    Ok(None)
}

/// Builds the documentation as docs.rs does. It names the features that an item needs. This uses a separate build
/// folder.
pub(crate) fn doc() -> Outcome {
    let mut command = cargo();
    command
        .args(["doc", "--workspace", "--all-features", "--no-deps"])
        .env("CARGO_TARGET_DIR", target()?.join("docs"))
        // A stable compiler then accepts the unstable feature of rustdoc that docs.rs uses.
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "RUSTDOCFLAGS",
            if strict() {
                "--cfg docsrs -D warnings"
            } else {
                "--cfg docsrs"
            },
        );
    run(&mut command)?;
    Ok(None)
}

/// The tests that `soak` runs. They are larger there than in `test`.
const SOAK_TESTS: [&str; 3] = [
    "topics::redis::load::publishing_and_new_events_work_while_many_clients_replay",
    "topics::nats::load::publishing_works_while_many_clients_replay_over_a_slow_connection_on_nats",
    "topics::redis::bounds::a_busy_node_with_many_topics_does_not_name_them_all_the_time",
];

/// Runs the load tests of `test` with more clients, topics and bytes.
pub(crate) fn soak() -> Outcome {
    let mut command = cargo();
    command.args(["test", "--release", "--all-features", "--test", "it"]);
    command.args(["--", "--test-threads=1", "--nocapture", "--exact"]);
    command.args(SOAK_TESTS);
    let (passed, summary) = run_tests(command.env("BOCADILLO_SOAK", "1"))?;
    // A name that no test has is not an error of `cargo test`.
    if passed < SOAK_TESTS.len() {
        let expected = SOAK_TESTS.len();
        return Err(Failure(format!(
            "{passed} of {expected} tests ran: correct the names in `SOAK_TESTS`"
        )));
    }
    Ok(Some(summary))
}

/// Packages both crates as for a release, and builds the packages. It does not upload anything.
pub(crate) fn package() -> Outcome {
    let mut command = cargo();
    command.args(["package", "--package", "bocadillo-macros"]);
    command.args(["--package", "bocadillo"]);
    if !strict() {
        command.arg("--allow-dirty");
    }
    run(&mut command)?;
    let released = output(
        Command::new("git")
            .args(["tag", "--list", "v*", "--sort=-v:refname"])
            .current_dir(root()),
    );
    let released = String::from_utf8_lossy(&released.unwrap_or_default()).into_owned();
    match released.lines().next() {
        None => println!("no release to compare the public API with yet"),
        Some(_) if output(cargo().args(["semver-checks", "--version"])).is_none() => println!(
            "\n!!! NOT CHECKED: the public API against the last release. Install cargo-semver-checks: cargo install cargo-semver-checks\n"
        ),
        Some(tag) => run(cargo()
            .args(["semver-checks", "--package", "bocadillo"])
            .args(["--baseline-rev", tag]))?,
    }
    Ok(None)
}

/// Runs all tests.
pub(crate) fn test() -> Outcome {
    let mut command = cargo();
    command.args(["test", "--workspace", "--all-features"]);
    run_tests(&mut command).map(|(_, summary)| Some(summary))
}

/// Runs tests, and adds up their numbers. Each test binary reports only its own number.
fn run_tests(command: &mut Command) -> Result<(usize, String), Failure> {
    println!("$ {}", shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Failure::new)?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(child.stdout.take().expect("the output is piped")).lines() {
        let line = line.map_err(Failure::new)?;
        passed += count(&line, "passed");
        failed += count(&line, "failed");
        println!("{line}");
    }
    let status = child.wait().map_err(Failure::new)?;
    if status.success() {
        Ok((passed, format!("{passed} passed, {failed} failed")))
    } else {
        Err(Failure(format!(
            "{passed} tests passed, {failed} failed; the first failure is above"
        )))
    }
}

/// Returns the number before `what` in a line such as `test result: ok. 3 passed; 0 failed; …`.
fn count(line: &str, what: &str) -> usize {
    let Some(result) = line.strip_prefix("test result: ") else {
        return 0;
    };
    let words: Vec<&str> = result
        .split([' ', ';', '.'])
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(2)
        .find(|pair| pair[1] == what)
        .and_then(|pair| pair[0].parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn soak_names_tests_that_exist_and_have_a_larger_size() {
        for test in super::SOAK_TESTS {
            let (module, name) = test.rsplit_once("::").expect("a path");
            let file = format!("tests/it/{}.rs", module.replace("::", "/"));
            let text = std::fs::read_to_string(crate::run::root().join(&file));
            let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(text.contains(&format!("async fn {name}() {{")), "{test}");
            assert!(text.contains("is_soak()"), "{file}");
        }
    }

    #[test]
    fn counts_are_read_only_from_result_lines() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.10s";
        assert_eq!((count(line, "passed"), count(line, "failed")), (12, 3));
        assert_eq!(count("test it::counts 12 passed ... ok", "passed"), 0);
    }
}
