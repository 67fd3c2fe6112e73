//! `frond test`: runs a package's cases and checks the laws of its merge and leaf, under the limits
//! of production.

mod watch;

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use frond_run::laws::{self, Laws};
use frond_test::{Case, CaseResult, LawResult, Suite, Tester, bless, junit, tester};
use serde::Serialize;

use crate::args::{OutputMode, TestArgs};
use crate::exit::{Exit, MachineFault};
use crate::loading;
use crate::out::print;
use crate::show::cases::{self as show, Sums};
use crate::show::progress::Mode;
use crate::show::style::TermStyle;

/// Runs the verb.
///
/// # Errors
/// When the package is invalid, or cannot be built.
pub(crate) fn run(args: &TestArgs) -> anyhow::Result<Exit> {
    if args.watch { watch::run(args, || once(args)) } else { once(args) }
}

/// Runs all cases once.
fn once(args: &TestArgs) -> anyhow::Result<Exit> {
    let start = Instant::now();
    let package = tester::package(&args.path)?;
    if args.build {
        package.build()?;
    }
    let dir = package.dir.clone();
    let suite = Suite::read(&dir, args.filter.as_deref())
        .with_context(|| format!("cannot read the cases in `{}`", dir.join("cases").display()))?;
    let tester = loading::loaded(Mode::Auto, |tell| Tester::load(package, tell))?;
    let out = Out { text: args.format == OutputMode::Text, style: TermStyle::stdout() };
    out.say(&show::head(&tester.package.name, suite.cases.len(), out.style))?;
    if suite.cases.is_empty() {
        errln!("{}", no_cases(&dir, args));
    }
    let cases = try_cases(args, &tester, &suite, &out)?;
    let tried_laws = if args.no_laws || !args.inject.is_empty() { Vec::new() } else { tester.laws(&suite, args.seed) };
    out.say(&show::laws(&tried_laws, out.style))?;
    out.say(&show::failures(&cases, &tried_laws, out.style))?;
    remember(&tester, args, &tried_laws);
    let sums = Sums::of(&cases, &tried_laws, start.elapsed());
    report(args, &tester.package.name, &cases, &tried_laws, &sums)?;
    out.say(&show::sums(&sums, out.style))?;
    Ok(if !args.inject.is_empty() || sums.is_good() {
        Exit::Whole
    } else if sums.only_broken() {
        Exit::Usage
    } else {
        Exit::Failed
    })
}

/// Text output, if the format asks for it.
struct Out {
    text: bool,
    style: TermStyle,
}

impl Out {
    fn say(&self, text: &str) -> anyhow::Result<()> {
        if self.text { print(text.as_bytes()) } else { Ok(()) }
    }
}

fn try_cases(args: &TestArgs, tester: &Tester, suite: &Suite, out: &Out) -> anyhow::Result<Vec<CaseResult>> {
    let mut all = Vec::new();
    let width = suite.cases.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, case) in &suite.cases {
        let mut tried = match case {
            Ok(case) if args.inject.is_empty() => tester.try_case(case),
            Ok(case) => tester.show_case(&Case { inject: args.inject.clone(), ..case.clone() }),
            Err(fixture) => frond_test::trial::broken(name, "?", fixture.clone()),
        };
        if let (true, Ok(case)) = (args.bless, case) {
            bless::bless(case, &mut tried)
                .with_context(|| format!("cannot rewrite the expectation of `{}`", case.file.display()))?;
        }
        out.say(&show::case(&tried, width, out.style))?;
        if args.verbose {
            out.say(&show::written(&tried, out.style))?;
        }
        all.push(tried);
    }
    Ok(all)
}

fn no_cases(dir: &Path, args: &TestArgs) -> String {
    match &args.filter {
        Some(filter) => format!("no case in `{}` has `{filter}` in its name", dir.join("cases").display()),
        None => format!(
            "there are no cases\n(write `{}`; frond test --help says how)",
            dir.join("cases/one.toml").display()
        ),
    }
}

/// Stores whether the laws hold beside the compiled code, so that queries can warn about unchecked
/// or broken laws.
fn remember(tester: &Tester, args: &TestArgs, tried: &[LawResult]) {
    let unchecked = tried.iter().any(LawResult::is_unchecked);
    let whole = args.filter.is_none() && !unchecked && tried.iter().any(LawResult::holds);
    let (true, Some(key)) = (whole || tried.iter().any(|one| one.broken.is_some()), tester.laws_key()) else {
        return;
    };
    let holds = tried.iter().all(|one| one.broken.is_none());
    if let Err(error) = laws::keep(&key, if holds { Laws::Hold } else { Laws::Broken }) {
        errln!("warning: the result of the law check could not be stored: {error}");
    }
}

/// JSON report of `frond test`.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    package: &'a str,
    cases: &'a [CaseResult],
    laws: &'a [LawResult],
    sums: &'a Sums,
}

fn report(args: &TestArgs, name: &str, cases: &[CaseResult], laws: &[LawResult], sums: &Sums) -> anyhow::Result<()> {
    if args.format == OutputMode::Json {
        let report = Report { version: 1, package: name, cases, laws, sums };
        print(format!("{}\n", serde_json::to_string(&report)?).as_bytes())?;
    }
    if let Some(path) = &args.junit {
        let xml =
            junit::junit(name, cases, laws).context(MachineFault::new("the outcome could not be written as XML"))?;
        std::fs::write(path, xml).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
