//! Waterfall chart: every partition on one time axis, with its queueing, runs, failures and
//! cut-offs, beside the merges and deadlines.

pub mod select;

use frond_root::Status;

use super::model::{Attempt, Fate, Lane, Model};
use super::page::{Line, Page, Tone};
use super::text::{self, count, duration, fit, pad, plural, times};

use select::Section;

/// Limit on the attempts of one partition that are drawn.
const MAX_ATTEMPTS: usize = 64;
/// Limit on the rows of one partition with overlapping attempts.
const MAX_ROWS: usize = 3;
/// Smallest distance between two ticks of the axis, in columns.
const TICK: u64 = 12;
/// Multiple of the median from which a note names a partition as slow.
const SLOW: f64 = 2.0;

/// The time axis: its span in microseconds, and its width in columns.
#[derive(Clone, Copy, Debug)]
struct Axis {
    span: u64,
    columns: usize,
}

impl Axis {
    fn column(self, at: u64) -> usize {
        let column = u128::from(at) * self.columns as u128 / u128::from(self.span.max(1));
        usize::try_from(column).unwrap_or(usize::MAX).min(self.columns.saturating_sub(1))
    }

    /// Returns the time between ticks: 1, 2 or 5 times a power of ten.
    fn step(self) -> u64 {
        let least = u128::from(self.span) * u128::from(TICK) / self.columns.max(1) as u128;
        let mut power: u128 = 1;
        while power * 10 < least {
            power *= 10;
        }
        let round = [1, 2, 5, 10].into_iter().map(|digit| digit * power);
        let step = round.into_iter().find(|step| *step >= least).unwrap_or(least);
        u64::try_from(step).unwrap_or(u64::MAX).max(1)
    }
}

/// One row of cells: each has a glyph for its interval.
struct Row {
    cells: Vec<char>,
    axis: Axis,
}

impl Row {
    fn new(axis: Axis) -> Self {
        Self { cells: vec![' '; axis.columns], axis }
    }

    fn paint(&mut self, glyph: char, from: u64, to: u64) {
        let first = self.axis.column(from);
        // A run that ends where the next column begins does not reach into it.
        let last = self.axis.column(to.saturating_sub(1)).max(first);
        for cell in self.cells.iter_mut().take(last + 1).skip(first) {
            *cell = glyph;
        }
    }

    fn mark(&mut self, at: u64, glyph: char, over: &[char]) {
        if let Some(cell) = self.cells.get_mut(self.axis.column(at))
            && over.contains(cell)
        {
            *cell = glyph;
        }
    }

    /// Draws an attempt with its `waits`, which are in order. In a column of both, the run is seen.
    fn attempt(&mut self, one: &Attempt, waits: &[(u64, u64)]) {
        let run = match one.fate {
            Fate::Used | Fate::Failed(_) => '█',
            Fate::Open | Fate::CutOff | Fate::Discarded => '▒',
        };
        waits.iter().for_each(|(from, to)| self.paint('─', *from, *to));
        let starts = std::iter::once(one.start).chain(waits.iter().map(|(_, to)| *to));
        let ends = waits.iter().map(|(from, _)| *from).chain(std::iter::once(one.end));
        for (from, to) in starts.zip(ends).filter(|(from, to)| from < to || waits.is_empty()) {
            self.paint(run, from, to);
        }
        if let Fate::Failed(_) = one.fate {
            self.paint('x', one.end.saturating_sub(1), one.end);
        }
    }

    fn spans(&self, mut line: Line) -> Line {
        let tone = |glyph: char| match glyph {
            'x' => Tone::Bad,
            '▒' => Tone::Warn,
            '·' | '|' | '─' => Tone::Dim,
            _ => Tone::Plain,
        };
        for run in self.cells.chunk_by(|one, other| tone(*one) == tone(*other)) {
            let of = run.first().map_or(Tone::Plain, |glyph| tone(*glyph));
            line = line.tone(of, run.iter().collect::<String>());
        }
        line
    }
}

/// A chart and its layout.
struct Chart<'a> {
    model: &'a Model,
    axis: Axis,
    label: usize,
    median: u64,
    deadlines: Vec<(&'static str, u64)>,
}

/// Adds the waterfall to `page`.
pub fn waterfall(page: &mut Page, model: &Model) {
    let sections = select::sections(model);
    let median = model.leaf_times().map_or(0, |times| times.p50);
    let lanes = || sections.iter().flat_map(|section| &section.lanes);
    let notes = lanes().map(|lane| note(model, lane, median));
    let further = lanes().flat_map(|lane| pack(model.attempts_of(lane)).into_iter().skip(1)).map(|row| shares(&row));
    let note_wide =
        notes.chain(further).map(|note| text::columns(&note)).max().unwrap_or(0).max(8).min(page.width() / 3);
    let keys = lanes().map(|lane| text::columns(&lane.key));
    let label = keys.max().unwrap_or(0).max(9).min((page.width() / 4).max(6));
    let columns = page.width().saturating_sub(label + note_wide + 4).max(8);
    let chart = Chart { model, axis: Axis { span: span(model), columns }, label, median, deadlines: deadlines(model) };
    for section in &sections {
        chart.section(page, section);
    }
    chart.merges(page);
    chart.ticks(page);
    chart.legend(page);
}

