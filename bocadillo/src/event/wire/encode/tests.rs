//! Exact bytes: the cases of the original's `server_event`, those that other frameworks get wrong,
//! and what may stand alone.

use std::time::Duration;

use super::*;
use crate::event::{EventBuilder, EventId, EventName};

const FOO: EventName = EventName::from_static("foo");

#[track_caller]
fn check(event: ServerEvent, expected: &str) {
    let mut out = BytesMut::new();
    encode(&event, &mut out);
    assert_eq!(String::from_utf8_lossy(&out), expected);
}

mod like_the_original {
    use super::*;

    #[test]
    fn text() {
        check(ServerEvent::new("hello"), "data: hello\n\n");
    }

    #[test]
    fn lines() {
        check(
            ServerEvent::lines(["hello", "world"]),
            "data: hello\ndata: world\n\n",
        );
    }

    #[test]
    fn the_order_is_id_event_data() {
        check(
            ServerEvent::new("hello").with_name(FOO).with_id(1),
            "id: 1\nevent: foo\ndata: hello\n\n",
        );
    }

    #[test]
    fn json() {
        let json = serde_json::json!({"message": "hello"});
        let event = ServerEvent::json(&json).unwrap().with_name(FOO).with_id(1);
        check(
            event,
            "id: 1\nevent: foo\ndata: {\"message\":\"hello\"}\n\n",
        );
    }

    #[test]
    fn empty_data_is_an_event() {
        check(ServerEvent::new(""), "data: \n\n");
        check(ServerEvent::lines(["", ""]), "data: \ndata: \n\n");
    }

    #[test]
    fn a_leading_space_is_kept() {
        check(ServerEvent::new(" leading"), "data:  leading\n\n");
    }
}

mod unlike_the_original {
    use super::*;

    #[test]
    fn each_line_end_in_data_starts_one_new_line() {
        check(ServerEvent::new("a\nb"), "data: a\ndata: b\n\n");
        check(ServerEvent::new("a\rb"), "data: a\ndata: b\n\n");
        check(ServerEvent::new("a\r\nb"), "data: a\ndata: b\n\n");
    }

    #[test]
    fn fields_in_data_are_data() {
        check(
            ServerEvent::new("x\n\nevent: evil\ndata: y"),
            "data: x\ndata: \ndata: event: evil\ndata: data: y\n\n",
        );
    }

    #[test]
    fn no_lines_are_an_event_with_empty_data() {
        check(ServerEvent::lines([""; 0]), "data: \n\n");
    }

    #[test]
    fn a_name_or_an_id_alone_gets_an_empty_data_line() {
        let name = EventBuilder::new()
            .name_literal(EventName::from_static("hello"))
            .build()
            .unwrap();
        check(name, "event: hello\ndata: \n\n");
        let id = EventBuilder::new().id(3).build().unwrap();
        check(id, "id: 3\ndata: \n\n");
    }

    #[test]
    fn null_can_be_sent() {
        check(ServerEvent::json(&()).unwrap(), "data: null\n\n");
    }

    #[test]
    fn nan_and_infinity_are_errors() {
        assert!(ServerEvent::json(&f64::NAN).unwrap_err().is_json());
        assert!(ServerEvent::json(&f64::NEG_INFINITY).unwrap_err().is_json());
    }

    #[test]
    fn retry_and_comments_go() {
        let event = ServerEvent::new("x")
            .with_retry(Duration::from_secs(1))
            .with_comment("why")
            .with_name(FOO)
            .with_id(1);
        check(event, ": why\nretry: 1000\nid: 1\nevent: foo\ndata: x\n\n");
    }
}

/// One for each column of the table of what other Rust frameworks do.
mod where_others_fall_short {
    use super::*;

    #[test]
    fn crlf_cr_and_lf_end_a_line_each_once() {
        check(
            ServerEvent::new("a\r\nb\rc\nd\n\re\r\r\nf"),
            "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\ndata: \ndata: f\n\n",
        );
    }

    #[test]
    fn a_lone_cr_does_not_inject() {
        check(
            ServerEvent::new("x\r\revent: evil"),
            "data: x\ndata: \ndata: event: evil\n\n",
        );
    }

    #[test]
    fn a_line_end_at_either_end_of_the_data_is_kept() {
        check(ServerEvent::new("a\n"), "data: a\ndata: \n\n");
        check(ServerEvent::new("\na"), "data: \ndata: a\n\n");
        check(ServerEvent::new("\r\n"), "data: \ndata: \n\n");
    }

    #[test]
    fn empty_data_is_an_event() {
        check(ServerEvent::new(""), "data: \n\n");
    }

