//! Tests that the operand of each `yield` is the same as in rustc's grammar.

use super::*;

#[track_caller]
fn check(source: &str, expected: &str) {
    let tokens: TokenStream = source.parse().unwrap();
    let expected: TokenStream = expected
        .replace("yield_!", "::bocadillo::yield_!")
        .parse()
        .unwrap();
    let dense = |tokens: TokenStream| tokens.to_string().replace(' ', "");
    assert_eq!(dense(in_items(tokens, &Runtime::at(None))), dense(expected));
}

/// Checks that the function body `source` is rewritten to `expected`.
#[track_caller]
fn check_body(source: &str, expected: &str) {
    check(
        &format!("async fn f() {{ {source} }}"),
        &format!("async fn f() {{ {expected} }}"),
    );
}

#[test]
fn a_statement() {
    check_body("yield 1;", "yield_!(1);");
    check_body("yield \"a\"", "yield_!(\"a\")");
    check_body(
        "yield -x; yield &y; yield ::a::b(); yield <T>::new();",
        "yield_!(-x); yield_!(&y); yield_!(::a::b()); yield_!(<T>::new());",
    );
}

#[test]
fn the_operand_reaches_as_far_as_rustc_reads_it() {
    check_body("let a = yield b + c;", "let a = yield_!(b + c);");
    check_body("(yield x)?;", "(yield_!(x))?;");
    check_body("yield x?;", "yield_!(x?);");
    check_body("f(yield x, yield y)", "f(yield_!(x), yield_!(y))");
    check_body("a || yield b", "a || yield_!(b)");
    check_body("yield |x| x", "yield_!(|x| x)");
    check_body("yield yield x", "yield_!(yield_!(x))");
    check_body("return yield x;", "return yield_!(x);");
    check_body("(yield x).is_err()", "(yield_!(x)).is_err()");
    check_body(
        "yield match a { b => yield c, d => e };",
        "yield_!(match a { b => yield_!(c), d => e });",
    );
}

#[test]
fn a_brace_after_the_operand_of_a_head_is_not_its_own() {
    check_body(
        "if let Err(e) = yield event { return; }",
        "if let Err(e) = yield_!(event) { return; }",
    );
    check_body(
        "while let Ok(()) = yield event { }",
        "while let Ok(()) = yield_!(event) { }",
    );
    check_body(
        "while (yield event).is_ok() { }",
        "while (yield_!(event)).is_ok() { }",
    );
    check_body(
        "match yield event { Ok(()) => {} Err(_) => return }",
        "match yield_!(event) { Ok(()) => {} Err(_) => return }",
    );
    check_body(
        "if let Err(e) = yield m!(json = {\"a\": 1}) { return; }",
        "if let Err(e) = yield_!(m!(json = {\"a\": 1})) { return; }",
    );
    check_body(
        "let Ok(()) = yield event else { return };",
        "let Ok(()) = yield_!(event) else { return };",
    );
}

#[test]
fn a_struct_is_an_operand_elsewhere() {
    check_body("yield Event { a: 1 };", "yield_!(Event { a: 1 });");
}

#[test]
fn other_macros() {
    check_body(
        "tokio::select! { _ = f() => { yield 1; } }",
        "tokio::select! { _ = f() => { yield_!(1); } }",
    );
    check_body(
        "tokio::select! { _ = f() => yield 1, _ = g() => yield 2 }",
        "tokio::select! { _ = f() => yield_!(1), _ = g() => yield_!(2) }",
    );
    check_body(
        "tokio::select! { _ = f() => { if let Err(e) = yield event { return; } } }",
        "tokio::select! { _ = f() => { if let Err(e) = yield_!(event) { return; } } }",
    );
    check_body(
        "tokio::select! { _ = f() => if let Err(e) = yield event { return; }, }",
        "tokio::select! { _ = f() => if let Err(e) = yield_!(event) { return; }, }",
    );
    check_body(
        "assert!(matches!(yield x, Ok(())));",
        "assert!(matches!(yield_!(x), Ok(())));",
    );
    check_body(
        "join!(async { yield 1; }, async { yield 2 })",
        "join!(async { yield_!(1); }, async { yield_!(2) })",
    );
    check_body(
        "m!(a = yield x; b = yield y)",
        "m!(a = yield_!(x); b = yield_!(y))",
    );
    check_body(
        "m!(match yield x { } => 1)",
        "m!(match yield_!(x) { } => 1)",
    );
}

#[test]
fn nothing_to_send() {
    check_body("yield;", "yield_!();");
    check_body("f(yield, 1)", "f(yield_!(), 1)");
    check_body(
        "let Ok(()) = yield else { return };",
        "let Ok(()) = yield_!() else { return };",
    );
}

#[test]
fn code_with_a_mistake_keeps_its_other_parts_right() {
    check_body(
        "foo.; if a { if let Err(e) = yield event { return; } } yield 1;",
        "foo.; if a { if let Err(e) = yield_!(event) { return; } } yield_!(1);",
    );
}

#[test]
fn modules_and_impls_are_read_through_and_the_rest_is_untouched() {
    check(
        "struct S { yields: u8 } mod m { impl S { pub async fn f(&self) { yield 1; } } } const X: u8 = 1 ;",
        "struct S { yields: u8 } mod m { impl S { pub async fn f(&self) { yield_!(1); } } } const X: u8 = 1 ;",
    );
    check(
        "fn a() { syn cannot read this } fn b() { yield 1; }",
        "fn a() { syn cannot read this } fn b() { yield_!(1); }",
    );
}

#[test]
fn only_what_rustc_would_parse_counts_as_parsed() {
    let tokens: TokenStream =
        "yield 1; select! { _ = f() => { yield 2; } } let a = async { yield 3 };"
            .parse()
            .unwrap();
    assert_eq!(in_body(tokens, &Runtime::at(None)).parsed.len(), 2);
}
