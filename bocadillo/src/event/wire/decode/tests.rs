//! The standard's own examples and rules, each read whole, byte by byte, and cut in two at every
//! place.

use super::*;

/// What a browser would dispatch: name, data, last event id.
type Dispatched<'a> = (&'a str, &'a str, &'a str);

pub(in crate::event::wire) fn decode_chunks<'a>(
    decoder: &mut Decoder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Decoded>> {
    let mut all = Vec::new();
    for mut chunk in chunks {
        while let Some(decoded) = decoder.decode(&mut chunk)? {
            all.push(decoded);
        }
        assert!(chunk.is_empty(), "`None` means that all is read");
    }
    Ok(all)
}

/// Reads in all the ways there are to cut in two, and byte by byte; they must agree.
#[track_caller]
fn read(stream: &[u8]) -> Vec<Decoded> {
    let whole = decode_chunks(&mut Decoder::new(), [stream]).unwrap();
    let by_byte = decode_chunks(&mut Decoder::new(), stream.chunks(1)).unwrap();
    assert_eq!(by_byte, whole, "byte by byte");
    for cut in 0..stream.len() {
        let (head, tail) = stream.split_at(cut);
        let in_two = decode_chunks(&mut Decoder::new(), [head, &[], tail]).unwrap();
        assert_eq!(in_two, whole, "cut at {cut}");
    }
    whole
}

#[track_caller]
fn check(stream: impl AsRef<[u8]>, expected: &[Dispatched<'_>]) {
    let decoded = read(stream.as_ref());
    let events: Vec<_> = decoded
        .iter()
        .filter_map(|decoded| match decoded {
            Decoded::Event(event) => Some((&*event.name, &*event.data, &*event.last_event_id)),
            _ => None,
        })
        .collect();
    assert_eq!(events, expected);
}

#[track_caller]
fn check_data(stream: impl AsRef<[u8]>, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|data| ("message", *data, "")).collect();
    check(stream, &expected);
}

/// WHATWG HTML, sections 9.2.1 and 9.2.6.
mod examples_of_the_standard {
    use super::*;

    #[test]
    fn messages_of_one_and_two_lines() {
        check_data(
            "data: This is the first message.\n\n\
             data: This is the second message, it\ndata: has two lines.\n\n\
             data: This is the third message.\n\n",
            &[
                "This is the first message.",
                "This is the second message, it\nhas two lines.",
                "This is the third message.",
            ],
        );
    }

    #[test]
    fn named_events() {
        check(
            "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
            &[
                ("add", "73857293", ""),
                ("remove", "2153", ""),
                ("add", "113411", ""),
            ],
        );
    }

    #[test]
    fn stock_quotes() {
        check_data("data: YHOO\ndata: +2\ndata: 10\n\n", &["YHOO\n+2\n10"]);
    }

    #[test]
    fn four_blocks_with_ids() {
        check(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &[
                ("message", "first event", "1"),
                ("message", "second event", ""),
                ("message", " third event", ""),
            ],
        );
    }

    #[test]
    fn four_blocks_the_last_without_its_blank_line() {
        check_data(
            "data: first event\n\ndata:  third event\n",
            &["first event"],
        );
    }

    #[test]
    fn empty_data() {
        check_data("data\n\ndata\ndata\n\ndata:", &["", "\n"]);
    }

    #[test]
    fn a_space_after_the_colon_is_ignored() {
        check_data("data:test\n\ndata: test\n\n", &["test", "test"]);
    }
}

#[test]
fn lf_cr_and_crlf_end_a_line() {
    check_data(
        "data: a\n\ndata: b\r\rdata: c\r\n\r\ndata: d\r\n\n",
        &["a", "b", "c", "d"],
    );
    check_data("data: a\ndata: b\rdata: c\r\ndata: d\n\n", &["a\nb\nc\nd"]);
    check_data("data: a\n\rdata: b\n\r\n", &["a", "b"]);
}

