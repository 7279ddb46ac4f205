//! Server-Sent Events over hyper.

mod error;
mod event;
mod json;
pub mod wire;

#[doc(hidden)]
pub mod private;

pub use error::{Error, Result};
pub use event::{EventId, EventName, FieldError, IntoEvent, ServerEvent};
