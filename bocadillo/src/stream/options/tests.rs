use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn interval(options: &StreamOptions) -> Option<Duration> {
    options.keep_alive_interval()
}

fn error() -> Error {
    Error::panic("x".to_owned())
}

#[test]
fn the_defaults_are_as_documented() {
    let options = StreamOptions::new();
    assert_eq!(interval(&options), Some(15 * SECOND));
    assert_eq!(options.retry_delay(), None);
    assert_eq!(options.lifetime(), None);
    assert_eq!(options.cleanup_timeout_or_default(), 30 * SECOND);
    assert_eq!(options.shown(&error()), None);
    assert_eq!(options.write_timeout_or_default(true), Some(30 * SECOND));
    assert_eq!(options.write_timeout_or_default(false), None);
    assert_eq!(options.has_charset(), None);
}

#[test]
fn what_is_not_set_comes_from_the_defaults() {
    let defaults = StreamOptions::new()
        .keep_alive(3 * SECOND)
        .retry(7 * SECOND)
        .max_lifetime(100 * SECOND)
        .cleanup_timeout(4 * SECOND)
        .on_error(|_| Some(ServerEvent::new("the default")))
        .write_timeout(5 * SECOND)
        .byte_write_timeout(6 * SECOND)
        .charset(true);
    let merged = StreamOptions::new().or(&defaults);
    assert_eq!(interval(&merged), Some(3 * SECOND));
    assert_eq!(merged.retry_delay(), Some(7 * SECOND));
    assert_eq!(merged.lifetime(), Some(100 * SECOND));
    assert_eq!(merged.cleanup_timeout_or_default(), 4 * SECOND);
    assert!(merged.shown(&error()).is_some());
    assert_eq!(merged.write_timeout_or_default(true), Some(5 * SECOND));
    assert_eq!(merged.write_timeout_or_default(false), Some(6 * SECOND));
    assert_eq!(merged.has_charset(), Some(true));

    let own = StreamOptions::new()
        .no_keep_alive()
        .retry(SECOND)
        .no_max_lifetime()
        .cleanup_timeout(SECOND)
        .on_error(|_| None)
        .no_write_timeout()
        .no_byte_write_timeout()
        .charset(false)
        .or(&defaults);
    assert_eq!(interval(&own), None);
    assert_eq!(own.retry_delay(), Some(SECOND));
    assert_eq!(own.lifetime(), None);
    assert_eq!(own.cleanup_timeout_or_default(), SECOND);
    assert_eq!(own.shown(&error()), None);
    assert_eq!(own.write_timeout_or_default(true), None);
    assert_eq!(own.write_timeout_or_default(false), None);
    assert_eq!(own.has_charset(), Some(false));
}

#[test]
fn an_interval_of_zero_sends_nothing() {
    let options = StreamOptions::new().keep_alive(Duration::ZERO);
    assert_eq!(interval(&options), None);
}
