//! Captures of failed partitions: folders with the query, the partition, the limits and the
//! failure, beside the component that failed. A capture of a call in a warm instance also has the
//! partitions that ran before in that instance. [`Replay`] repeats the call from such a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_app::size::show_size;
use frond_app::source::of_bytes;
use frond_root::answer::Missing;
use frond_root::call::{InstanceMode, Limits};
use frond_root::{Error, Failure, Partition, PartitionKey, Plan, failure};
use frond_run::{Wired, cache};
use frond_sandbox::{Leaf, LoadError, Metering, Plugin, Role, Settings, Trial, Trials};
use serde::{Deserialize, Serialize};

/// Version of the capture format.
const VERSION: u32 = 1;
/// Largest captured partition, in bytes.
const MAX_PARTITION: u64 = 256 << 20;
/// The most bytes of the partitions that ran before, in one capture.
const MAX_BEFORE: u64 = 64 << 20;
const HEAD: &str = "capture.toml";
/// Name of the folder in a capture with the contents of the partitions that ran before.
const BEFORE: &str = "before";
/// Name of the folder beside the captures that stores their components.
pub const COMPONENTS: &str = "components";

/// Returns true if `folder` holds a capture.
#[must_use]
pub fn is_one(folder: &Path) -> bool {
    folder.join(HEAD).is_file()
}

/// Content of a capture's `capture.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Capture {
    /// Version of the capture format.
    pub version: u32,
    /// The app's name.
    pub app: String,
    /// The component's SHA-256; its file is `../components/DIGEST.wasm`.
    pub digest: String,
    /// The version of the contract that the host spoke.
    pub contract: String,
    /// The partition's key.
    pub key: String,
    /// The partition's index.
    pub index: u32,
    /// Number of attempts that production made.
    pub attempts: u32,
    /// Time budget of a leaf that starts at once, in milliseconds.
    pub time_ms: u64,
    /// True if clocks and randomness were seeded by query and partition. Otherwise a replay has
    /// fresh ones.
    pub deterministic: bool,
    /// The limits of the call.
    pub limits: Limits,
    /// The failure of the last attempt.
    pub failure: Failure,
    /// The partitions that ran before in the same instance, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<EarlierCall>,
}

