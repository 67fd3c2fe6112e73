//! Errors between the client and a server, and their exit codes.

use std::path::PathBuf;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::exit::Exit;
use crate::show::jobs::rough;

/// Limit on the characters that are shown of a foreign reply.
const MAX_QUOTE: usize = 200;

/// Error of a request to a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// No server accepts connections at the address.
    #[error(
        "there is no server at {at}: {why}\n(start one with `frond serve DIR`, or name another with --server or FROND_SERVER)"
    )]
    Unreachable {
        /// The server's address.
        at: String,
        /// The error of the network.
        why: String,
    },
    /// The peer's certificate is not trusted.
    #[error(
        "the server at {at} shows a certificate that is not trusted: {why}\n(name its root certificates with --ca FILE or SSL_CERT_FILE)"
    )]
    Untrusted {
        /// The server's address.
        at: String,
        /// The error in the certificate.
        why: String,
    },
    /// The connection was lost before the reply was complete.
    #[error("the server at {at} did not answer to the end: {why}\n({hint})")]
    CutShort {
        /// The server's address.
        at: String,
        /// The error of the network.
        why: String,
        /// The remedy.
        hint: String,
    },
    /// The store of a folder's jobs failed before the answer was complete.
    #[error("the store of jobs failed before the answer was complete: {why}\n(try again)")]
    BrokenOff {
        /// The error of the store.
        why: String,
    },
    /// Another process works on the folder's jobs.
    #[error(
        "another process works on the jobs of `{}`\n(if it is a server, use --server; if it is frond jobs --local, try again when it has ended)",
        dir.display()
    )]
    Taken {
        /// The folder of apps.
        dir: PathBuf,
    },
    /// The server refuses the request.
    #[error("{}", self.refusal())]
    Refused(Problem),
    /// The peer does not speak Frond's protocol.
    #[error(
        "the server at {at} does not answer as Frond does: {what}\n(is it a server of Frond, of this version or later?)"
    )]
    Foreign {
        /// The server's address.
        at: String,
        /// The reply, in words.
        what: String,
        /// The HTTP status of the reply.
        status: u16,
    },
}

/// A problem report (RFC 9457) with Frond's own fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    status: u16,
    detail: String,
    /// Slug of the reason why a query has no answer.
    #[serde(default)]
    reason: Option<String>,
    /// Value of the `Retry-After` header, in seconds.
    #[serde(skip)]
    pub(super) retry_after: Option<u64>,
}

impl Trouble {
    /// Returns the error of a reply with an error status.
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

    /// Returns the error of a reply that is not the expected JSON.
    pub(super) fn of_json(at: &str, status: StatusCode, error: &serde_json::Error) -> Self {
        Self::Foreign {
            at: at.to_owned(),
            what: format!("its reply is not the expected JSON: {error}"),
            status: status.as_u16(),
        }
    }

    fn refusal(&self) -> String {
        let Self::Refused(problem) = self else {
            return String::new();
        };
        let mut text = problem.detail.clone();
        if problem.status == StatusCode::UNAUTHORIZED {
            text.push_str("\n(give the token in FROND_TOKEN, or with --token-file)");
        }
        if let Some(seconds) = problem.retry_after {
            text.push_str(&format!("\n(try again in {})", rough(seconds.saturating_mul(1000))));
        }
        text
    }

    /// Returns the error in one line, for display between attempts.
    pub(super) fn brief(&self) -> String {
        let text = match self {
            Self::Unreachable { why, .. }
            | Self::Untrusted { why, .. }
            | Self::CutShort { why, .. }
            | Self::BrokenOff { why } => why,
            Self::Refused(problem) => &problem.detail,
            Self::Taken { .. } => "another process works on the jobs",
            Self::Foreign { what, .. } => what,
        };
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// Returns true if a retry may succeed.
    pub(super) fn is_passing(&self) -> bool {
        self.exit() == Exit::Unavailable
    }

    /// Returns the exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::CutShort { .. } | Self::BrokenOff { .. } | Self::Taken { .. } => {
                Exit::Unavailable
            }
            Self::Refused(problem) => problem.exit(),
            // These statuses come from a proxy whose server is down.
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
