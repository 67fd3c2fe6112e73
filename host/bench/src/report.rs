//! Report on stdout: tables in Markdown, and at the end each target with its verdict.

/// Upper or lower bound of a target's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// Measured value with its unit and the bound that it must keep.
struct Target {
    what: String,
    value: f64,
    unit: &'static str,
    bound: Bound,
}

/// Collects targets while sections print their tables.
#[derive(Default)]
pub(crate) struct Report {
    targets: Vec<Target>,
}

impl Report {
    pub(crate) fn section(&self, title: &str) {
        println!("\n## {title}\n");
    }

    pub(crate) fn note(&self, text: &str) {
        println!("\n{text}");
    }

    /// Prints a table of `rows` under `head`. Every column but the first is right-aligned.
    pub(crate) fn table(&self, head: &[&str], rows: &[Vec<String>]) {
        let widths: Vec<usize> = (0..head.len())
            .map(|column| {
                let cells = rows.iter().filter_map(|row| row.get(column).map(|cell| cell.chars().count()));
                cells.chain(head.get(column).map(|name| name.chars().count())).max().unwrap_or(0)
            })
            .collect();
        let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
        println!("\n{}", line(&head, &widths));
        let rule = widths.iter().enumerate().map(|(column, width)| match column {
            0 => "-".repeat(*width),
            _ => format!("{}:", "-".repeat(width.saturating_sub(1))),
        });
        println!("{}", line(&rule.collect::<Vec<_>>(), &widths));
        for row in rows {
            println!("{}", line(row, &widths));
        }
    }

    pub(crate) fn target(&mut self, what: impl Into<String>, value: f64, unit: &'static str, bound: Bound) {
        self.targets.push(Target { what: what.into(), value, unit, bound });
    }

    pub(crate) fn summary(&self) {
        println!("\n## Targets");
        let rows: Vec<Vec<String>> = self.targets.iter().map(Target::row).collect();
        self.table(&["target", "value", "wanted", "verdict"], &rows);
        let met = self.targets.iter().filter(|target| target.is_met()).count();
        println!("\n{met} of {} targets met", self.targets.len());
    }
}

impl Target {
    fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(limit) => self.value <= limit,
            Bound::AtLeast(limit) => self.value >= limit,
        }
    }

    fn row(&self) -> Vec<String> {
        let (sign, limit) = match self.bound {
            Bound::AtMost(limit) => ('≤', limit),
            Bound::AtLeast(limit) => ('≥', limit),
        };
        let verdict = if self.is_met() { "met" } else { "not met" };
        let unit = self.unit;
        vec![
            self.what.clone(),
            format!("{} {unit}", figure(self.value)),
            format!("{sign} {limit} {unit}"),
            verdict.to_owned(),
        ]
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
        let space = " ".repeat(width.saturating_sub(cell.chars().count()));
        if column == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") }
    });
    format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
}

/// Formats a number with about three significant figures.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Formats seconds as milliseconds.
pub(crate) fn ms(seconds: f64) -> String {
    figure(seconds * 1e3)
}

/// Formats seconds as microseconds.
pub(crate) fn us(seconds: f64) -> String {
    figure(seconds * 1e6)
}

/// Formats a ratio.
pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2}×")
}
