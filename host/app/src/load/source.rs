//! Resolves `[source]`: requires the keys of the source's kind and refuses all others.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use frond_root::plan::MAX_WEIGHT;
use frond_root::quote::clipped;
use serde_spanned::Spanned;

use crate::error::AppError;
use crate::manifest::{Globs, Kind, ListedTable, SourceTable, Step, Text};
use crate::paths::under;
use crate::size::show_size;
use crate::source::{CutMode, Glob, Listed, ListedContent, PieceSize, Source};

/// The most partitions, or names of files, that `frond.toml` may list.
const MAX_LISTED: usize = 10_000;

pub(super) fn resolve(text: &Text, dir: &Path, table: SourceTable, limit: u64) -> Result<Source, AppError> {
    let kind = &table.kind;
    refuse_strays(text, &table)?;
    let piece = piece_size(text, table.piece_size.as_ref(), limit)?;
    let cut = table.cut.as_ref().map(|cut| *cut.get_ref()).unwrap_or_default();
    if let (CutMode::None, Some(written)) = (cut, &table.piece_size) {
        let hint = "leave one of them out";
        let wrong = "there are no pieces with cut = \"none\": a file is a partition";
        return Err(text.refuse(written.span().start, "source.piece-size", wrong, hint));
    }
    Ok(match *kind.get_ref() {
        Kind::List => list(text, dir, need(text, kind, "partitions", table.partitions)?, limit)?,
        Kind::Files => {
            let globs = need(text, kind, "glob", table.glob)?;
            let at = text.place(globs.span().start, "source.glob");
            let globs = globs_of(text, globs)?;
            Source::Files { globs, piece, cut, at }
        }
        Kind::Stdin => Source::Stdin { piece, cut },
        Kind::Range => {
            let start = need(text, kind, "start", table.start)?;
            let end = need(text, kind, "end", table.end)?;
            range(text, &start, &end, table.step.as_ref())?
        }
        Kind::Query => Source::Query,
        Kind::Split => Source::Split,
    })
}

fn need<T>(text: &Text, kind: &Spanned<Kind>, key: &str, value: Option<T>) -> Result<T, AppError> {
    value.ok_or_else(|| {
        let wrong = format!("the kind \"{}\" needs the key `{key}`", kind.get_ref().name());
        text.refuse(kind.span().start, "source.kind", wrong, "")
    })
}

fn refuse_strays(text: &Text, table: &SourceTable) -> Result<(), AppError> {
    fn start<T>(value: &Option<Spanned<T>>) -> Option<usize> {
        value.as_ref().map(|value| value.span().start)
    }
    let keys: [(_, _, &[Kind]); 7] = [
        ("glob", start(&table.glob), &[Kind::Files]),
        ("piece-size", start(&table.piece_size), &[Kind::Files, Kind::Stdin]),
        ("cut", start(&table.cut), &[Kind::Files, Kind::Stdin]),
        ("partitions", start(&table.partitions), &[Kind::List]),
        ("start", start(&table.start), &[Kind::Range]),
        ("end", start(&table.end), &[Kind::Range]),
        ("step", start(&table.step), &[Kind::Range]),
    ];
    let kind = *table.kind.get_ref();
    for (key, written, kinds) in keys {
        if let Some(offset) = written.filter(|_| !kinds.contains(&kind)) {
            let of: Vec<_> = kinds.iter().map(|one| format!("\"{}\"", one.name())).collect();
            let wrong = format!("not a key of the kind \"{}\"", kind.name());
            let hint = format!("it belongs to {}", of.join(" and "));
            return Err(text.refuse(offset, format!("source.{key}"), wrong, hint));
        }
    }
    Ok(())
}

fn piece_size(text: &Text, written: Option<&Spanned<PieceSize>>, limit: u64) -> Result<PieceSize, AppError> {
    let Some(written) = written else {
        return Ok(PieceSize::Auto);
    };
    written
        .get_ref()
        .check(limit)
        .map_err(|(wrong, hint)| text.refuse(written.span().start, "source.piece-size", wrong, hint))
}

fn globs_of(text: &Text, globs: Spanned<Globs>) -> Result<Vec<Glob>, AppError> {
    let offset = globs.span().start;
    let globs = globs.into_inner().0;
    let beyond = globs.get(MAX_LISTED).map(|_| offset);
    text.few_enough("source.glob", beyond, MAX_LISTED, "one glob matches many files: `data/**/*.txt`")?;
    let wrong = if globs.is_empty() {
        "there are no globs in the list"
    } else if globs.iter().any(|glob| glob.trim().is_empty()) {
        "a glob is empty"
    } else {
        let compiled = Glob::of_app(&globs);
        return compiled.map_err(|wrong| text.refuse(offset, "source.glob", wrong.text, wrong.hint));
    };
    Err(text.refuse(offset, "source.glob", wrong, "such as \"data/**/*.txt\", relative to frond.toml"))
}

