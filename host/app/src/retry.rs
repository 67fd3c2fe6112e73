//! An app's rules for retries of failed attempts, and for copies of slow ones.

use std::time::Duration;

use frond_root::call::Grants;
use frond_root::policy::retry::Retry;

/// Largest number of attempts that an app may ask for.
pub const MAX_ATTEMPTS: u32 = 1000;

/// Methods of HTTP requests that change nothing (RFC 9110, section 9.2.1), as far as guests may use
/// them.
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Rules for retries and copies. Missing values have defaults that differ between queries and jobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retries {
    /// Most attempts at a partition.
    pub attempts: Option<u32>,
    /// Pause before the second attempt.
    pub first: Option<Duration>,
    /// Longest pause between attempts.
    pub most: Option<Duration>,
    /// Time after a partition's first failure within which it is retried.
    pub within: Option<Duration>,
    /// False to forbid copies of slow attempts.
    pub copies: Option<bool>,
    /// True if the leaf's effects may be repeated, whatever its requests are.
    pub is_idempotent: bool,
}

impl Retries {
    /// Returns the rules for a query.
    #[must_use]
    pub fn query(&self) -> Retry {
        self.over(Retry::QUERY)
    }

    /// Returns the rules for a job.
    #[must_use]
    pub fn job(&self) -> Retry {
        self.over(Retry::JOB)
    }

    /// Returns true if slow attempts of leaves with these grants may be copied: unless the app
    /// forbids it, or a leaf may make requests that are not safe to repeat.
    #[must_use]
    pub fn allows_copies(&self, grants: &Grants) -> bool {
        let is_safe = |method: &String| SAFE_METHODS.contains(&method.as_str());
        let is_repeatable = self.is_idempotent || grants.http.iter().all(|grant| grant.methods.iter().all(is_safe));
        self.copies != Some(false) && is_repeatable
    }

    fn over(&self, defaults: Retry) -> Retry {
        let first = self.first.unwrap_or(self.most.map_or(defaults.first, |most| most.min(defaults.first)));
        Retry {
            attempts: self.attempts.unwrap_or(defaults.attempts),
            first,
            most: self.most.unwrap_or(defaults.most.max(first)),
            within: self.within.or(defaults.within),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_tried_for_ten_minutes_unless_its_app_says_otherwise() {
        let seconds = Duration::from_secs;
        let expected = Retry { attempts: 20, first: seconds(1), most: seconds(60), within: Some(seconds(600)) };
        assert_eq!(Retries::default().job(), expected);
    }

    #[test]
    fn a_pause_that_is_written_moves_the_default_of_the_other() {
        let seconds = Duration::from_secs;
        let long = Retries { first: Some(seconds(90)), ..Retries::default() };
        assert_eq!((long.query().most, long.job().most), (seconds(90), seconds(90)));
        let short = Retries { most: Some(Duration::from_millis(5)), ..Retries::default() };
        assert_eq!((short.query().first, short.job().first), (Duration::from_millis(5), Duration::from_millis(5)));
        assert_eq!((Retries::default().query(), Retries::default().job()), (Retry::QUERY, Retry::JOB));
    }
}
