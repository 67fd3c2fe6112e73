//! `frond build`: runs a package's build commands and checks the resulting components.

use frond_app::Package;
use frond_run::load;

use crate::args::BuildArgs;
use crate::exit::Exit;
use crate::loading;
use crate::out::warn;
use crate::show::progress::Mode;

/// Runs the verb.
///
/// # Errors
/// When a command fails, or a component is missing or does not fit afterwards.
pub(crate) fn run(args: &BuildArgs) -> anyhow::Result<Exit> {
    let package = Package::load(&args.app)?;
    let commands = package.build()?;
    if commands == 0 {
        errln!("{} has no build commands; its components are checked as they are", args.app.display());
    }
    let components = loading::loaded(Mode::Auto, |tell| load(&package, 1, tell))?;
    warn(&components.warnings);
    errln!("{}: the components fit", package.name);
    Ok(Exit::Whole)
}
