//! Command line of `frond plan`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use frond_app::size::parse_size;
use frond_root::Floor;

use super::{OutputMode, parse_deadline, parse_floor};

/// `frond plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without an app, it computes how many leaves a promised availability allows. With an app, the times come from recordings
of `frond query --record`; without recordings, the query runs again and again for some seconds, with all its effects.

Exit codes:
  0   there is a plan, whether or not it keeps the promises: the plan says so
  64  the command line, the app or a recording is wrong, or no leaf has succeeded
  65  a plugin, or the app's source, refused the query
  70  a bug in Frond, or a machine that does not let Frond work

Examples:
  frond plan --sla 97% --leaf-availability 99%             # 3 leaves; a fourth would leave 0.9606
  frond plan --sla 99.9% --leaf-availability 99% --attempts 2 --leaves 100
  frond plan examples/wordcount --deadline 200ms
  frond plan examples/grep '{\"pattern\":\"unsafe\"}' --workers 8 --slots 4 --sla 99%
  frond query examples/pi --record run.ndjson && frond plan examples/pi --recording run.ndjson --format json")]
pub struct PlanArgs {
    /// The app: a folder with a frond.toml.
    #[arg(value_name = "APP")]
    pub app: Option<PathBuf>,

    /// The query's bytes; `@FILE` reads them from a file, `-` from stdin [default: the query of the
    /// app's first case of the whole app, or else an empty one].
    #[arg(value_name = "QUERY | @FILE | -", conflicts_with = "recording")]
    pub query: Option<OsString>,

    /// Probability with which an answer is promised, such as 97% or 0.97.
    #[arg(long, value_parser = parse_probability, value_name = "SHARE")]
    pub sla: Option<f64>,

    /// Time from the start to the answer, such as 500ms or 2s.
    #[arg(long, value_parser = parse_deadline, value_name = "TIME", requires = "app")]
    pub deadline: Option<Duration>,

    /// Probability that one attempt of a leaf succeeds, such as 99% or 0.99 [default: as measured].
    #[arg(long, value_parser = parse_probability, value_name = "SHARE")]
    pub leaf_availability: Option<f64>,

    /// Number of attempts of each leaf [default: the app's; without an app, 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    pub attempts: Option<u32>,

    /// Least coverage of an answer: `all`, `best-effort`, or a share such as 0.8 or 80%
    /// [default: the app's; without an app, all].
    #[arg(long, value_parser = parse_floor, value_name = "FLOOR")]
    pub floor: Option<Floor>,

    /// Number of leaves at once to plan for, instead of the best one.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=frond_plan::MAX_LEAVES), value_name = "N")]
    pub leaves: Option<u64>,

    /// Number of workers to plan for [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "N", requires = "app")]
    pub workers: Option<u16>,

    /// Number of slots of each worker [default: the number of cores, at least 2].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(frond_run::MAX_SLOTS)), value_name = "N", requires = "app")]
    pub slots: Option<u16>,

    /// Memory for all leaves that run at once, such as 4GiB [default: no limit].
    #[arg(long, value_parser = parse_size, value_name = "SIZE", requires = "app")]
    pub memory: Option<u64>,

    /// A file that `frond query --record` wrote. May be given more than once: recordings with
    /// different numbers of slots show how throughput grows.
    #[arg(long, value_name = "FILE", requires = "app")]
    pub recording: Vec<PathBuf>,

    /// Time for which the query is run again and again, without recordings.
    #[arg(long, value_parser = parse_deadline, value_name = "TIME", default_value = "3s", requires = "app", conflicts_with = "recording")]
    pub measure: Duration,

    /// How the plan is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}

fn parse_probability(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse::<f64>(),
    };
    match share {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("write a probability above 0 and at most 1, such as 97% or 0.97".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_probability;

    #[test]
    fn a_probability_is_a_percentage_or_a_share() {
        for (text, share) in [("97%", 0.97), ("97 %", 0.97), ("0.97", 0.97), ("1", 1.0), ("100%", 1.0)] {
            assert!((parse_probability(text).unwrap() - share).abs() < 1e-12, "{text}");
        }
        for text in ["97", "0", "-1", "1.5", "nan", "%", "", "inf"] {
            assert!(parse_probability(text).is_err(), "{text}");
        }
    }
}
