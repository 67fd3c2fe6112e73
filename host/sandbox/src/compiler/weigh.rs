//! Weight of a component for a compiler, from its bytes alone: refuses what is known to take minutes and gigabytes.
//!
//! Register allocation takes time and memory in proportion to locals times blocks of a function, and a compiler of
//! components inlines each instance: a short file that instantiates twice what instantiates twice grows exponentially.

use wasmparser::{FunctionBody, Operator, Parser, Payload, Validator};

use crate::classify::clip;
use crate::inspect::{Misfit, demand};

/// The most bytes of one function's body. The largest known is the interpreter loop of CPython: 0.4 MB.
pub(crate) const MAX_BODY: u64 = 2 << 20;
/// The most locals times blocks of one function: with as many, one function takes 1 GB. The largest known is one of the crate
/// `regex`, with 0.6 million.
pub(crate) const MAX_LOCALS_BLOCKS: u64 = 5_000_000;
/// The most items (instances, aliases, imports, exports, lifted and lowered functions) of all instances, each time counted.
/// A componentize-py guest has 1,600.
pub(crate) const MAX_ITEMS: u64 = 200_000;

/// Validates a component, and checks that compiling it is within reason.
///
/// # Errors
/// [`Misfit::Broken`], and [`Misfit::TooCostly`] with what there is too much of.
pub(crate) fn weigh(bytes: &[u8]) -> Result<(), Misfit> {
    let broken = |error: wasmparser::BinaryReaderError| Misfit::Broken(clip(&error.to_string()));
    Validator::new().validate_all(bytes).map_err(broken)?;
    let items = demand(bytes).map_err(broken)?.items;
    if items > MAX_ITEMS {
        return Err(costly(format!(
            "its instances have {items} items, counting each instance of an instance, and the limit is {MAX_ITEMS}"
        )));
    }
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CodeSectionEntry(body) = payload.map_err(broken)? {
            function(&body)?;
        }
    }
    Ok(())
}

/// Checks one function.
fn function(body: &FunctionBody<'_>) -> Result<(), Misfit> {
    let broken = |error: wasmparser::BinaryReaderError| Misfit::Broken(clip(&error.to_string()));
    let range = body.range();
    let size = (range.end - range.start) as u64;
    if size > MAX_BODY {
        return Err(costly(format!("a function at byte {} has {size} bytes, the limit is {MAX_BODY}", range.start)));
    }
    let mut locals = 0_u64;
    for group in body.get_locals_reader().map_err(broken)? {
        locals += u64::from(group.map_err(broken)?.0);
    }
    // Each block takes two bytes at least: most functions are known to be light without looking at their instructions.
    if locals.saturating_mul(size / 2) <= MAX_LOCALS_BLOCKS {
        return Ok(());
    }
    let mut blocks = 0_u64;
    for operator in body.get_operators_reader().map_err(broken)? {
        let opens = matches!(
            operator.map_err(broken)?,
            Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::Else
                | Operator::BrIf { .. }
        );
        blocks += u64::from(opens);
    }
    match locals.saturating_mul(blocks) {
        product if product > MAX_LOCALS_BLOCKS => Err(costly(format!(
            "a function at byte {} has {locals} locals and {blocks} blocks, and their product may be {MAX_LOCALS_BLOCKS}",
            range.start
        ))),
        _ => Ok(()),
    }
}

fn costly(why: String) -> Misfit {
    Misfit::TooCostly(format!("{why}\n(build it with optimisation, or split what generated it into smaller parts)"))
}

#[cfg(test)]
mod tests;
