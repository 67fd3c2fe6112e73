//! Part of a glob from its first wildcard on: matches files, and finds the folders and links to
//! folders that lead to them.

use std::path::Path;

use globset::GlobBuilder;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// Largest compiled form of a glob, or of one of its components, in bytes.
const MAX_COMPILED: usize = 1 << 20;
/// Largest memory for states that one compiled form meets while it matches, in bytes.
const MAX_STATES: usize = 256 << 10;

/// Components of a glob from the first one with a wildcard. A clone shares the compiled forms, and
/// has its own memory for matching.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    whole: Matcher,
    /// Components that name hidden entries.
    dotted: Vec<Matcher>,
    /// Leading components that match exactly one name each: all of them, or those before the first
    /// `**`.
    lead: Vec<Matcher>,
    /// Number of components of a match, if it is fixed.
    depth: Option<usize>,
}

impl Pattern {
    /// Compiles a glob, relative to the folder where the search starts.
    ///
    /// # Errors
    /// The reason why the text is not a glob.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let whole = Matcher::new(text)?;
        let dotted = parts.iter().filter(|part| part.starts_with('.')).filter_map(|part| Matcher::new(part).ok());
        // Alternatives or sets that span several components cannot be split into components.
        let spans = parts.iter().any(|part| !is_closed(part));
        let ends_lead = |part: &str| part.contains("**") || (spans && part.contains(['{', '[', '}', ']', '\\']));
        let single = |part: &&&str| !ends_lead(part);
        let lead: Vec<_> = parts.iter().take_while(single).map_while(|part| Matcher::new(part).ok()).collect();
        let depth = (lead.len() == parts.len()).then_some(parts.len());
        Ok(Self { whole, dotted: dotted.collect(), lead, depth })
    }

    /// Number of components of a match, if it is fixed.
    pub(super) fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// True if the glob matches a file, given by its path relative to the start of the search.
    pub(super) fn is_match(&self, below: &Path) -> bool {
        self.whole.is_match(below)
    }

    /// True if a component matches this hidden name.
    pub(super) fn asks_for(&self, hidden: &Path) -> bool {
        self.dotted.iter().any(|one| one.is_match(hidden))
    }

    /// True if a folder of this name, at this depth counted from 1, may hold matches; `None` if
    /// `**` decides and not a name.
    pub(super) fn leads_through(&self, name: &Path, depth: usize) -> Option<bool> {
        let part = self.lead.get(depth.checked_sub(1)?)?;
        Some(part.is_match(name) && self.depth.is_none_or(|all| depth < all))
    }
}

/// Compiled glob. globset's own matcher panics when a glob is too large or too deep to be compiled.
#[derive(Clone, Debug)]
struct Matcher(Regex);

impl Matcher {
    fn new(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
        // The settings with which globset compiles, within bounds.
        let syntax = syntax::Config::new().utf8(false).dot_matches_new_line(true);
        let config =
            Regex::config().utf8_empty(false).nfa_size_limit(Some(MAX_COMPILED)).hybrid_cache_capacity(MAX_STATES);
        let regex = Regex::builder().syntax(syntax).configure(config).build(glob.regex());
        regex.map(Self).map_err(|_| "too large or too deep to be compiled".to_owned())
    }

    fn is_match(&self, path: &Path) -> bool {
        self.0.is_match(path.as_os_str().as_encoded_bytes())
    }
}

/// True if a component closes each of its `{` and `[`.
fn is_closed(part: &str) -> bool {
    let mut braces = 0_i32;
    let mut in_set = false;
    let mut chars = part.chars();
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
