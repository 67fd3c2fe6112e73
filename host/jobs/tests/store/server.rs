//! A PostgreSQL server for tests: made when the first of them needs it, with nothing kept, and gone with this process
//! however that ends.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use frond_jobs::StoreError;
use frond_jobs::postgres::{Options, PostgresStore};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_postgres::NoTls;

/// The database that the others are copied from.
const TEMPLATE: &str = "frond";

/// A database of one test's own, copied from one that has the tables.
pub(crate) struct Database {
    server: &'static Server,
    name: String,
}

impl Database {
    /// `None`, aloud, when there is no PostgreSQL on this machine; on CI that is a failure.
    pub(crate) async fn new() -> Option<Self> {
        Self::from(TEMPLATE).await
    }

    /// The same without tables.
    pub(crate) async fn empty() -> Option<Self> {
        Self::from("template1").await
    }

    async fn from(template: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // The template must not be in use while it is copied, nor be copied before it has its tables.
        static COPYING: Mutex<bool> = Mutex::const_new(false);
        let server = server()?;
        let mut has_tables = COPYING.lock().await;
        if !*has_tables {
            server.run(&format!("CREATE DATABASE {TEMPLATE}")).await;
            drop(PostgresStore::open(&server.url(TEMPLATE), options(1)).await.unwrap());
            *has_tables = true;
        }
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server.copy(template, &name).await;
        Some(Self { server, name })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url(&self.name)
    }

    pub(crate) async fn open(&self, events_kept: u64) -> Result<PostgresStore, StoreError> {
        PostgresStore::open(&self.url(), options(events_kept)).await
    }

    /// Does `sql` in this database.
    pub(crate) async fn run(&self, sql: &str) {
        run(&self.url(), sql).await.unwrap();
    }

    /// Lets nobody write any more, as on a standby. Connections that there are, are ended.
    pub(crate) async fn forbid_writes(&self) {
        self.server.run(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", self.name)).await;
        self.hang_up().await;
    }

    /// Ends all connections to this database, and waits until they have.
    pub(crate) async fn hang_up(&self) {
        let sql =
            format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        self.server.run(&sql).await;
    }
}

/// With patience: others may keep this machine busy.
fn options(events_kept: u64) -> Options {
    let long = Duration::from_secs(300);
    Options { events_kept, statement_timeout: long, connect_timeout: long, ..Options::default() }
}

struct Server {
    port: u16,
    // Both live as long as the process.
    _folder: TempDir,
    _guard: Child,
}

impl Server {
    fn url(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=frond dbname={database}", self.port)
    }

    async fn run(&self, sql: &str) {
        run(&self.url("postgres"), sql).await.unwrap();
    }

    /// Connections that are closing may be at the template for a moment longer.
    async fn copy(&self, template: &str, name: &str) {
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        while let Err(error) = run(&self.url("postgres"), &sql).await {
            let is_in_use = error.code().is_some_and(|code| code.code() == "55006");
            assert!(is_in_use, "{error:?}");
            tokio::task::yield_now().await;
        }
    }
}

async fn run(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let done = client.batch_execute(sql).await;
    drop(client);
    let _ = connection.await;
    done
}

fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| programs().map(|programs| start(&programs))).as_ref()
}

/// The folder of the server's programs.
fn programs() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.filter(|told| told.status.success()).map(|told| String::from_utf8_lossy(&told.stdout).into_owned());
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.extend(told.map(|folder| PathBuf::from(folder.trim())));
    let found = folders.into_iter().rev().find(|folder| folder.join("initdb").exists());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "PostgreSQL is missing: apt-get install postgresql"
        );
        // Past the harness, which shows nothing of tests that pass.
        let _ = writeln!(std::io::stderr(), "SKIPPED: PostgreSQL is missing (apt-get install postgresql)");
    }
    found
}

fn start(programs: &Path) -> Server {
    let folder = tempfile::Builder::new().prefix("frond-pg-").tempdir().unwrap();
    // The server refuses to run as root: then as the user that its package has made.
    let user = (id("-u", None) == Some(0)).then(|| {
        let (Some(user), Some(group)) = (id("-u", Some("postgres")), id("-g", Some("postgres"))) else {
            panic!("PostgreSQL does not run as root, and there is no user `postgres`")
        };
        chown(folder.path(), Some(user), Some(group)).unwrap();
        (user, group)
    });
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let data = folder.path().join("data");
    let initdb = ["--username=frond", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"];
    must(as_user(user, &programs.join("initdb")).args(initdb).arg("--pgdata").arg(&data));
    // Somebody else may get the port between its choice and its use.
    let port = (0..5).find_map(|_| listen(programs, user, &data, folder.path()));
    let guard = guard(programs, user, &data, folder.path());
    Server { port: port.expect("the server did not start"), _folder: folder, _guard: guard }
}

fn listen(programs: &Path, user: Option<(u32, u32)>, data: &Path, sockets: &Path) -> Option<u16> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off \
         -c synchronous_commit=off -c max_connections=200",
        sockets.display()
    );
    let mut start = as_user(user, &programs.join("pg_ctl"));
    start.args(["--wait", "--silent", "--log"]).arg(sockets.join("log")).arg("--pgdata").arg(data);
    let started = start.arg("--options").arg(settings).arg("start").stdout(Stdio::null()).status().unwrap();
    started.success().then_some(port)
}

/// A process that stops the server and removes its folder when its input ends: when this process ends, even by a panic
/// or a kill.
fn guard(programs: &Path, user: Option<(u32, u32)>, data: &Path, folder: &Path) -> Child {
    let script = "trap '' INT TERM HUP; cat; \"$1\" --mode=immediate --silent --pgdata \"$2\" stop; rm -rf \"$3\"";
    let mut guard = as_user(user, Path::new("sh"));
    guard.args(["-c", script, "sh"]).arg(programs.join("pg_ctl")).arg(data).arg(folder);
    guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn as_user(user: Option<(u32, u32)>, program: &Path) -> Command {
    let Some((user, group)) = user else {
        let mut command = Command::new(program);
        command.current_dir(std::env::temp_dir());
        return command;
    };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups").arg(program);
    command.current_dir(std::env::temp_dir());
    command
}

fn id(which: &str, name: Option<&str>) -> Option<u32> {
    let told = Command::new("id").arg(which).args(name).output().ok()?;
    String::from_utf8_lossy(&told.stdout).trim().parse().ok()
}

fn must(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
