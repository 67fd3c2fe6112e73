//! Commands of merge, finish and split. Merge has two more: `lie` drops its first partial, so that
//! the answer depends on the grouping, and `unavailable-of-many` fails if there are more than two.
//! All have `http:`, like the leaf.

use frond_plugin::Failure;

use crate::leaf;
use crate::outside;
use crate::partial::Output;

/// Name and function of a command.
pub type Command = (&'static str, fn() -> Result<(), Failure>);

/// All commands, which run before the honest result or replace it.
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

/// Runs the command `fault`, then returns the honest result. `huge-output` returns [`leaf::HUGE`]
/// bytes instead, and `text:TEXT` the text.
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
