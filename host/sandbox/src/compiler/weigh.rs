//! Compile cost of a component, estimated from its bytes: refuses components that are known to take
//! minutes and gigabytes.
//!
//! Register allocation takes time and memory in proportion to the locals times the blocks of a
//! function. The component compiler inlines each instance, so a chain of components that each
//! instantiate the previous one twice grows exponentially.

use wasmparser::{FunctionBody, Operator, Parser, Payload, Validator};

use crate::escape::clip;
use crate::inspect::{Misfit, demand};

/// Most bytes of one function's body. The largest known is CPython's interpreter loop, with 0.4 MB.
pub(crate) const MAX_BODY: u64 = 2 << 20;
/// Most locals times blocks of one function: at this product, one function takes 1 GB. The largest
/// known, in the crate `regex`, has 0.6 million.
pub(crate) const MAX_LOCALS_BLOCKS: u64 = 5_000_000;
/// Most items (instances, aliases, imports, exports, lifted and lowered functions) of all
/// instances, repetitions counted. A componentize-py guest has 1,600.
pub(crate) const MAX_ITEMS: u64 = 200_000;

/// Validates a component, and checks that its compile cost is acceptable.
///
/// # Errors
/// [`Misfit::Broken`], or [`Misfit::TooCostly`] with the exceeded bound.
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
    // Each block takes at least two bytes: so most functions pass without a look at their
    // instructions.
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
