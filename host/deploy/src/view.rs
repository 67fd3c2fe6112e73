//! An app as clients see it.

use std::time::Duration;

use frond_app::App;
use frond_app::hosts::Hosts;
use frond_root::MergeOrder;
use frond_root::call::{HttpGrant, Limits};
use frond_run::laws::Laws;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Stage;
use super::refused::RefusedChange;
use super::releases::ReleaseHistory;
use super::version::Version;
use super::version_view::{Example, VersionView};

/// An app: its settings, its versions, and the change in progress.
/// Values that are unknown before the app has served are null.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct AppView {
    /// The app's name, which is that of its folder.
    pub name: String,
    /// Whether the app can be queried.
    pub health: Health,
    /// The media type of the answers.
    pub content_type: Option<String>,
    /// Source of the partitions: `list`, `files`, `stdin`, `range`, `query` or `split`.
    pub source: Option<&'static str>,
    /// Lifetime of the leaf's instances: `fresh` for one call, or `query` for the calls of one
    /// query on one slot.
    pub instance: Option<&'static str>,
    /// The order in which partials are merged: `any` or `partition`.
    pub order: Option<&'static str>,
    /// Default deadline of a query, in milliseconds.
    pub deadline_ms: Option<f64>,
    /// The longest deadline that a query may request, in milliseconds.
    pub max_deadline_ms: Option<f64>,
    /// Default floor of an answer's coverage: `"all"`, `"best-effort"` or `{"at-least": 0.8}`.
    pub floor: Option<serde_json::Value>,
    /// Keys of partitions that every answer must cover.
    pub require: Option<Vec<String>>,
    /// Limits of the app's guests.
    pub limits: Option<LimitsView>,
    /// Grants of the leaf and the split.
    pub grants: Option<GrantsView>,
    /// Whether the merge's laws were checked: `hold`, `broken` or `unchecked`.
    pub laws: Option<&'static str>,
    /// The version that serves.
    pub serving: Option<VersionView>,
    /// The change that is being checked.
    pub change: Option<Change>,
    /// The last change, if it was refused.
    pub refused: Option<RefusedChange>,
    /// The stored versions, newest first.
    pub versions: Vec<VersionView>,
    /// Problems that do not keep the app from serving.
    pub warnings: Vec<String>,
    /// Sample queries: those of the cases that query the whole app.
    pub examples: Vec<Example>,
}

/// Readiness of an app for queries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// A version serves.
    Serving,
    /// No version has passed its checks.
    Broken,
    /// The app is being checked for the first time.
    Loading,
    /// The app's folder was removed, and with it the app.
    Gone,
}

/// A change that is being checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Change {
    /// The current stage.
    pub stage: Stage,
    /// Time when the change began, in Unix milliseconds.
    pub since_unix_ms: u64,
    /// The step in progress.
    pub text: String,
}

/// Limits of an app's guests.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct LimitsView {
    /// Limits of one call of the leaf.
    pub leaf: CallView,
    /// Limits of one call of the merge.
    pub merge: CallView,
    /// Limits of one call of the split, if there is one.
    pub split: Option<CallView>,
    /// The largest partition, in bytes.
    pub partition: u64,
    /// Whether clocks and randomness are seeded by query and partition.
    pub deterministic: bool,
}

/// Limits of one call.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct CallView {
    /// Fuel; 0 means unmetered.
    pub fuel: u64,
    /// Memory in bytes.
    pub memory: u64,
    /// Elements of the guest's tables.
    pub table_elements: u64,
    /// Size of the result, in bytes.
    pub output: u64,
    /// Bytes of the log that are kept.
    pub log: u64,
    /// Number of calls to the host.
    pub host_calls: u64,
    /// Time limit in milliseconds; null means the query's deadline.
    pub time_ms: Option<f64>,
}

/// Grants of a leaf and a split: their access beyond computing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
pub struct GrantsView {
    /// Folders, by their paths in the guest.
    pub directories: Vec<String>,
    /// Names of environment variables.
    pub env: Vec<String>,
    /// Keys of `wasi:config`.
    pub config: Vec<String>,
    /// Methods and hosts of HTTP requests.
    pub http: Vec<String>,
}

