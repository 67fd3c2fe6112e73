//! `frond build`: an app's build commands, and a look at what they made.

use frond_app::App;

use crate::args::BuildArgs;
use crate::exit::Exit;
use crate::wire;

/// Runs the verb.
///
/// # Errors
/// A command that fails, and a component that is missing or does not fit afterwards.
pub(crate) fn run(args: &BuildArgs) -> anyhow::Result<Exit> {
    let app = App::load(&args.app)?;
    let commands = app.build()?;
    if commands == 0 {
        eprintln!("{} has no build commands; its components are checked as they are", args.app.display());
    }
    for (path, took) in wire::check(&app)? {
        eprintln!("compiled {} in {:.2} s", path.display(), took.as_secs_f64());
    }
    eprintln!("{}: the components fit", app.name);
    Ok(Exit::Whole)
}
