//! Installs what the tests need besides Rust: a browser and its driver, the brokers, proxies, and clients in Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, Outcome, output, root, run, target};

/// A program that a test starts, and the Debian package that contains it.
struct Tool {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const TOOLS: [Tool; 10] = [
    Tool {
        program: "chromium",
        package: "chromium",
        why: "the pages of the examples are tested in it",
    },
    Tool {
        program: "chromedriver",
        package: "chromium-driver",
        why: "drives Chromium",
    },
    Tool {
        program: "redis-server",
        package: "redis-server",
        why: "the hub on Redis Streams is tested with it",
    },
    Tool {
        program: "nats-server",
        package: "nats-server",
        why: "the hub on JetStream is tested with it",
    },
    Tool {
        program: "nginx",
        package: "nginx",
        why: "stands as a proxy in front of a server",
    },
    Tool {
        program: "node",
        package: "nodejs",
        why: "streams are read through a proxy that runs in it",
    },
    Tool {
        program: "npm",
        package: "npm",
        why: "installs the proxy",
    },
    Tool {
        program: "curl",
        package: "curl",
        why: "is a client that a test pauses",
    },
    Tool {
        program: "openssl",
        package: "openssl",
        why: "makes the certificates of servers with TLS",
    },
    Tool {
        program: "ip",
        package: "iproute2",
        why: "makes the network whose link a test cuts",
    },
];

/// Installs packages without starting their services. The tests start the servers that they need.
const INSTALL: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet
apt-get install --quiet --yes --no-install-recommends "$@"
if [ -d /run/systemd/system ]; then
    for service in redis-server nats-server nginx; do
        case " $* " in *" $service "*) systemctl disable --quiet "$service" || true ;; esac
    done
fi
"#;

pub(crate) fn install() -> Outcome {
    debian()?;
    python()?;
    node()?;
    Ok(None)
}

fn debian() -> Result<(), Failure> {
    let mut packages = Vec::new();
    for tool in TOOLS {
        if let Some(place) = find(tool.program) {
            println!("{:<13} {}", tool.program, place.display());
        } else {
            println!("{:<13} missing: {}", tool.program, tool.why);
            packages.push(tool.package);
        }
    }
    if !python3(&["-c", "import ensurepip, venv"]) {
        println!(
            "{:<13} missing: the client in Python gets an environment of its own",
            "python3 venv"
        );
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if find("apt-get").is_none() {
        return Err(Failure(format!(
            "there is no apt-get: install the programs of these Debian packages by other means: {list}"
        )));
    }
    let mut command = as_root(&list)?;
    println!("installing from Debian, without starting services: {list}");
    run(command
        .args(["sh", "-c", INSTALL, "install"])
        .args(packages))
}

/// Returns a command that runs its arguments as root.
fn as_root(packages: &str) -> Result<Command, Failure> {
    let id = output(Command::new("id").arg("-u")).unwrap_or_default();
    match (id.trim_ascii(), find("sudo")) {
        (b"0", _) => Ok(Command::new("env")),
        (_, Some(sudo)) => Ok(Command::new(sudo)),
        (_, None) => Err(Failure(format!(
            "you are not root, and there is no sudo. As root, run: apt-get install {packages}"
        ))),
    }
}

/// Installs the Python packages of `tests/requirements.txt` in an environment in the build folder.
fn python() -> Result<(), Failure> {
    let wanted = root().join("tests/requirements.txt");
    let place = target()?.join("python");
    let stamp = place.join("requirements.txt");
    let text = std::fs::read_to_string(&wanted).map_err(Failure::new)?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == text) {
        println!("{:<13} {}", "python", place.display());
        return Ok(());
    }
    println!(
        "installing into {}: {}",
        place.display(),
        text.lines().collect::<Vec<_>>().join(", ")
    );
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&place))?;
    let pip = place.join("bin/pip");
    run(Command::new(pip)
        .args(["install", "--quiet", "--requirement"])
        .arg(&wanted))?;
    std::fs::write(stamp, text).map_err(Failure::new)
}

/// Installs the packages of `tests/package.json` in a folder in the build folder.
fn node() -> Result<(), Failure> {
    let wanted = root().join("tests/package.json");
    let place = target()?.join("node");
    let stamp = place.join("installed.json");
    let text = std::fs::read_to_string(&wanted).map_err(Failure::new)?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == text) {
        println!("{:<13} {}", "node packages", place.display());
        return Ok(());
    }
    println!("installing into {}: tests/package.json", place.display());
    std::fs::create_dir_all(&place).map_err(Failure::new)?;
    std::fs::write(place.join("package.json"), &text).map_err(Failure::new)?;
    run(Command::new("npm")
        .args([
            "install",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(&place))?;
    std::fs::write(stamp, text).map_err(Failure::new)
}

fn python3(arguments: &[&str]) -> bool {
    output(Command::new("python3").args(arguments)).is_some()
}

/// Returns the path of a program. Debian installs servers in folders that are not in the `PATH` of every user.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(servers)
        .map(|folder| folder.join(program))
        .find(|file| is_file(file))
}

fn is_file(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}
