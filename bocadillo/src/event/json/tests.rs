//! What the macro writes token by token is what `serde_json` would have written, and no number that
//! JSON lacks gets through, however deep.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::ser::SerializeMap;
use serde_json::{Value, json};

use super::*;

#[track_caller]
fn check<T: Serialize + ?Sized>(value: &T, expected: &str) {
    assert_eq!(to_string(value).unwrap(), expected);
}

#[track_caller]
fn check_refused<T: Serialize + ?Sized>(value: &T) {
    let error = to_string(value).unwrap_err();
    assert!(error.is_json());
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("finite") || source.contains("JSON has no number"),
        "{source}"
    );
}

#[test]
fn an_object_is_written_as_the_macro_asks() {
    let (x, y) = (1.5, "é\n");
    let mut writer = JsonWriter::new();
    writer.begin_object();
    writer.key("a");
    writer.value(&x);
    writer.key(String::from("b\""));
    writer.begin_array();
    writer.value(&1);
    writer.value(y);
    writer.begin_array();
    writer.end_array();
    writer.null();
    writer.end_array();
    writer.key("c");
    writer.begin_object();
    writer.key("d");
    writer.null();
    writer.end_object();
    writer.key("e");
    writer.begin_object();
    writer.end_object();
    writer.end_object();
    assert_eq!(
        writer.finish().unwrap(),
        r#"{"a":1.5,"b\"":[1,"é\n",[],null],"c":{"d":null},"e":{}}"#
    );
}

#[test]
fn the_first_error_is_kept() {
    let mut writer = JsonWriter::new();
    writer.begin_array();
    writer.value(&f64::INFINITY);
    writer.value(&HashMap::from([(vec![1], 2)]));
    writer.end_array();
    let error = writer.finish().unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(
        source,
        "JSON has no number for inf: send an `Option` that is `None`, or text, in its place"
    );
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Newtype(f64);

#[derive(Serialize)]
struct Tuple(u8, f32);

#[derive(Serialize)]
struct Struct {
    number: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<f64>,
}

#[derive(Serialize)]
struct Flat {
    #[serde(flatten)]
    inner: Struct,
}

#[derive(Serialize)]
enum Enum {
    Unit,
    Newtype(f64),
    Tuple(u8, f64),
    Struct { number: f64 },
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Tagged {
    Struct { number: f64 },
}

#[test]
fn every_shape_is_handed_on() {
    check(&true, "true");
    check(&i8::MIN, "-128");
    check(&u64::MAX, "18446744073709551615");
    check(&u128::MAX, "340282366920938463463374607431768211455");
    check(&i128::MIN, "-170141183460469231731687303715884105728");
    check(&1.0_f32, "1.0");
    check(&f64::MIN_POSITIVE, "2.2250738585072014e-308");
    check(&-0.0, "-0.0");
    check(&'é', "\"é\"");
    check("a\"\\\n\u{2028}", "\"a\\\"\\\\\\n\u{2028}\"");
    check(&b"ab"[..], "[97,98]");
    check(&(), "null");
    check(&None::<f64>, "null");
    check(&Some(1), "1");
    check(&Unit, "null");
    check(&Newtype(1.0), "1.0");
    check(&Tuple(1, 2.0), "[1,2.0]");
    check(
        &Struct {
            number: 1.0,
            skipped: None,
        },
        r#"{"number":1.0}"#,
    );
    check(
        &Flat {
            inner: Struct {
                number: 1.0,
                skipped: Some(2.0),
            },
        },
        r#"{"number":1.0,"skipped":2.0}"#,
    );
    check(&Enum::Unit, "\"Unit\"");
    check(&Enum::Newtype(1.0), r#"{"Newtype":1.0}"#);
    check(&Enum::Tuple(1, 2.0), r#"{"Tuple":[1,2.0]}"#);
    check(
        &Enum::Struct { number: 1.0 },
        r#"{"Struct":{"number":1.0}}"#,
    );
    check(
        &Tagged::Struct { number: 1.0 },
        r#"{"type":"Struct","number":1.0}"#,
    );
    check(
        &BTreeMap::from([(1, "a"), (2, "b")]),
        r#"{"1":"a","2":"b"}"#,
    );
    check(&format_args!("{}-{}", 1, 2), "\"1-2\"");
    check(&std::net::Ipv4Addr::LOCALHOST, "\"127.0.0.1\"");
    check(
        &json!({"a": [1, null, {"b": 2.5}]}),
        r#"{"a":[1,null,{"b":2.5}]}"#,
    );
}

#[test]
fn raw_json_is_handed_on() {
    let raw = serde_json::value::RawValue::from_string("{ \"a\":1e400 }".to_owned()).unwrap();
    check(&raw, "{ \"a\":1e400 }");
    check(&[&raw], "[{ \"a\":1e400 }]");
}

#[test]
fn nan_and_infinity_are_refused_wherever_they_are() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        check_refused(&number);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "none of them has digits to lose"
        )]
        let short = number as f32;
        check_refused(&short);
        check_refused(&Some(number));
        check_refused(&[1.0, number]);
        check_refused(&(1, number));
        check_refused(&Newtype(number));
        check_refused(&Tuple(1, short));
        check_refused(&Struct {
            number,
            skipped: None,
        });
        check_refused(&Struct {
            number: 1.0,
            skipped: Some(number),
        });
        check_refused(&Flat {
            inner: Struct {
                number,
                skipped: None,
            },
        });
        check_refused(&Enum::Newtype(number));
        check_refused(&Enum::Tuple(1, number));
        check_refused(&Enum::Struct { number });
        check_refused(&Tagged::Struct { number });
        check_refused(&BTreeMap::from([("a", number)]));
        check_refused(&BTreeMap::from([("a", vec![Some(Newtype(number))])]));
        check_refused(&Box::new(number));
    }
}

