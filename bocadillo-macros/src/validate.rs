//! Checks the parsed input and makes a model. Every mistake is recorded. If possible, the model is made in spite of a
//! mistake, so that one mistake causes only one error.

mod event;
mod generator;
mod route;

pub(crate) use event::event;
pub(crate) use generator::generator;
pub(crate) use route::route;
