//! What may go wrong between us and a server, and the exit codes that stand for it.

use std::path::PathBuf;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::exit::Exit;

/// So much of a reply that is no problem of ours is shown.
const MAX_QUOTE: usize = 200;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Nobody is there.
    #[error(
        "there is no server at {at}: {why}\n(start one with `frond serve DIR`, or name another with --server or FROND_SERVER)"
    )]
    Unreachable {
        /// The server's address.
        at: String,
        /// What the network says.
        why: String,
    },
    /// A peer that does not prove to be the server.
    #[error(
        "the server at {at} shows a certificate that is not trusted: {why}\n(--ca FILE or SSL_CERT_FILE names the roots that vouch for it)"
    )]
    Untrusted {
        /// The server's address.
        at: String,
        /// The fault of the certificate.
        why: String,
    },
    /// The connection was lost before the reply was whole.
    #[error("the server at {at} did not answer to the end: {why}\n({hint})")]
    CutShort {
        /// The server's address.
        at: String,
        /// What the network says.
        why: String,
        /// What to do.
        hint: String,
    },
    /// Somebody else is at work in a folder of apps.
    #[error(
        "another process is at work on the jobs of `{}`\n(a server: ask it with --server; or frond jobs --local: try again when that has ended)",
        dir.display()
    )]
    Taken {
        /// The folder.
        dir: PathBuf,
    },
    /// The server says no.
    #[error("{}", self.told())]
    Refused(Problem),
    /// What is there does not speak as a server of ours.
    #[error(
        "what is at {at} does not answer as Frond does: {what}\n(is it a server of Frond, of this version or later?)"
    )]
    Foreign {
        /// The server's address.
        at: String,
        /// What came instead.
        what: String,
        /// Its status.
        status: u16,
    },
}

/// A reply that says why not: RFC 9457, with what Frond knows beyond that.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    status: u16,
    detail: String,
    /// Why a query has no answer, as a word.
    #[serde(default)]
    reason: Option<String>,
    /// In seconds.
    #[serde(skip)]
    pub(super) retry_after: Option<u64>,
}

impl Trouble {
    /// What a reply with an error status says.
    pub(super) fn of_reply(at: &str, status: StatusCode, retry_after: Option<u64>, body: &[u8]) -> Self {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => Self::Refused(Problem { status: status.as_u16(), retry_after, ..problem }),
            Err(_) => {
                let text: String = String::from_utf8_lossy(body).chars().take(MAX_QUOTE).collect();
                let what = match text.lines().map(str::trim).find(|line| !line.is_empty()) {
                    Some(line) => format!("{status}, `{line}`"),
                    None => status.to_string(),
                };
                Self::Foreign { at: at.to_owned(), what, status: status.as_u16() }
            }
        }
    }

    /// A reply that should have been JSON of ours.
    pub(super) fn of_json(at: &str, status: StatusCode, error: &serde_json::Error) -> Self {
        Self::Foreign {
            at: at.to_owned(),
            what: format!("its reply is other JSON, or none: {error}"),
            status: status.as_u16(),
        }
    }

    fn told(&self) -> String {
        let Self::Refused(problem) = self else {
            return String::new();
        };
        let mut text = problem.detail.clone();
        if problem.status == StatusCode::UNAUTHORIZED {
            text.push_str("\n(frond jobs takes it from FROND_TOKEN, or with --token-file)");
        }
        if let Some(seconds) = problem.retry_after {
            text.push_str(&format!("\n(try again in {seconds} s)"));
        }
        text
    }

    /// The same in one line, for those who try again.
    pub(super) fn brief(&self) -> String {
        let text = match self {
            Self::Unreachable { why, .. } | Self::Untrusted { why, .. } | Self::CutShort { why, .. } => why,
            Self::Refused(problem) => &problem.detail,
            Self::Taken { .. } => "another process is at work",
            Self::Foreign { what, .. } => what,
        };
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// True for what another attempt may not meet.
    pub(super) fn is_passing(&self) -> bool {
        self.exit() == Exit::Unavailable
    }

    /// The exit code that stands for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::CutShort { .. } | Self::Taken { .. } => Exit::Unavailable,
            Self::Refused(problem) => problem.exit(),
            // A proxy may be there while the server is not.
            Self::Foreign { status: 502..=504, .. } => Exit::Unavailable,
            Self::Foreign { .. } | Self::Untrusted { .. } => Exit::Usage,
        }
    }
}

impl Problem {
    fn exit(&self) -> Exit {
        match (self.reason.as_deref(), self.status) {
            (Some("invalid-query"), _) => Exit::InvalidQuery,
            (Some("below-floor" | "cancelled"), _) => Exit::BelowFloor,
            (Some("deadline"), _) => Exit::Deadline,
            (Some("split" | "merge"), _) | (None, 502) => Exit::Plugin,
            (_, 408 | 429 | 503 | 504 | 507) => Exit::Unavailable,
            (_, 500..) => Exit::Bug,
            _ => Exit::Usage,
        }
    }
}

#[cfg(test)]
mod tests;
