//! Checks a function with `#[event_stream]` or `#[stream]`.

mod arguments;
mod body;
mod options;

use proc_macro2::Span;
use syn::visit::Visit;
use syn::{ReturnType, Type};

use self::arguments::own_generics;
use crate::args::Arguments;
use crate::errors::Context;
use crate::item::Function;
use crate::model::{Generator, StreamKind};

pub(crate) fn generator(
    kind: StreamKind,
    mut arguments: Arguments,
    function: Function,
    cx: &Context,
) -> Generator {
    let runtime = arguments.runtime(cx);
    let (mut raise_on_disconnect, options) = options::options(kind, arguments, cx);
    let Function {
        mut attributes,
        visibility,
        mut signature,
        body,
    } = function;

    let body = body::body(
        kind,
        matches!(signature.output, ReturnType::Default),
        &mut raise_on_disconnect,
        &body,
        &runtime,
        &mut attributes,
        cx,
    );
    if signature.asyncness.take().is_none() {
        cx.error(
            signature.fn_token.span,
            format!(
                "`#[{}]` goes on an `async fn`: write `async` before this `fn`",
                kind.attribute()
            ),
        );
    }
    if let Some(constness) = signature.constness.take() {
        cx.error(
            constness.span,
            "a generator cannot be `const`: remove this word",
        );
    }
    own_generics(&signature.generics, cx);
    let (receiver, arguments) = arguments::arguments(
        std::mem::take(&mut signature.inputs),
        &signature.generics,
        &options,
        cx,
    );
    let returns = returns(
        std::mem::replace(&mut signature.output, ReturnType::Default),
        cx,
    );
    Generator {
        runtime,
        kind,
        raise_on_disconnect,
        options,
        attributes,
        visibility,
        signature,
        receiver,
        arguments,
        returns,
        body,
    }
}

fn returns(output: ReturnType, cx: &Context) -> Option<Type> {
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    struct Opaque(Option<Span>);
    impl<'ast> Visit<'ast> for Opaque {
        fn visit_type_impl_trait(&mut self, opaque: &'ast syn::TypeImplTrait) {
            self.0.get_or_insert(opaque.impl_token.span);
        }
    }
    let mut opaque = Opaque(None);
    opaque.visit_type(&ty);
    if let Some(span) = opaque.0 {
        cx.error(span, "the error of a generator needs a named type: write `Result<(), MyError>` or `Result<(), Box<dyn Error + Send + Sync>>`");
        return Some(Type::Infer(syn::TypeInfer {
            attrs: Vec::new(),
            underscore_token: syn::Token![_](span),
        }));
    }
    Some(*ty)
}
