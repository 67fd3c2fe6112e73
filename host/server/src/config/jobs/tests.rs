//! Stores in the settings: checked, shared, and printed.

use crate::config::Config;

fn read(jobs: &str) -> Config {
    toml::from_str(&format!("[jobs]\n{jobs}")).unwrap()
}

#[test]
fn a_store_that_is_no_place_is_refused() {
    for store in ["mysql://ann:s3cret@db/jobs", "host=db password=s3cret", " jobs", "POSTGRES://ann:s3cret@db/jobs", ""]
    {
        let refused = read(&format!("store = \"{store}\"")).check().unwrap_err().to_string();
        assert!(refused.contains("`jobs.store`") && !refused.contains("s3cret"), "{refused}");
    }
    for store in ["jobs", "postgres://ann:s3cret@db/jobs", "${SOME_URL}", "postgres://ann:${PW}@db/jobs"] {
        read(&format!("store = \"{store}\"")).check().unwrap();
    }
}

#[test]
fn servers_that_share_jobs_need_a_shared_store() {
    for role in ["dispatcher", "processor"] {
        for store in ["", "store = \"jobs\"\n"] {
            let jobs = read(&format!("{store}role = \"{role}\"")).jobs;
            let refused = jobs.check_shared().unwrap_err().to_string();
            assert!(refused.contains(role) && refused.contains("postgres://"), "{refused}");
        }
        read(&format!("store = \"postgres://db/jobs\"\nrole = \"{role}\"")).jobs.check_shared().unwrap();
    }
    for role in ["none", "all"] {
        read(&format!("role = \"{role}\"")).jobs.check_shared().unwrap();
    }
}

#[test]
fn a_password_is_not_printed() {
    let config = read("store = \"postgres://ann:s3cret@db/jobs\"");
    let printed = toml::to_string(&config).unwrap();
    assert!(printed.contains("store = \"postgres://ann:${PASSWORD}@db/jobs\""), "{printed}");
}
