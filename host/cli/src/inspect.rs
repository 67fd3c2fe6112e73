//! `frond inspect`: describes a component and the roles that it fits.

mod envelope;
mod inspected;
mod view;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow};
use frond_app::{AppLimits, Package};
use frond_root::Digest;
use frond_root::call::Limits;
use frond_run::cache::{self, cache_dir};
use frond_sandbox::component::read;
use frond_sandbox::inspect::report::{Mismatch, MismatchKind};
use frond_sandbox::inspect::{Misfit, Report, report};
use frond_sandbox::{LoadError, Metering, Plugin, Role, Sandbox, Settings};

use self::inspected::{Compiled, InspectedFile, halves};
use crate::args::{InspectArgs, OutputMode};
use crate::exit::{Exit, MachineFault};
use crate::out::{print, warn};
use crate::show::style::TermStyle;

/// Runs the verb.
///
/// # Errors
/// When the file is missing or cannot be read.
pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<Exit> {
    let (targets, of) = targets(&args.file)?;
    let sandbox = if args.no_compile { None } else { Some(sandbox(&of)?) };
    let mut files = Vec::new();
    for target in targets {
        files.push(inspect(target, sandbox.as_ref())?);
    }
    let text = match args.format {
        OutputMode::Text => view::view(&files, TermStyle::stdout()).into_bytes(),
        OutputMode::Json => envelope::envelope(&files)?,
    };
    print(&text)?;
    Ok(if files.iter().all(InspectedFile::fits) { Exit::Whole } else { Exit::Failed })
}

/// A file to inspect.
struct Target {
    path: PathBuf,
    /// The roles that the app gives it; empty for a bare component.
    named: Vec<Role>,
    limits: Limits,
    component: Option<frond_app::Component>,
}

fn targets(file: &Path) -> anyhow::Result<(Vec<Target>, AppLimits)> {
    let is_package = file.is_dir() || file.file_name().is_some_and(|name| name == "frond.toml");
    if !is_package {
        // Checked before the file is opened, because opening a named pipe could block.
        let found = fs::metadata(file).with_context(|| unreadable(file))?;
        if !found.is_file() {
            return Err(anyhow!("it is not a regular file")).with_context(|| unreadable(file));
        }
        let of = AppLimits::default();
        let one = Target { path: file.to_owned(), named: Vec::new(), limits: of.leaf, component: None };
        return Ok((vec![one], of));
    }
    let package = Package::load(file)?;
    let of = package.limits;
    let named = [(Role::Leaf, &package.leaf, of.leaf), (Role::Merge, &package.merge, of.merge)];
    let split = (Role::Split, &package.split, of.split);
    let mut targets: Vec<Target> = Vec::new();
    for (role, component, limits) in named.into_iter().chain([split]) {
        let Some(component) = component else { continue };
        component.check()?;
        match targets.iter_mut().find(|target| target.path == component.path) {
            Some(target) => target.named.push(role),
            None => targets.push(Target {
                path: component.path.clone(),
                named: vec![role],
                limits,
                component: Some(component.clone()),
            }),
        }
    }
    if targets.is_empty() {
        let text = format!("`{}` names no component", file.display());
        return Err(anyhow!("{text}\n(a frond.toml names them in [leaf], [merge] and [split])"));
    }
    Ok((targets, of))
}

fn unreadable(path: &Path) -> String {
    format!("cannot read `{}`\n(give a component's .wasm file, or an app's folder)", path.display())
}

fn sandbox(of: &AppLimits) -> anyhow::Result<Sandbox> {
    let limits = vec![of.leaf, of.merge, of.split];
    let settings = Settings { slots: 1, waiting: 0, limits, cache: cache_dir(), compiler: frond_run::compiler() };
    cache::sandbox(settings).context(MachineFault::new("the sandbox could not be started"))
}

fn inspect(target: Target, sandbox: Option<&Sandbox>) -> anyhow::Result<InspectedFile> {
    let Target { path, named, limits, component } = target;
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(LoadError::Misfit(misfit)) => {
            let size = if let Misfit::TooLarge { size } = misfit { size } else { 0 };
            let digest = None;
            let compiled = Compiled::NoUse;
            return Ok(InspectedFile { path, named, size, digest, report: Err(misfit), compiled, limits });
        }
        Err(LoadError::Unreadable(error)) => {
            return Err(anyhow::Error::new(error).context(unreadable(&path)));
        }
        Err(other) => return Err(other.into()),
    };
    if let Some(component) = component {
        component.verify(&bytes)?;
    }
    let mut report = report(&bytes);
    let compiled = match (&mut report, sandbox) {
        (_, None) => Compiled::NotAsked,
        (Ok(report), Some(sandbox)) => compile(report, &bytes, sandbox, Metering::of(&limits))?,
        (Err(_), Some(_)) => Compiled::NoUse,
    };
    Ok(InspectedFile {
        size: bytes.len() as u64,
        digest: Some(Digest::of(&bytes)),
        path,
        named,
        report,
        compiled,
        limits,
    })
}

/// Compiles and links a component that fits a role by its types. Other components never reach the
/// compiler.
fn compile(report: &mut Report, bytes: &[u8], sandbox: &Sandbox, metering: Metering) -> anyhow::Result<Compiled> {
    let roles: Vec<Role> = report.fits().collect();
    if roles.is_empty() {
        return Ok(Compiled::NoUse);
    }
    let start = Instant::now();
    let loaded = Plugin::load(sandbox, bytes, &roles, metering);
    let took = start.elapsed();
    warn(sandbox.take_warnings());
    match loaded {
        Ok(plugin) => Ok(Compiled::Done { origin: plugin.origin(), took }),
        Err(LoadError::Misfit(misfit)) => {
            let (text, hint) = halves(&misfit.to_string());
            for fit in report.roles.iter_mut().filter(|fit| fit.mismatch.is_none()) {
                fit.mismatch = Some(Mismatch::new(MismatchKind::Refused, &text, hint.clone()));
            }
            Ok(Compiled::Refused)
        }
        Err(other) => Err(anyhow::Error::new(other).context(MachineFault::new("it could not be compiled"))),
    }
}
