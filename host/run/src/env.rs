//! Environment variables that an app grants to its guests.

use frond_root::call::Grants;
use frond_sandbox::GuestGrants;

/// Adds the values of the granted variables, which come from `env`. Each unset one gives a warning.
pub(crate) fn with_env(app: &Grants, env: impl Fn(&str) -> Option<String>) -> (GuestGrants, Vec<String>) {
    let mut grants = GuestGrants::from(app.clone());
    let mut unset = Vec::new();
    for name in &app.env {
        match env(name) {
            Some(value) => grants.env.push((name.clone(), value)),
            None => unset.push(format!("the environment variable {name} is granted, but is not set to a text")),
        }
    }
    (grants, unset)
}