/// A map whose keys are numbers, which no map of the standard library holds.
struct Keyed(f64);

impl Serialize for Keyed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, 1)])
    }
}

/// A map that is written key by key and value by value, as a hand-written `Serialize` may.
struct Stepwise(f64);

impl Serialize for Stepwise {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_key("a")?;
        map.serialize_value(&self.0)?;
        map.end()
    }
}

#[test]
fn nan_and_infinity_are_refused_as_values_of_their_own_step() {
    check(&Stepwise(1.5), r#"{"a":1.5}"#);
    check_refused(&Stepwise(f64::NAN));
}

#[test]
fn nan_and_infinity_are_refused_as_keys() {
    check(&Keyed(1.5), r#"{"1.5":1}"#);
    check_refused(&Keyed(f64::NAN));
    check_refused(&Keyed(f64::INFINITY));
}

#[test]
fn a_failing_serialize_is_an_error() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no such luck"))
        }
    }
    let error = to_string(&[Fails]).unwrap_err();
    assert!(error.is_json());
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "no such luck"
    );
    assert!(
        to_string(&BTreeMap::from([(vec![1], 1)]))
            .unwrap_err()
            .is_json()
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..5).prop_map(Value::from_iter),
        ]
    })
}

fn write(writer: &mut JsonWriter, value: &Value) {
    match value {
        Value::Array(array) => {
            writer.begin_array();
            array.iter().for_each(|value| write(writer, value));
            writer.end_array();
        }
        Value::Object(object) => {
            writer.begin_object();
            for (key, value) in object {
                writer.key(key);
                write(writer, value);
            }
            writer.end_object();
        }
        Value::Null => writer.null(),
        leaf => writer.value(leaf),
    }
}

proptest! {
    #[test]
    fn token_by_token_is_as_in_one_go(value in value()) {
        let mut writer = JsonWriter::new();
        write(&mut writer, &value);
        let expected = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(writer.finish().unwrap(), expected.clone());
        prop_assert_eq!(to_string(&value).unwrap(), expected);
    }
}

#[test]
fn a_text_of_up_to_128_bytes_is_one_allocation() {
    let mut writer = JsonWriter::new();
    let place = writer.out.as_ptr();
    writer.value(&"x".repeat(126));
    assert_eq!((writer.out.len(), writer.out.as_ptr()), (128, place));
}
