//! The paths that generated code uses, and the hygiene of the names that it adds.

use proc_macro2::{Ident, Span};
use syn::punctuated::Punctuated;
use syn::{Path, PathSegment, Token};

/// The path of the runtime crate. The default is `::bocadillo`. The option `crate = path` sets another path.
#[derive(Clone)]
pub(crate) struct Runtime {
    path: Path,
    given: bool,
}

impl Runtime {
    /// Returns the runtime at this path, or at the default path.
    pub(crate) fn at(path: Option<Path>) -> Self {
        Self {
            given: path.is_some(),
            path: path.unwrap_or_else(|| absolute(&["bocadillo"])),
        }
    }

    /// Returns the path of a public item in the root of the crate.
    pub(crate) fn public_at(&self, name: &str, span: Span) -> Path {
        extend(self.path.clone(), &[name], span)
    }

    /// Returns the path of a public macro. Each token has the location of `span`, so the compiler reports errors of the
    /// call there.
    pub(crate) fn macro_at(&self, name: &str, span: Span) -> Path {
        self.seen_at(self.public_at(name, span), span)
    }

    /// Returns the path of a trait for a bound. Each token has the location of `span`, so the compiler shows the bound
    /// there.
    pub(crate) fn bound_at(&self, name: &str, span: Span) -> Path {
        self.seen_at(self.private_at(name, span), span)
    }

    fn seen_at(&self, mut path: Path, span: Span) -> Path {
        if let Some(colons) = &mut path.leading_colon {
            colons.spans = [span; 2];
        }
        for pair in path.segments.pairs_mut() {
            let (segment, colons) = pair.into_tuple();
            // A `$crate` in the user's path depends on its own span, so that span is kept.
            let name = if self.given {
                segment.ident.span().located_at(span)
            } else {
                span
            };
            segment.ident.set_span(name);
            if let Some(colons) = colons {
                colons.spans = [span; 2];
            }
        }
        path
    }

    /// Returns the path of an item of `private`. Generated code calls no other module.
    pub(crate) fn private(&self, name: &str) -> Path {
        self.private_at(name, Span::mixed_site())
    }

    pub(crate) fn private_at(&self, name: &str, span: Span) -> Path {
        extend(self.path.clone(), &["private", name], span)
    }
}

/// Returns a path in `core`. Neither the prelude nor a name of the user can change its meaning.
pub(crate) fn core(segments: &[&str]) -> Path {
    extend(absolute(&["core"]), segments, Span::mixed_site())
}

/// Returns a span for a generated token. Its location is that of the user's `span`. Its name is resolved in the macro.
pub(crate) fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

fn absolute(segments: &[&str]) -> Path {
    let root = Path {
        leading_colon: Some(Token![::](Span::mixed_site())),
        segments: Punctuated::new(),
    };
    extend(root, segments, Span::mixed_site())
}

fn extend(mut path: Path, segments: &[&str], span: Span) -> Path {
    for segment in segments {
        path.segments
            .push(PathSegment::from(Ident::new(segment, span)));
    }
    path
}
