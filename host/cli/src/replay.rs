//! `frond replay`: a call that failed in production, made again.

use anyhow::Context;
use frond_test::capture::Replay;

use crate::args::ReplayArgs;
use crate::exit::Exit;
use crate::show::look::Look;
use crate::show::replay;

/// Runs the verb.
///
/// # Errors
/// A folder that is no capture, a component that cannot be loaded.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<Exit> {
    let kept = Replay::read(&args.dir, args.component.as_deref())?;
    let trial = kept.run(args.component.is_some())?;
    print!("{}", replay::replayed(&kept.capture, &trial, Look::stdout()));
    if let Some(package) = &args.as_case {
        let written = kept.as_case(package);
        let file = written.with_context(|| format!("cannot write a case to `{}`", package.display()))?;
        println!("written as a case: {}", file.display());
    }
    Ok(if replay::is_same(&kept.capture, &trial) { Exit::Whole } else { Exit::Failed })
}
