//! Every path that generated code names, and the hygiene of the names that it makes up.

use proc_macro2::{Ident, Span};
use syn::punctuated::Punctuated;
use syn::{Path, PathSegment, Token};

/// Where the runtime crate is found: `::bocadillo`, or what `crate = path` says.
#[derive(Clone)]
pub(crate) struct Runtime {
    path: Path,
    given: bool,
}

impl Runtime {
    /// The runtime at the path that the user gave, or where it is by default.
    pub(crate) fn at(path: Option<Path>) -> Self {
        Self {
            given: path.is_some(),
            path: path.unwrap_or_else(|| absolute(&["bocadillo"])),
        }
    }

    /// A public item, by its name at the crate's root.
    pub(crate) fn public_at(&self, name: &str, span: Span) -> Path {
        extend(self.path.clone(), &[name], span)
    }

    /// The path of a public macro, seen at `span` from end to end: so is then what the compiler says of the call.
    pub(crate) fn macro_at(&self, name: &str, span: Span) -> Path {
        self.seen_at(self.public_at(name, span), span)
    }

    /// The path of a trait in a bound, seen at `span` from end to end: there the compiler says who asks for it.
    pub(crate) fn bound_at(&self, name: &str, span: Span) -> Path {
        self.seen_at(self.private_at(name, span), span)
    }

    fn seen_at(&self, mut path: Path, span: Span) -> Path {
        if let Some(colons) = &mut path.leading_colon {
            colons.spans = [span; 2];
        }
        for pair in path.segments.pairs_mut() {
            let (segment, colons) = pair.into_tuple();
            // `$crate` in a path that was given means another crate elsewhere.
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

    /// An item of `private`, the only module that generated code may call.
    pub(crate) fn private(&self, name: &str) -> Path {
        self.private_at(name, Span::mixed_site())
    }

    pub(crate) fn private_at(&self, name: &str, span: Span) -> Path {
        extend(self.path.clone(), &["private", name], span)
    }
}

/// A path into `core`, which no prelude and no shadowing can hide.
pub(crate) fn core(segments: &[&str]) -> Path {
    extend(absolute(&["core"]), segments, Span::mixed_site())
}

/// The span of something that we make up and that stands for something of the user's: seen there, named here.
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
