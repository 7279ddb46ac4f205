//! Tests the compile errors. Each file in `tests/ui` is named after its mistake. The expected message of the compiler
//! is in the `.stderr` file with the same name.
//!
//! To update them, run `TRYBUILD=overwrite cargo test --all-features --test it compile_errors`, and read the diff.

#[test]
fn compile_errors() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
