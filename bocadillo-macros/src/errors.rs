//! Collects compile errors, so that one pass over an item reports all of its mistakes.

use std::cell::RefCell;
use std::fmt::Display;
use std::thread;

use proc_macro2::{Span, TokenStream};

/// Collects the errors of one macro call.
///
/// It panics if it is dropped without [`check`](Self::check), because the user's mistakes would be lost.
#[derive(Default)]
pub(crate) struct Context {
    errors: RefCell<Option<Vec<syn::Error>>>,
}

impl Context {
    pub(crate) fn new() -> Self {
        Self {
            errors: RefCell::new(Some(Vec::new())),
        }
    }

    /// Records a mistake. The message says what is wrong, and then what to write. It is in lower case, with names in
    /// backticks and no full stop.
    pub(crate) fn error(&self, span: Span, message: impl Display) {
        self.syn_error(syn::Error::new(span, message));
    }

    pub(crate) fn syn_error(&self, error: syn::Error) {
        self.errors
            .borrow_mut()
            .as_mut()
            .expect("a context takes errors until it is checked")
            .push(error);
    }

    /// Returns the value of an `Ok`. Records the error of an `Err`, and returns `None`.
    pub(crate) fn ok<T>(&self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.syn_error(error)).ok()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors
            .borrow()
            .as_ref()
            .is_some_and(|errors| !errors.is_empty())
    }

    /// Returns a call of `compile_error!` for each recorded error.
    pub(crate) fn check(self) -> TokenStream {
        let errors = self
            .errors
            .borrow_mut()
            .take()
            .expect("`check` consumes the context");
        errors.iter().map(syn::Error::to_compile_error).collect()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if !thread::panicking() && self.errors.borrow().is_some() {
            panic!("errors were collected and never checked");
        }
    }
}

/// Returns ``"; did you mean `near`?"`` if a candidate is similar to `written`. Otherwise returns the list of all
/// candidates.
pub(crate) fn suggestion(written: &str, candidates: &[&str]) -> String {
    let near = candidates
        .iter()
        .map(|candidate| {
            (
                distance(&written.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((_, candidate)) => format!("did you mean `{candidate}`?"),
        None => format!("expected {}", list(candidates)),
    }
}

/// Formats names as `` `a`, `b` or `c` ``.
pub(crate) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, head)) => format!("{} or {last}", head.join(", ")),
        None => String::new(),
    }
}

/// The edit distance: how many letters have to be inserted, deleted, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_gets_the_list() {
        let known = ["keep_alive", "retry"];
        assert_eq!(
            suggestion("keep_alvie", &known),
            "did you mean `keep_alive`?"
        );
        assert_eq!(suggestion("rety", &known), "did you mean `retry`?");
        assert_eq!(
            suggestion("timeout", &known),
            "expected `keep_alive` or `retry`"
        );
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("get", "gte"), 1);
    }

    #[test]
    #[should_panic(expected = "never checked")]
    fn a_forgotten_check_panics() {
        Context::new().error(Span::call_site(), "lost");
    }
}
