//! The macros: what they refuse, and what their code meets in strange surroundings.

mod compile_errors;
mod nightly;
