//! The macros: what they refuse, what they mean, and what their code meets in strange surroundings.

mod compile_errors;
mod hygiene;
mod nightly;
mod semantics;
mod strict;
