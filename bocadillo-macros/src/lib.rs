//! The macros of `bocadillo`.
