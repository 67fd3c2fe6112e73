//! `frond replay`: calls that failed in production, made again.

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
/// A folder that is no capture, a component that cannot be loaded.
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

/// Makes one call again. True when it failed as it did.
fn replay_one(args: &ReplayArgs, folder: &Path) -> anyhow::Result<bool> {
    let kept = Replay::read(folder, args.component.as_deref())?;
    let trial = kept.run(args.component.is_some())?;
    print(replay::replayed(&kept.capture, &trial, TermStyle::stdout()).as_bytes())?;
    if let Some(package) = &args.as_case {
        let written = kept.as_case(package);
        let file = written.with_context(|| format!("cannot write a case to `{}`", package.display()))?;
        print(format!("written as a case: {}\n", file.display()).as_bytes())?;
    }
    Ok(replay::is_same(&kept.capture, &trial))
}

/// The captures among `dirs` and in them, in order. A shell's `*` gives the folder of their components, too.
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

/// The captures in a folder; the folder itself where there are none, which then says what it lacks.
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
