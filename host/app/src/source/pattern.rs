//! A glob below its first wildcard: which files it matches, and which folders and links to folders lead to them.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// A glob's components from the first one with a wildcard.
#[derive(Debug)]
pub(super) struct Pattern {
    whole: GlobMatcher,
    /// The components that name hidden entries.
    dotted: Vec<GlobMatcher>,
    /// The leading components, each of which matches one name: all, or those before the first `**`.
    lead: Vec<GlobMatcher>,
    /// How many components a match has, where that is certain.
    depth: Option<usize>,
}

impl Pattern {
    /// Compiles a glob, relative to the folder that it is searched from.
    pub(super) fn new(text: &str) -> Result<Self, globset::Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let whole = compiled(text)?;
        let dotted = parts.iter().filter(|part| part.starts_with('.')).filter_map(|part| compiled(part).ok());
        // A choice or a set that spans components cannot be taken apart at them.
        let spans = parts.iter().any(|part| !is_closed(part));
        let ends_lead = |part: &str| part.contains("**") || (spans && part.contains(['{', '[', '}', ']', '\\']));
        let single = |part: &&&str| !ends_lead(part);
        let lead: Vec<_> = parts.iter().take_while(single).map_while(|part| compiled(part).ok()).collect();
        let depth = (lead.len() == parts.len()).then_some(parts.len());
        Ok(Self { whole, dotted: dotted.collect(), lead, depth })
    }

    /// The number of components of a match, where that is certain.
    pub(super) fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// True when the glob matches a file, by its path from the folder that is searched.
    pub(super) fn is_match(&self, below: &Path) -> bool {
        self.whole.is_match(below)
    }

    /// True when a component asks for this hidden name.
    pub(super) fn asks_for(&self, hidden: &Path) -> bool {
        self.dotted.iter().any(|one| one.is_match(hidden))
    }

    /// Whether a folder of this name at this depth, from 1, may hold matches; `None` where `**` decides, and not a name.
    pub(super) fn leads_through(&self, name: &Path, depth: usize) -> Option<bool> {
        let part = self.lead.get(depth.checked_sub(1)?)?;
        Some(part.is_match(name) && self.depth.is_none_or(|all| depth < all))
    }
}

fn compiled(text: &str) -> Result<GlobMatcher, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).build().map(|glob| glob.compile_matcher())
}

/// True when each `{` and `[` of a component is closed within it.
fn is_closed(part: &str) -> bool {
    let (mut braces, mut in_set, mut chars) = (0_i32, false, part.chars());
    while let Some(one) = chars.next() {
        match one {
            '\\' => _ = chars.next(),
            '[' if !in_set => in_set = true,
            ']' => in_set = false,
            '{' if !in_set => braces += 1,
            '}' if !in_set => braces -= 1,
            _ => {}
        }
    }
    braces == 0 && !in_set
}
