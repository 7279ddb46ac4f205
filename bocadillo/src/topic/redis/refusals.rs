//! Errors with which Redis answers: it refuses a command, but the connection works.

use redis::{ErrorKind, RedisError};

pub(super) fn unexpected() -> RedisError {
    (
        ErrorKind::UnexpectedReturnType,
        "the answer of Redis has an unexpected form: another program may have written into the keys of this one",
    )
        .into()
}

/// Whether Redis has answered with an error. The connection works.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    use ErrorKind::{Extension, Server, UnexpectedReturnType};
    matches!(error.kind(), Server(_) | Extension | UnexpectedReturnType)
}

/// Whether Redis refuses this hub as a whole: the password is wrong, the user may not run the commands, or there is no
/// memory. `false` while Redis is starting or has no master.
pub(super) fn is_refused(error: &RedisError) -> bool {
    use redis::ServerErrorKind::{BusyLoading, MasterDown, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Server(BusyLoading | MasterDown | ReadOnly | TryAgain) => false,
        ErrorKind::AuthenticationFailed => true,
        _ => is_refusal(error),
    }
}