#[test]
fn a_cr_ends_its_line_before_more_comes() {
    let mut decoder = Decoder::new();
    assert_eq!(
        decode_chunks(&mut decoder, [&b"data: a\r\r"[..]])
            .unwrap()
            .len(),
        1
    );
    // The LF belongs to that end: it is no blank line.
    assert_eq!(
        decode_chunks(&mut decoder, [&b"\ndata: b\r"[..], b"\n", b"\n"])
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn one_byte_order_mark_is_ignored_at_the_start() {
    check_data("\u{feff}data: a\n\n", &["a"]);
    check_data("\u{feff}\n\ndata: a\n\n", &["a"]);
    check_data("\u{feff}\u{feff}data: a\n\n", &[]);
    check_data("\n\u{feff}data: a\n\n", &[]);
    check_data("data: \u{feff}a\n\n", &["\u{feff}a"]);
    check_data(b"\xef\xbbdata: a\n\n", &[]);
}

#[test]
fn one_leading_space_is_removed() {
    check_data(
        "data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\ndata: \n\n",
        &["a", "a", " a", "\ta", ""],
    );
}

#[test]
fn a_later_colon_is_part_of_the_value() {
    check_data("data: a: b\n\ndata::\n\n", &["a: b", ":"]);
}

#[test]
fn unknown_fields_are_ignored() {
    check_data(
        "Data: a\n\n data: b\n\ndatas: c\nfoo\né: d\ndata: e\nDATA\n\n",
        &["e"],
    );
    check_data(b"da\0ta: a\n\xff: b\n\n", &[]);
}

#[test]
fn a_line_without_a_colon_is_a_field_without_a_value() {
    check(
        "event: a\nevent\nid: 1\nid\ndata\n\n",
        &[("message", "", "")],
    );
}

#[test]
fn the_end_of_the_stream_ends_no_event() {
    check_data("data: a\n\ndata: cut", &["a"]);
    check_data("data: a\n\ndata: cut\n", &["a"]);
    check_data("data: a\n\ndata: cut\r", &["a"]);
    check_data("data: whole\r\n\r", &["whole"]);
}

#[test]
fn a_block_without_data_dispatches_nothing_and_loses_its_name() {
    check("event: a\n\ndata: b\n\n", &[("message", "b", "")]);
    check("\n\n\n", &[]);
}

mod ids {
    use super::*;

    #[test]
    fn an_id_counts_until_the_next() {
        check(
            "id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\nid\ndata: d\n\n",
            &[
                ("message", "a", "1"),
                ("message", "b", "1"),
                ("message", "c", "2"),
                ("message", "d", ""),
            ],
        );
    }

    #[test]
    fn an_id_with_a_nul_is_ignored() {
        check(
            "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
            &[("message", "a", "1"), ("message", "b", "1")],
        );
    }

    #[test]
    fn the_last_of_several_wins() {
        check("id: 1\nid: 2\ndata: a\n\n", &[("message", "a", "2")]);
    }

    #[test]
    fn it_counts_from_the_blank_line_on() {
        let mut decoder = Decoder::new();
        decode_chunks(&mut decoder, [&b"id: 1\n\nid: 2\ndata: cut"[..]]).unwrap();
        assert_eq!(decoder.last_event_id(), "1");
    }

    #[test]
    fn a_resumed_stream_starts_with_one() {
        let mut decoder = Decoder::new().resume_from("7");
        assert_eq!(decoder.last_event_id(), "7");
        let decoded = decode_chunks(&mut decoder, [&b"data: a\n\nid\ndata: b\n\n"[..]]).unwrap();
        let ids = decoded.iter().map(|decoded| match decoded {
            Decoded::Event(event) => &*event.last_event_id,
            other => panic!("{other:?}"),
        });
        assert_eq!(ids.collect::<Vec<_>>(), ["7", ""]);
    }
}

#[test]
fn retry_is_digits_and_nothing_else() {
    let stream = b"retry: 1\nretry:20\nretry\nretry:\nretry:  3\nretry: -4\nretry: +5\nretry: 6ms\nretry: 7 \n\
        retry: \xd9\xa3\nretry: 0\nretry: 99999999999999999999999\n";
    let millis: Vec<_> = read(stream)
        .into_iter()
        .map(|decoded| match decoded {
            Decoded::Retry(retry) => retry.as_millis(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(millis, [1, 20, 0, u128::from(u64::MAX)]);
}

#[test]
fn comments_are_given_out_where_they_stand() {
    let decoded = read(b":a\n: b\n:  c\n:\n:d:e\ndata: x\n: y\n\n");
    let comments: Vec<_> = decoded
        .iter()
        .filter_map(|decoded| match decoded {
            Decoded::Comment(comment) => Some(&**comment),
            _ => None,
        })
        .collect();
    assert_eq!(comments, ["a", "b", " c", "", "d:e", "y"]);
    assert!(matches!(decoded.last(), Some(Decoded::Event(event)) if event.data == "x"));
}

mod utf8 {
    use super::*;

    #[test]
    fn characters_may_be_cut_anywhere() {
        check("id: 日\nevent: é\ndata: 🦀𝄞\n\n", &[("é", "🦀𝄞", "日")]);
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        check_data(b"data: a\xffb\n\n", &["a\u{fffd}b"]);
        // A character that the line's end cuts does not swallow it.
        check_data(b"data: \xf0\x9f\xa6\n\n", &["\u{fffd}"]);
        // One for each maximal part, as the Encoding standard has it.
        check_data(
            b"data: \xf0\x80\x80\xe2\x82\n\n",
            &["\u{fffd}\u{fffd}\u{fffd}\u{fffd}"],
        );
        check_data(b"data: \xed\xa0\x80\n\n", &["\u{fffd}\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn what_looks_like_a_line_end_is_none() {
        check_data(
            "data: a\u{85}b\u{2028}c\u{b}d\u{c}e\n\n",
            &["a\u{85}b\u{2028}c\u{b}d\u{c}e"],
        );
    }
}

mod limits {
    use super::*;

    const MIB: usize = 1 << 20;

    fn long_event(length: usize) -> Vec<u8> {
        [b"data: ", &*vec![b'x'; length], b"\n\n"].concat()
    }

    /// In every way to cut, the same stream passes or fails.
    #[track_caller]
    fn check(decoder: &Decoder, stream: &[u8], passes: bool) {
        for size in [1, 2, 3, 7, stream.len()] {
            let result = decode_chunks(&mut decoder.clone(), stream.chunks(size));
            match result {
                Ok(_) => assert!(passes, "in pieces of {size}"),
                Err(error) => assert!(
                    !passes && error.is_too_long(),
                    "in pieces of {size}: {error:?}"
                ),
            }
        }
    }

    #[test]
    fn a_line_of_5_mib_passes_without_a_bound_and_by_default() {
        let stream = long_event(5 * MIB);
        for mut decoder in [
            Decoder::new(),
            Decoder::new().max_line(usize::MAX).max_data(usize::MAX),
        ] {
            let decoded = decode_chunks(&mut decoder, stream.chunks(16 * 1024)).unwrap();
            assert!(matches!(&decoded[..], [Decoded::Event(event)] if event.data.len() == 5 * MIB));
        }
    }

    #[test]
    fn a_line_of_5_mib_is_an_error_with_a_bound_and_is_not_held() {
        let stream = long_event(5 * MIB);
        let mut decoder = Decoder::new().max_line(MIB);
        let error = decode_chunks(&mut decoder, stream.chunks(16 * 1024)).unwrap_err();
        assert!(error.is_too_long());
        assert!(decoder.line.capacity() <= 2 * MIB);
    }

    #[test]
    fn a_line_and_an_events_data_have_16_mib_by_default() {
        let takes = |stream: &[u8]| decode_chunks(&mut Decoder::new(), [stream]).is_ok();
        let limit = 16 * MIB;
        let mut line = vec![b' '; limit];
        line[0] = b':';
        line.push(b'\n');
        assert!(takes(&line));
        line.insert(0, b':');
        assert!(!takes(&line));

        let data = |second: usize| {
            let mut stream = b"data:".to_vec();
            stream.resize(stream.len() + 10 * MIB, b'x');
            stream.extend_from_slice(b"\ndata:");
            stream.resize(stream.len() + second, b'x');
            stream.extend_from_slice(b"\n\n");
            stream
        };
        // The line feed between the two lines counts.
        assert!(takes(&data(6 * MIB - 1)));
        assert!(!takes(&data(6 * MIB)));
    }

    #[test]
    fn the_bound_of_a_line_is_exact() {
        let decoder = Decoder::new().max_line(10);
        check(&decoder, b"data: 7890\n\n", true);
        check(&decoder, b"data: 7890\r\n\r\n", true);
        check(&decoder, b"data: 78901\n\n", false);
        check(&decoder, b": 345678901\n", false);
        check(&decoder, b"unknown: 1234\n", false);
        check(&decoder, b"no end in sight", false);
    }

    #[test]
    fn the_bound_of_the_data_is_exact_over_its_lines() {
        let decoder = Decoder::new().max_data(5);
        check(&decoder, b"data: ab\ndata: cd\n\n", true);
        check(&decoder, b"data: ab\ndata: cde\n\n", false);
        check(&decoder, b"data: 12345\n\ndata: 12345\n\n", true);
        check(&decoder, &b"data\n".repeat(6), true);
        check(&decoder, &b"data\n".repeat(7), false);
    }

    #[test]
    fn comments_without_end_are_not_held() {
        let mut decoder = Decoder::new().max_line(100).max_data(100);
        for _ in 0..100_000 {
            decode_chunks(&mut decoder, [&b": keep-alive\nunknown: field\n"[..]]).unwrap();
        }
        assert!(!decoder.is_in_event());
    }

    #[test]
    fn after_an_error_every_call_fails() {
        let mut decoder = Decoder::new().max_line(4);
        assert!(decoder.decode(&mut &b"12345"[..]).is_err());
        let error = decoder.decode(&mut &b"\n\n"[..]).unwrap_err();
        assert!(error.is_too_long());
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(
            source,
            "a line has more than 4 bytes: `Decoder::max_line` allows more"
        );
    }

    /// Work that is quadratic in the length would take hours here.
    #[test]
    fn a_line_of_5_mib_may_come_byte_by_byte() {
        let stream = long_event(5 * MIB);
        assert_eq!(
            decode_chunks(&mut Decoder::new(), stream.chunks(1))
                .unwrap()
                .len(),
            1
        );
    }
}

#[test]
fn it_says_whether_it_is_in_an_event() {
    #[track_caller]
    fn check(stream: &str, expected: bool) {
        let mut decoder = Decoder::new();
        decode_chunks(&mut decoder, [stream.as_bytes()]).unwrap();
        assert_eq!(decoder.is_in_event(), expected, "{stream:?}");
    }
    check("", false);
    check("d", true);
    check("data: a\n", true);
    check("id: a\n", true);
    check("data: a\n\n", false);
    check("data: a\r\n\r", false);
    check(": comment\nretry: 5\nunknown\n", false);
    check(": comm", true);
}
