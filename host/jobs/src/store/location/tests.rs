//! Locations of stores, and refusals that do not show the text.

use super::*;

fn variables(name: &str) -> Option<String> {
    match name {
        "URL" => Some("postgres://ann:s3cret@db/jobs".to_owned()),
        "STATE" => Some("/state".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Location, NoLocation> {
    Location::parse(text, &variables)
}

#[test]
fn paths_and_urls_of_postgres_name_a_store() {
    for folder in ["jobs", "/var/lib/frond/jobs", "./a b", "hostages", "user", "a=b", "C:", "me@home/jobs", "port-3"] {
        assert_eq!(parse(folder), Ok(Location::Folder(PathBuf::from(folder))), "{folder}");
    }
    assert_eq!(parse("${STATE}/jobs"), Ok(Location::Folder(PathBuf::from("/state/jobs"))));
    for url in ["postgres://", "postgresql://db/jobs", "postgres://ann:${PW}@db", "postgres:///?service=jobs"] {
        assert_eq!(parse(url), Ok(Location::Database(DatabaseUrl(url.to_owned()))), "{url}");
    }
    assert_eq!(parse("${URL}"), Ok(Location::Database(DatabaseUrl("postgres://ann:s3cret@db/jobs".to_owned()))));
}

#[test]
fn what_is_neither_is_refused_and_not_shown() {
    for (text, why) in [
        ("", "empty"),
        (" postgres://ann:s3cret@db/jobs", "space"),
        ("postgres://ann:s3cret@db/jobs ", "space"),
        ("jobs\n", "space"),
        ("jo\0bs", "control character"),
        ("POSTGRES://ann:s3cret@db/jobs", "write `postgres://`"),
        ("PostgreSQL://ann:s3cret@db/jobs", "write `postgresql://`"),
        ("postgres:/ann:s3cret@db/jobs", "write `postgres://`"),
        ("postgres:ann:s3cret@db/jobs", "write `postgres://`"),
        ("mysql://ann:s3cret@db/jobs", "`mysql`"),
        ("jdbc:postgresql://db/jobs?password=s3cret", "`jdbc`"),
        ("https://ann:s3cret@db/jobs", "`https`"),
        ("sqlite:jobs.db", "`sqlite`"),
        ("file:jobs", "the path itself"),
        ("host=db dbname=jobs password=s3cret", "of `key=value` pairs"),
        ("dbname=jobs", "of `key=value` pairs"),
        ("user = ann password = s3cret", "of `key=value` pairs"),
        ("PASSWORD=s3cret host=db", "of `key=value` pairs"),
        ("ann:s3cret@db/jobs", "without its scheme"),
        ("${NOT_SET}", "${NOT_SET}"),
        ("${NOT_SET", "without its `}`"),
        ("${s3cret!}", "a variable"),
    ] {
        let said = parse(text).expect_err(text).to_string();
        assert!(said.contains(why) && said.contains('\n'), "{text}: {said}");
        assert!(!said.contains("s3cret"), "{text}: {said}");
    }
    assert!(!format!("{:?}", parse("${URL}")).contains("s3cret"));
}

#[test]
fn a_password_is_not_shown() {
    for (text, shown) in [
        ("jobs", "jobs"),
        ("postgres://db/jobs", "postgres://db/jobs"),
        ("postgres://ann@db/jobs?sslmode=require", "postgres://ann@db/jobs?sslmode=require"),
        ("postgres://ann:s3cret@db/jobs", "postgres://ann:${PASSWORD}@db/jobs"),
        ("postgres://ann:s3@cret@db:1,db2:2/jobs", "postgres://ann:${PASSWORD}@db:1,db2:2/jobs"),
        ("postgres://ann:s3/cr@et@db/jobs", "postgres://ann:${PASSWORD}@db/jobs"),
        ("postgres://ann:${PW}@db/jobs", "postgres://ann:${PW}@db/jobs"),
        ("postgres://ann:s3cret${PW}@db/jobs", "postgres://ann:${PASSWORD}@db/jobs"),
        ("postgres://db/jobs?password=s3cret&port=1", "postgres://db/jobs?password=${PASSWORD}&port=1"),
        ("postgres://db/jobs?sslpassword=s3cret", "postgres://db/jobs?sslpassword=${PASSWORD}"),
    ] {
        assert_eq!(without_password(text), shown);
    }
}
