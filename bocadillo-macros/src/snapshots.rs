//! Snapshots of expansions. The expansion of `snapshots/NAME.rs` is in `snapshots/NAME.expanded.rs`.
//!
//! To update them, run `BLESS=1 cargo test -p bocadillo-macros snapshots`, and read the diff.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::ToTokens as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Expr, File, Item, Macro, Stmt};

use crate::entry;
use crate::model::StreamKind;

#[test]
fn snapshots() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    let bless = std::env::var_os("BLESS").is_some();
    let mut sources: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    sources.retain(|path| !path.to_string_lossy().ends_with(".expanded.rs"));
    sources.sort();
    assert!(!sources.is_empty());
    let mut differing = Vec::new();
    for source in sources {
        let expanded = expand(&fs::read_to_string(&source).unwrap());
        let target = source.with_extension("expanded.rs");
        if bless {
            fs::write(target, expanded).unwrap();
        } else if fs::read_to_string(&target).unwrap_or_default() != expanded {
            differing.push(format!("{}:\n{expanded}", target.display()));
        }
    }
    assert!(
        differing.is_empty(),
        "BLESS=1 accepts these:\n{}",
        differing.join("\n")
    );
}

/// With `crate = path`, generated code does not use the default path.
#[test]
fn every_macro_has_the_option_crate() {
    let expanded = expand(
        r#"
        generators!(crate = web::sse;
            #[route("/{id}", crate = web::sse)]
            #[event_stream(crate = web::sse, keep_alive = off)]
            async fn numbers(id: u32, state: State<u8>, body: Json<u8>) {
                yield server_event!("n", json = {"id": id}, data = "x", crate = web::sse);
            }
        );
        #[stream(crate = web::sse, content_type = "text/plain")]
        async fn text() -> Result<(), E> {
            web::sse::yield_!("text");
        }
        fn all() {
            routes![crate = web::sse; numbers];
        }
        "#,
    );
    assert!(!expanded.contains("bocadillo"), "{expanded}");
}

fn expand(source: &str) -> String {
    let mut file: File = syn::parse_str(source).unwrap();
    let mut items = Vec::new();
    for item in file.items {
        expand_item(item, &mut items);
    }
    file.items = items;
    Bodies.visit_file_mut(&mut file);
    prettyplease::unparse(&file)
}

/// Expands the macros of this crate in the same order as rustc, beginning with the outermost.
fn expand_item(mut item: Item, done: &mut Vec<Item>) {
    let expanded = match &mut item {
        Item::Macro(call) if call.mac.path.is_ident("generators") => {
            Some(entry::generators(call.mac.tokens.clone()))
        }
        Item::Fn(function) => function
            .attrs
            .iter()
            .position(|attribute| expander(attribute).is_some())
            .map(|first| function.attrs.remove(first))
            .map(|attribute| {
                let arguments = match &attribute.meta {
                    syn::Meta::List(list) => list.tokens.clone(),
                    _ => TokenStream::new(),
                };
                expander(&attribute).unwrap()(arguments, function.to_token_stream())
            }),
        _ => None,
    };
    match expanded {
        Some(tokens) => {
            let file: File = syn::parse2(tokens).unwrap();
            file.items
                .into_iter()
                .for_each(|item| expand_item(item, done));
        }
        None => done.push(item),
    }
}

type Expander = fn(TokenStream, TokenStream) -> TokenStream;

fn expander(attribute: &Attribute) -> Option<Expander> {
    match attribute.path().get_ident()?.to_string().as_str() {
        "route" => Some(entry::route),
        "event_stream" => {
            Some(|arguments, item| entry::generator(StreamKind::Events, arguments, item))
        }
        "stream" => Some(|arguments, item| entry::generator(StreamKind::Bytes, arguments, item)),
        _ => None,
    }
}

struct Bodies;

fn expand_call(mac: &Macro) -> Option<Expr> {
    let tokens = mac.tokens.clone();
    if tokens.to_string() == "@" {
        // It expands to no tokens, so it is not an expression.
        return None;
    }
    let expanded = match mac.path.segments.last()?.ident.to_string().as_str() {
        "yield_" => entry::yield_(tokens),
        "server_event" => entry::server_event(tokens),
        "routes" => entry::routes(tokens),
        _ => return None,
    };
    Some(syn::parse2(expanded).unwrap())
}

impl VisitMut for Bodies {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        if let Expr::Macro(call) = expression
            && let Some(expanded) = expand_call(&call.mac)
        {
            *expression = expanded;
        }
        visit_mut::visit_expr_mut(self, expression);
    }

    fn visit_stmt_mut(&mut self, statement: &mut Stmt) {
        if let Stmt::Macro(call) = statement
            && let Some(expanded) = expand_call(&call.mac)
        {
            *statement = Stmt::Expr(expanded, call.semi_token);
        }
        visit_mut::visit_stmt_mut(self, statement);
    }
}
