//! Expanded code causes no warning of lints that strict users enable.
#![deny(
    warnings,
    unused,
    nonstandard_style,
    rust_2018_idioms,
    missing_docs,
    missing_debug_implementations,
    missing_copy_implementations,
    unreachable_pub,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unused_import_braces,
    unused_lifetimes,
    unused_macro_rules,
    unused_qualifications,
    unused_results,
    let_underscore_drop,
    redundant_lifetimes,
    unit_bindings,
    variant_size_differences,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::cargo
)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::infinite_loop,
    clippy::shadow_same,
    clippy::shadow_reuse,
    clippy::shadow_unrelated,
    clippy::implicit_return,
    clippy::missing_docs_in_private_items,
    clippy::let_underscore_untyped,
    clippy::let_underscore_must_use,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::absolute_paths,
    clippy::wildcard_imports,
    clippy::semicolon_if_nothing_returned,
    clippy::question_mark_used,
    clippy::single_call_fn,
    clippy::default_numeric_fallback,
    clippy::ref_patterns,
    clippy::pattern_type_mismatch
)]
#![allow(
    clippy::multiple_crate_versions,
    clippy::cargo_common_metadata,
    clippy::redundant_pub_crate,
    reason = "the workspace's affair"
)]
#![expect(
    clippy::implicit_return,
    clippy::question_mark_used,
    clippy::single_call_fn,
    clippy::absolute_paths,
    reason = "of the code in this file, not of expanded code"
)]

/// Functions with the keyword.
pub(crate) mod keyword {
    use bocadillo::{
        Client, ClientDisconnect, Json, State, event_stream, generators, route, server_event,
        stream,
    };
    use std::time::Duration;

    generators!(
        /// Has all parts that a generator can have.
        ///
        /// # Errors
        ///
        /// Ends in the middle of the stream.
        #[route("/rooms/{room}/{id}", methods = [GET, POST])]
        #[event_stream(
            raise_on_disconnect,
            keep_alive = Duration::from_secs(1),
            retry = Duration::from_secs(1),
            cleanup_timeout = Duration::from_secs(1),
            max_lifetime = Duration::from_secs(1)
        )]
        pub(crate) async fn everything(
            room: String,
            State(state): State<String>,
            mut id: u8,
            _client: Client,
            _: Client,
            Json(body): Json<String>,
        ) -> Result<(), ClientDisconnect> {
            id = id.wrapping_add(1);
            (yield server_event!("name", id = id, json = {"room": room, (state): [null, body]}))?;
            if let Err(ClientDisconnect) = yield "data" {
                return Ok(());
            }
            while (yield "more").is_ok() {
                tokio::select! {
                    () = core::future::ready(()) => {
                        (yield "nested")?;
                    }
                }
            }
            let last = yield "last";
            last
        }

        /// Never ends.
        #[event_stream(keep_alive = off)]
        pub(crate) async fn endless() {
            loop {
                yield "data";
            }
        }

        /// Bytes.
        #[stream(content_type = "text/plain")]
        pub(crate) async fn bytes(count: u8) {
            for _number in 0..count {
                yield "chunk";
            }
        }
    );
}

/// Functions without the keyword.
pub(crate) mod plain {
    use bocadillo::{event_stream, route, yield_};

    /// The plain attribute.
    #[event_stream]
    pub(crate) async fn feed() {
        yield_!("data");
    }

    /// A view.
    #[route("/")]
    pub(crate) fn index() -> String {
        String::from("index")
    }

    /// Another.
    #[route("/{id}")]
    pub(crate) fn item(id: u8) -> String {
        id.to_string()
    }
}

#[test]
fn expanded_code_causes_no_warnings() {
    let app = bocadillo::App::with_state(String::new()).routes(bocadillo::routes![
        keyword::everything,
        plain::index,
        plain::item
    ]);
    drop(app);
    drop((keyword::endless(), keyword::bytes(1), plain::feed()));
}
