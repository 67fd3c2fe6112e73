//! Remarks on a query's inputs and workers, for readers of a complete answer too. Bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::sync::lock;

/// The most remarks that one query keeps; each covers any number of inputs.
pub const MAX_NOTES: usize = 20;
/// The most inputs that one remark names, the first ones by name; the rest is counted.
pub const MAX_NAMED: usize = 3;
/// The most characters of an input's name in a remark.
pub const MAX_NAME: usize = 200;

/// The most reasons for which workers refuse a leaf that one query keeps.
pub const MAX_REFUSALS: usize = 5;
/// The most characters of such a reason.
pub const MAX_REASON: usize = 500;
/// The most workers that are counted for one reason.
const MOST_REFUSING: usize = 1000;

/// Remarks of one query, collected from planning until the last content is read. Equal remarks on
/// several inputs are merged.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Remarks>);

/// Remarks by text, each with the inputs that it is about.
#[derive(Debug, Default)]
struct Remarks {
    by_text: BTreeMap<String, Inputs>,
    omitted: u64,
    /// Names of workers by the reason for which they refuse the leaf.
    refusals: BTreeMap<String, BTreeSet<String>>,
    refusals_omitted: bool,
    /// Remark that workers are absent.
    absence: Option<String>,
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

    /// Adds the reason for which the worker of this name refuses the query's leaf.
    pub fn refused(&self, worker: &str, why: &str) {
        let mut all = lock(&self.0);
        let why: String = why.chars().take(MAX_REASON).collect();
        if all.refusals.len() >= MAX_REFUSALS && !all.refusals.contains_key(&why) {
            all.refusals_omitted = true;
            return;
        }
        let workers = all.refusals.entry(why).or_default();
        if workers.len() < MOST_REFUSING {
            workers.insert(worker.chars().take(MAX_NAME).collect());
        }
    }

    /// Remarks that workers are absent, or removes that remark.
    pub fn absent(&self, remark: Option<&str>) {
        lock(&self.0).absence = remark.map(str::to_owned);
    }

    /// All remarks: on inputs, each with its inputs, and on workers; both in the order of their
    /// texts.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        let all = lock(&self.0);
        let mut list: Vec<_> = all.by_text.iter().map(|(text, inputs)| format!("{inputs}: {text}")).collect();
        if all.omitted > 0 {
            list.push(format!("{} more remarks on inputs are not kept", all.omitted));
        }
        list.extend(all.refusals.iter().map(|(why, workers)| refusal(why, workers)));
        if all.refusals_omitted {
            list.push("workers refuse the leaf for more reasons, which are not kept".to_owned());
        }
        list.extend(all.absence.clone());
        list
    }
}

/// Remark on workers that refuse the leaf.
fn refusal(why: &str, workers: &BTreeSet<String>) -> String {
    let named = workers.iter().take(MAX_NAMED).cloned().collect();
    let names = Inputs { named, count: workers.len() as u64 };
    let noun = if workers.len() == 1 { "the worker" } else { "the workers" };
    format!("{noun} {names} cannot run the leaf: {why}")
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
    fn a_reason_of_several_workers_is_told_once() {
        let notes = Notes::default();
        notes.refused("b", "no grants");
        notes.refused("b", "no grants");
        assert_eq!(notes.list(), ["the worker `b` cannot run the leaf: no grants"]);
        ["a", "c", "d", "e"].iter().for_each(|worker| notes.refused(worker, "no grants"));
        notes.refused("a", "another version");
        notes.add("read as it is", "z");
        let told = [
            "`z`: read as it is",
            "the worker `a` cannot run the leaf: another version",
            "the workers `a`, `b`, `c` and 2 more cannot run the leaf: no grants",
        ];
        assert_eq!(notes.list(), told);
        for reason in 0..10_000 {
            notes.refused(&reason.to_string().repeat(1000), &format!("{reason} {}", "é".repeat(10_000)));
        }
        let list = notes.list();
        assert_eq!(list.len(), 1 + MAX_REFUSALS + 1, "inputs keep their place");
        assert!(list.iter().all(|note| note.chars().count() <= MAX_REASON + MAX_NAME + 50));
    }

    #[test]
    fn the_absence_of_workers_is_told_as_long_as_it_lasts() {
        let notes = Notes::default();
        notes.absent(Some("nobody is here"));
        assert_eq!(notes.list(), ["nobody is here"]);
        notes.absent(None);
        assert!(notes.list().is_empty());
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
