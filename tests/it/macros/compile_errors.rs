//! The compile errors of the macros. Each file in `tests/ui` is named after its mistake. The `.stderr` file beside it
//! has the messages of the compiler.
//!
//! After an intended change, run `TRYBUILD=overwrite cargo test --test it compile_errors` and read the diff.

#[test]
fn compile_errors() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
