//! Resolves `[limits]`: fills in defaults and refuses limits under which nothing could run.

use std::time::Duration;

use serde_spanned::Spanned;

use crate::error::AppError;
use crate::limits::{CallLimits, Limits, MAX_MEMORY};
use crate::manifest::{LimitsTable, Size, Text, Time};

/// Keys that the three kinds of call share.
struct Call<'a> {
    fuel: Option<u64>,
    memory: &'a Option<Spanned<Size>>,
    table_elements: &'a Option<Spanned<u64>>,
    output: &'a Option<Spanned<Size>>,
    log: &'a Option<Spanned<Size>>,
    host_calls: &'a Option<Spanned<u64>>,
    time: &'a Option<Spanned<Time>>,
}

macro_rules! call {
    ($table:expr, $time:expr) => {
        Call {
            fuel: $table.fuel,
            memory: &$table.memory,
            table_elements: &$table.table_elements,
            output: &$table.output,
            log: &$table.log,
            host_calls: &$table.host_calls,
            time: $time,
        }
    };
}

pub(super) fn resolve(text: &Text, written: &LimitsTable) -> Result<Limits, AppError> {
    let defaults = Limits::default();
    let leaf = &written.leaf;
    let merge = &written.merge;
    let split = &written.split;
    Ok(Limits {
        deterministic: written.deterministic,
        leaf: call!(leaf, &leaf.time).resolve(&Section(text, "leaf"), defaults.leaf)?,
        merge: call!(merge, &None).resolve(&Section(text, "merge"), defaults.merge)?,
        split: call!(split, &split.time).resolve(&Section(text, "split"), defaults.split)?,
        partition: Section(text, "leaf").size("partition", &leaf.partition, defaults.partition)?,
        partials: Section(text, "merge").size("partials", &merge.partials, defaults.partials)?,
    })
}

impl Call<'_> {
    fn resolve(&self, section: &Section<'_>, defaults: CallLimits) -> Result<CallLimits, AppError> {
        let fuel = self.fuel.or(defaults.fuel);
        Ok(CallLimits {
            fuel: fuel.filter(|fuel| *fuel > 0),
            memory: section.memory(self.memory, defaults.memory)?,
            table_elements: section.count("table-elements", self.table_elements, defaults.table_elements)?,
            output: section.size("output", self.output, defaults.output)?,
            log: self.log.as_ref().map_or(defaults.log, |log| log.get_ref().0),
            host_calls: section.count("host-calls", self.host_calls, defaults.host_calls)?,
            time: section.time(self.time)?,
        })
    }
}

/// One of the sections under `[limits]`.
struct Section<'a>(&'a Text, &'static str);

impl Section<'_> {
    fn refuse(&self, name: &str, offset: usize, wrong: impl Into<String>, hint: &str) -> AppError {
        self.0.refuse(offset, format!("limits.{}.{name}", self.1), wrong, hint)
    }

    fn size(&self, name: &str, written: &Option<Spanned<Size>>, default: u64) -> Result<u64, AppError> {
        let plain = written.as_ref().map(|size| Spanned::new(size.span(), size.get_ref().0));
        self.count(name, &plain, default)
    }

    fn count(&self, name: &str, written: &Option<Spanned<u64>>, default: u64) -> Result<u64, AppError> {
        match written {
            Some(zero) if *zero.get_ref() == 0 => Err(self.refuse(
                name,
                zero.span().start,
                "nothing can run under a limit of 0",
                "only `fuel` takes 0 for no limit; leave the key out for the default",
            )),
            Some(count) => Ok(*count.get_ref()),
            None => Ok(default),
        }
    }

    fn memory(&self, written: &Option<Spanned<Size>>, default: u64) -> Result<u64, AppError> {
        match written {
            Some(size) if size.get_ref().0 > MAX_MEMORY => Err(self.refuse(
                "memory",
                size.span().start,
                "more than 4 GiB, all that a guest can address",
                "write at most \"4GiB\"",
            )),
            _ => self.size("memory", written, default),
        }
    }

    fn time(&self, written: &Option<Spanned<Time>>) -> Result<Option<Duration>, AppError> {
        match written {
            Some(time) if time.get_ref().0.is_zero() => Err(self.refuse(
                "time",
                time.span().start,
                "nothing can run under a limit of 0",
                "leave the key out for the default",
            )),
            _ => Ok(written.as_ref().map(|time| time.get_ref().0)),
        }
    }
}
