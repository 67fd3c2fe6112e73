//! The contents of a `frond.toml`, complete or not. An app is complete; a plugin that is written
//! and tested alone has only its leaf or its merge.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::call::{Grants, InstanceMode, Isolation};
use frond_root::{Floor, MergeOrder, Partition, PartitionKey};

use crate::app::{App, DEFAULT_CONTENT_TYPE, DEFAULT_DEADLINE, DEFAULT_MAX_DEADLINE};
use crate::component::Component;
use crate::error::{AppError, Complaint, Location};
use crate::limits::AppLimits;
use crate::paths::under;
use crate::retry::Retries;
use crate::source::{Source, of_bytes};

/// An [`App`] whose leaf, merge and source may be missing.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of `App`")]
pub struct Package {
    pub dir: PathBuf,
    pub name: String,
    pub content_type: String,
    pub leaf: Option<Component>,
    pub merge: Option<Component>,
    pub split: Option<Component>,
    pub instance: InstanceMode,
    pub isolation: Isolation,
    pub order: MergeOrder,
    pub source: Option<Source>,
    pub deadline: Duration,
    pub max_deadline: Duration,
    pub floor: Floor,
    pub required: Vec<PartitionKey>,
    pub grants: Grants,
    pub limits: AppLimits,
    pub retry: Retries,
}

impl Package {
    /// A partition of this content, in the units in which leaves take it.
    #[must_use]
    pub fn partition(&self, key: &str, data: Bytes) -> Partition {
        let partition = Partition::new(PartitionKey::from(key), data.clone());
        Partition { content: of_bytes(data), ..partition }
    }
}

impl From<&App> for Package {
    fn from(app: &App) -> Self {
        let app = app.clone();
        Self {
            dir: app.dir,
            name: app.name,
            content_type: app.content_type,
            leaf: Some(app.leaf),
            merge: Some(app.merge),
            split: app.split,
            instance: app.instance,
            isolation: app.isolation,
            order: app.order,
            source: Some(app.source),
            deadline: app.deadline,
            max_deadline: app.max_deadline,
            floor: app.floor,
            required: app.required,
            grants: app.grants,
            limits: app.limits,
            retry: app.retry,
        }
    }
}

impl Package {
    /// Wraps a single component in a package with default limits. The caller names its roles.
    #[must_use]
    pub fn of(path: &Path, leaf: bool, merge: bool, split: bool) -> Self {
        let component = |wanted: bool| wanted.then(|| Component::file(path));
        Self {
            dir: path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf(),
            name: path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            content_type: DEFAULT_CONTENT_TYPE.to_owned(),
            leaf: component(leaf),
            merge: component(merge),
            split: component(split),
            instance: InstanceMode::Fresh,
            isolation: Isolation::Thread,
            order: MergeOrder::Any,
            source: None,
            deadline: DEFAULT_DEADLINE,
            max_deadline: DEFAULT_MAX_DEADLINE,
            floor: Floor::All,
            required: Vec::new(),
            limits: AppLimits::default(),
            retry: Retries::default(),
            grants: Grants::default(),
        }
    }

    /// Converts a complete package to an app.
    ///
    /// # Errors
    /// [`AppError::Manifest`] about the first missing section.
    pub fn app(self) -> Result<App, AppError> {
        let file: Arc<Path> = under(&self.dir, "frond.toml").into();
        let lacks = |section: &str| AppError::Manifest {
            at: Location { file: file.clone(), line: 1, key: String::new() },
            complaint: Complaint::new(
                format!("there is no [{section}] section"),
                "an app has at least the sections [leaf], [merge] and [source]",
            ),
            cause: None,
        };
        Ok(App {
            leaf: self.leaf.ok_or_else(|| lacks("leaf"))?,
            merge: self.merge.ok_or_else(|| lacks("merge"))?,
            source: self.source.ok_or_else(|| lacks("source"))?,
            dir: self.dir,
            name: self.name,
            content_type: self.content_type,
            split: self.split,
            instance: self.instance,
            isolation: self.isolation,
            order: self.order,
            deadline: self.deadline,
            max_deadline: self.max_deadline,
            floor: self.floor,
            required: self.required,
            grants: self.grants,
            limits: self.limits,
            retry: self.retry,
            pulls: false,
        })
    }

    /// Returns the package's components: leaf, merge and split, as far as present.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        [&self.leaf, &self.merge, &self.split].into_iter().flatten()
    }
}
