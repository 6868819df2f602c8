//! What a person should know of a run, in the order in which it matters: an answer has little room.
//!
//! In: sentences as they come up, each with its weight. Out: the sentences, the weightier first, and among equals in
//! the order in which they came.

use serde::{Serialize, Serializer};

/// How much a sentence matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Somebody has to do something.
    Act,
    /// Something is not as one would expect.
    Know,
    /// It is so on every run, or nobody here can change it.
    Aside,
}

/// All of a run.
#[derive(Clone, Debug, Default)]
pub struct Notes(Vec<(Weight, String)>);

impl Notes {
    /// One more.
    pub fn push(&mut self, weight: Weight, note: impl Into<String>) {
        self.0.push((weight, note.into()));
    }

    /// Several of one weight.
    pub fn extend(&mut self, weight: Weight, notes: impl IntoIterator<Item = String>) {
        self.0.extend(notes.into_iter().map(|note| (weight, note)));
    }

    /// The weightier first.
    pub fn in_order(&self) -> Vec<&str> {
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by_key(|(weight, _)| *weight);
        sorted.into_iter().map(|(_, note)| note.as_str()).collect()
    }
}

impl Serialize for Notes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.in_order())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_to_do_comes_first_and_equals_keep_their_order() {
        let mut notes = Notes::default();
        notes.push(Weight::Aside, "a");
        notes.extend(Weight::Know, ["b".to_owned(), "c".to_owned()]);
        notes.push(Weight::Act, "d");
        notes.push(Weight::Know, "e");
        assert_eq!(notes.in_order(), ["d", "b", "c", "e", "a"]);
        assert_eq!(serde_json::to_string(&notes).unwrap(), r#"["d","b","c","e","a"]"#);
    }
}
