//! `[limits]`: its keys, each with the default and the values under which nothing could run.

use std::time::Duration;

use frond_root::call::Limits;
use serde::Deserialize;
use serde_spanned::Spanned;

use super::text::Text;
use super::values::{Size, Time};
use crate::error::AppError;
use crate::limits::{AppLimits, MAX_MEMORY};

/// `[limits]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub(crate) struct LimitsTable {
    pub(crate) deterministic: bool,
    pub(crate) leaf: LeafLimits,
    pub(crate) merge: MergeLimits,
    pub(crate) split: SplitLimits,
}

/// Defines the table of one kind of call: the keys that all kinds share, and its own.
macro_rules! call_table {
    ($name:ident, $section:literal, $($own:ident: $type:ty),*) => {
        #[doc = concat!("`[limits.", $section, "]`.")]
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
        pub(crate) struct $name {
            fuel: Option<u64>,
            memory: Option<Spanned<Size>>,
            table_elements: Option<Spanned<u64>>,
            output: Option<Spanned<Size>>,
            log: Option<Spanned<Size>>,
            host_calls: Option<Spanned<u64>>,
            $($own: Option<Spanned<$type>>,)*
        }

        impl $name {
            fn resolve(&self, text: &Text, defaults: Limits) -> Result<Limits, AppError> {
                let section = Section(text, $section);
                Ok(Limits {
                    fuel: self.fuel.unwrap_or(defaults.fuel),
                    memory: section.memory(&self.memory, defaults.memory)?,
                    table_elements: section.count("table-elements", &self.table_elements, defaults.table_elements)?,
                    output: section.size("output", &self.output, defaults.output)?,
                    log: self.log.as_ref().map_or(defaults.log, |log| log.get_ref().0),
                    host_calls: section.count("host-calls", &self.host_calls, defaults.host_calls)?,
                    ..defaults
                })
            }
        }
    };
}

call_table!(LeafLimits, "leaf", time: Time, partition: Size);
call_table!(MergeLimits, "merge", partials: Size);
call_table!(SplitLimits, "split", time: Time);

impl LimitsTable {
    /// Fills in defaults.
    ///
    /// # Errors
    /// The first limit under which nothing could run.
    pub(crate) fn resolve(&self, text: &Text) -> Result<AppLimits, AppError> {
        let Self { deterministic, leaf, merge, split } = self;
        let defaults = AppLimits::default();
        let partition = Section(text, "leaf").size("partition", &leaf.partition, defaults.leaf.partition)?;
        Ok(AppLimits {
            deterministic: *deterministic,
            leaf: leaf.resolve(text, Limits { partition, ..defaults.leaf })?,
            leaf_time: Section(text, "leaf").time(&leaf.time)?,
            merge: merge.resolve(text, Limits { partition, ..defaults.merge })?,
            split: split.resolve(text, Limits { partition, ..defaults.split })?,
            split_time: Section(text, "split").time(&split.time)?,
            partials: Section(text, "merge").size("partials", &merge.partials, defaults.partials)?,
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
