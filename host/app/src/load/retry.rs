//! Resolves `[retry]`: bounds the number of attempts and the pauses, and allows copies.

use std::time::Duration;

use serde_spanned::Spanned;

use crate::error::AppError;
use crate::manifest::{RetryTable, Text, Time};
use crate::retry::{MAX_ATTEMPTS, Retries};

/// Shortest pause between attempts; a shorter one could cause a retry storm.
const MIN_PAUSE: Duration = Duration::from_millis(1);

pub(super) fn resolve(text: &Text, written: &RetryTable) -> Result<Retries, AppError> {
    let first = pause(text, "first", &written.first)?;
    let most = pause(text, "most", &written.most)?;
    if let (Some(first), Some(most), Some(at)) = (first, most, &written.most)
        && first > most
    {
        let wrong = "`most` must be at least as long as `first`";
        return Err(text.refuse(
            at.span().start,
            "retry.most",
            wrong,
            "`most` is the longest pause, and `first` the shortest",
        ));
    }
    let attempts = match &written.attempts {
        Some(attempts) if !(1..=MAX_ATTEMPTS).contains(attempts.get_ref()) => {
            let wrong = format!("`attempts` must be a number from 1 to {MAX_ATTEMPTS}");
            return Err(text.refuse(attempts.span().start, "retry.attempts", wrong, "1 means no retries"));
        }
        attempts => attempts.as_ref().map(|attempts| *attempts.get_ref()),
    };
    let within = written.within.as_ref().map(|within| within.get_ref().0);
    Ok(Retries { attempts, first, most, within, copies: written.copies, is_idempotent: written.idempotent })
}

fn pause(text: &Text, key: &str, written: &Option<Spanned<Time>>) -> Result<Option<Duration>, AppError> {
    match written {
        Some(time) if time.get_ref().0 < MIN_PAUSE => {
            let wrong = format!("`{key}` must be at least 1ms");
            Err(text.refuse(time.span().start, format!("retry.{key}"), wrong, "such as \"500ms\" or \"1m\""))
        }
        written => Ok(written.as_ref().map(|time| time.get_ref().0)),
    }
}
