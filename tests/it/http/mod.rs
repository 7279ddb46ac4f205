//! HTTP as it stands on the wire, beyond what the original had.

mod bad_input;
mod headers;
mod layers;
