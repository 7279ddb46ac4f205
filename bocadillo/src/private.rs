//! What generated code calls, and nothing else may.

pub use crate::event::{EventBuilder, EventId, EventName, IntoData, IntoText, ServerEvent};
pub use crate::json::JsonWriter;
