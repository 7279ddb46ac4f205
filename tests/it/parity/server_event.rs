//! `server_event(name, *, data, json, id)` of the original framework, and the bytes that it makes.
//!
//! The tests of the macros cover compile errors: `json` with `data`, a line end in a literal name, and no field.

use std::error::Error as _;

use bocadillo::{EventId, EventName, FieldError, Result, ServerEvent, server_event, wire};
use bytes::BytesMut;

#[track_caller]
fn check(event: Result<ServerEvent>, expected: &str) {
    let mut out = BytesMut::new();
    wire::encode(&event.expect("the event can be written"), &mut out);
    assert_eq!(std::str::from_utf8(&out), Ok(expected));
}

#[track_caller]
fn check_refused(event: Result<ServerEvent>, character: char, offset: usize) {
    let error = event.expect_err("the event cannot be written");
    assert!(error.is_field(), "{error}");
    let field: &FieldError = error
        .source()
        .and_then(|source| source.downcast_ref())
        .expect("the source is a `FieldError`");
    assert_eq!((field.character(), field.offset()), (character, offset));
}

#[test]
fn data_is_one_line_and_an_empty_line_ends_the_event() {
    check(server_event!(data = "hello"), "data: hello\n\n");
}

#[test]
fn data_is_any_iterable_of_text() {
    let expected = "data: hello\ndata: world\n\n";
    check(server_event!(data = ["hello", "world"]), expected);
    let owned = vec!["hello".to_owned(), "world".to_owned()];
    check(server_event!(data = &owned), expected);
    check(server_event!(data = owned), expected);
    let generated = (0..2).map(|n| if n == 0 { "hello" } else { "world" });
    check(server_event!(data = generated), expected);
}

#[test]
fn fields_are_written_in_the_order_id_event_data() {
    let expected = "id: 1\nevent: foo\ndata: hello\n\n";
    check(server_event!("foo", id = 1, data = "hello"), expected);
    check(server_event!("foo", data = "hello", id = 1), expected);
}

#[test]
fn json_is_compact() {
    let expected = "id: 1\nevent: foo\ndata: {\"message\":\"hello\"}\n\n";
    let event = server_event!("foo", id = 1, json = {"message": "hello"});
    check(event, expected);
}

#[test]
fn empty_data_is_an_event() {
    check(server_event!(data = ""), "data: \n\n");
    check(server_event!(data = ["", ""]), "data: \ndata: \n\n");
}

#[test]
fn each_line_end_in_data_starts_one_new_line() {
    for end in ["\n", "\r", "\r\n"] {
        let event = server_event!(data = format!("a{end}b"));
        check(event, "data: a\ndata: b\n\n");
    }
    check(
        server_event!(data = "a\r\r\nb"),
        "data: a\ndata: \ndata: b\n\n",
    );
    check(server_event!(data = "a\n"), "data: a\ndata: \n\n");
}

#[test]
fn an_event_inside_of_data_stays_data() {
    check(
        server_event!(data = "x\n\nevent: evil\ndata: y"),
        "data: x\ndata: \ndata: event: evil\ndata: data: y\n\n",
    );
}

#[test]
fn an_error_names_the_name_or_id_with_a_line_end() {
    let user = |text: &str| text.to_owned();
    check_refused(server_event!(user("a\nb"), data = "x"), '\n', 1);
    check_refused(server_event!(user("evil\rdata: y"), data = "x"), '\r', 4);
    check_refused(server_event!(data = "x", id = user("12\n")), '\n', 2);
    check_refused(server_event!(data = "x", id = user("\0")), '\0', 0);
    assert!(EventName::try_from("a\r\nb").is_err());
    assert!(EventId::try_from("a\r\nb").is_err());
}

#[test]
fn an_empty_iterable_is_an_event_with_empty_data() {
    check(server_event!(data = [""; 0]), "data: \n\n");
}

#[test]
fn a_name_or_an_id_alone_is_dispatched_with_empty_data() {
    check(server_event!("hello"), "event: hello\ndata: \n\n");
    check(server_event!(id = 3), "id: 3\ndata: \n\n");
}

#[test]
fn json_null_can_be_sent() {
    check(server_event!(json = null), "data: null\n\n");
    check(server_event!(json = None::<u8>), "data: null\n\n");
    check(server_event!(json = {"a": null}), "data: {\"a\":null}\n\n");
}

#[test]
fn json_without_a_number_is_an_error() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for event in [
            server_event!(json = number),
            server_event!(json = {"temperature": number}),
            server_event!(json = [1, [number]]),
            ServerEvent::json(&Some(number)),
        ] {
            let error = event.expect_err("JSON has no such number");
            assert!(error.is_json(), "{error}");
        }
    }
}

#[test]
fn a_leading_space_of_data_is_kept() {
    check(server_event!(data = " leading"), "data:  leading\n\n");
}

#[test]
fn retry_and_comments_can_be_set() {
    let second = std::time::Duration::from_secs(1);
    check(server_event!(retry = second), "retry: 1000\n");
    check(server_event!(comment = "hi"), ": hi\n");
    check(
        server_event!("x", comment = "hi", retry = second, data = "y"),
        ": hi\nretry: 1000\nevent: x\ndata: y\n\n",
    );
}
