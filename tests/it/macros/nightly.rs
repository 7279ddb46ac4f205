//! The keyword in a plain attribute. It needs an unstable feature of the compiler: on nightly, or with
//! `RUSTC_BOOTSTRAP` as here. Cargo builds the program in a separate folder with only the macros. A runtime of twenty
//! lines replaces the real library, because building that again would take a minute.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::target;

const PROGRAM: &str = r#"
#![feature(yield_expr)]
#![deny(warnings)]

use bocadillo_macros::event_stream;

mod runtime {
    pub use bocadillo_macros::yield_;

    pub type EventStream = Vec<String>;

    pub mod private {
        use std::cell::RefCell;
        use std::pin::pin;
        use std::rc::Rc;
        use std::task::{Context, Poll, Waker};

        #[derive(Clone)]
        pub struct Yield(Rc<RefCell<Vec<String>>>);

        impl Yield {
            pub async fn send(&self, text: &str) -> bool {
                self.0.borrow_mut().push(text.to_owned());
                true
            }
        }

        pub fn event_stream<F: Future>(start: impl FnOnce(Yield) -> F) -> Vec<String> {
            let sent = Rc::default();
            let future = pin!(start(Yield(Rc::clone(&sent))));
            assert!(matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_)));
            sent.take()
        }
    }
}

#[event_stream(crate = crate::runtime)]
async fn feed() {
    if yield "a" {
        let _ = yield "b";
    }
    while !yield "c" {}
    match yield "d" {
        true => { let _ = (yield "e").then_some(()); }
        false => {}
    }
}

fn main() {
    println!("{}", feed().join(""));
}
"#;

#[test]
fn the_keyword_works_in_a_plain_attribute_with_the_compilers_feature() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nightly-row");
    fs::create_dir_all(package.join("src")).unwrap();
    fs::write(package.join("src/main.rs"), PROGRAM).unwrap();
    fs::write(
        package.join("Cargo.toml"),
        format!(
            "[package]\nname = \"nightly-row\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\nbocadillo-macros = {{ path = {:?} }}\n[workspace]\n",
            root.join("bocadillo-macros")
        ),
    )
    .unwrap();
    // With the versions of the workspace, cargo downloads nothing.
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline"])
        .current_dir(&package)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", target().join("nightly-row"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "abcde\n",
        "{errors}"
    );
}
