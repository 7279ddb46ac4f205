//! Random numbers for epochs and for names that no other process has. They are not for secrets.

use std::hash::{BuildHasher, RandomState};

/// A random number. The standard library's hasher is keyed by random numbers of the system.
pub(super) fn number() -> u64 {
    RandomState::new().hash_one("bocadillo")
}
