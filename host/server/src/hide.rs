//! Hides this machine's paths from clients.
//! Errors and answers' accounts name files relative to the folder of apps; only the log has
//! absolute paths. Answers from plugins are not changed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use frond_root::Answer;
use http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::BodyExt;
use memchr::memmem;

use crate::event_stream::{ANSWER, PREVIEW};

/// The media types of the server's replies.
const OURS: [&str; 4] = ["application/problem+json", "application/json", "application/x-ndjson", "text/event-stream"];

/// The folders whose locations are hidden.
#[derive(Clone)]
pub(crate) struct HiddenPaths(Arc<[Vec<u8>]>);

impl HiddenPaths {
    /// Hides the locations of these folders, under each of their paths.
    pub(crate) fn new(folders: &[&Path]) -> Self {
        let absolute = folders.iter().filter(|folder| folder.is_absolute()).map(|folder| folder.to_path_buf());
        let real = folders.iter().filter_map(|folder| folder.canonicalize().ok());
        let mut names: BTreeSet<Vec<u8>> = BTreeSet::new();
        for folder in absolute.chain(real) {
            // Escaped as in JSON.
            let text = serde_json::to_string(&folder.to_string_lossy()).unwrap_or_default();
            let name = text.trim_matches('"').trim_end_matches('/');
            if !name.is_empty() {
                names.insert(name.as_bytes().to_vec());
            }
        }
        let mut names: Vec<Vec<u8>> = names.into_iter().collect();
        // Longer paths first, so that nested folders are replaced before their parents.
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Self(names.into())
    }

    /// Hides the paths in the answer's account.
    pub(crate) fn answer(&self, mut answer: Answer) -> Answer {
        let (Answer::Complete { coverage, .. } | Answer::Partial { coverage, .. } | Answer::Failed { coverage, .. }) =
            &mut answer;
        let failures = coverage.missing.iter_mut().filter_map(|missing| missing.failure.as_mut());
        for text in failures.map(|failure| &mut failure.message).chain(&mut coverage.notes) {
            let hidden = without(&self.0, Bytes::copy_from_slice(text.as_bytes()));
            *text = String::from_utf8_lossy(&hidden).into_owned();
        }
        answer
    }

    /// Hides the paths in a reply of the server.
    pub(crate) async fn hide(&self, response: Response) -> Response {
        let headers = response.headers();
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_ours = OURS.iter().any(|ours| kind.split(';').next().is_some_and(|kind| kind.trim() == *ours));
        // Answers from plugins have a sandbox policy.
        if !is_ours || headers.contains_key(CONTENT_SECURITY_POLICY) {
            return response;
        }
        let (mut head, body) = response.into_parts();
        if body.size_hint().exact().is_none() {
            let names = self.0.clone();
            let hide = move |data: Bytes| if is_of_plugin(&data) { data } else { without(&names, data) };
            let hidden = body.map_frame(move |frame| frame.map_data(&hide));
            return Response::from_parts(head, Body::new(hidden));
        }
        let Ok(whole) = body.collect().await else { return Response::from_parts(head, Body::empty()) };
        let hidden = without(&self.0, whole.to_bytes());
        head.headers.remove(CONTENT_LENGTH);
        Response::from_parts(head, Body::from(hidden))
    }
}

/// True for an event with an answer. Its account has no paths any more.
fn is_of_plugin(event: &[u8]) -> bool {
    [ANSWER, PREVIEW].iter().any(|start| event.starts_with(start.as_bytes()))
}

fn without(names: &[Vec<u8>], text: Bytes) -> Bytes {
    names.iter().fold(text, |text, name| without_one(name, text))
}

/// Makes paths below one folder relative to it.
fn without_one(name: &[u8], text: Bytes) -> Bytes {
    let mut kept: Option<Vec<u8>> = None;
    let mut from = 0;
    for at in memmem::find_iter(&text, name) {
        let after = at + name.len();
        let is_name =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || !byte.is_ascii();
        let (end, instead): (usize, &[u8]) = match text.get(after) {
            Some(b'/') if text.get(after + 1).is_some_and(is_name) => (after + 1, b""),
            // Another folder, whose name begins with this one.
            Some(byte) if is_name(byte) => continue,
            _ => (after, b"."),
        };
        let kept = kept.get_or_insert_with(|| Vec::with_capacity(text.len()));
        kept.extend_from_slice(text.get(from..at).unwrap_or_default());
        kept.extend_from_slice(instead);
        from = end;
    }
    match kept {
        None => text,
        Some(mut kept) => {
            kept.extend_from_slice(text.get(from..).unwrap_or_default());
            kept.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn hidden(text: &str) -> String {
        let names = HiddenPaths::new(&[Path::new("/srv/apps"), Path::new("/srv/apps/.frond"), Path::new("relative")]).0;
        String::from_utf8(without(&names, Bytes::copy_from_slice(text.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn paths_are_told_from_the_folder_of_apps_on() {
        assert_eq!(hidden("/srv/apps/rail/frond.toml:3: wrong"), "rail/frond.toml:3: wrong");
        assert_eq!(hidden("`/srv/apps/a` and `/srv/apps/b`"), "`a` and `b`");
        assert_eq!(hidden("in `/srv/apps`, in /srv/apps/"), "in `.`, in ./");
        assert_eq!(hidden("`/srv/apps/.frond/jobs`"), "`jobs`");
        for kept in ["/srv/apps-of-old/x", "/srv/app", "relative/x", ""] {
            assert_eq!(hidden(kept), kept);
        }
    }

    #[tokio::test]
    async fn what_the_server_says_is_changed_and_what_plugins_answer_is_not() {
        let names = HiddenPaths::new(&[Path::new("/srv/apps")]);
        let ask = async |kind: &'static str, is_answer: bool, streamed: bool, text: &'static str| {
            let text = Bytes::from_static(text.as_bytes());
            let body = if streamed {
                Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(text)]))
            } else {
                Body::from(text)
            };
            let mut response = Response::new(body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            if is_answer {
                response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
            }
            names.hide(response).await.into_body().collect().await.unwrap().to_bytes()
        };
        let path = "\"/srv/apps/a\"";
        for streamed in [true, false] {
            assert_eq!(ask("application/problem+json", false, streamed, path).await, "\"a\"");
            assert_eq!(ask("application/json; charset=utf-8", false, streamed, path).await, "\"a\"");
            assert_eq!(ask("application/json", true, streamed, path).await, path);
            assert_eq!(ask("text/plain", false, streamed, path).await, path);
        }
        for (event, is_changed) in [("answer", false), ("partial", false), ("problem", true), ("query", true)] {
            let text: &'static str = format!("event: {event}\ndata: {path}\n\n").leak();
            let told = ask("text/event-stream", false, true, text).await;
            assert_eq!(told != text, is_changed, "{event}");
        }
    }
}
