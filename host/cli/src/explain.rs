//! `frond explain`: shows a recorded query in the terminal, or as a page in a file.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use frond_page::Standalone;
use frond_root::{Event, EventKind};

use crate::args::ExplainArgs;
use crate::exit::Exit;
use crate::out::print;
use crate::record;
use crate::show::explain;
use crate::show::style::TermStyle;
use crate::show::text::{MAX_KEY, sanitise};

/// Runs the verb.
///
/// # Errors
/// When the file is missing or is no recording, or the page cannot be written.
pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<Exit> {
    if args.html {
        html(args)?;
    } else {
        let text = explain::file(&args.file, TermStyle::stdout())?;
        print(text.as_bytes())?;
    }
    Ok(Exit::Whole)
}

fn html(args: &ExplainArgs) -> anyhow::Result<()> {
    let output = args.output.clone().unwrap_or_else(|| args.file.with_extension("html"));
    if output == args.file {
        return Err(anyhow!(
            "the page would overwrite the recording {}\n(name another file with --output)",
            args.file.display()
        ));
    }
    let page = page(&args.file)?;
    if output == Path::new("-") {
        return print(page.as_bytes());
    }
    fs::write(&output, page).with_context(|| format!("cannot write the page to `{}`", output.display()))?;
    errln!("wrote {}", output.display());
    Ok(())
}

/// Returns the page of the recording at `path`. The page has re-serialised events, so only fields
/// that this version knows are in it.
fn page(path: &Path) -> anyhow::Result<String> {
    let mut sheet = Sheet::default();
    record::read(path, |event| sheet.take(&event))?;
    sheet.finish().with_context(|| {
        format!("{} is too large for one page\n(`frond explain {0}` shows it in the terminal)", path.display())
    })
}

/// Builder of a page, event by event.
#[derive(Default)]
pub(crate) struct Sheet {
    page: Option<Standalone>,
    wrong: Option<anyhow::Error>,
}

impl Sheet {
    pub(crate) fn take(&mut self, event: &Event) {
        if self.wrong.is_none() {
            let page = self.page.get_or_insert_with(|| Standalone::new(&title(event)));
            self.wrong = add(page, event).err();
        }
    }

    pub(crate) fn finish(self) -> anyhow::Result<String> {
        match self.wrong {
            Some(error) => Err(error),
            None => Ok(self.page.unwrap_or_else(|| Standalone::new("Frond")).finish()),
        }
    }
}

fn add(page: &mut Standalone, event: &Event) -> anyhow::Result<()> {
    Ok(page.event(&serde_json::to_string(event)?)?)
}

fn title(event: &Event) -> String {
    match &event.kind {
        EventKind::QueryStarted { app, query, .. } => format!("{} · {query} · Frond", sanitise(app, MAX_KEY)),
        _ => "Frond".to_owned(),
    }
}

#[cfg(test)]
mod tests;
