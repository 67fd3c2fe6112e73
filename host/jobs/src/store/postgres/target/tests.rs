//! URLs completed by services, variables and files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use tokio_postgres::config::{Host, SslMode};

use super::*;

struct Home {
    folder: TempDir,
    variables: BTreeMap<String, String>,
}

impl Home {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let home = folder.path().display().to_string();
        let variables = [("HOME", home.as_str()), ("USER", "me"), ("PGSYSCONFDIR", home.as_str())];
        Self { folder, variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into() }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    fn target(&self, url: &str) -> StoreResult<Target> {
        Target::new(&DatabaseUrl::from(url), &|name| self.variables.get(name).cloned())
    }

    fn config(&self, url: &str) -> Config {
        self.target(url).unwrap().config
    }

    fn refusal(&self, url: &str) -> String {
        self.target(url).unwrap_err().to_string()
    }
}

fn password(config: &Config) -> Option<&str> {
    config.get_password().map(|password| std::str::from_utf8(password).unwrap())
}

fn host(name: &str) -> Host {
    Host::Tcp(name.to_owned())
}

#[test]
fn a_url_says_it_all() {
    let config =
        Home::new().config("postgres://ann:p%40ss%2F@db.example:6000/jobs?application_name=a%20b&connect_timeout=7");
    assert_eq!((config.get_hosts(), config.get_ports()), (&[host("db.example")][..], &[6000][..]));
    assert_eq!((config.get_user(), password(&config), config.get_dbname()), (Some("ann"), Some("p@ss/"), Some("jobs")));
    assert_eq!(config.get_application_name(), Some("a b"));
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(7)));
    let several = Home::new().config("postgresql://one:1,two,[::1]:3/jobs");
    assert_eq!(several.get_hosts(), [host("one"), host("two"), host("::1")]);
    assert_eq!(several.get_ports(), [1, 5432, 3]);
    let socket = Home::new().config("postgres://%2Frun%2Fpg/jobs?sslmode=verify-full");
    assert_eq!(socket.get_hosts(), [Host::Unix(PathBuf::from("/run/pg"))]);
    assert_eq!(socket.get_ssl_mode(), SslMode::Disable);
}

#[test]
fn variables_stand_in_a_url_without_escapes() {
    let home = Home::new().set("PW", "p@ss/:%41'\\").set("DB", "jobs");
    let config = home.config("postgres://ann:${PW}@db/${DB}");
    assert_eq!((password(&config), config.get_dbname()), (Some("p@ss/:%41'\\"), Some("jobs")));
    let said = home.refusal("postgres://ann:${MISSING}@db/jobs");
    assert!(said.contains("${MISSING}"), "{said}");
}

#[test]
fn what_a_url_does_not_say_the_environment_does() {
    let home = Home::new().set("PGHOST", "elsewhere").set("PGPORT", "7000").set("PGDATABASE", "other");
    let home = home.set("PGUSER", "bob").set("PGPASSWORD", "pw").set("PGAPPNAME", "mine").set("PGSSLMODE", "require");
    let config = home.config("postgres://");
    assert_eq!((config.get_hosts(), config.get_ports()), (&[host("elsewhere")][..], &[7000][..]));
    assert_eq!((config.get_user(), password(&config), config.get_dbname()), (Some("bob"), Some("pw"), Some("other")));
    assert_eq!((config.get_application_name(), config.get_ssl_mode()), (Some("mine"), SslMode::Require));
    let config = home.config("postgres://ann@db/jobs?sslmode=disable");
    assert_eq!((config.get_hosts(), config.get_ports()), (&[host("db")][..], &[7000][..]));
    assert_eq!((config.get_user(), config.get_dbname()), (Some("ann"), Some("jobs")));
    assert_eq!(config.get_ssl_mode(), SslMode::Disable);
}