/// Partition that ran before the captured one in the same instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EarlierCall {
    /// The partition's key.
    pub key: String,
    /// The partition's index.
    pub index: u32,
    /// File of its content, in the folder `before`. Only the last partitions have one, as many as
    /// have at most 64 MiB together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Error of reading or running a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A file of the capture is missing or cannot be read.
    #[error("cannot read `{path}`\n(give a folder that --capture-failures wrote)")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        cause: io::Error,
    },
    /// `capture.toml` is not valid.
    #[error("`{path}` is not a capture that this version reads: {why}")]
    NotOne {
        /// The file.
        path: PathBuf,
        /// Why it is not valid.
        why: String,
    },
    /// The component is not the one that failed.
    #[error("`{path}` is not the component that failed: its digest is {found}, the captured digest is {wanted}")]
    OtherComponent {
        /// The file.
        path: PathBuf,
        /// The digest of the file.
        found: String,
        /// The captured digest.
        wanted: String,
    },
    /// The component cannot be loaded.
    #[error("the captured component cannot be loaded")]
    Load(#[from] LoadError),
    /// The sandbox or its runtime could not be started on this machine.
    #[error("the sandbox could not be started")]
    Machine(#[source] io::Error),
}

/// Captures one partition that is missing from an answer. Returns the capture's folder, or `None`
/// for a partition without a failure to reproduce or whose content can no longer be read.
///
/// # Errors
/// When a file cannot be written, or the partition exceeds the largest captured size (256 MiB).
pub fn keep(
    dir: &Path,
    wired: &Wired,
    (plan, query): (&Plan, &Bytes),
    missing: &Missing,
) -> io::Result<Option<PathBuf>> {
    let (Some(failure), Some(partition)) = (&missing.failure, plan.get(missing.index)) else {
        return Ok(None);
    };
    let leaf = &wired.leaf;
    if partition.content.size() > MAX_PARTITION {
        let size = show_size(MAX_PARTITION);
        let why = format!("`{}` has more than {size}, the most that a capture keeps", missing.key);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    let Ok(content) = partition.content.read(0, usize::MAX) else {
        return Ok(None);
    };
    let digest = leaf.plugin.digest().to_string();
    let components = dir.join(COMPONENTS);
    fs::create_dir_all(&components)?;
    let file = components.join(format!("{digest}.wasm"));
    if !file.exists() {
        fs::copy(&wired.app.leaf.path, &file)?;
    }
    let folder = dir.join(format!("{}-{}-{}", missing.index, name(missing.key.as_str()), failure.kind));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("query.bin"), plan.query().unwrap_or(query))?;
    fs::write(folder.join("partition.bin"), &content)?;
    let before = keep_before(&folder, plan, &failure.before)?;
    let capture = Capture {
        version: VERSION,
        app: wired.app.name.clone(),
        digest,
        contract: frond_sandbox::CONTRACT.to_owned(),
        key: missing.key.as_str().to_owned(),
        index: missing.index,
        attempts: missing.attempts,
        time_ms: u64::try_from(wired.leaf_time().as_millis()).unwrap_or(u64::MAX),
        deterministic: leaf.deterministic,
        limits: leaf.limits,
        failure: failure.clone(),
        before,
    };
    let text = toml::to_string(&capture).map_err(io::Error::other)?;
    fs::write(folder.join(HEAD), text)?;
    Ok(Some(folder))
}

/// Writes the contents of the last partitions of `before`, until one cannot be read or all together
/// would be too large.
fn keep_before(folder: &Path, plan: &Plan, before: &[u32]) -> io::Result<Vec<EarlierCall>> {
    let mut left = Some(MAX_BEFORE);
    let mut calls = Vec::new();
    for partition in before.iter().rev().filter_map(|index| Some((*index, plan.get(*index)?))) {
        let (index, partition) = partition;
        left = left.and_then(|left| left.checked_sub(partition.content.size()));
        let content = left.and_then(|_| partition.content.read(0, usize::MAX).ok());
        if content.is_none() {
            left = None;
        }
        let file = content.map(|content| {
            let file = format!("{}.bin", calls.len() + 1);
            fs::create_dir_all(folder.join(BEFORE))?;
            fs::write(folder.join(BEFORE).join(&file), content)?;
            Ok::<_, io::Error>(file)
        });
        calls.push(EarlierCall { key: partition.key.as_str().to_owned(), index, file: file.transpose()? });
    }
    calls.reverse();
    Ok(calls)
}

/// Turns a key into part of a folder's name.
fn name(key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
    key.chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().map(plain).collect()
}

/// A capture, read back from its folder.
#[derive(Debug)]
pub struct Replay {
    /// The content of its `capture.toml`.
    pub capture: Capture,
    /// The query's bytes.
    pub query: Bytes,
    /// The partition's bytes.
    pub partition: Bytes,
    /// The last partitions that ran before in the same instance.
    before: Vec<(u32, Partition)>,
    component: Vec<u8>,
}

/// Outcome of a repeated call.
#[derive(Debug)]
pub struct Replayed {
    /// The call alone, in a fresh instance.
    pub alone: Trial,
    /// The call after those that ran before it in its instance, if it did not fail alone as it was
    /// captured.
    pub after: Option<AfterOthers>,
}

/// Call in an instance that has served others.
#[derive(Debug)]
pub struct AfterOthers {
    /// Number of the calls before it.
    pub before: usize,
    /// The call.
    pub trial: Trial,
}

impl Replayed {
    /// Returns the call that decides: the last one.
    #[must_use]
    pub fn last(&self) -> &Trial {
        self.after.as_ref().map_or(&self.alone, |after| &after.trial)
    }
}

impl Capture {
    /// Returns true if `trial` failed in the way that was captured.
    #[must_use]
    pub fn is_reproduced_by(&self, trial: &Trial) -> bool {
        trial.result.as_ref().is_err_and(|failure| failure.kind == self.failure.kind)
    }

    /// Returns the last partitions that ran before, as far as their contents were kept.
    fn earlier(
        &self,
        mut bytes: impl FnMut(&str) -> Result<Bytes, CaptureError>,
    ) -> Result<Vec<(u32, Partition)>, CaptureError> {
        let kept = self.before.iter().filter_map(|call| Some((call, call.file.as_ref()?)));
        kept.map(|(call, file)| {
            let content = bytes(file)?;
            let partition = Partition::new(PartitionKey::from(call.key.as_str()), Bytes::new());
            Ok((call.index, Partition { content: of_bytes(content), ..partition }))
        })
        .collect()
    }
}

impl Replay {
    /// Reads a capture from its folder. `component` replaces the captured component, for example by
    /// a fixed one.
    ///
    /// # Errors
    /// See [`CaptureError`].
    pub fn read(folder: &Path, component: Option<&Path>) -> Result<Self, CaptureError> {
        let head = folder.join(HEAD);
        let bytes = |path: &Path| {
            frond_files::read(path, MAX_PARTITION)
                .map_err(|cause| CaptureError::Unreadable { path: path.to_path_buf(), cause })
        };
        let text = String::from_utf8_lossy(&bytes(&head)?).into_owned();
        let not_one = |why: String| CaptureError::NotOne { path: head.clone(), why };
        let capture: Capture = toml::from_str(&text).map_err(|error| not_one(error.message().to_owned()))?;
        if capture.version != VERSION {
            return Err(not_one(format!("it is of version {}, not {VERSION}", capture.version)));
        }
        if !capture.digest.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(not_one("its digest is not hexadecimal".to_owned()));
        }
        let mut files = capture.before.iter().filter_map(|call| call.file.as_ref());
        let is_own =
            |file: &String| file.strip_suffix(".bin").is_some_and(|name| name.bytes().all(|c| c.is_ascii_digit()));
        if !files.all(is_own) {
            return Err(not_one("a file of an earlier partition is not in its folder".to_owned()));
        }
        if capture.before.len() > failure::MAX_BEFORE {
            return Err(not_one("its earlier partitions are too many".to_owned()));
        }
        let mut left = MAX_BEFORE;
        let before = capture.earlier(|file| {
            let content = bytes(&folder.join(BEFORE).join(file))?;
            let rest = left.checked_sub(content.len() as u64);
            left = rest.ok_or_else(|| not_one("its earlier partitions are too large".to_owned()))?;
            Ok(content.into())
        })?;
        let own = folder.join("../components").join(format!("{}.wasm", capture.digest));
        Ok(Self {
            query: bytes(&folder.join("query.bin"))?.into(),
            partition: bytes(&folder.join("partition.bin"))?.into(),
            before,
            component: frond_sandbox::component::read(component.unwrap_or(&own))?,
            capture,
        })
    }

    /// Repeats the call alone, in a fresh instance. If it does not fail as it was captured, repeats
    /// it in an instance that has served the partitions that ran before it. Unless `another` is
    /// true, the component must be the captured one.
    ///
    /// # Errors
    /// See [`CaptureError`].
    pub fn run(&self, another: bool) -> Result<Replayed, CaptureError> {
        let limits = self.capture.limits;
        let settings = Settings {
            slots: 1,
            waiting: 0,
            limits: vec![limits],
            cache: cache::cache_dir(),
            compiler: frond_run::compiler(),
        };
        let sandbox = cache::sandbox(settings).map_err(CaptureError::Machine)?;
        let plugin = Plugin::load(&sandbox, &self.component, &[Role::Leaf], Metering::of(&limits))?;
        let found = plugin.digest().to_string();
        if !another && found != self.capture.digest {
            return Err(CaptureError::OtherComponent {
                path: PathBuf::from(format!("components/{}.wasm", self.capture.digest)),
                found,
                wanted: self.capture.digest.clone(),
            });
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(CaptureError::Machine)?;
        let _host_calls_wait_on = runtime.enter();
        let deterministic = self.capture.deterministic;
        let leaf = Leaf {
            plugin: Arc::new(plugin),
            limits,
            deterministic,
            grants: Arc::default(),
            instance: InstanceMode::Query,
        };
        let partition = Partition::new(PartitionKey::from(self.capture.key.as_str()), self.partition.clone());
        let partition = Partition { content: of_bytes(self.partition.clone()), ..partition };
        let time = Duration::from_millis(self.capture.time_ms.max(1));
        let trials = Trials::new(sandbox.clock());
        let not_one = |error: Error| CaptureError::NotOne { path: PathBuf::from(HEAD), why: error.to_string() };
        let call = (self.capture.index, partition);
        let alone = trials.leaf(&leaf, &self.query, call.clone(), time).map_err(not_one)?;
        if self.before.is_empty() || self.capture.is_reproduced_by(&alone) {
            return Ok(Replayed { alone, after: None });
        }
        let sequence = [self.before.clone(), vec![call]].concat();
        let mut sequence = trials.leaf_sequence(&leaf, &self.query, &sequence, time).map_err(not_one)?;
        let last = sequence.pop();
        Ok(Replayed { alone, after: last.map(|trial| AfterOthers { before: self.before.len(), trial }) })
    }

    /// Writes the capture as a case of the package in `dir` that expects this failure. Returns the
    /// case's file.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn as_case(&self, dir: &Path) -> io::Result<PathBuf> {
        let cases = dir.join("cases");
        fs::create_dir_all(&cases)?;
        let stem = format!("{}-{}", name(&self.capture.key), self.capture.failure.kind);
        let beside = |ending: &str| format!("{stem}.{ending}");
        fs::write(cases.join(beside("query")), &self.query)?;
        fs::write(cases.join(beside("partition")), &self.partition)?;
        let mut case = toml::Table::new();
        let mut put = |key: &str, value: toml::Value| drop(case.insert(key.to_owned(), value));
        put("query-file", beside("query").into());
        put("partition-file", beside("partition").into());
        put("key", self.capture.key.clone().into());
        put("index", i64::from(self.capture.index).into());
        let mut expect = toml::Table::new();
        expect.insert("failure".to_owned(), self.capture.failure.kind.slug().into());
        put("expect", toml::Value::Table(expect));
        let file = cases.join(beside("toml"));
        fs::write(&file, toml::to_string(&case).map_err(io::Error::other)?)?;
        Ok(file)
    }
}
