use std::collections::BTreeMap;

use cri::v1::PodSandboxMetadata;

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_kubelet_is_known_by_its_name_and_its_flags_are_read() {
    let told = flags(&words(
        "/usr/bin/kubelet -v 2 --config=/c.yaml --container-runtime-endpoint unix:///a.sock --node-ip 10.0.0.1 --pod-manifest-path=/m",
    ));
    let expected = Flags {
        config: Some("/c.yaml".into()),
        endpoint: Some("unix:///a.sock".into()),
        folder: Some("/m".into()),
    };
    assert_eq!(told, Some(expected));
    assert_eq!(flags(&words("hyperkube kubelet")), Some(Flags::default()));
    assert_eq!(flags(&words("kubelite --config")), Some(Flags::default()));
    for other in [
        "",
        "vim kubelet",
        "kubelet.sh",
        "hyperkube proxy",
        "/usr/bin/staticpodd run",
    ] {
        assert_eq!(flags(&words(other)), None, "{other}");
    }
}

#[test]
fn what_a_process_does_not_say_its_configuration_says() {
    let home = tempfile::tempdir().unwrap();
    let process = |pid: &str, line: &str| {
        let place = home.path().join(pid);
        fs::create_dir_all(place.join("root/etc")).unwrap();
        fs::create_dir_all(place.join("cwd")).unwrap();
        fs::write(place.join("cmdline"), line.replace(' ', "\0")).unwrap();
        place
    };
    let config = "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: manifests
containerRuntimeEndpoint: unix:///run/b.sock
newerThanThisReader: 1
";
    let place = process("12", "kubelet --config /etc/c.yaml");
    fs::write(place.join("root/etc/c.yaml"), config).unwrap();
    let place = process("7", "kubelet --config c.yaml --pod-manifest-path /m");
    fs::write(place.join("cwd/c.yaml"), config).unwrap();
    let _ = process("9", "sleep 5");
    let _ = process("self", "kubelet");
    let _ = process("30", "kubelet --config /etc/none.yaml");
    let of = |pid, socket: Option<&str>, folder: Option<&str>| Process {
        pid,
        socket: socket.map(PathBuf::from),
        folder: folder.map(PathBuf::from),
    };
    assert_eq!(
        processes(home.path()),
        [
            of(7, Some("/run/b.sock"), Some("/m")),
            of(12, Some("/run/b.sock"), Some("/etc/manifests")),
            of(30, None, None),
        ]
    );
}

fn sandbox(name: &str, source: Option<&str>, owner: bool, ready: bool) -> PodSandbox {
    let mut annotations = BTreeMap::new();
    if let Some(source) = source {
        annotations.insert(CONFIG_SOURCE.to_owned(), source.to_owned());
    }
    if owner {
        annotations.insert(marks::OWNER.to_owned(), "a".to_owned());
    }
    let mut sandbox = PodSandbox {
        id: format!("id-{name}"),
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            namespace: "ns".to_owned(),
            ..PodSandboxMetadata::default()
        }),
        annotations: annotations.into_iter().collect(),
        ..PodSandbox::default()
    };
    sandbox.set_state(match ready {
        true => PodSandboxState::SandboxReady,
        false => PodSandboxState::SandboxNotready,
    });
    sandbox
}

#[test]
fn only_static_pods_that_run_and_are_nobodys_are_a_kubelets() {
    let sandboxes = [
        sandbox("file", Some("file"), false, true),
        sandbox("http", Some("http"), false, true),
        sandbox("api", Some("api"), false, true),
        sandbox("ours", Some("file"), true, true),
        sandbox("crictl", None, false, true),
        sandbox("dead", Some("file"), false, false),
        sandbox("half-dead", Some("file"), false, false),
    ];
    let mut container = Container {
        pod_sandbox_id: "id-half-dead".into(),
        ..Container::default()
    };
    container.set_state(ContainerState::ContainerRunning);
    let found: Vec<String> = pods(&sandboxes, &[container]).into_iter().collect();
    assert_eq!(found, ["ns/file", "ns/half-dead", "ns/http"]);
}

#[test]
fn an_agent_starts_beside_a_kubelet_only_where_they_do_not_share_anything() {
    let endpoint = Endpoint::parse("unix:///run/a.sock").unwrap();
    let folder = Path::new("/m");
    let mut kubelets = Kubelets::default();
    let judge = |kubelets: &Kubelets, take_over| {
        let said = kubelets.judge(take_over, &endpoint, Some(folder));
        said.map_err(|why| why.to_string())
    };
    assert_eq!(judge(&kubelets, false), Ok(()));
    assert_eq!(judge(&kubelets, true), Ok(()));

    kubelets.processes = vec![7];
    assert_eq!(judge(&kubelets, false), Ok(()), "it has API pods only");
    let why = judge(&kubelets, true).unwrap_err();
    assert!(
        why.contains("process 7") && why.contains("disable"),
        "{why}"
    );

    kubelets.processes.clear();
    kubelets.rivals = vec!["the kubelet that /c configures".into()];
    let why = judge(&kubelets, false).unwrap_err();
    assert!(why.starts_with("/m is also"), "{why}");
    assert_eq!(judge(&kubelets, true), Ok(()));

    kubelets.pods = ["a/1", "a/2", "a/3", "a/4"].map(str::to_owned).into();
    let why = judge(&kubelets, false).unwrap_err();
    assert!(
        why.contains("(a/1, a/2, a/3 and 1 more)") && why.contains("--take-over"),
        "{why}"
    );
    assert_eq!(judge(&kubelets, true), Ok(()));
}
