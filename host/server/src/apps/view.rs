//! An app as clients see it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use frond_app::grants::Hosts;
use frond_app::{App, CallLimits, HttpGrant};
use frond_root::MergeOrder;
use frond_run::laws::Laws;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Refusal, Stage};
use super::releases::ReleaseHistory;
use super::version::{Example, Version, VersionView};

/// An app: what it is, what serves, and what is being done to it. What is not known as long as nothing was ever served is
/// null.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct AppView {
    /// Its name: that of its folder.
    pub name: String,
    /// Whether it can be asked.
    pub health: Health,
    /// The media type of its answers.
    pub content_type: Option<String>,
    /// Where its partitions come from: `list`, `files`, `stdin`, `range`, `query` or `split`.
    pub source: Option<&'static str>,
    /// The order in which partials are folded: `any` or `partition`.
    pub order: Option<&'static str>,
    /// How long a query may take, unless it says otherwise.
    pub deadline_ms: Option<f64>,
    /// The longest deadline that a query may ask for.
    pub max_deadline_ms: Option<f64>,
    /// How much an answer must stand on, unless the query says otherwise: `"all"`, `"best-effort"` or `{"at-least": 0.8}`.
    pub floor: Option<serde_json::Value>,
    /// Partitions that must be in every answer.
    pub require: Option<Vec<String>>,
    /// What its guests may take.
    pub limits: Option<LimitsView>,
    /// What its leaf and its split may use beyond computing.
    pub grants: Option<GrantsView>,
    /// Whether its laws were checked: `hold`, `broken` or `unchecked`.
    pub laws: Option<&'static str>,
    /// The version that serves.
    pub serving: Option<VersionView>,
    /// The change that is being checked.
    pub change: Option<Change>,
    /// The last change, if it was refused.
    pub refused: Option<RefusedChange>,
    /// The versions that are kept, newest first.
    pub versions: Vec<VersionView>,
    /// What works less well than it should.
    pub warnings: Vec<String>,
    /// Queries to begin with: those of its cases that ask the whole app.
    pub examples: Vec<Example>,
}

/// Whether an app can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It can.
    Serving,
    /// It cannot: nothing that was there passed its checks.
    Broken,
    /// It will, or will not: it is being checked for the first time.
    Loading,
    /// Its folder has gone, and with it the app.
    Gone,
}

/// A change that is being checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Change {
    /// How far it has got.
    pub stage: Stage,
    /// When it began, in Unix milliseconds.
    pub since_unix_ms: u64,
    /// What is being done.
    pub text: String,
}

/// A change that was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct RefusedChange {
    /// How far it got.
    pub stage: Stage,
    /// When it was refused, in Unix milliseconds.
    pub at_unix_ms: u64,
    /// What is wrong, where, and what to do, in several lines.
    pub error: String,
}

/// What an app's guests may take.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct LimitsView {
    /// One call of the leaf.
    pub leaf: CallView,
    /// One call of the merge.
    pub merge: CallView,
    /// One call of the split, if there is one.
    pub split: Option<CallView>,
    /// The bytes of one partition.
    pub partition: u64,
    /// Whether clocks and randomness are seeded by query and partition.
    pub deterministic: bool,
}

/// What one call may take.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct CallView {
    /// Fuel; 0 is unmetered.
    pub fuel: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Elements of its tables.
    pub table_elements: u64,
    /// Bytes of its result.
    pub output: u64,
    /// Bytes of its log that are kept.
    pub log: u64,
    /// Calls to the host.
    pub host_calls: u64,
    /// Its own time; null leaves it to the query's deadline.
    pub time_ms: Option<f64>,
}

/// What a leaf and a split may use beyond computing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
pub struct GrantsView {
    /// Folders, as the guest sees them.
    pub directories: Vec<String>,
    /// Environment variables.
    pub env: Vec<String>,
    /// Keys of `wasi:config`.
    pub config: Vec<String>,
    /// Methods and hosts of HTTP requests.
    pub http: Vec<String>,
}

impl AppView {
    /// Of an app of which nothing is known yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            health: Health::Loading,
            content_type: None,
            source: None,
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

    /// The same of what serves now, and of what is kept.
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

    /// The same after a change that was refused.
    pub(crate) fn refused(self, refused: RefusedChange) -> Self {
        let health = if self.serving.is_some() { Health::Serving } else { Health::Broken };
        Self { health, change: None, refused: Some(refused), ..self }
    }

    /// Why it does not serve, or why its last change does not, if there is such a reason.
    #[must_use]
    pub fn wrong(&self) -> Option<String> {
        let unserved = || (self.serving.is_none()).then(|| "it is being loaded".to_owned());
        self.refused.as_ref().map(|refused| refused.error.clone()).or_else(unserved)
    }

    /// The end of a sentence that says that it does not serve: why.
    #[must_use]
    pub fn why(&self) -> String {
        self.wrong().map(|wrong| format!(":\n{wrong}")).unwrap_or_default()
    }
}

impl RefusedChange {
    pub(crate) fn now(refusal: &Refusal) -> Self {
        Self { stage: refusal.stage, at_unix_ms: unix_ms(), error: refusal.text.clone() }
    }
}

/// Now, in Unix milliseconds.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn limits(app: &App) -> LimitsView {
    let call = |of: &CallLimits| CallView {
        fuel: of.fuel.unwrap_or(0),
        memory: of.memory,
        table_elements: of.table_elements,
        output: of.output,
        log: of.log,
        host_calls: of.host_calls,
        time_ms: of.time.map(frond_root::answer::millis),
    };
    LimitsView {
        leaf: CallView { time_ms: Some(frond_root::answer::millis(app.leaf_time())), ..call(&app.limits.leaf) },
        merge: call(&app.limits.merge),
        split: app.split.as_ref().map(|_| call(&app.limits.split)),
        partition: app.limits.partition,
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
        // Their values may be secrets.
        config: app.grants.config.keys().cloned().collect(),
        http: app.grants.http.iter().map(http).collect(),
    }
}
