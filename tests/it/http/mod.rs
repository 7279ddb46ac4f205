//! HTTP as it stands on the wire, beyond what the original had.

mod bad_input;
mod layers;
mod places;
mod structure;
mod timeouts;
