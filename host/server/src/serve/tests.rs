//! Settings of apps, as the server's own make them.

use super::*;

#[test]
fn apps_of_a_server_with_defaults_have_the_defaults_of_apps() {
    let dir = tempfile::tempdir().unwrap();
    let own = app_settings(&Config::default(), dir.path());
    let usual = Settings::with_state(dir.path(), None);
    assert_eq!((own.component_bytes, own.load_time), (usual.component_bytes, usual.load_time));
    assert_eq!((own.state, own.watch), (usual.state, usual.watch));
}
