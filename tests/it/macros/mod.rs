//! The macros: their errors, the meaning of the generated code, and unusual modules around it.

mod compile_errors;
mod hygiene;
mod nightly;
mod semantics;
mod strict;
