//! The newest sequences of subjects.

use std::collections::HashMap;

/// The maximum number of topics whose newest sequence is remembered.
const TAILS: usize = 10_000;

/// The newest sequence of each subject that the connection has received.
#[derive(Debug, Default)]
pub(super) struct Tails(HashMap<String, u64>);

impl Tails {
    pub(super) fn note(&mut self, subject: &str, sequence: u64) {
        match self.0.get_mut(subject) {
            Some(tail) => *tail = sequence.max(*tail),
            None => {
                if self.0.len() >= TAILS {
                    self.0.clear();
                }
                self.0.insert(subject.to_owned(), sequence);
            }
        }
    }

    pub(super) fn get(&self, subject: &str) -> Option<u64> {
        self.0.get(subject).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sequences_of_many_subjects_are_forgotten() {
        let mut tails = Tails::default();
        for number in 0..25_000 {
            tails.note(&number.to_string(), number);
            tails.note(&number.to_string(), number.saturating_sub(1));
            assert_eq!(tails.0.get(&number.to_string()), Some(&number));
            assert!(tails.0.len() <= 10_000);
        }
        assert!(tails.0.len() > 1_000, "the list keeps some sequences");
    }
}
