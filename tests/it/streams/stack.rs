//! The layer of `Streams` among other layers, and services inside of one another.