    #[test]
    fn a_line_end_in_a_name_or_an_id_is_an_error_and_no_panic() {
        for bad in ["a\nb", "a\rb", "a\r\nb", "\n", "a\n\ndata: evil\n\n"] {
            assert!(EventName::try_from(bad).is_err());
            assert!(EventId::try_from(bad).is_err());
            assert!(
                EventBuilder::new()
                    .name(bad)
                    .data_literal("")
                    .build()
                    .unwrap_err()
                    .is_field()
            );
            assert!(
                EventBuilder::new()
                    .id(bad)
                    .data_literal("")
                    .build()
                    .unwrap_err()
                    .is_field()
            );
        }
    }

    #[test]
    fn a_nul_in_an_id_is_an_error() {
        assert!(
            EventBuilder::new()
                .id("a\0")
                .build()
                .unwrap_err()
                .is_field()
        );
    }

    #[test]
    fn a_field_that_is_set_twice_is_no_panic() {
        check(
            ServerEvent::new("x")
                .with_id(1)
                .with_id(2)
                .with_name(FOO)
                .with_name(FOO),
            "id: 2\nevent: foo\ndata: x\n\n",
        );
    }

    #[test]
    fn a_comment_with_line_ends_is_several_comment_lines() {
        check(
            ServerEvent::comment_only("a\r\nb\rc\nd"),
            ": a\n: b\n: c\n: d\n",
        );
        check(
            ServerEvent::comment_only("x\n\ndata: evil\n\n"),
            ": x\n: \n: data: evil\n: \n: \n",
        );
    }

    #[test]
    fn a_leading_space_is_kept() {
        check(
            ServerEvent::new(" a\n  b\n\tc"),
            "data:  a\ndata:   b\ndata: \tc\n\n",
        );
        check(
            ServerEvent::new("")
                .with_name(EventName::from_static(" n"))
                .with_id(EventId::from_static(" 1")),
            "id:  1\nevent:  n\ndata: \n\n",
        );
    }
}

/// A blank line after these would be an empty event for several clients.
mod without_data {
    use super::*;

    #[test]
    fn a_comment_has_no_blank_line_after_it() {
        check(ServerEvent::comment_only("still here"), ": still here\n");
        check(ServerEvent::comment_only(""), ": \n");
        check(
            ServerEvent::comment_only("keep-alive"),
            std::str::from_utf8(KEEP_ALIVE).unwrap(),
        );
    }

    #[test]
    fn a_retry_has_no_blank_line_after_it() {
        check(
            ServerEvent::retry_only(Duration::from_secs(3)),
            "retry: 3000\n",
        );
        check(
            ServerEvent::retry_only(Duration::ZERO).with_comment("now"),
            ": now\nretry: 0\n",
        );
    }

    #[test]
    fn nothing_is_written_for_nothing() {
        check(
            ServerEvent {
                comment: None,
                retry: None,
                id: None,
                name: None,
                data: None,
            },
            "",
        );
    }
}

#[test]
fn a_fraction_of_a_millisecond_is_rounded_up() {
    check(
        ServerEvent::retry_only(Duration::from_micros(1)),
        "retry: 1\n",
    );
    check(
        ServerEvent::retry_only(Duration::from_micros(1001)),
        "retry: 2\n",
    );
    check(
        ServerEvent::retry_only(Duration::from_micros(2000)),
        "retry: 2\n",
    );
}

#[test]
fn the_longest_retry_is_written_in_full() {
    check(
        ServerEvent::retry_only(Duration::MAX),
        "retry: 18446744073709551616000\n",
    );
}

#[test]
fn what_was_written_before_stays() {
    let mut out = BytesMut::from(": before\n");
    encode(&ServerEvent::new("x"), &mut out);
    assert_eq!(out, ": before\ndata: x\n\n");
}

#[test]
fn thousands_of_lines_are_written() {
    check(
        ServerEvent::new("\n".repeat(1000)),
        &format!("{}\n", "data: \n".repeat(1001)),
    );
    check(
        ServerEvent::comment_only("\r\n".repeat(1000)),
        &": \n".repeat(1001),
    );
}

#[test]
fn the_room_suffices_for_the_longest_event_of_single_lines() {
    let event = ServerEvent::new("x")
        .with_comment("c")
        .with_retry(Duration::MAX)
        .with_id(u64::MAX)
        .with_name(FOO);
    let mut out = BytesMut::new();
    encode(&event, &mut out);
    assert_eq!(out.len(), room(&event));
}

#[test]
fn an_event_gets_its_room_at_once() {
    let text = "x".repeat(777);
    let event = ServerEvent::new(text.clone())
        .with_comment("why")
        .with_id(EventId::from(1))
        .with_retry(std::time::Duration::from_secs(1))
        .with_name(EventName::from_static("name"));
    let mut out = BytesMut::new();
    encode(&event, &mut out);
    assert_eq!(out.capacity(), room(&event));

    let mut out = BytesMut::new();
    encode_data(&text, &mut out);
    assert_eq!((out.len(), out.capacity()), (785, 785));
}
