//! `frond bench`: measures the cost of a plugin's calls.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use frond_sandbox::profile::Sampling;
use frond_test::case::Call;
use frond_test::measure::Measurement;
use frond_test::profile::{hottest, speedscope};
use frond_test::{Case, Suite, Tester, tester};
use serde::Serialize;

use crate::args::{BenchArgs, OutputMode, ProfileBy};
use crate::exit::Exit;
use crate::loading;
use crate::out::print;
use crate::show::bench as show;
use crate::show::progress::Mode;
use crate::show::style::TermStyle;

/// Limit on the size of the file for `--input`, in bytes.
const MAX_INPUT: u64 = 1 << 30;

/// JSON report of `frond bench`.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    package: &'a str,
    measured: &'a [Measurement],
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<&'a [Measurement]>,
}

/// Runs the verb.
///
/// # Errors
/// When the package is invalid, or a case cannot be run.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<Exit> {
    let tester = open(&args.path)?;
    let cases = cases(args, &tester)?;
    let measured = measure(&tester, &cases, args.runs)?;
    let other = match &args.compare {
        Some(path) => Some(measure(&open(path)?, &cases, args.runs)?),
        None => None,
    };
    match args.format {
        OutputMode::Text => {
            print(show::table(&tester.package.name, &measured, other.as_deref(), TermStyle::stdout()).as_bytes())?;
        }
        OutputMode::Json => {
            let package = tester.package.name.as_str();
            let report = Report { version: 1, package, measured: &measured, other: other.as_deref() };
            print(format!("{}\n", serde_json::to_string(&report)?).as_bytes())?;
        }
    }
    if let (Some(file), Some(case)) = (&args.profile, cases.first()) {
        profile(args, &tester, case, file)?;
    }
    let failed = measured.iter().chain(other.iter().flatten()).any(|one| one.failed.is_some());
    Ok(if failed { Exit::Failed } else { Exit::Whole })
}

/// Writes a profile with a sample each millisecond or each 100,000 units of fuel, which gives about
/// as many samples.
fn profile(args: &BenchArgs, tester: &Tester, case: &Case, file: &Path) -> anyhow::Result<()> {
    let sampling = match args.profile_by {
        ProfileBy::Fuel => Sampling::Fuel(100_000),
        ProfileBy::Time => Sampling::Clock(Duration::from_millis(1)),
    };
    let profile = tester.profile(case, sampling, args.runs).with_context(|| format!("case `{}`", case.name))?;
    let bytes = if file.to_string_lossy().ends_with(".speedscope.json") {
        speedscope(&profile, &case.name)?
    } else {
        profile.firefox.clone()
    };
    std::fs::write(file, bytes).with_context(|| format!("cannot write `{}`", file.display()))?;
    if args.format == OutputMode::Text {
        let text = show::hottest(&case.name, &profile, &hottest(&profile)?, TermStyle::stdout());
        print(format!("{text}the profile is in {}\n", file.display()).as_bytes())?;
    }
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<Tester> {
    let package = tester::package(path)?;
    Ok(loading::loaded(Mode::Auto, |tell| Tester::load(package, tell))?)
}

fn cases(args: &BenchArgs, tester: &Tester) -> anyhow::Result<Vec<Case>> {
    if let Some(path) = &args.input {
        let data = frond_files::read(path, MAX_INPUT).with_context(|| format!("cannot read `{}`", path.display()))?;
        let key = path.display().to_string();
        return Ok(vec![Case {
            name: path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            file: path.clone(),
            call: Call::Leaf { key, index: 0, data: data.into() },
            query: args.query.clone().into_bytes().into(),
            lower: Default::default(),
            inject: Vec::new(),
            expect: Default::default(),
        }]);
    }
    let dir = &tester.package.dir;
    let suite = Suite::read(dir, args.filter.as_deref())
        .with_context(|| format!("cannot read the cases in `{}`", dir.join("cases").display()))?;
    // A case with an expected failure or an injected fault has no cost worth measuring.
    let whole = |case: &Case| case.expect.failure.is_none() && case.expect.reason.is_none() && case.inject.is_empty();
    let cases: Vec<Case> = suite.cases.into_iter().filter_map(|(_, case)| case.ok().filter(whole)).collect();
    if cases.is_empty() {
        bail!("there is nothing to measure in `{}`\n(write cases/*.toml, or name a file with --input)", dir.display());
    }
    Ok(cases)
}

fn measure(tester: &Tester, cases: &[Case], runs: u64) -> anyhow::Result<Vec<Measurement>> {
    let one = |case: &Case| tester.measure(case, runs).with_context(|| format!("case `{}`", case.name));
    cases.iter().map(one).collect()
}
