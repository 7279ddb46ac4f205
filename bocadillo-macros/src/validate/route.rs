//! Checks a function with `#[route]`.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::visit::Visit;
use syn::{Expr, ExprLit, FnArg, GenericParam, Ident, Lit, LitStr, Pat, Type};

use crate::args::{Arguments, Setting, duplicate};
use crate::errors::{Context, suggestion};
use crate::item::Function;
use crate::literal;
use crate::model::{Route, RouteArgument, Served, Source, StreamKind};
use crate::pattern::{self, Parameter};

const OPTIONS: [&str; 2] = ["methods", "crate"];
const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE",
];

pub(crate) fn route(mut arguments: Arguments, function: Function, cx: &Context) -> Route {
    let runtime = arguments.runtime(cx);
    let methods = methods(arguments.settings, cx);
    let parameters = match &arguments.literal {
        Some(literal) => parameters(literal, cx),
        None => {
            cx.error(
                Span::call_site(),
                "a route needs a path: write `#[route(\"/path\")]`",
            );
            Vec::new()
        }
    };
    signature(&function, cx);
    let borrows = borrows(&function, cx);
    let bound = self::arguments(&function, &parameters, cx);
    if let Some(literal) = &arguments.literal {
        every_parameter_has_an_argument(literal, &parameters, &bound, &function, cx);
    }
    let served = arguments
        .literal
        .filter(|_| !cx.has_errors() && !borrows)
        .map(|pattern| Served {
            pattern,
            methods,
            arguments: bound,
            awaits: function.signature.asyncness.is_some() && !becomes_a_stream(&function),
        });
    Route {
        runtime,
        function,
        served,
    }
}

fn methods(settings: Vec<Setting>, cx: &Context) -> Vec<String> {
    let mut methods: Option<Vec<String>> = None;
    for setting in settings {
        if setting.name != "methods" {
            let name = setting.name.to_string();
            cx.error(
                setting.name.span(),
                format!(
                    "`#[route]` has no option `{name}`: {}",
                    suggestion(&name, &OPTIONS)
                ),
            );
        } else if methods.is_some() {
            duplicate(&setting.name, cx);
        } else {
            methods = Some(self::list(&setting, cx));
        }
    }
    methods.unwrap_or_else(|| vec!["GET".to_owned()])
}

fn list(setting: &Setting, cx: &Context) -> Vec<String> {
    let Some(Expr::Array(array)) = &setting.value else {
        cx.error(
            setting.name.span(),
            "`methods` takes a list: write `methods = [GET, POST]`",
        );
        return Vec::new();
    };
    if array.elems.is_empty() {
        cx.error(
            setting.name.span(),
            "a route without a method is never called: write `methods = [GET]`",
        );
    }
    let mut methods: Vec<String> = Vec::new();
    for element in &array.elems {
        let Some((span, written)) = method(element, cx) else {
            continue;
        };
        if !METHODS.contains(&written.as_str()) {
            cx.error(
                span,
                format!(
                    "`{written}` is not a method: {}",
                    suggestion(&written, &METHODS)
                ),
            );
        } else if methods.contains(&written) {
            cx.error(
                span,
                format!("`{written}` is in this list twice: keep one of the two"),
            );
        } else {
            methods.push(written);
        }
    }
    methods
}

fn method(element: &Expr, cx: &Context) -> Option<(Span, String)> {
    if let Expr::Path(path) = element
        && let Some(ident) = path.path.get_ident()
    {
        return Some((ident.span(), ident.to_string()));
    }
    match element {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => {
            cx.error(
                text.span(),
                format!(
                    "a method is written without quotes: write `{}`",
                    text.value().to_uppercase()
                ),
            );
            None
        }
        other => {
            cx.error(
                syn::spanned::Spanned::span(other),
                "expected the name of a method, as in `[GET, POST]`",
            );
            None
        }
    }
}

fn parameters(literal: &LitStr, cx: &Context) -> Vec<Parameter> {
    let (parameters, mistakes) = pattern::parse(&literal.value());
    for mistake in mistakes {
        cx.error(literal::span_of(literal, mistake.bytes), mistake.message);
    }
    parameters
}

fn signature(function: &Function, cx: &Context) {
    let signature = &function.signature;
    if let Some(parameter) = signature.generics.params.first() {
        let span = match parameter {
            GenericParam::Type(parameter) => parameter.ident.span(),
            GenericParam::Lifetime(parameter) => parameter.lifetime.span(),
            GenericParam::Const(parameter) => parameter.ident.span(),
        };
        cx.error(
            span,
            "a route cannot be generic: write the types in place of this parameter",
        );
    }
}

