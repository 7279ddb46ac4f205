//! Starts other programs.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a step failed.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// A step that passes can return a line. The line is printed at the end of the run.
pub(crate) type Outcome = Result<Option<String>, Failure>;

impl Failure {
    pub(crate) fn new(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}

/// Prints the command and runs it. A command that fails is an error.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    let status = command
        .status()
        .map_err(|error| Failure(format!("`{}`: {error}", shown(command))))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("`{}` ended with {status}", shown(command))))
    }
}

/// Runs a command, and returns its output. `None` if it cannot be started or fails.
pub(crate) fn output(command: &mut Command) -> Option<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}

pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Returns the folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is in the workspace")
}

/// Returns the build folder. This program is in it, also if `CARGO_TARGET_DIR` is set.
pub(crate) fn target() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().map_err(Failure::new)?;
    let folder = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists());
    folder
        .map(Path::to_owned)
        .ok_or_else(|| Failure::new("xtask is not in a build folder of cargo"))
}

/// Whether a warning is an error.
pub(crate) fn strict() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let mut line = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let long = argument.contains('\n');
        line.push(' ');
        line.push_str(if long { "'…'" } else { &argument });
    }
    line
}
