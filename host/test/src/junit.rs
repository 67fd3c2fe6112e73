//! Test results as JUnit XML, for build servers.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::laws::LawResult;
use crate::trial::{CaseResult, Verdict};

/// Returns the report on one package's cases and laws.
///
/// # Errors
/// When the report cannot be serialised.
pub fn junit(package: &str, cases: &[CaseResult], laws: &[LawResult]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("frond test");
    let mut suite = TestSuite::new(package);
    for tried in cases {
        let mut case = TestCase::new(format!("{} {}", tried.call, tried.name), status(&tried.verdict));
        case.set_time(Duration::from_secs_f64(tried.ms.max(0.0) / 1e3));
        if !tried.log.is_empty() {
            case.set_system_err(tried.log.join("\n"));
        }
        suite.add_test_case(case);
    }
    for tried in laws {
        let status = match (&tried.broken, &tried.failure) {
            (None, Some(why)) if tried.is_unchecked() => skipped(&format!("not checked, every call failed: {why}")),
            (None, _) => TestCaseStatus::success(),
            (Some(broken), _) => {
                failure(NonSuccessKind::Failure, "does not hold", &format!("{}\n{}", broken.what, broken.diff))
            }
        };
        let mut case = TestCase::new(format!("law {}", tried.law), status);
        if !tried.notes.is_empty() {
            case.set_system_out(tried.notes.join("\n"));
        }
        suite.add_test_case(case);
    }
    report.add_test_suite(suite);
    report.to_string()
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}

fn status(verdict: &Verdict) -> TestCaseStatus {
    match verdict {
        Verdict::Passed | Verdict::Blessed | Verdict::Shown { .. } => TestCaseStatus::success(),
        Verdict::Failed { wrong } => {
            let first = wrong.first().map_or("", |one| one.what.as_str());
            let all: Vec<String> =
                wrong.iter().map(|one| format!("{}\n{}", one.what, one.diff.as_deref().unwrap_or_default())).collect();
            failure(NonSuccessKind::Failure, first, &all.join("\n"))
        }
        Verdict::Broken { why } => failure(NonSuccessKind::Error, "the case itself is wrong", why),
    }
}

fn failure(kind: NonSuccessKind, message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message).set_description(description);
    status
}
