//! `App`: routes, and other apps under a prefix.

mod nest;
mod nested;
mod structure;
