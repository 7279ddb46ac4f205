//! What the macros refuse, and in which words: each file in `tests/ui` is named after its mistake, and what the
//! compiler says of it stands beside it in the file's `.stderr`.
//!
//! After a change that is meant: `TRYBUILD=overwrite cargo test --test it compile_errors`, then read the diff.

#[test]
fn compile_errors() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
