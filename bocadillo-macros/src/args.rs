//! The grammar of an attribute's arguments: an optional literal, then `name` or `name = value`, separated by commas.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{Expr, Ident, LitStr, Path, Token};

use crate::errors::Context;
use crate::paths::Runtime;

/// The arguments of an attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    /// The literal before the settings, if there is one.
    pub(crate) literal: Option<LitStr>,
    pub(crate) settings: Vec<Setting>,
}

/// `name` or `name = value`.
pub(crate) struct Setting {
    pub(crate) name: Ident,
    pub(crate) value: Option<Expr>,
}

impl Arguments {
    /// Parses the arguments up to the first mistake, and records the mistake.
    pub(crate) fn parse(tokens: proc_macro2::TokenStream, cx: &Context) -> Self {
        let mut arguments = Self::default();
        let read = |input: ParseStream<'_>| {
            // The rest is not parsed, because it may be a part of the first mistake.
            if let Err(error) = arguments.read(input) {
                cx.syn_error(error);
                input.step(|cursor| Ok(((), skip(*cursor))))?;
            }
            Ok(())
        };
        cx.ok(read.parse2(tokens));
        arguments
    }

    fn read(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.peek(LitStr) {
            self.literal = Some(input.parse()?);
            separator(input)?;
        }
        while !input.is_empty() {
            self.settings.push(input.parse()?);
            separator(input)?;
        }
        Ok(())
    }

    /// Removes the option `crate = path`, which every macro has, and returns its path.
    pub(crate) fn runtime(&mut self, cx: &Context) -> Runtime {
        let mut path: Option<Path> = None;
        self.settings.retain(|setting| {
            if setting.name != "crate" {
                return true;
            }
            match &setting.value {
                _ if path.is_some() => duplicate(&setting.name, cx),
                Some(Expr::Path(value)) if value.qself.is_none() => path = Some(value.path.clone()),
                _ => cx.error(
                    setting.name.span(),
                    "`crate` takes a path: write `crate = my_crate::bocadillo`",
                ),
            }
            false
        });
        Runtime::at(path)
    }
}

/// Records an error at the second of two options with the same name.
pub(crate) fn duplicate(name: &Ident, cx: &Context) {
    cx.error(
        name.span(),
        format!("`{name}` is set twice: keep one of the two"),
    );
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(Ident::peek_any) {
            return Err(
                input.error("expected the name of an option, as in `name` or `name = value`")
            );
        }
        let name = input.call(Ident::parse_any)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            if input.is_empty() || input.peek(Token![,]) {
                return Err(syn::Error::new(
                    name.span(),
                    format!("`{name} =` has no value: write one after the `=`"),
                ));
            }
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self { name, value })
    }
}

fn separator(input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.parse::<Option<Token![,]>>()?.is_some() {
        return Ok(());
    }
    Err(input.error("expected a `,` before the next option"))
}

/// Parses `crate = path;`, which may be before the other arguments of `routes!` and `generators!`.
pub(crate) fn leading_runtime(input: ParseStream<'_>) -> syn::Result<Runtime> {
    if !(input.peek(Token![crate]) && input.peek2(Token![=])) {
        return Ok(Runtime::at(None));
    }
    input.parse::<Token![crate]>()?;
    input.parse::<Token![=]>()?;
    let path = input.call(Path::parse_mod_style)?;
    if input.parse::<Option<Token![;]>>()?.is_none() {
        let after = path
            .segments
            .last()
            .map_or_else(Span::call_site, |segment| segment.ident.span());
        return Err(syn::Error::new(
            after,
            "expected a `;` after this path: write `crate = path; …`",
        ));
    }
    Ok(Runtime::at(Some(path)))
}

fn skip(mut cursor: syn::buffer::Cursor<'_>) -> syn::buffer::Cursor<'_> {
    while let Some((_, next)) = cursor.token_tree() {
        cursor = next;
    }
    cursor
}
