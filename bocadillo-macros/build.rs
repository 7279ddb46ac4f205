//! Finds out whether the compiler lets the keyword `yield` through.
//!
//! A nightly compiler can open the gate `yield_expr`, and so can one with `RUSTC_BOOTSTRAP` set. With any other the
//! plain `#[event_stream]` has to refuse the keyword in words of its own, because the compiler is about to refuse it
//! in words that help nobody.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_BOOTSTRAP");
    println!("cargo::rustc-check-cfg=cfg(yield_gate_opens)");
    if bootstrapped() || is_nightly() {
        println!("cargo::rustc-cfg=yield_gate_opens");
    }
}

fn bootstrapped() -> bool {
    env::var("RUSTC_BOOTSTRAP").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "-1"))
}

fn is_nightly() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(output) = Command::new(rustc).arg("--version").output() else {
        return false;
    };
    let version = String::from_utf8_lossy(&output.stdout);
    version.contains("-nightly") || version.contains("-dev")
}
