//! Remarks on a query's inputs, for readers of a complete answer too. Bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::sync::lock;

/// The most remarks that one query keeps; each covers any number of inputs.
pub const MAX_NOTES: usize = 20;
/// The most inputs that one remark names, the first ones by name; the rest is counted.
pub const MAX_NAMED: usize = 3;
/// The most characters of an input's name in a remark.
pub const MAX_NAME: usize = 200;

/// Remarks of one query, collected from planning until the last content is read. Equal remarks on
/// several inputs are merged.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Remarks>);

/// Remarks by text, each with the inputs that it is about.
#[derive(Debug, Default)]
struct Remarks {
    by_text: BTreeMap<String, Inputs>,
    omitted: u64,
}

/// Inputs that one remark covers.
#[derive(Debug, Default)]
struct Inputs {
    named: BTreeSet<String>,
    count: u64,
}

impl Notes {
    /// Adds a remark on the input `name`. `text` is lower case, without a full stop, and fits one
    /// or several inputs.
    pub fn add(&self, text: &str, name: &str) {
        let mut all = lock(&self.0);
        if all.by_text.len() >= MAX_NOTES && !all.by_text.contains_key(text) {
            all.omitted += 1;
            return;
        }
        let inputs = all.by_text.entry(text.to_owned()).or_default();
        inputs.count += 1;
        inputs.named.insert(name.chars().take(MAX_NAME).collect());
        if inputs.named.len() > MAX_NAMED {
            inputs.named.pop_last();
        }
    }

    /// All remarks in the order of their texts, each with its inputs.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        let all = lock(&self.0);
        let mut list: Vec<_> = all.by_text.iter().map(|(text, inputs)| format!("{inputs}: {text}")).collect();
        if all.omitted > 0 {
            list.push(format!("{} more remarks on inputs are not kept", all.omitted));
        }
        list
    }
}

impl std::fmt::Display for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named: Vec<_> = self.named.iter().map(|name| format!("`{name}`")).collect();
        let more = self.count.saturating_sub(named.len() as u64);
        match (named.as_slice(), more) {
            ([rest @ .., last], 0) if !rest.is_empty() => write!(f, "{} and {last}", rest.join(", ")),
            (_, 0) => f.write_str(&named.concat()),
            (_, more) => write!(f, "{} and {more} more", named.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_remark_names_the_first_inputs_and_counts_the_others() {
        let notes = Notes::default();
        assert!(notes.list().is_empty());
        notes.add("read as it is", "b");
        assert_eq!(notes.list(), ["`b`: read as it is"]);
        notes.add("read as it is", "a");
        assert_eq!(notes.list(), ["`a` and `b`: read as it is"]);
        ["e", "d", "c"].iter().for_each(|name| notes.add("read as it is", name));
        notes.add("another", "a");
        assert_eq!(notes.list(), ["`a`: another", "`a`, `b`, `c` and 2 more: read as it is"]);
    }

    #[test]
    fn remarks_and_names_are_bounded() {
        let notes = Notes::default();
        for text in 0..MAX_NOTES + 7 {
            notes.add(&format!("{text:03}"), &"é".repeat(10_000));
        }
        let list = notes.list();
        assert_eq!(list.len(), MAX_NOTES + 1);
        assert_eq!(list[MAX_NOTES], "7 more remarks on inputs are not kept");
        assert!(list.iter().all(|note| note.chars().count() <= MAX_NAME + 10));
    }
}
