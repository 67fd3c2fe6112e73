//! Test cases: a call, its inputs and its expectation, as the file gives them and as they are run.
//!
//! The inputs of a case decide which call it makes: a `partition` calls the leaf, `partials` the
//! merge, `merged` the finish, `wanted` the split, and a query with none of these the whole app.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use frond_app::{PieceSize, Share, Size, Time};
use frond_root::Floor;
use frond_root::runner::Covered;
use serde::Deserialize;

use crate::expect::{Expect, ExpectTable};
use crate::fixture::{CaseFiles, Fixture, MAX_FILES};
use crate::inject::Fault;

/// A test case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of its file, without the extension.
    pub name: String,
    /// Path of its file.
    pub file: PathBuf,
    /// The call that it makes.
    pub call: Call,
    /// The query's bytes.
    pub query: Bytes,
    /// Limits below those of the package.
    pub lower: Lower,
    /// Faults injected into the call.
    pub inject: Vec<Fault>,
    /// The expected outcome.
    pub expect: Expect,
}

/// The call of a case.
#[derive(Clone, Debug)]
pub enum Call {
    /// A call of the leaf on one partition.
    Leaf {
        /// The partition's key.
        key: String,
        /// The partition's index.
        index: u32,
        /// The partition's content.
        data: Bytes,
    },
    /// A call of the merge.
    Merge {
        /// The partials to merge.
        partials: Vec<Bytes>,
    },
    /// A call of the finish.
    Finish {
        /// The merged partial; `None` when no partial arrived.
        merged: Option<Bytes>,
        /// The coverage that `finish` is given.
        covered: Covered,
    },
    /// A call of the split.
    Split {
        /// Approximate number of partitions.
        wanted: u32,
    },
    /// A query of the whole app, with promises that replace its own.
    Query(Box<Promises>),
}

impl Call {
    /// Returns the call's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Leaf { .. } => "leaf",
            Self::Merge { .. } => "merge",
            Self::Finish { .. } => "finish",
            Self::Split { .. } => "split",
            Self::Query(_) => "query",
        }
    }
}

/// Promises of a query of the whole app that replace or extend the app's own.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    /// Replaces the app's deadline.
    pub deadline: Option<Duration>,
    /// Replaces the app's floor.
    pub floor: Option<Floor>,
    /// Keys of required partitions, added to the app's.
    pub require: Vec<String>,
    /// Number of leaves that run at once.
    pub slots: Option<usize>,
    /// Replaces the app's piece size.
    pub piece_size: Option<PieceSize>,
    /// Replaces the app's source: a glob, relative to the case's folder.
    pub input: Option<String>,
}

/// Limits that a case lowers. A case that raises one is broken: a passing case must also pass in
/// production.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Lower {
    /// Units of fuel.
    pub fuel: Option<u64>,
    /// Memory, in bytes.
    pub memory: Option<Size>,
    /// Size of the result, in bytes.
    pub output: Option<Size>,
    /// Time of the call.
    pub time: Option<Time>,
    /// Number of calls to the host.
    pub host_calls: Option<u64>,
}

/// Case as its file gives it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CaseFile {
    query: Option<String>,
    query_file: Option<PathBuf>,
    partition: Option<String>,
    partition_file: Option<PathBuf>,
    key: Option<String>,
    index: Option<u32>,
    partials: Option<Vec<String>>,
    partial_files: Option<Vec<PathBuf>>,
    merged: Option<String>,
    merged_file: Option<PathBuf>,
    covered: Option<CoverageTable>,
    wanted: Option<u32>,
    deadline: Option<Time>,
    floor: Option<Share>,
    #[serde(default)]
    require: Vec<String>,
    slots: Option<u16>,
    piece_size: Option<PieceSize>,
    input: Option<String>,
    #[serde(default)]
    limits: Lower,
    #[serde(default)]
    inject: Vec<Fault>,
    #[serde(default)]
    expect: ExpectTable,
}

/// Coverage that the `finish` call is given, as written.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoverageTable {
    planned: u64,
    covered: u64,
}

impl Case {
    /// Reads a case from its file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a valid case.
    pub fn read(file: &Path) -> Result<Self, Fixture> {
        Self::read_within(file, &Cell::new(MAX_FILES))
    }

    /// Reads a case from its file; `left` is the byte budget that remains for the files of the
    /// package's cases.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a valid case.
    pub(crate) fn read_within(file: &Path, left: &Cell<u64>) -> Result<Self, Fixture> {
        let beside = CaseFiles::new(file, left);
        let text = String::from_utf8(beside.read(file)?);
        let text = text.map_err(|_| Fixture::new("cannot be read: it is not UTF-8 text"))?;
        let written: CaseFile = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text.get(..span.start).unwrap_or("").matches('\n').count() + 1);
            Fixture::new(format!("line {line}: {}{}", error.message(), too_long(error.message())))
        })?;
        Ok(Self {
            name: file.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            file: file.to_path_buf(),
            query: beside.either("query", written.query.as_deref(), written.query_file.as_deref())?.unwrap_or_default(),
            lower: written.limits,
            inject: written.inject.clone(),
            expect: Expect::read(&written.expect, &beside)?,
            call: call(written, &beside)?,
        })
    }
}

/// Returns the remedy for an integer beyond the 64 bits of TOML, and nothing for other messages.
fn too_long(message: &str) -> &'static str {
    if message.contains("overflow") || message.contains("as i128") || message.contains("as u128") {
        "\n(integers of TOML have 64 bits: write JSON with longer ones in a string, such as json = \"[…]\")"
    } else {
        ""
    }
}

fn call(written: CaseFile, beside: &CaseFiles<'_>) -> Result<Call, Fixture> {
    let partition = beside.either("partition", written.partition.as_deref(), written.partition_file.as_deref())?;
    let merged = beside.either("merged", written.merged.as_deref(), written.merged_file.as_deref())?;
    let partials = beside.partials(written.partials, written.partial_files)?;
    let given = [
        ("partition", partition.is_some()),
        ("partials", partials.is_some()),
        ("merged", merged.is_some() || written.covered.is_some()),
        ("wanted", written.wanted.is_some()),
    ];
    let named: Vec<&str> = given.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
    if let [first, second, ..] = named[..] {
        let what = format!("has both `{first}` and `{second}`\n(a case makes one call: give it what that call takes)");
        return Err(Fixture::new(what));
    }
    if let Some(data) = partition {
        let key = written.key.unwrap_or_else(|| "partition".to_owned());
        return Ok(Call::Leaf { key, index: written.index.unwrap_or(0), data });
    }
    if let Some(partials) = partials {
        return Ok(Call::Merge { partials });
    }
    if merged.is_some() || written.covered.is_some() {
        let whole = CoverageTable { planned: 1, covered: 1 };
        let CoverageTable { planned, covered } = written.covered.unwrap_or(whole);
        return Ok(Call::Finish { merged, covered: Covered { planned, covered, complete: covered == planned } });
    }
    if let Some(wanted) = written.wanted {
        return Ok(Call::Split { wanted });
    }
    Ok(Call::Query(Box::new(Promises {
        deadline: written.deadline.map(|time| time.0),
        floor: written.floor.map(|share| share.0),
        require: written.require,
        slots: written.slots.map(usize::from),
        piece_size: written.piece_size,
        input: written.input.map(|input| beside.path(Path::new(&input)).display().to_string()),
    })))
}