impl AppView {
    /// The view of an app about which nothing is known yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            health: Health::Loading,
            content_type: None,
            source: None,
            instance: None,
            order: None,
            deadline_ms: None,
            max_deadline_ms: None,
            floor: None,
            require: None,
            limits: None,
            grants: None,
            laws: None,
            serving: None,
            change: None,
            refused: None,
            versions: Vec::new(),
            warnings: Vec::new(),
            examples: Vec::new(),
        }
    }

    /// The view of the serving version and the stored ones.
    pub(crate) fn of(
        name: &str,
        version: Option<&Version>,
        history: Option<&ReleaseHistory>,
        change: Option<Change>,
        refused: Option<RefusedChange>,
    ) -> Self {
        let health = match (version, &refused) {
            (Some(_), _) => Health::Serving,
            (None, Some(_)) => Health::Broken,
            (None, None) => Health::Loading,
        };
        let versions = history.map(|history| history.versions().map(VersionView::from).collect()).unwrap_or_default();
        let view = Self { health, change, refused, versions, ..Self::new(name) };
        match version {
            Some(version) => view.about(version),
            None => view,
        }
    }

    fn about(self, version: &Version) -> Self {
        let app = &*version.wired.app;
        Self {
            content_type: Some(app.content_type.clone()),
            source: Some(app.source.kind()),
            instance: Some(app.instance.word()),
            order: Some(match app.order {
                MergeOrder::Any => "any",
                MergeOrder::Partition => "partition",
            }),
            deadline_ms: Some(frond_root::answer::millis(app.deadline)),
            max_deadline_ms: Some(frond_root::answer::millis(app.max_deadline)),
            floor: serde_json::to_value(app.floor).ok(),
            require: Some(app.required.iter().map(ToString::to_string).collect()),
            limits: Some(limits(app)),
            grants: Some(grants(app)),
            laws: Some(match version.wired.laws {
                Laws::Hold => "hold",
                Laws::Broken => "broken",
                Laws::Unchecked => "unchecked",
            }),
            serving: Some(version.view.clone()),
            warnings: version.warnings.clone(),
            examples: version.examples.clone(),
            ..self
        }
    }

    /// The view after a refused change.
    pub(crate) fn refused(self, refused: RefusedChange) -> Self {
        let health = if self.serving.is_some() { Health::Serving } else { Health::Broken };
        Self { health, change: None, refused: Some(refused), ..self }
    }

    /// Why the app does not serve, or why its last change does not; `None` if neither is the case.
    #[must_use]
    pub fn wrong(&self) -> Option<String> {
        let unserved = || (self.serving.is_none()).then(|| "it is being loaded".to_owned());
        self.refused.as_ref().map(|refused| refused.error.clone()).or_else(unserved)
    }

    /// The reason in the form of a sentence's end; empty if there is none.
    #[must_use]
    pub fn why(&self) -> String {
        self.wrong().map(|wrong| format!(":\n{wrong}")).unwrap_or_default()
    }
}

fn limits(app: &App) -> LimitsView {
    let call = |of: &Limits, time: Option<Duration>| {
        let Limits { fuel, memory, table_elements, output, log, partition: _, host_calls } = *of;
        let time_ms = time.map(frond_root::answer::millis);
        CallView { fuel, memory, table_elements, output, log, host_calls, time_ms }
    };
    LimitsView {
        leaf: call(&app.limits.leaf, Some(app.leaf_time())),
        merge: call(&app.limits.merge, None),
        split: app.split.as_ref().map(|_| call(&app.limits.split, app.limits.split_time)),
        partition: app.limits.leaf.partition,
        deterministic: app.limits.deterministic,
    }
}

fn grants(app: &App) -> GrantsView {
    let http = |grant: &HttpGrant| {
        let hosts = Hosts { host: grant.host.clone(), ports: grant.ports };
        format!("{} {hosts}", grant.methods.join(","))
    };
    GrantsView {
        directories: app.grants.directories.iter().map(|one| one.guest.clone()).collect(),
        env: app.grants.env.clone(),
        // The values may be secrets.
        config: app.grants.config.keys().cloned().collect(),
        http: app.grants.http.iter().map(http).collect(),
    }
}
