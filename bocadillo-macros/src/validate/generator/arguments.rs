//! Checks the arguments of a generator. They must own their data.

use proc_macro2::Span;
use quote::ToTokens as _;
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, GenericParam, Generics, Lifetime, Pat, Receiver, Token, Type};

use crate::errors::Context;
use crate::keyword;
use crate::model::{Argument, Binding, StreamOption};

pub(super) fn arguments(
    inputs: Punctuated<FnArg, Token![,]>,
    generics: &Generics,
    options: &[StreamOption],
    cx: &Context,
) -> (Option<Receiver>, Vec<Argument>) {
    let mut receiver = None;
    let mut arguments = Vec::new();
    for input in inputs {
        match input {
            FnArg::Receiver(this) => {
                cx.error(
                    this.self_token.span,
                    "a generator outlives the call, so it cannot borrow `self`: pass what it needs as arguments",
                );
                receiver = Some(this);
            }
            FnArg::Typed(mut typed) => {
                Owned {
                    generics,
                    cx,
                    fixed: false,
                }
                .visit_type_mut(&mut typed.ty);
                let binding = match *typed.pat {
                    Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
                        Binding::Name {
                            in_options: options.iter().any(|option| option.names(&name.ident)),
                            mutability: name.mutability,
                            ident: name.ident,
                        }
                    }
                    pattern => Binding::Pattern(pattern),
                };
                arguments.push(Argument {
                    attributes: typed.attrs,
                    binding,
                    ty: *typed.ty,
                });
            }
        }
    }
    (receiver, arguments)
}

impl StreamOption {
    /// Whether the value of the option contains this name.
    fn names(&self, name: &syn::Ident) -> bool {
        self.value
            .as_ref()
            .is_some_and(|value| keyword::contains(&value.to_token_stream(), &name.to_string()))
    }
}

/// Rejects borrowed arguments. It also gives them the lifetime `'static`, so that rustc can check the rest of the
/// function.
struct Owned<'a> {
    generics: &'a Generics,
    cx: &'a Context,
    fixed: bool,
}

impl Owned<'_> {
    fn refuse(&mut self, span: Span, written: &str, instead: &str) {
        if !std::mem::replace(&mut self.fixed, true) {
            self.cx.error(
                span,
                format!("`{written}` is borrowed only for the call, but the stream outlives the call: {instead}"),
            );
        }
    }
}

impl VisitMut for Owned<'_> {
    fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
        if reference.lifetime.is_none() {
            let instead = match &*reference.elem {
                Type::Path(path) if path.path.is_ident("str") => {
                    "take a `String`, or a `&'static str`"
                }
                Type::Slice(_) => "take a `Vec`, or a `&'static` slice",
                _ => "take it by value, or in an `Arc`",
            };
            self.refuse(reference.and_token.spans[0], "&", instead);
            reference.lifetime = Some(Lifetime::new("'static", reference.and_token.spans[0]));
        }
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        let reported = self
            .generics
            .lifetimes()
            .any(|parameter| parameter.lifetime == *lifetime);
        if lifetime.ident == "_" {
            self.refuse(
                lifetime.span(),
                "'_",
                "take what it borrows by value, or make it `'static`",
            );
        }
        if reported || lifetime.ident == "_" {
            *lifetime = Lifetime::new("'static", lifetime.span());
        }
    }

    // `fn(&str)` and `Fn(&str)` borrow only when they are called, so they are allowed.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut syn::TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(
        &mut self,
        _: &mut syn::ParenthesizedGenericArguments,
    ) {
    }
    fn visit_trait_bound_mut(&mut self, bound: &mut syn::TraitBound) {
        if bound.lifetimes.is_none() {
            visit_mut::visit_trait_bound_mut(self, bound);
        }
    }
}

pub(super) fn own_generics(generics: &Generics, cx: &Context) {
    for parameter in &generics.params {
        if let GenericParam::Lifetime(lifetime) = parameter {
            cx.error(
                lifetime.lifetime.span(),
                format!(
                    "`{}` ends before the stream does: take what it borrows by value, or make it `'static`",
                    lifetime.lifetime
                ),
            );
        }
    }
}
