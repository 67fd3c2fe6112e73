//! A folder of apps, the registry that serves it, and ways to wait for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_deploy::{AppView, ChangeError, Health, Host, OpenError, Registry, Settings, Stage, Version, Watching};
use frond_root::{Answer, CancellationToken, Events};
use frond_run::{Machine, Question, ask};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Timeout far beyond any normal wait: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(120);

/// An app that counts points in a circle; its answer has the number of points.
pub(crate) const PI: &str = "[leaf]\ncomponent = \"leaf.wasm\"\n\n[merge]\ncomponent = \"merge.wasm\"\n\n\
    [source]\nkind = \"range\"\nstart = 0\nend = 1000\n\n[query]\ndeadline = \"20s\"\n";

/// A built plugin.
pub(crate) fn plugin(name: &str) -> Bytes {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let path = root.join("target/plugins/wasm32-wasip2/guest").join(format!("{name}.wasm"));
    let bytes = fs::read(&path);
    bytes.unwrap_or_else(|error| panic!("{}: {error}: run `make plugins`", path.display())).into()
}

/// The plugin with a custom section: another component with the same behaviour.
pub(crate) fn marked(name: &str, mark: u8) -> Bytes {
    let mut bytes = plugin(name).to_vec();
    bytes.extend([0, 6, 4, b'm', b'a', b'r', b'k', mark]);
    bytes.into()
}

/// Bytes that are no component.
pub(crate) fn garbage() -> Bytes {
    Bytes::from_static(b"this is no component")
}

/// An empty core module.
pub(crate) fn core_module() -> Bytes {
    Bytes::from_static(b"\0asm\x01\0\0\0")
}

/// A folder of apps.
pub(crate) struct Apps(TempDir);

impl Apps {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with the app `pi`.
    pub(crate) fn with_pi() -> Self {
        let apps = Self::new();
        apps.add_pi("pi");
        apps
    }

    pub(crate) fn add_pi(&self, name: &str) {
        self.write(&format!("{name}/leaf.wasm"), &plugin("pi"));
        self.write(&format!("{name}/merge.wasm"), &plugin("pi"));
        self.write(&format!("{name}/frond.toml"), PI.as_bytes());
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Adds a case of the whole app, with its expectation.
    pub(crate) fn case(&self, name: &str, expect: &str) {
        let text = format!("query = '{{\"seed\": 1}}'\n\n[expect]\n{expect}\n");
        self.write(name, text.as_bytes());
    }

    pub(crate) fn settings(&self) -> Settings {
        // Tests with incomplete changes need not wait long for the rest.
        Settings { together: Duration::from_millis(50), ..Settings::new(self.dir()) }
    }

    /// Serves the apps, with notifications of file changes.
    pub(crate) async fn serve(&self) -> Served {
        self.serve_with(self.settings()).await
    }

    /// Serves the apps; files are read only on request.
    pub(crate) async fn serve_unwatched(&self) -> Served {
        self.serve_with(Settings { watch: Watching::Off, ..self.settings() }).await
    }

    pub(crate) async fn serve_with(&self, settings: Settings) -> Served {
        let registry = self.open(settings).await.unwrap();
        let changes = registry.changes();
        Served { registry, changes }
    }

    /// Starts to serve the apps, without waiting for their loads.
    pub(crate) fn start(&self, settings: Settings) -> Served {
        let registry = Registry::start(self.dir(), settings, host()).unwrap();
        let changes = registry.changes();
        Served { registry, changes }
    }

    pub(crate) async fn open(&self, settings: Settings) -> Result<Arc<Registry>, OpenError> {
        open(self.dir(), settings).await
    }
}

/// Serves a folder like a server with default settings.
pub(crate) async fn serve_as_server(dir: &Path) -> Served {
    let registry = open(dir, Settings::with_state(dir, None)).await.unwrap();
    let changes = registry.changes();
    Served { registry, changes }
}

async fn open(dir: &Path, settings: Settings) -> Result<Arc<Registry>, OpenError> {
    Registry::open(dir, settings, host()).await
}

fn host() -> Host {
    let machine = Arc::new(Machine::new(2).unwrap());
    let threads = machine.start(&Handle::current()).unwrap();
    Host { machine, threads, runtime: Handle::current(), crew: None }
}

/// A registry, and a subscription to its changes.
pub(crate) struct Served {
    pub(crate) registry: Arc<Registry>,
    changes: Receiver<AppView>,
}

impl Served {
    pub(crate) fn current(&self, app: &str) -> Arc<Version> {
        let why = || panic!("`{app}` is not served: {:?}", self.registry.app(app).map(|view| view.wrong()));
        self.registry.current(app).unwrap_or_else(why)
    }

    pub(crate) fn view(&self, app: &str) -> AppView {
        self.registry.app(app).unwrap_or_else(|| panic!("there is no app `{app}`"))
    }

    /// The next change of an app that fulfils a condition.
    pub(crate) async fn change(&mut self, app: &str, wanted: impl Fn(&AppView) -> bool) -> AppView {
        let found = async {
            loop {
                match self.changes.recv().await {
                    Ok(view) if view.name == app && wanted(&view) => return view,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => panic!("no change comes any more"),
                }
            }
        };
        let late = |_| panic!("`{app}` is still {:?}", self.registry.app(app));
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(late)
    }

    /// Waits until the app serves the version with this number, and returns the app.
    pub(crate) async fn version(&mut self, app: &str, number: u64) -> AppView {
        let serves = |view: &AppView| view.serving.as_ref().is_some_and(|serving| serving.number == number);
        self.change(app, |view| serves(view) && view.change.is_none()).await
    }

    /// Stage and error of the app's next refused change.
    pub(crate) async fn refused(&mut self, app: &str) -> (Stage, String) {
        let refused = self.change(app, |view| view.refused.is_some() && view.change.is_none()).await.refused.unwrap();
        (refused.stage, refused.error)
    }

    /// Checks all apps again, and waits until that is done.
    pub(crate) async fn look(&self) {
        self.registry.reload();
        tokio::time::timeout(PATIENCE, self.registry.settled()).await.unwrap();
    }

    /// Queries the serving version, and returns its complete answer.
    pub(crate) async fn answer(&self, app: &str) -> Bytes {
        answer(&self.current(app), r#"{"seed": 1}"#).await.body().unwrap().clone()
    }

    pub(crate) fn is_served(&self, app: &str) -> bool {
        self.view(app).health == Health::Serving
    }

    pub(crate) async fn close(self) {
        self.registry.close().await;
    }
}

/// Queries a version.
pub(crate) async fn answer(version: &Version, query: &str) -> Answer {
    let query = Bytes::copy_from_slice(query.as_bytes());
    let request = version.wired.request(&query);
    ask(&version.wired, Question::new(request), Events::default(), CancellationToken::new()).await.unwrap()
}

/// Stage and error of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, ChangeError>) -> (Stage, String) {
    match result {
        Err(ChangeError::Refused { stage, error }) => (stage, error),
        other => panic!("it was not refused: {other:?}"),
    }
}

/// The digest of bytes, in the notation of versions.
pub(crate) fn digest(bytes: &[u8]) -> String {
    frond_root::Digest::of(bytes).to_string()
}
