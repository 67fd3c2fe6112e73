//! Log lines of leaves that succeeded, for `--stats` and `frond explain`.

use std::collections::HashMap;

use frond_root::{Event, EventKind, PartitionKey};

use super::page::{Line, Page, Tone};
use super::text::{MAX_KEY, MAX_TEXT, count, plural, sanitise};

/// Limit on the leaves whose lines are stored.
const MAX_LEAVES: usize = 20;
/// Limit on the lines of one leaf: the last ones.
const MAX_LINES: usize = 8;

/// Log lines of the first leaves that wrote some, and the number of further leaves.
#[derive(Clone, Debug, Default)]
pub struct WrittenLines {
    leaves: Vec<Leaf>,
    more: u64,
    running: HashMap<u32, PartitionKey>,
}

/// Output lines of one leaf.
#[derive(Clone, Debug)]
struct Leaf {
    key: String,
    lines: Vec<String>,
}

impl WrittenLines {
    /// Adds the next event.
    pub fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::AttemptStarted { partition, key, .. } => {
                self.running.insert(*partition, key.clone());
            }
            EventKind::AttemptEnded { partition, failure, usage, log, .. } => {
                let key = self.running.remove(partition);
                // The log of a failed leaf is shown with its failure.
                if failure.is_none() && usage.log > 0 {
                    self.keep(key, *partition, log);
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, key: Option<PartitionKey>, partition: u32, log: &[String]) {
        if log.is_empty() || self.leaves.len() >= MAX_LEAVES {
            self.more += 1;
            return;
        }
        let key = key.map_or_else(|| format!("partition {partition}"), |key| sanitise(key.as_str(), MAX_KEY));
        let skipped = log.len().saturating_sub(MAX_LINES);
        let lines = log.iter().skip(skipped).map(|line| sanitise(line, MAX_TEXT)).collect();
        self.leaves.push(Leaf { key, lines });
    }

    /// Returns true if no successful leaf is known to have written a line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty() && self.more == 0
    }

    /// Adds the lines of at most `most` leaves to `page`, each after `lead` and its leaf's key.
    pub fn rows(&self, page: &mut Page, lead: &str, most: usize) {
        let indent = lead.chars().count() + 2;
        for leaf in self.leaves.iter().take(most) {
            for line in &leaf.lines {
                page.wrapped(indent, Line::new().put(lead).tone(Tone::Dim, format!("{}: ", leaf.key)).put(line));
            }
        }
        let more = self.more.saturating_add(self.leaves.len().saturating_sub(most) as u64);
        if more > 0 {
            let more = if self.leaves.is_empty() {
                plural(more, "leaf wrote", "leaves wrote")
            } else {
                format!("and {} more", count(more))
            };
            page.wrapped(indent, Line::new().put(lead).tone(Tone::Dim, more));
        }
    }
}
