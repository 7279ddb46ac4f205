//! HTTP on the wire, beyond the tests of the original framework.

mod bad_input;
mod headers;
mod layers;
