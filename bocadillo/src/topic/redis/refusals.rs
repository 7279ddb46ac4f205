//! Errors with which Redis answers: it refuses a command, but the connection works.

use redis::{ErrorKind, RedisError};

pub(super) fn unexpected() -> RedisError {
    (
        ErrorKind::UnexpectedReturnType,
        "Redis answered what cannot be, or another program has written into this one's keys",
    )
        .into()
}

/// Whether Redis has answered, though not as it should: the connection is as good as before.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    use ErrorKind::{Extension, Server, UnexpectedReturnType};
    matches!(error.kind(), Server(_) | Extension | UnexpectedReturnType)
}

/// Whether Redis refuses this hub as a whole, so that it does not help to connect again: the password is wrong, the user may not
/// run the commands, or there is no memory. Not while Redis is starting or has no master.
pub(super) fn is_refused(error: &RedisError) -> bool {
    use redis::ServerErrorKind::{BusyLoading, MasterDown, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Server(BusyLoading | MasterDown | ReadOnly | TryAgain) => false,
        ErrorKind::AuthenticationFailed => true,
        _ => is_refusal(error),
    }
}
