//! PostgreSQL server for tests. Its data and its process are removed with the test process, however
//! that ends. It can be stopped and started again with its data.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::skip::skipped;

/// Settings of a server whose data need not outlive it.
const QUICK: &str = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off";

/// Private PostgreSQL server of a test.
pub struct Postgres {
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    settings: String,
    folder: TempDir,
    guard: Child,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The end of its input makes the guard stop the server and remove the folder.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

impl Postgres {
    /// Starts a server on a free local port. Without PostgreSQL it reports that and returns `None`;
    /// on CI it panics.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(QUICK, None)
    }

    /// Starts a server with TLS: a certificate and its key, both as PEM. It refuses unencrypted
    /// connections from the network. The user `secret` has the password `pass:word/@` and can log
    /// in only with it.
    #[must_use]
    pub fn start_encrypted(certificate: &str, key: &str) -> Option<Self> {
        Self::start_with(&format!("{QUICK} -c ssl=on"), Some((certificate, key)))
    }

    /// Starts a server with its usual durability, which survives a loss of power: for measurements.
    #[must_use]
    pub fn start_durable() -> Option<Self> {
        Self::start_with("", None)
    }

    fn start_with(settings: &str, identity: Option<(&str, &str)>) -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("frond-pg-").tempdir().unwrap();
        // The server refuses to run as root: use the user of its package instead.
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
        if let Some((certificate, key)) = identity {
            let rules = "local all all trust\nhostssl all secret all scram-sha-256\nhostssl all all all trust\n";
            for (name, text) in [("server.crt", certificate), ("server.key", key), ("pg_hba.conf", rules)] {
                let path = data.join(name);
                fs::write(&path, text).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                if let Some((owner, group)) = user {
                    chown(&path, Some(owner), Some(group)).unwrap();
                }
            }
        }
        let guard = guard(&programs, user, &data, folder.path());
        let mut server = Self { programs, user, port: 0, settings: settings.to_owned(), folder, guard };
        // The port may be taken between its choice and its use.
        let started = (0..5).any(|_| {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            server.listen()
        });
        assert!(started, "the server did not start:\n{}", server.log());
        Some(server)
    }

    /// Port that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Folder of the server's socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Connection URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://frond@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs `sql` in the database `postgres`.
    pub fn psql(&self, sql: &str) {
        self.run("postgres", sql);
    }

    /// Runs `sql` in a database.
    pub fn run(&self, database: &str, sql: &str) {
        let mut psql = as_user(self.user, &self.programs.join("psql"));
        // The socket needs neither encryption nor a password file.
        let place = format!("host={} port={} user=frond dbname={database}", self.folder.path().display(), self.port);
        psql.args(["--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "--dbname"]).arg(place);
        must(psql.arg("--command").arg(sql));
    }

    /// Stops the server and closes all connections, without waiting for clients.
    pub fn stop(&self) {
        must(self.control().args(["--wait", "--mode=fast", "--silent", "stop"]));
    }

    /// Starts the server again on the same port, after [`Postgres::stop`].
    pub fn start_again(&self) {
        assert!(self.listen(), "the server did not start again:\n{}", self.log());
    }

    fn control(&self) -> Command {
        let mut control = as_user(self.user, &self.programs.join("pg_ctl"));
        control.arg("--pgdata").arg(self.folder.path().join("data"));
        control
    }

    fn listen(&self) -> bool {
        let settings = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=200 {}",
            self.port,
            self.folder.path().display(),
            self.settings
        );
        let mut start = self.control();
        start.args(["--wait", "--silent", "--log"]).arg(self.folder.path().join("log"));
        start.arg("--options").arg(settings).arg("start").stdout(Stdio::null()).status().unwrap().success()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Folder of the server's programs.
fn programs() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok().filter(|output| output.status.success());
    let configured = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.extend(configured.map(|folder| PathBuf::from(folder.trim())));
    let found = folders.into_iter().rev().find(|folder| folder.join("initdb").exists());
    if found.is_none() {
        skipped("PostgreSQL is missing (apt-get install postgresql)");
    }
    found
}

/// Starts a process that stops the server and removes its folder once its input ends: when this
/// process ends, even by a panic or a kill.
fn guard(programs: &Path, user: Option<(u32, u32)>, data: &Path, folder: &Path) -> Child {
    let script = "trap '' INT TERM HUP; cat; \"$1\" --mode=immediate --silent --pgdata \"$2\" stop; rm -rf \"$3\"";
    let mut guard = as_user(user, Path::new("sh"));
    guard.args(["-c", script, "sh"]).arg(programs.join("pg_ctl")).arg(data).arg(folder);
    guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A connection pooler in front of a server.
pub struct Pooler {
    port: u16,
    child: Child,
    _folder: TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pooler {
    /// Starts pgbouncer in front of a server, in the pool mode `session`, `transaction` or
    /// `statement`. Without pgbouncer it reports that and returns `None`; on CI it panics.
    #[must_use]
    pub fn start(server: &Postgres, mode: &str) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
        let Some(program) = program.iter().map(Path::new).find(|program| program.exists()) else {
            skipped("pgbouncer is missing (.ci/install-pgbouncer installs it)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("frond-pool-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=frond\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\nserver_tls_sslmode = disable\n",
            server.port
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut child = as_user(server.user, program);
        let mut child = child.arg(&file).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(folder.path().join("log")).unwrap());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Some(Self { port, child, _folder: folder })
    }

    /// Connection URL of a database through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://frond@127.0.0.1:{}/{database}", self.port)
    }
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
    let output = Command::new("id").arg(which).args(name).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
