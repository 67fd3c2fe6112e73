//! Command line of `frond new`.

use std::fmt;

use clap::{Args, ValueEnum};

/// Limit on the length of a name: it becomes the name of a folder and a crate.
const MAX_NAME: usize = 64;

/// `frond new`.
#[derive(Debug, Args)]
#[command(after_help = "\
The new folder counts lines that are longer than the length in the query. It does the same in every
language, so that languages can be mixed: a leaf in one with the merge of another. The folder has its
cases, and needs nothing of Frond's repository.

Examples:
  frond new lines --lang python
  frond build lines && frond test lines
  frond query lines '{\"longer-than\": 20}'
  frond new my-leaf --lang rust --kind leaf")]
pub struct NewArgs {
    /// The folder to make: letters, digits, - and _, a letter first.
    #[arg(value_name = "NAME", value_parser = parse_name)]
    pub name: String,

    /// Language of the sources.
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub lang: Language,

    /// An app, or a plugin by itself.
    #[arg(long, value_enum, default_value_t)]
    pub kind: Kind,
}

/// A language that plugins can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Compiled, with Frond's own crate for plugins.
    Rust,
    /// CPython: 18 MB, all of the language, and most of its library.
    Python,
    /// QuickJS: 1.6 MB, the language without a browser.
    Javascript,
    /// Compiled with clang: small and fast, with everything written by hand.
    C,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 4] = [Self::Rust, Self::Python, Self::Javascript, Self::C];

    /// Returns the name of the language on the command line.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Javascript => "javascript",
            Self::C => "c",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Javascript => "JavaScript",
            Self::C => "C",
        })
    }
}

/// Content of a new folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A leaf and its merge in one component, with data.
    #[default]
    App,
    /// A leaf.
    Leaf,
    /// A merge.
    Merge,
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err("a name begins with a letter".to_owned());
    }
    if let Some(other) = text.chars().find(|c| !is_allowed(*c)) {
        return Err(format!("a name has only letters, digits, - and _, and no `{}`", other.escape_debug()));
    }
    if text.len() > MAX_NAME {
        return Err(format!("a name has at most {MAX_NAME} characters"));
    }
    Ok(text.to_owned())
}
