//! What people read, over a folder of mistakes and for odd arguments.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::symlink,
    thread,
};

use super::{GOOD, folder, mode, run, run_in};

#[test]
fn a_folder_of_mistakes_is_told_to_people_like_this() {
    let run = run(&["check", "--no-host", "."]);
    assert_eq!(run.code, 1, "{}", run.err);
    let expected = include_str!("mistakes.txt");
    assert!(
        run.out == expected,
        "tests/it/mistakes.txt should be:\n{}",
        run.out
    );
    assert!(!run.out.contains("password"), "{}", run.out);
}

#[test]
fn what_is_sound_ends_with_code_0_and_advice_counts_only_when_asked_to() {
    for (arguments, code) in [
        (&["check", "--no-host", "--strict", "good.yaml"][..], 0),
        (&["check", "--no-host", "etcd.yaml", "kms.yaml"], 0),
        (&["check", "--no-host", "--strict", "etcd.yaml"], 1),
        (&["check", "--no-host", "--no-advice", "kms.yaml"], 0),
        (&["check", "--no-host", "comand.yaml"], 1),
        (&["check", "--no-host", "comand.yaml", "nowhere.yaml"], 2),
    ] {
        assert_eq!(run(arguments).code, code, "{arguments:?}");
    }
    let quiet = run(&["check", "--no-host", "--no-advice", "kms.yaml"]).out;
    assert_eq!(quiet, "1 manifest checked, 1 pod: no errors, no warnings\n");
}

#[test]
fn a_file_that_is_named_twice_is_no_duplicate_of_itself() {
    let run = run(&["check", "--no-host", "good.yaml", "./good.yaml"]);
    assert_eq!(
        run.out,
        "1 manifest checked, 1 pod: no errors, no warnings\n"
    );
}

#[test]
fn standard_input_is_a_text_like_others() {
    let home = folder(&[]);
    for place in ["-", "/dev/stdin"] {
        let run = run_in(home.path(), &["check", place], GOOD);
        assert_eq!(run.code, 0, "{}", run.out);
        assert!(run.out.starts_with("1 manifest checked, 1 pod"));
    }
    let bad = run_in(home.path(), &["check", "-"], "a: b\n");
    assert_eq!(bad.code, 1);
    assert!(bad.out.starts_with("stdin:1:1: error: "), "{}", bad.out);
}

#[test]
fn what_others_can_write_to_is_refused_in_a_directory_and_a_warning_alone() {
    let home = folder(&[("a.yaml", GOOD)]);
    let check = |arguments: &[&str]| run_in(home.path(), arguments, "");
    assert_eq!(check(&["check", "--strict", "."]).code, 0);
    mode(&home.path().join("a.yaml"), 0o666);
    let directory = check(&["check", "."]);
    assert_eq!(directory.code, 1, "{}", directory.out);
    assert!(
        directory
            .out
            .contains("./a.yaml: error: has mode 0666: others"),
        "{}",
        directory.out
    );
    let alone = check(&["check", "a.yaml"]);
    assert_eq!(alone.code, 0, "{}", alone.out);
    assert!(alone.out.contains("warning: has mode 0666"));
    assert!(alone.out.contains("= run chmod 0644 on it"));
    assert_eq!(check(&["check", "--no-host", "--strict", "."]).code, 0);
    mode(&home.path().join("a.yaml"), 0o644);
    mode(home.path(), 0o777);
    let open = check(&["check", "."]);
    assert_eq!(open.code, 1);
    assert!(open.out.contains(".: error: has mode 0777"), "{}", open.out);
    mode(home.path(), 0o755);
}