/// Returns the end of the axis: the query's end, or its deadline if that is close.
fn span(model: &Model) -> u64 {
    let until = model.until().max(model.last).max(1);
    match &model.head {
        Some(head) if head.deadline / 5 <= until / 4 => until.max(head.deadline),
        _ => until,
    }
}

fn deadlines(model: &Model) -> Vec<(&'static str, u64)> {
    let planned = model.planned.iter();
    let leaves = planned.flat_map(|plan| [("leaf", plan.leaf_deadline), ("gather", plan.gather_deadline)]);
    leaves.chain(model.head.iter().map(|head| ("query", head.deadline))).collect()
}

fn note(model: &Model, lane: &Lane, median: u64) -> String {
    let attempts = model.attempts_of(lane);
    let mut parts = Vec::new();
    let slowest = attempts.iter().max_by_key(|one| one.time());
    parts.extend(slowest.map(|one| duration(one.time())));
    let last = attempts.last().map(|one| one.fate);
    match (lane.missing, last) {
        (Some((Status::Failed, Some(slug))), _) => parts.push(slug.to_string()),
        (Some((status, _)), _) => parts.push(text::status(status).to_owned()),
        (None, Some(Fate::Open)) => parts.push("still running".to_owned()),
        (None, Some(Fate::Failed(kind))) => parts.push(kind.to_string()),
        _ => {}
    }
    // The first call of an instance has what the later ones are spared, such as a compiled pattern.
    if model.warm > 0 && slowest.is_some_and(|one| !one.is_warm() && one.fate != Fate::Open) {
        parts.push("fresh".to_owned());
    }
    let factor = slowest.map_or(0.0, |one| text::share(one.time(), median.max(1)));
    if median > 0 && factor >= SLOW && !matches!(last, Some(Fate::Failed(_))) {
        parts.push(format!("{} median", times(factor)));
    }
    if let Some(one) = slowest.filter(|one| one.waited > 0) {
        parts.push(format!("{} waited", duration(one.waited)));
    }
    if attempts.len() > 1 {
        parts.push(plural(attempts.len() as u64, "attempt", "attempts"));
    }
    let cuts = attempts.iter().filter(|one| one.cut_from.is_some()).count();
    if cuts > 0 {
        parts.push(plural(cuts as u64, "cut", "cuts"));
    }
    parts.join(", ")
}

/// Names the units of the attempts in a further row of a partition, and the attempts that they were
/// cut off from.
fn shares(attempts: &[&Attempt]) -> String {
    let share = |one: &&Attempt| {
        let (begin, end) = one.units?;
        let from = one.cut_from.map(|from| format!(" cut from attempt {from}")).unwrap_or_default();
        Some(format!("{begin}..{end}{from}"))
    };
    attempts.iter().filter_map(share).collect::<Vec<_>>().join(", ")
}

