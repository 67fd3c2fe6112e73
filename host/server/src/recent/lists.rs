//! Lookup and lists of recent queries, of all callers or of one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use frond_root::QueryId;

use super::{NewsCursor, QueryRecord, Recent, Summary};

impl Recent {
    /// Queries that began or ended since `seen`, oldest first and at most `most`; how many ends are
    /// missing; and the new cursor.
    /// With `of`, only that caller's queries.
    pub(crate) fn since(&self, of: Option<&str>, seen: NewsCursor, most: usize) -> (Vec<Summary>, u64, NewsCursor) {
        let now = self.seen(of);
        if now == seen {
            return (Vec::new(), 0, now);
        }
        let news = |one: &&Arc<QueryRecord>| one.is_of(of) && one.change.load(Ordering::SeqCst) > seen.change;
        let newest: Vec<_> = self.queries.lock().iter().rev().filter(news).take(most).cloned().collect();
        let end = |one: &QueryRecord| if of.is_some() { &one.end_of_caller } else { &one.end }.load(Ordering::SeqCst);
        let ended = newest.iter().filter(|one| end(one) > seen.end).count() as u64;
        let missed = now.end.saturating_sub(seen.end).saturating_sub(ended);
        (newest.iter().rev().map(|one| one.summary()).collect(), missed, now)
    }

    /// The current cursor, for all callers or for one.
    pub(crate) fn seen(&self, of: Option<&str>) -> NewsCursor {
        let counted = self.counted.lock();
        match of {
            Some(caller) => NewsCursor { end: counted.ends.get(caller).copied().unwrap_or_default(), ..counted.all },
            None => counted.all,
        }
    }

    /// The query with this id; with `of`, only if it belongs to that caller.
    pub(crate) fn get(&self, of: Option<&str>, id: QueryId) -> Option<Arc<QueryRecord>> {
        self.queries.lock().iter().rev().find(|one| one.id == id && one.is_of(of)).cloned()
    }

    /// The newest queries, optionally of one caller, one app, or one outcome.
    pub(crate) fn list(
        &self,
        of: Option<&str>,
        app: Option<&str>,
        outcome: Option<&str>,
        limit: usize,
    ) -> Vec<Summary> {
        let wanted = |one: &&Arc<QueryRecord>| one.is_of(of) && app.is_none_or(|app| one.app == app);
        let queries: Vec<_> = self.queries.lock().iter().rev().filter(wanted).cloned().collect();
        let summaries = queries.iter().map(|one| one.summary());
        let wanted =
            summaries.filter(|one| outcome.is_none_or(|outcome| one.outcome == Some(outcome) || one.state == outcome));
        wanted.take(limit).collect()
    }

    /// The running queries, of all callers or of one.
    pub(crate) fn unfinished(&self, of: Option<&str>) -> Vec<Arc<QueryRecord>> {
        let runs = |one: &&Arc<QueryRecord>| one.is_of(of) && one.state.lock().end.is_none();
        self.queries.lock().iter().filter(runs).cloned().collect()
    }
}
