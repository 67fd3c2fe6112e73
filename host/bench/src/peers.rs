//! To come.
use crate::Bench;
pub(crate) fn run(_: &mut Bench) -> anyhow::Result<()> { Ok(()) }