#[test]
fn what_is_no_regular_file_is_never_waited_for() {
    let home = folder(&[("a.yaml", GOOD)]);
    let at = |name: &str| home.path().join(name);
    let _listener = std::os::unix::net::UnixListener::bind(at("socket.yaml")).unwrap();
    symlink("/dev/zero", at("zero.yaml")).unwrap();
    symlink("nowhere", at("broken.yaml")).unwrap();
    fs::create_dir(at("folder.yaml")).unwrap();
    let directory = run_in(home.path(), &["check", "."], "");
    assert_eq!(directory.code, 1);
    for line in [
        "./socket.yaml: note: is ignored: it is a socket [ignored-file]",
        "./zero.yaml: note: is ignored: it is a device [ignored-file]",
        "./folder.yaml: note: is ignored: it is a directory [ignored-file]",
        "./broken.yaml: error: cannot be read: No such file or directory (os error 2) [unreadable]",
    ] {
        assert!(directory.out.contains(line), "{line}\n{}", directory.out);
    }
    for name in ["socket.yaml", "zero.yaml", "broken.yaml", "none"] {
        let run = run_in(home.path(), &["check", name], "");
        assert_eq!(run.code, 2, "{name}: {}", run.out);
    }
}

#[test]
fn a_directory_without_a_manifest_is_worth_a_warning() {
    let home = folder(&[(".a.yaml", GOOD)]);
    let run = run_in(home.path(), &["check", "."], "");
    assert_eq!(run.code, 0);
    assert!(
        run.out
            .contains(".: warning: holds no manifest [no-manifests]")
    );
}

#[test]
fn paths_of_this_machine_are_judged_unless_it_is_another() {
    let volume = "  volumes:\n    - name: v\n      hostPath:\n        path: /nowhere/at/all\n        type: Directory\n";
    let home = folder(&[("a.yaml", &format!("{GOOD}{volume}"))]);
    let here = run_in(home.path(), &["check", "a.yaml"], "");
    assert!(
        here.out
            .contains("a.yaml:16:15: warning: spec.volumes[0].hostPath.path: does not exist here"),
        "{}",
        here.out
    );
    let elsewhere = run_in(
        home.path(),
        &["check", "--no-host", "--strict", "a.yaml"],
        "",
    );
    assert_eq!(elsewhere.code, 0, "{}", elsewhere.out);
}

#[test]
fn a_name_that_is_too_long_for_the_node_is_refused() {
    let long = GOOD.replace("name: good", &format!("name: {}", "a".repeat(230)));
    let home = folder(&[("a.yaml", &long)]);
    let check = |node: &str| {
        let arguments = [
            "check",
            "--no-host",
            "--no-advice",
            "--hostname-override",
            node,
            "a.yaml",
        ];
        run_in(home.path(), &arguments, "")
    };
    let run = check("a-node-with-a-name-of-its-own");
    assert_eq!(run.code, 1, "{}", run.out);
    assert!(run.out.contains("a.yaml:4:9: error: metadata.name: "));
    assert!(run.out.contains("[pod-name]"), "{}", run.out);
}

#[test]
fn a_url_is_fetched_once_and_may_answer_with_a_list() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/pods?token=hunter2",
        listener.local_addr().unwrap()
    );
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let read = stream.read(&mut request).unwrap();
        let body = "{\"apiVersion\": \"v1\", \"kind\": \"PodList\", \"items\": [{\"metadata\": {\"name\": \"a\"}, \"spec\": {\"containerz\": []}}]}";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    let run = run(&["check", "--no-host", &url]);
    assert!(
        server
            .join()
            .unwrap()
            .starts_with("GET /pods?token=hunter2 ")
    );
    assert_eq!(run.code, 1, "{}", run.out);
    assert!(
        run.out.contains("error: items[0].spec.containerz: "),
        "{}",
        run.out
    );
    assert!(!run.out.contains("hunter2"), "{}", run.out);
}

#[test]
fn a_text_of_nothing_but_faults_is_refused_quickly_and_told_shortly() {
    let head = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n";
    let home = folder(&[(
        "a.yaml",
        &format!("{head}{}", "  - naem: x\n".repeat(4_000)),
    )]);
    let run = run_in(home.path(), &["check", "a.yaml"], "");
    assert_eq!(run.code, 1);
    assert!(run.out.lines().count() < 600, "{}", run.out.lines().count());
    assert!(run.out.contains("a.yaml: and "), "{}", run.out);
}