impl Chart<'_> {
    fn section(&self, page: &mut Page, section: &Section<'_>) {
        if let Some(heading) = &section.heading {
            page.line(Line::new().tone(Tone::Dim, heading));
        }
        for lane in &section.lanes {
            self.lane(page, lane);
        }
        if section.more > 0 {
            page.line(Line::new().tone(Tone::Dim, format!("and {} more", count(section.more))));
        }
    }

    fn lane(&self, page: &mut Page, lane: &Lane) {
        let attempts = self.model.attempts_of(lane);
        let mut rows = pack(attempts);
        if rows.is_empty() {
            rows.push(Vec::new());
        }
        let mut label = page.foreign(&lane.key, text::MAX_KEY);
        let mut note = note(self.model, lane, self.median);
        for attempts in rows {
            let own = std::mem::take(&mut note);
            let own = if own.is_empty() { shares(&attempts) } else { own };
            let mut row = Row::new(self.axis);
            for one in &attempts {
                row.paint('·', one.queued, one.start);
            }
            if attempts.is_empty() && lane.missing.is_some() {
                let until = self.model.gather_end.map_or(self.model.until(), |(at, _)| at);
                row.paint('·', self.model.scattered(), until);
            }
            self.mark_deadlines(&mut row);
            attempts.iter().for_each(|one| row.attempt(one, self.model.waits_of(one)));
            // A failed attempt shorter than a column would be hidden by the next attempt.
            for one in attempts.iter().filter(|one| matches!(one.fate, Fate::Failed(_))) {
                row.mark(one.end.saturating_sub(1).max(one.start), 'x', &['█', '▒', '─', '·', '|']);
            }
            self.put(page, &std::mem::take(&mut label), &row, &own);
        }
    }

    fn merges(&self, page: &mut Page) {
        let until = self.model.until();
        if !self.model.held.is_empty() {
            let mut row = Row::new(self.axis);
            for (from, to) in &self.model.held {
                row.paint('▒', *from, *to);
            }
            self.put(page, "held back", &row, "for memory");
        }
        if !self.model.folds.is_empty() {
            let mut row = Row::new(self.axis);
            self.mark_deadlines(&mut row);
            for fold in &self.model.folds {
                let end = fold.end.unwrap_or(until);
                row.paint(if fold.end.is_some() { '█' } else { '▒' }, fold.start, end);
                if fold.failure.is_some() {
                    row.paint('x', end.saturating_sub(1), end);
                }
            }
            let number = self.model.folds.len() as u64;
            self.put(page, "merge", &row, &plural(number, "merge", "merges"));
        }
        if let Some(finish) = self.model.finish {
            let mut row = Row::new(self.axis);
            self.mark_deadlines(&mut row);
            row.paint('█', finish, until);
            self.put(page, "finish", &row, &duration(until.saturating_sub(finish)));
        }
    }

    fn mark_deadlines(&self, row: &mut Row) {
        for (_, at) in self.deadlines.iter().filter(|(_, at)| *at <= self.axis.span) {
            row.mark(*at, '|', &[' ', '·']);
        }
    }

    fn put(&self, page: &mut Page, label: &str, row: &Row, note: &str) {
        let room = page.width().saturating_sub(self.label + self.axis.columns + 4);
        let line = Line::new().put(pad(&fit(label, self.label), self.label)).put("  ");
        page.line(row.spans(line).put("  ").put(fit(note, room)));
    }

    fn ticks(&self, page: &mut Page) {
        let step = self.axis.step();
        let mut rule = vec!['-'; self.axis.columns];
        let mut labels = String::new();
        let mut at = 0_u64;
        while at <= self.axis.span {
            let column = self.axis.column(at);
            let label = if at == 0 { "0".to_owned() } else { duration(at) };
            let used = text::columns(&labels);
            let fits = column + text::columns(&label) <= self.axis.columns + 6;
            if let Some(cell) = rule.get_mut(column) {
                *cell = '+';
            }
            if fits && (used == 0 || used < column) {
                labels = format!("{}{label}", pad(&labels, column));
            }
            let Some(next) = at.checked_add(step) else { break };
            at = next;
        }
        let indent = " ".repeat(self.label + 2);
        page.line(Line::new().tone(Tone::Dim, format!("{indent}{}", rule.into_iter().collect::<String>())));
        page.line(Line::new().tone(Tone::Dim, format!("{indent}{labels}")));
    }

    fn legend(&self, page: &mut Page) {
        let waiting = if self.model.waited > 0 { "   ─ waiting without a slot" } else { "" };
        let mut words = format!("· queued   █ running{waiting}   ▒ cut off or not used   x failed");
        let (drawn, beyond): (Vec<_>, Vec<_>) = self.deadlines.iter().partition(|(_, at)| *at <= self.axis.span);
        let list = |some: &[&(&str, u64)]| -> String {
            let parts: Vec<_> = some.iter().map(|(name, at)| format!("{name} {}", duration(*at))).collect();
            parts.join(", ")
        };
        if !drawn.is_empty() {
            words.push_str(&format!("   | deadline: {}", list(&drawn)));
        }
        if !beyond.is_empty() {
            words.push_str(&format!("   (deadline beyond the axis: {})", list(&beyond)));
        }
        page.wrapped(2, Line::new().tone(Tone::Dim, words));
    }
}

/// Distributes attempts over rows, so that those that overlap in time are on different ones, up to
/// the limit of rows.
fn pack(attempts: &[Attempt]) -> Vec<Vec<&Attempt>> {
    let mut rows: Vec<Vec<&Attempt>> = Vec::new();
    for one in attempts.iter().take(MAX_ATTEMPTS) {
        let is_free = |row: &Vec<&Attempt>| row.last().is_none_or(|last| last.end <= one.start);
        let free = rows.iter().position(is_free);
        if free.is_none() && rows.len() < MAX_ROWS {
            rows.push(Vec::new());
        }
        let place = free.unwrap_or(rows.len() - 1);
        if let Some(row) = rows.get_mut(place) {
            row.push(one);
        }
    }
    rows
}

#[cfg(test)]
mod tests;
