//! The builder that `server_event!` expands to. It takes every type that a field accepts, and reports the first error at
//! the end.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{EventId, EventName, ServerEvent};
use crate::error::{Error, ErrorKind, Result};
use crate::event::json::JsonWriter;

/// Collects the fields of one `server_event!`.
#[derive(Debug)]
#[must_use]
pub struct EventBuilder {
    event: ServerEvent,
    error: Option<Error>,
}

impl EventBuilder {
    /// Makes a builder without fields.
    #[expect(clippy::new_without_default, reason = "only generated code makes one")]
    #[inline]
    pub const fn new() -> Self {
        Self {
            event: ServerEvent::EMPTY,
            error: None,
        }
    }

    /// Sets the name from a literal that the macro has checked.
    #[inline]
    pub fn name_literal(mut self, name: EventName) -> Self {
        self.event.name = Some(name);
        self
    }

    /// Sets the name from a value that can be converted into one.
    #[inline]
    pub fn name<N>(mut self, name: N) -> Self
    where
        N: TryInto<EventName>,
        N::Error: Into<Error>,
    {
        match name.try_into() {
            Ok(name) => self.event.name = Some(name),
            Err(error) => self.fail(error.into()),
        }
        self
    }

    /// Sets the data from a literal, without a copy.
    #[inline]
    pub fn data_literal(mut self, data: &'static str) -> Self {
        self.event.data = Some(Cow::Borrowed(data));
        self
    }

    /// Sets the data from text or from an iterable of text.
    #[inline]
    pub fn data<M, D: IntoData<M>>(mut self, data: D) -> Self {
        self.event.data = Some(data.into_data());
        self
    }

    /// Sets the data from JSON that has been written.
    #[inline]
    pub fn json(mut self, json: JsonWriter) -> Self {
        match json.finish() {
            Ok(json) => self.event.data = Some(Cow::Owned(json)),
            Err(error) => self.fail(error),
        }
        self
    }

    /// Sets the id from a value that can be converted into one.
    #[inline]
    pub fn id<I>(mut self, id: I) -> Self
    where
        I: TryInto<EventId>,
        I::Error: Into<Error>,
    {
        match id.try_into() {
            Ok(id) => self.event.id = Some(id),
            Err(error) => self.fail(error.into()),
        }
        self
    }

    /// Sets the reconnection time.
    #[inline]
    pub fn retry(mut self, retry: Duration) -> Self {
        self.event.retry = Some(retry);
        self
    }

    /// Sets the comment from a literal, without a copy.
    #[inline]
    pub fn comment_literal(mut self, comment: &'static str) -> Self {
        self.event.comment = Some(Cow::Borrowed(comment));
        self
    }

    /// Sets the comment from text.
    #[inline]
    pub fn comment<T: IntoText>(mut self, comment: T) -> Self {
        self.event.comment = Some(comment.into_text());
        self
    }

    /// Makes the event.
    ///
    /// # Errors
    ///
    /// If a name or an id is not valid, if the JSON could not be written, or if no field was set.
    #[inline]
    pub fn build(self) -> Result<ServerEvent> {
        match self.error {
            Some(error) => Err(error),
            None if self.event.is_nothing() => Err(Error::new(
                ErrorKind::Field,
                "an event needs one field at least: `data = …`, say",
            )),
            None => Ok(self.event),
        }
    }

    fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }
}

/// Text of any type. Borrowed text is copied, owned text is not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not text",
    label = "expected `&str` or `String`",
    note = "write `.to_string()` after the value, or use `format!(…)`"
)]
pub trait IntoText {
    /// The text.
    fn into_text(self) -> Cow<'static, str>;
}

impl IntoText for String {
    fn into_text(self) -> Cow<'static, str> {
        Cow::Owned(self)
    }
}

impl IntoText for Box<str> {
    fn into_text(self) -> Cow<'static, str> {
        Cow::Owned(self.into())
    }
}

impl IntoText for Cow<'_, str> {
    fn into_text(self) -> Cow<'static, str> {
        Cow::Owned(self.into_owned())
    }
}