#[test]
fn a_service_goes_before_the_environment_and_behind_the_url() {
    let services =
        "# ours\n[other]\nhost=wrong\n\n[jobs]\nhost=served\nport=7001\ndbname=db\nuser=eve\n[last]\nhost=last\n";
    let home = Home::new().file(".pg_service.conf", services).set("PGHOST", "elsewhere").set("PGPASSWORD", "pw");
    let config = home.config("postgres://ann@?service=jobs");
    assert_eq!((config.get_hosts(), config.get_ports()), (&[host("served")][..], &[7001][..]));
    assert_eq!((config.get_user(), password(&config), config.get_dbname()), (Some("ann"), Some("pw"), Some("db")));
    let home = home.set("PGSERVICE", "last");
    assert_eq!(home.config("postgres://").get_hosts(), [host("last")]);
    assert!(home.refusal("postgres:///?service=none").contains("no service `none`"));
    let elsewhere = Home::new().file("pg_service.conf", "[jobs]\nhost=system\n");
    assert_eq!(elsewhere.config("postgres:///?service=jobs").get_hosts(), [host("system")]);
    let named = home.folder.path().join("mine").display().to_string();
    let home = home.file("mine", "[jobs]\nhost=mine\nnonsense\n").set("PGSERVICEFILE", &named);
    assert!(home.refusal("postgres:///?service=jobs").contains("mine:3"));
}

#[test]
fn a_password_is_looked_up_where_none_is_said() {
    let lines = "# comment\nother:*:*:*:no\ndb:5432:jobs:ann:p\\:a:ss\\\\\n*:*:*:bob:bobs\nlocalhost:*:*:me:mine\n";
    let home = Home::new().file(".pgpass", lines);
    let of = |url: &str| password(&home.config(url)).map(str::to_owned);
    assert_eq!(of("postgres://ann@db/jobs").as_deref(), Some("p:a:ss\\"));
    assert_eq!(of("postgres://ann@db:1/jobs"), None);
    assert_eq!(of("postgres://bob@anywhere:1/any").as_deref(), Some("bobs"));
    assert_eq!(of("postgres://ann:own@db/jobs").as_deref(), Some("own"));
    assert_eq!(of("postgres://%2Frun%2Fpg/any").as_deref(), Some("mine"));
    let named = home.folder.path().join("named");
    let url = format!("postgres://eve@db/jobs?passfile={}", named.display());
    assert_eq!(password(&home.config(&url)), None);
    let home = home.file("named", "*:*:*:*:all\n");
    assert_eq!(password(&home.config(&url)), Some("all"));
    // A file that others can read is ignored.
    fs::set_permissions(&named, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(password(&home.config(&url)), None);
}

#[test]
fn silence_is_noticed_by_the_connection_too() {
    let config = Home::new().config("postgres://db/jobs");
    assert!(config.get_keepalives() && config.get_keepalives_idle() <= Duration::from_secs(30));
    assert_eq!(config.get_tcp_user_timeout(), Some(&USER_TIMEOUT));
    let config = Home::new().config("postgres://db/jobs?tcp_user_timeout=1500&keepalives_idle=99&keepalives_count=7");
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    assert_eq!((config.get_keepalives_idle(), config.get_keepalives_retries()), (Duration::from_secs(99), Some(7)));
}

#[test]
fn what_is_wrong_is_named_and_no_password_is() {
    for (url, why) in [
        ("postgres://ann:s3cret@db/jobs?unheard_of=s3cret", "unheard_of"),
        ("postgres://ann:s3cret@db:s3cret/jobs", "port"),
        ("postgres://ann:s3cret@db/jobs?sslmode=s3cret", "`sslmode`"),
        ("postgres://ann:s3cret@db/jobs?s3cret", "without a value"),
        ("postgres://ann:%FFs3cret@db/jobs", "UTF-8"),
        ("postgres://ann:s3cret@db/jobs?connect_timeout=s3cret", "connect_timeout"),
    ] {
        let said = Home::new().refusal(url);
        assert!(said.contains(why), "{url}: {said}");
        assert!(!said.replace("?s3cret", "").contains("s3cret"), "{url}: {said}");
    }
}
