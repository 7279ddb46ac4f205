//! From what was parsed to a model that makes sense; every mistake is recorded, and the model is made anyway where one
//! can be guessed, so that one mistake gives one error.

mod event;
mod generator;
mod route;

pub(crate) use event::event;
pub(crate) use generator::generator;
pub(crate) use route::route;
