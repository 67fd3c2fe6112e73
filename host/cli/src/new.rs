//! `frond new`: creates a folder with a plugin that builds and passes its cases at once.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};

use crate::args::{Kind, Language, NewArgs};
use crate::doctor::{self, Check};
use crate::exit::Exit;
use crate::out::message;

mod scaffold;
mod sdk;
#[cfg(test)]
mod tests;

use scaffold::File;

/// Runs the verb.
///
/// # Errors
/// When the folder exists already, or cannot be created.
pub(crate) fn run(args: &NewArgs) -> anyhow::Result<Exit> {
    let dir = Path::new(&args.name);
    make(dir, &scaffold::files(&args.name, args.lang, args.kind))?;
    message(&summary(args, &doctor::of(args.lang)));
    Ok(Exit::Whole)
}

/// Creates the folder with all files, or nothing.
fn make(dir: &Path, files: &[File]) -> anyhow::Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("`{}` exists already\n(choose another name, or remove it first)", dir.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot make the folder `{}`", dir.display())),
    }
    let written = files.iter().try_for_each(|file| write(dir, file));
    if written.is_err() {
        // The folder was created above, so it only holds generated files.
        let _ = fs::remove_dir_all(dir);
    }
    written
}

fn write(dir: &Path, file: &File) -> anyhow::Result<()> {
    let path = dir.join(&file.path);
    let save = || -> io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, &file.text)?;
        if file.text.starts_with("#!") {
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        Ok(())
    };
    save().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Returns the summary of the new folder: its content, its requirements and the next commands.
fn summary(args: &NewArgs, checks: &[Check]) -> String {
    let name = &args.name;
    let lang = args.lang;
    let what = match args.kind {
        Kind::App => "an app: a leaf and its merge in one component, cases, and some data",
        Kind::Leaf => "a leaf, and its cases",
        Kind::Merge => "a merge, and its cases",
    };
    let mut text = format!("made `{name}` in {lang}: {what}\n\nneeds {}\n", scaffold::needs(lang).replace('\n', " "));
    for missing in checks.iter().filter(|check| !check.ok) {
        text += &format!("  {} is missing: {}\n", missing.name, missing.remedy);
    }
    if checks.iter().all(|check| check.ok) {
        text += "  which is all installed\n";
    }
    text += &format!("\nnext\n  frond build {name}{}\n  frond test {name}\n", first_build(lang));
    if args.kind == Kind::App {
        text += &format!("  frond query {name} '{{\"longer-than\": 20}}'\n");
    }
    text
}

fn first_build(lang: Language) -> &'static str {
    match lang {
        Language::Rust => "",
        Language::Python => "      # the first build fetches componentize-py into .tools: 70 MB",
        Language::Javascript => "      # the first build fetches componentize-qjs into .tools: 40 MB",
        Language::C => "      # the first build fetches wit-bindgen and wasi-libc into .tools: a minute or two",
    }
}
