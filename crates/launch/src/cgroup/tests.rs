use super::*;

const ALL: &str = "cpuset cpu io memory hugetlb pids\n";
const POD: &str = "/kubepods/burstable/podu1";

/// Trees of plain directories.
fn trees(place: &Path, names: &[&str]) -> Trees {
    for name in names {
        fs::create_dir(place.join(name)).unwrap();
    }
    Trees::find(place).unwrap()
}

#[test]
fn both_versions_are_told_apart() {
    let place = tempfile::tempdir().unwrap();
    let found = trees(place.path(), &["cpu,cpuacct", "memory", "pids"]);
    std::os::unix::fs::symlink("cpu,cpuacct", place.path().join("cpu")).unwrap();
    assert_eq!(Trees::find(place.path()).unwrap(), found);
    assert_eq!((found.split.len(), found.unified), (3, None));

    fs::write(place.path().join("cgroup.controllers"), "cpu").unwrap();
    let found = Trees::find(place.path()).unwrap();
    assert_eq!(found.unified.as_deref(), Some(place.path()));
    assert!(found.split.is_empty());
}

#[test]
fn only_cgroups_of_pods_are_touched() {
    let place = tempfile::tempdir().unwrap();
    let trees = trees(place.path(), &["memory"]);
    for name in [
        "",
        "/",
        "/kubepods",
        "/kubepods/burstable",
        "/kubepods/pod",
        "/system.slice/podu1",
        "/kubepods/../podu1",
        "/kubepods/./../x/podu1",
        "/kubepods.slice/kubepods-burstable.slice",
        "podu1",
    ] {
        for result in [trees.remove(name), trees.make(name, Limits::default())] {
            assert!(matches!(result, Err(CgroupError::Foreign(_))), "{name}");
        }
    }
    for name in [
        POD,
        "kubepods/podu1",
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu1.slice",
    ] {
        trees.remove(name).unwrap();
    }
}

#[test]
fn limits_are_written_as_each_version_wants_them() {
    let limits = Limits {
        shares: Some(1024),
        quota: Some(50_000),
        memory: Some(1 << 20),
        pids: Some(100),
    };
    let text = |values: Values| {
        let values = values.iter().map(|(file, value)| format!("{file}={value}"));
        values.collect::<Vec<_>>().join(";")
    };
    let of = |tree: &str, limits| text(split(Path::new(tree), limits));
    assert_eq!(
        of("/x/cpu,cpuacct", limits),
        "cpu.shares=1024;cpu.cfs_period_us=100000;cpu.cfs_quota_us=50000"
    );
    assert_eq!(of("/x/memory", limits), "memory.limit_in_bytes=1048576");
    assert_eq!(of("/x/pids", Limits::default()), "pids.max=max");
    assert_eq!(
        of("/x/memory", Limits::default()),
        "memory.limit_in_bytes=-1"
    );
    assert_eq!(of("/x/freezer", limits), "");
    assert_eq!(
        text(unified(limits, ALL)),
        "cpu.weight=39;cpu.max=50000 100000;memory.max=1048576;pids.max=100"
    );
    assert_eq!(
        text(unified(Limits::default(), ALL)),
        "cpu.max=max 100000;memory.max=max;pids.max=max"
    );
    // A limit that cannot be had is an error; none that is not wanted.
    assert_eq!(text(unified(Limits::default(), "io")), "");
    assert_eq!(
        text(unified(limits, "pids")),
        "cpu.max=50000 100000;memory.max=1048576;pids.max=100"
    );
    assert_eq!(handed_down(ALL), "+cpu +memory +pids");
    assert_eq!(handed_down("io memory\n"), "+memory");
    for (shares, weight) in [(2, "1"), (262_144, "10000"), (0, "1")] {
        let limits = Limits {
            shares: Some(shares),
            ..Limits::default()
        };
        assert_eq!(unified(limits, ALL)[0].1, weight);
    }
}

#[test]
fn a_cgroup_is_made_where_something_is_limited() {
    let place = tempfile::tempdir().unwrap();
    let split = trees(place.path(), &["cpu", "freezer", "memory", "pids"]);
    let limits = Limits {
        memory: Some(4096),
        ..Limits::default()
    };
    split.make(POD, limits).unwrap();
    split.make(POD, limits).unwrap();
    let at = |path: &str| place.path().join(path);
    let read = |path: &str| fs::read_to_string(at(path)).unwrap();
    assert_eq!(
        read("memory/kubepods/burstable/podu1/memory.limit_in_bytes"),
        "4096"
    );
    assert!(!at("freezer/kubepods").exists());

    fs::write(at("cgroup.controllers"), ALL).unwrap();
    Trees::find(place.path())
        .unwrap()
        .make(POD, limits)
        .unwrap();
    assert_eq!(read("cgroup.subtree_control"), "+cpu +memory +pids");
    assert_eq!(
        read("kubepods/cgroup.subtree_control"),
        "+cpu +memory +pids"
    );
    assert_eq!(read("kubepods/burstable/podu1/memory.max"), "4096");
    assert!(!at("kubepods/burstable/podu1/cgroup.subtree_control").exists());
}

#[test]
fn directories_of_a_pod_go_from_all_trees_and_others_stay() {
    let place = tempfile::tempdir().unwrap();
    let trees = trees(place.path(), &["cpu", "memory", "unified"]);
    for tree in ["cpu", "memory"] {
        let burstable = place.path().join(tree).join("kubepods/burstable");
        fs::create_dir_all(burstable.join("podu1/container/init")).unwrap();
        fs::create_dir_all(burstable.join("podu11")).unwrap();
    }
    trees.remove(POD).unwrap();
    trees.remove(POD).unwrap();
    for tree in ["cpu", "memory"] {
        let left = names(&place.path().join(tree).join("kubepods/burstable")).unwrap();
        assert_eq!(left, ["podu11"]);
    }
}

#[test]
fn what_is_left_running_is_killed_and_the_agent_itself_never() {
    let place = tempfile::tempdir().unwrap();
    let inner = place.path().join("container");
    fs::create_dir(&inner).unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let own = std::process::id();
    fs::write(
        place.path().join("cgroup.procs"),
        format!("{own}\n0\n1\n-1\n\nx\n"),
    )
    .unwrap();
    fs::write(inner.join("cgroup.procs"), format!("{}\n", child.id())).unwrap();
    let killed = kill(place.path()).unwrap();
    assert_eq!(killed, BTreeSet::from([i32::try_from(child.id()).unwrap()]));
    assert!(!child.wait().unwrap().success());
}