fn range(
    text: &Text,
    start: &Spanned<i64>,
    end: &Spanned<i64>,
    step: Option<&Spanned<Step>>,
) -> Result<Source, AppError> {
    if start.get_ref() > end.get_ref() {
        let wrong = format!("the range ends at {end}, before its start at {start}");
        return Err(text.refuse(
            end.span().start,
            "source.end",
            wrong,
            "a range includes its start and excludes its end",
        ));
    }
    let length = step.and_then(|step| step.get_ref().0.map(|length| (length, step.span().start)));
    let length = length.map(|(length, offset)| {
        let positive = u64::try_from(length).ok().filter(|length| *length > 0);
        positive.ok_or_else(|| {
            let wrong = format!("a step of {length} never reaches the end");
            text.refuse(offset, "source.step", wrong, "write a whole number above 0, or \"auto\"")
        })
    });
    Ok(Source::Range {
        start: *start.get_ref(),
        end: *end.get_ref(),
        step: length.transpose()?,
        at: match step {
            Some(step) => text.place(step.span().start, "source.step"),
            None => text.place(start.span().start, "source.start"),
        },
    })
}

fn list(text: &Text, dir: &Path, listed: Spanned<Vec<ListedTable>>, limit: u64) -> Result<Source, AppError> {
    let offset = listed.span().start;
    if listed.get_ref().is_empty() {
        let hint = "such as { key = \"a\", file = \"data/a.csv\" }";
        return Err(text.refuse(offset, "source.partitions", "the list is empty", hint));
    }
    let beyond = listed.get_ref().get(MAX_LISTED).map(|one| one.key.span().start);
    let hint = "put the data into files, with source.kind = \"files\", or let a component split the query";
    text.few_enough("source.partitions", beyond, MAX_LISTED, hint)?;
    let mut keys = HashMap::new();
    for (at, one) in listed.get_ref().iter().enumerate() {
        let key = one.key.get_ref().as_str();
        if let Some(first) = keys.insert(key, one.key.span().start) {
            let first = text.place(first, "").line;
            let wrong = format!("the key `{}` is already on line {first}", clipped(key));
            let hint = "keys name what is missing from an answer, so each must be unique";
            return Err(text.refuse(one.key.span().start, format!("source.partitions[{at}].key"), wrong, hint));
        }
    }
    let resolved = listed.into_inner().into_iter().enumerate();
    let resolved = resolved.map(|(at, one)| entry(text, dir, &format!("source.partitions[{at}]"), one, limit));
    Ok(Source::List(resolved.collect::<Result<_, _>>()?))
}

fn entry(text: &Text, dir: &Path, path: &str, one: ListedTable, limit: u64) -> Result<Listed, AppError> {
    let offset = one.key.span().start;
    if one.key.get_ref().is_empty() {
        return Err(text.refuse(offset, format!("{path}.key"), "the key is empty", ""));
    }
    let (content, at) = match (one.data, one.file) {
        (Some(data), None) => {
            let at = text.place(data.span().start, format!("{path}.data"));
            let bytes = data.get_ref().len();
            if bytes as u64 > limit {
                let wrong = format!("{bytes} bytes are more than a partition may have: {}", show_size(limit));
                return Err(text.refuse(data.span().start, at.key, wrong, "raise limits.leaf.partition"));
            }
            (ListedContent::Inline(Bytes::from(data.into_inner())), at)
        }
        (None, Some(file)) => {
            let at = text.place(file.span().start, format!("{path}.file"));
            (ListedContent::File(under(dir, file.get_ref())), at)
        }
        (None, None) => {
            let wrong = format!("the partition `{}` has neither `data` nor `file`", clipped(one.key.get_ref()));
            return Err(text.refuse(offset, path, wrong, "give it one of them; data = \"\" is empty"));
        }
        (Some(_), Some(file)) => {
            let wrong = format!("the partition `{}` has both `data` and `file`", clipped(one.key.get_ref()));
            return Err(text.refuse(file.span().start, path, wrong, "remove one of them"));
        }
    };
    if let Some(zero) = one.weight.as_ref().filter(|weight| *weight.get_ref() == 0) {
        let wrong = "a partition of weight 0 could be missing unnoticed";
        let hint = "write a weight of 1 or more, or leave the key out to weigh the partition by its bytes";
        return Err(text.refuse(zero.span().start, format!("{path}.weight"), wrong, hint));
    }
    if let Some(heavy) = one.weight.as_ref().filter(|weight| *weight.get_ref() > MAX_WEIGHT) {
        let wrong = format!("a weight is 1 to {MAX_WEIGHT}");
        let hint = "weigh it in a larger unit, or leave the key out to weigh its bytes";
        return Err(text.refuse(heavy.span().start, format!("{path}.weight"), wrong, hint));
    }
    Ok(Listed { key: one.key.into_inner().into(), content, weight: one.weight.map(Spanned::into_inner), at })
}
