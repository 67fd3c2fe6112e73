//! What merge, finish and split do on command. Merge knows one more, `lie`: it drops its first partial, so that the answer
//! depends on the grouping. All know `http:`, as the leaf does.

use frond_plugin::Failure;

use crate::leaf;
use crate::outside;
use crate::partial::Output;

/// A command's name, and what it does.
pub type Command = (&'static str, fn() -> Result<(), Failure>);

/// The commands: instead of the honest result, or before it.
pub const COMMANDS: &[Command] = &[
    ("ok", || Ok(())),
    ("trap", || leaf::trap()),
    ("panic", || leaf::panic("merge")),
    ("abort", || leaf::abort()),
    ("exit", || leaf::exit()),
    ("spin", || leaf::spin()),
    ("sleep", || leaf::sleep()),
    ("grow-memory", || leaf::grow_memory()),
    ("allocate", leaf::allocate),
    ("fill", leaf::fill),
    ("recurse", || leaf::recurse()),
    ("flood-stderr", leaf::flood_stderr),
    ("invalid-query", || Err(Failure::invalid_query("as the query asked"))),
    ("invalid-partition", || Err(Failure::invalid_partition("as the query asked"))),
    ("unavailable", || Err(Failure::unavailable("as the query asked"))),
];

/// The honest result, unless `fault` is a command. `huge-output` gives [`leaf::HUGE`] bytes, `text:TEXT` the text.
pub fn obey<T>(fault: Option<&str>, honest: impl FnOnce() -> T) -> Result<Output<T>, Failure> {
    if fault == Some("huge-output") {
        return Ok(Output::Bytes(leaf::HUGE));
    }
    if let Some(text) = fault.and_then(|fault| fault.strip_prefix("text:")) {
        return Ok(Output::Text(text.to_owned()));
    }
    if let Some(words) = fault.and_then(|fault| fault.strip_prefix("http:")) {
        outside::http(words)?;
    }
    if let Some((_, run)) = COMMANDS.iter().find(|(name, _)| Some(*name) == fault) {
        run()?;
    }
    Ok(Output::Value(honest()))
}
