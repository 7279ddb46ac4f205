//! HTTP as it stands on the wire, beyond what the original had.

mod bad_input;
mod bodies;
mod headers;
mod layers;
mod limits;
mod places;
mod structure;
mod timeouts;
