//! What generated code calls, and nothing else may.
