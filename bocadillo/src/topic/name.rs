//! Which names a topic may have.

use crate::error::{Error, ErrorKind, Result};

/// The longest name of a topic, in bytes.
const MAX_NAME: usize = 200;

/// # Errors
///
/// When the name is empty, too long, or has a control character.
pub(super) fn check(name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "the name of a topic is empty".to_owned()
    } else if name.len() > MAX_NAME {
        format!(
            "the name of a topic has {} bytes; the limit is {MAX_NAME}",
            name.len()
        )
    } else if let Some((at, char)) = name.char_indices().find(|(_, char)| char.is_control()) {
        format!("the name of a topic has the control character {char:?} at byte {at}")
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Topic, problem))
}