/// Whether a later attribute makes the function return a stream. Then a call does not return a future.
fn becomes_a_stream(function: &Function) -> bool {
    function.attributes.iter().any(|attribute| {
        attribute.path().segments.last().is_some_and(|segment| {
            [StreamKind::Events, StreamKind::Bytes]
                .iter()
                .any(|kind| segment.ident == kind.attribute())
        })
    })
}

fn arguments(function: &Function, parameters: &[Parameter], cx: &Context) -> Vec<RouteArgument> {
    let mut arguments = Vec::new();
    for input in &function.signature.inputs {
        let typed = match input {
            FnArg::Receiver(receiver) => {
                cx.error(
                    receiver.self_token.span,
                    "a route cannot have `self`: read the state of the app with an argument `State<…>`",
                );
                continue;
            }
            FnArg::Typed(typed) => typed,
        };
        refuse_opaque(&typed.ty, cx);
        let name = name(&typed.pat);
        let in_path = name
            .as_ref()
            .is_some_and(|name| parameters.iter().any(|parameter| *name == parameter.name));
        arguments.push(RouteArgument {
            name: name.unwrap_or_else(|| "_".to_owned()),
            ty: (*typed.ty).clone(),
            source: if in_path { Source::Path } else { Source::Part },
        });
    }
    if let Some(last) = arguments
        .iter_mut()
        .rfind(|argument| argument.source == Source::Part)
    {
        last.source = Source::Last;
    }
    arguments
}

fn name(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::Ident(name) if name.subpat.is_none() => Some(name.ident.unraw().to_string()),
        _ => None,
    }
}

/// Rejects borrowed arguments, because their data would be dropped before the call. Returns whether there are any. The
/// attribute of a generator reports its own.
fn borrows(function: &Function, cx: &Context) -> bool {
    struct Borrowed(Vec<Span>);
    impl<'ast> Visit<'ast> for Borrowed {
        fn visit_type_reference(&mut self, reference: &'ast syn::TypeReference) {
            if reference.lifetime.is_none() {
                self.0.push(reference.and_token.spans[0]);
            }
        }
        // `fn(&str)` and `Fn(&str)` borrow only when they are called, so they are allowed.
        fn visit_type_fn_ptr(&mut self, _: &'ast syn::TypeFnPtr) {}
        fn visit_parenthesized_generic_arguments(
            &mut self,
            _: &'ast syn::ParenthesizedGenericArguments,
        ) {
        }
    }
    let mut borrowed = Borrowed(Vec::new());
    for input in &function.signature.inputs {
        if let FnArg::Typed(typed) = input {
            borrowed.visit_type(&typed.ty);
        }
    }
    if !becomes_a_stream(function) {
        for span in &borrowed.0 {
            cx.error(*span, "an argument of a route cannot borrow: write a type that owns its data, such as `String`");
        }
    }
    !borrowed.0.is_empty()
}

fn refuse_opaque(ty: &Type, cx: &Context) {
    struct Opaque<'a>(&'a Context);
    impl<'ast> Visit<'ast> for Opaque<'_> {
        fn visit_type_impl_trait(&mut self, opaque: &'ast syn::TypeImplTrait) {
            self.0.error(
                opaque.impl_token.span,
                "an argument of a route needs a named type: write it in place of `impl …`",
            );
        }
    }
    Opaque(cx).visit_type(ty);
}

fn every_parameter_has_an_argument(
    literal: &LitStr,
    parameters: &[Parameter],
    arguments: &[RouteArgument],
    function: &Function,
    cx: &Context,
) {
    let free: Vec<&str> = arguments
        .iter()
        .filter(|argument| argument.source != Source::Path && argument.name != "_")
        .map(|argument| argument.name.as_str())
        .collect();
    for Parameter { name, bytes } in parameters {
        if arguments
            .iter()
            .any(|argument| argument.source == Source::Path && argument.name == *name)
        {
            continue;
        }
        let near = suggestion(name, &free);
        let instead = match near.strip_prefix("did you mean ") {
            Some(near) => format!(
                "did you mean the argument {}? both names have to be the same",
                near.trim_end_matches('?')
            ),
            None => format!(
                "write `{}: …` among the arguments of `{}`",
                raw(name),
                function.signature.ident
            ),
        };
        cx.error(
            literal::span_of(literal, bytes.clone()),
            format!("the path parameter `{{{name}}}` has no argument: {instead}"),
        );
    }
}

/// Returns the name as a Rust identifier, such as `r#type`.
fn raw(name: &str) -> String {
    let plain = syn::parse_str::<Ident>(name).is_ok();
    if plain {
        name.to_owned()
    } else {
        format!("r#{name}")
    }
}
