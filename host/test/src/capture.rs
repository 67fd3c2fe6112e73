//! Captures of failed partitions: folders with the query, the partition, the limits and the
//! failure, beside the component that failed. [`Replay`] repeats the call from such a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_app::size::show_size;
use frond_root::answer::Missing;
use frond_root::call::Limits;
use frond_root::{Failure, Partition, PartitionKey, Plan};
use frond_run::{Wired, cache};
use frond_sandbox::{Leaf, LoadError, Plugin, Role, Settings, Trial, Trials};
use serde::{Deserialize, Serialize};

/// Version of the capture format.
const VERSION: u32 = 1;
/// Largest captured partition, in bytes.
const MAX_PARTITION: u64 = 256 << 20;
const HEAD: &str = "capture.toml";
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
    };
    let text = toml::to_string(&capture).map_err(io::Error::other)?;
    fs::write(folder.join(HEAD), text)?;
    Ok(Some(folder))
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
    component: Vec<u8>,
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
        let own = folder.join("../components").join(format!("{}.wasm", capture.digest));
        Ok(Self {
            query: bytes(&folder.join("query.bin"))?.into(),
            partition: bytes(&folder.join("partition.bin"))?.into(),
            component: frond_sandbox::component::read(component.unwrap_or(&own))?,
            capture,
        })
    }

    /// Repeats the call. Unless `another` is true, the component must be the captured one.
    ///
    /// # Errors
    /// See [`CaptureError`].
    pub fn run(&self, another: bool) -> Result<Trial, CaptureError> {
        let limits = self.capture.limits;
        let settings =
            Settings { slots: 1, limits: vec![limits], cache: cache::cache_dir(), compiler: frond_run::compiler() };
        let sandbox = cache::sandbox(settings).map_err(CaptureError::Machine)?;
        let plugin = Plugin::load(&sandbox, &self.component, &[Role::Leaf], limits.is_metered())?;
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
        let leaf = Leaf { plugin: Arc::new(plugin), limits, deterministic, grants: Arc::default() };
        let partition = Partition::new(PartitionKey::from(self.capture.key.as_str()), self.partition.clone());
        let time = Duration::from_millis(self.capture.time_ms.max(1));
        let trial = Trials::new(sandbox.clock()).leaf(&leaf, &self.query, (self.capture.index, partition), time);
        trial.map_err(|error| CaptureError::NotOne { path: PathBuf::from(HEAD), why: error.to_string() })
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
