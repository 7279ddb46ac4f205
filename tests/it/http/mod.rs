//! HTTP as it stands on the wire, in both protocols.

mod basics;
