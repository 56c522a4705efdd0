//! A mount namespace for one test.

use std::{env, process::Command};

/// Says that the process is in a namespace already.
const INSIDE: &str = "LAUNCH_TEST_APART";

/// Runs a test in a mount namespace of its own: in a second process of this test program, which
/// runs only the test of this name. Mounts end with it. Skipped where namespaces cannot be made,
/// but not on CI.
pub(crate) fn apart(name: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        body();
        return;
    }
    let unshare = |program: &std::ffi::OsStr| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private"]);
        unshare.arg(program);
        unshare
    };
    let can = unshare("true".as_ref()).output();
    if !can.is_ok_and(|output| output.status.success()) {
        let why = "skipped: a mount namespace needs root and the program unshare";
        assert!(env::var_os("CI").is_none(), "{why}");
        eprintln!("{name}: {why}");
        return;
    }
    let this = env::current_exe().unwrap();
    let mut test = unshare(this.as_os_str());
    test.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    let output = test.env(INSIDE, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}