impl IntoText for fmt::Arguments<'_> {
    fn into_text(self) -> Cow<'static, str> {
        self.as_str()
            .map_or_else(|| Cow::Owned(self.to_string()), Cow::Borrowed)
    }
}

macro_rules! copied_into_text {
    ($($text:ty)*) => {$(
        impl IntoText for $text {
            fn into_text(self) -> Cow<'static, str> {
                let text: &str = self.as_ref();
                Cow::Owned(text.to_owned())
            }
        }
    )*};
}

copied_into_text!(&str &&str &String &Box<str> &Cow<'_, str> Rc<str> &Rc<str> Arc<str> &Arc<str>);

/// The types that `data =` accepts. The compiler always infers the parameter `M`. It separates the implementation for text
/// from the one for iterables, which would overlap otherwise.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the data of an event",
    label = "expected text or an iterator over text",
    note = "write `data = value.to_string()` if the value implements `Display`",
    note = "write `json = value` if the value implements `Serialize`"
)]
pub trait IntoData<M> {
    /// The data as one text.
    fn into_data(self) -> Cow<'static, str>;
}

/// Marks [`IntoData`] for text.
#[derive(Debug)]
pub enum Text {}

/// Marks [`IntoData`] for iterables.
#[derive(Debug)]
pub enum Lines {}

impl<T: IntoText> IntoData<Text> for T {
    fn into_data(self) -> Cow<'static, str> {
        self.into_text()
    }
}

impl<I> IntoData<Lines> for I
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    fn into_data(self) -> Cow<'static, str> {
        ServerEvent::lines(self).data.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(builder: EventBuilder, expected: ServerEvent) {
        assert_eq!(builder.build().unwrap(), expected);
    }

    #[test]
    fn data_is_text_of_any_kind() {
        let expected = || ServerEvent::new("Hello");
        let owned = String::from("Hello");
        let new = EventBuilder::new;
        check(new().data_literal("Hello"), expected());
        check(new().data("Hello"), expected());
        check(new().data(&owned), expected());
        check(new().data(owned.as_str()), expected());
        check(new().data(Cow::from(owned.as_str())), expected());
        check(new().data(Arc::<str>::from("Hello")), expected());
        check(new().data(Box::<str>::from("Hello")), expected());
        check(new().data(format_args!("{}lo", "Hel")), expected());
        check(new().data(owned), expected());
    }

    #[test]
    fn data_is_any_iterable_of_text() {
        let expected = || ServerEvent::new("hello\nworld");
        let owned = vec![String::from("hello"), String::from("world")];
        let new = EventBuilder::new;
        check(new().data(["hello", "world"]), expected());
        check(new().data(&owned), expected());
        check(new().data(&owned[..]), expected());
        check(
            new().data(owned.iter().map(|line| line.to_lowercase())),
            expected(),
        );
        check(new().data("hello world".split(' ')), expected());
        check(new().data(owned), expected());
        check(new().data([""; 0]), ServerEvent::new(""));
    }

    #[test]
    fn names_and_ids_come_from_what_converts() {
        let expected = || {
            ServerEvent::new("")
                .with_name(EventName::from_static("n"))
                .with_id(1)
        };
        let new = || EventBuilder::new().data_literal("");
        check(
            new()
                .name_literal(const { EventName::from_static("n") })
                .id(1),
            expected(),
        );
        check(new().name("n").id("1"), expected());
        check(new().name(String::from("n")).id(1_u64), expected());
        check(
            new().name(EventName::from_static("n")).id(EventId::from(1)),
            expected(),
        );
        let name = String::from("n");
        check(new().name(&name).id(Cow::from("1")), expected());
    }

    #[test]
    fn the_first_error_wins() {
        let mut json = JsonWriter::new();
        json.value(&f64::NAN);
        let error = EventBuilder::new()
            .name("a\nb")
            .json(json)
            .id("\0")
            .build()
            .unwrap_err();
        assert!(error.is_field());
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.starts_with("an event's name"), "{source}");
    }

    #[test]
    fn an_event_of_nothing_cannot_be_built() {
        assert!(EventBuilder::new().build().unwrap_err().is_field());
    }
}
