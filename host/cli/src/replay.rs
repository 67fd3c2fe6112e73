//! `frond replay`: repeats calls that failed in production.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use frond_test::capture::{self, Replay};

use crate::args::ReplayArgs;
use crate::exit::Exit;
use crate::out::print;
use crate::show::replay;
use crate::show::style::TermStyle;

/// Runs the verb.
///
/// # Errors
/// When a folder is no capture, or a component cannot be loaded.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<Exit> {
    let folders = captures(&args.dirs)?;
    let mut all_the_same = true;
    for (number, folder) in folders.iter().enumerate() {
        if number > 0 {
            print(b"\n")?;
        }
        all_the_same &= replay_one(args, folder)?;
    }
    Ok(if all_the_same { Exit::Whole } else { Exit::Failed })
}

/// Repeats one call. Returns true if it failed in the same way.
fn replay_one(args: &ReplayArgs, folder: &Path) -> anyhow::Result<bool> {
    let call = Replay::read(folder, args.component.as_deref())?;
    let replayed = call.run(args.component.is_some())?;
    print(replay::replayed(&call.capture, &replayed, TermStyle::stdout()).as_bytes())?;
    let same = call.capture.is_reproduced_by(replayed.last());
    if let (Some(_), Some(_), true) = (&args.as_case, &replayed.after, same) {
        print(b"not written as a case: the partition alone does not fail (the law `warm` of `frond test` tries sequences)\n")?;
    } else if let Some(package) = &args.as_case {
        let written = call.as_case(package);
        let file = written.with_context(|| format!("cannot write a case to `{}`", package.display()))?;
        print(format!("written as a case: {}\n", file.display()).as_bytes())?;
    }
    Ok(same)
}

/// Returns the captures among and inside `dirs`, in order. The folder of their components, which a
/// shell's `*` also matches, is skipped.
fn captures(dirs: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for dir in dirs {
        match (capture::is_one(dir), dir.file_name()) {
            (true, _) => found.push(dir.clone()),
            (false, Some(name)) if dirs.len() > 1 && name == capture::COMPONENTS => {}
            (false, _) => found.extend(inside(dir)?),
        }
    }
    match (found.is_empty(), dirs.first()) {
        (true, Some(dir)) => {
            bail!("`{}` has no captures\n(give a folder that --capture-failures wrote)", dir.display())
        }
        _ => Ok(found),
    }
}

/// Returns the captures in a folder. Without any, it returns the folder itself, so that the error
/// names the missing file.
fn inside(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Ok(vec![dir.to_path_buf()]);
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut captures = paths.with_context(|| format!("cannot read `{}`", dir.display()))?;
    captures.retain(|path| capture::is_one(path));
    captures.sort();
    Ok(if captures.is_empty() { vec![dir.to_path_buf()] } else { captures })
}
