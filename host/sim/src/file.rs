//! Worlds as TOML files.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::Problem;
use crate::world::World;

/// The largest file of a world, in bytes.
pub const MAX_FILE: u64 = 16 << 20;

/// Reads a world from the text of a TOML file, and checks it.
///
/// # Errors
/// A message with the line, the key, and what the value must be.
pub fn parse(text: &str) -> Result<World, String> {
    let world: World = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    match world.check() {
        Ok(()) => Ok(world),
        Err(problem) => Err(Problem { line: line_of(text, &problem.key), ..problem }.to_string()),
    }
}

/// Line of a key's value, from 1; of the last table on its path that exists.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut at = None;
    let mut value: Option<&Spanned<DeValue<'_>>> = None;
    for part in key.split('.') {
        let next = match value.map(Spanned::get_ref) {
            None => table.get_ref().get(part),
            Some(DeValue::Table(inner)) => inner.get(part),
            Some(DeValue::Array(array)) => part.parse().ok().and_then(|index: usize| array.get(index)),
            Some(_) => None,
        };
        let Some(next) = next else { break };
        at = Some(next.span().start);
        value = Some(next);
    }
    let before = text.get(..at?)?;
    Some(before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_is_told_with_its_line_and_key() {
        let check = |text: &str, parts: &[&str]| {
            let told = parse(text).unwrap_err();
            assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        };
        check("[query]\npartitions = 0\n", &["line 2", "query.partitions", "from 1 to 100,000"]);
        check("[query]\npartition = 1\n", &["line 2", "partition", "unknown field"]);
        check("\n[query]\nfloor = \"most\"\n", &["line 3", "floor", "best-effort"]);
        check("[query.leaf]\npareto = { least = 1, alpha = 0 }\n", &["line 2", "query.leaf.pareto.alpha"]);
        check("[cluster]\nworkers = [\n  { slots = 1 },\n  { speed = 0 },\n]\n", &["line 4", "workers.1.speed"]);
        check("[query]\npartitions = 101\n[arrivals]\nqueries = 10_000_000\n", &["line 4", "1,000,000,000"]);
    }

    #[test]
    fn a_file_needs_nothing() {
        assert_eq!(parse("").unwrap(), World::default());
    }
}
