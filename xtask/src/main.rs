//! The commands of the workspace. `cargo xtask test` installs what the tests need, and runs every check.

mod checks;
mod features;
mod msrv;
mod run;
mod structure;
mod tidy;
mod tools;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use run::{Failure, Outcome};

const USAGE: &str = "\
cargo xtask test                 runs every check, and stops at the first failure
cargo xtask test --only STEP     runs one step: tools, tidy, structure, fmt, clippy, features, msrv, package,
                                 doc or test
cargo xtask soak                 runs the tests of load at full size, optimised: some minutes

With CI=true in the environment a warning is an error.";

/// One check.
struct Step {
    name: &'static str,
    does: &'static str,
    work: fn() -> Outcome,
}

const STEPS: [Step; 10] = [
    Step {
        name: "tools",
        does: "install what the tests need",
        work: tools::install,
    },
    Step {
        name: "tidy",
        does: "no path of this machine is committed, docs/features.md quotes lines that exist",
        work: tidy::check,
    },
    Step {
        name: "structure",
        does: "imports go downward, and the other promises of ARCHITECTURE.md hold",
        work: structure::check,
    },
    Step {
        name: "fmt",
        does: "the code is formatted",
        work: checks::fmt,
    },
    Step {
        name: "clippy",
        does: "the lints of the compiler and of clippy",
        work: checks::clippy,
    },
    Step {
        name: "features",
        does: "each feature of the library builds alone, and it builds without the server on Windows",
        work: features::check,
    },
    Step {
        name: "msrv",
        does: "the library builds with the oldest Rust that it supports",
        work: msrv::check,
    },
    Step {
        name: "package",
        does: "both crates can be packaged, and the packages build",
        work: checks::package,
    },
    Step {
        name: "doc",
        does: "the documentation builds, as on docs.rs, and its links are valid",
        work: checks::doc,
    },
    Step {
        name: "test",
        does: "unit, integration and documentation tests; examples build",
        work: checks::test,
    },
];

/// Not part of `test`, because it takes minutes.
const SOAK: Step = Step {
    name: "soak",
    does: "400 clients replay a full history over a slow link, on each broker, and a node has 10,000 topics",
    work: checks::soak,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let chosen: Vec<&Step> = match arguments[..] {
        ["soak"] => vec![&SOAK],
        ["test"] => STEPS.iter().collect(),
        ["test", "--only", name] => STEPS.iter().filter(|step| step.name == name).collect(),
        _ => Vec::new(),
    };
    if chosen.is_empty() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    test(&chosen)
}

fn test(steps: &[&Step]) -> ExitCode {
    let mut done: Vec<(&Step, Duration)> = Vec::new();
    let mut closing = String::new();
    for step in steps {
        println!("\n── {} · {} ──", step.name, step.does);
        let start = Instant::now();
        match (step.work)() {
            Ok(Some(line)) => closing = line,
            Ok(None) => {}
            Err(Failure(reason)) => {
                summary(&done);
                eprintln!(
                    "\nfailed at `{}`: {reason}\nthis step alone: {}",
                    step.name,
                    command(step)
                );
                return ExitCode::FAILURE;
            }
        }
        done.push((step, start.elapsed()));
    }
    summary(&done);
    if !closing.is_empty() {
        println!("\n{closing}");
    }
    ExitCode::SUCCESS
}

fn command(step: &Step) -> String {
    if step.name == SOAK.name {
        "cargo xtask soak".to_owned()
    } else {
        format!("cargo xtask test --only {}", step.name)
    }
}

fn summary(done: &[(&Step, Duration)]) {
    if done.is_empty() {
        return;
    }
    println!("\n── passed ──");
    for (step, time) in done {
        println!("{:<8}{:>8.1} s", step.name, time.as_secs_f64());
    }
    let total: Duration = done.iter().map(|(_, time)| *time).sum();
    println!("{:<8}{:>8.1} s", "in all", total.as_secs_f64());
}
