use super::*;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

fn said(body: &str) -> (Configuration, Vec<Fault>) {
    let source = Source::new("/etc/kubelet/config.yaml", format!("{HEAD}{body}"));
    read(&source, Path::new("/etc/kubelet"))
}

fn good(body: &str) -> Configuration {
    let (configuration, faults) = said(body);
    assert_eq!(faults, [], "{body}");
    configuration
}

/// Line, column, field, what is wrong, what to do.
fn wrong(body: &str) -> Vec<(usize, usize, String, String, String)> {
    let faults = said(body).1.into_iter().map(|fault| match fault.place {
        Place::Text(spot) => (
            spot.line,
            spot.column,
            fault.field,
            fault.message,
            fault.advice,
        ),
        Place::Override(_) | Place::Nowhere => (0, 0, fault.field, fault.message, fault.advice),
    });
    faults.collect()
}

#[test]
fn what_matters_to_static_pods_is_obeyed() {
    let said = good(
        "staticPodPath: /etc/kubernetes/manifests
staticPodURL: https://host.example/pods.yaml
staticPodURLHeader: {Authorization: [Bearer abc], X-Node: [a, b]}
fileCheckFrequency: 1m0s
httpCheckFrequency: '30s'
podLogsDir: /data/pods
containerRuntimeEndpoint: unix:///run/crio/crio.sock
cgroupDriver: systemd
clusterDNS: [10.96.0.10, 'fd00::a']
clusterDomain: cluster.local
resolvConf: /run/systemd/resolve/resolv.conf
seccompDefault: true
allowedUnsafeSysctls: ['net.core.*']
serializeImagePulls: false
maxParallelImagePulls: 3
",
    );
    let path = |text: &str| Some(PathBuf::from(text));
    assert_eq!(said.folder, path("/etc/kubernetes/manifests"));
    assert_eq!(said.url.as_deref(), Some("https://host.example/pods.yaml"));
    let headers: Vec<_> = said
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose_secret()))
        .collect();
    assert_eq!(
        headers,
        [
            ("authorization", "Bearer abc"),
            ("x-node", "a"),
            ("x-node", "b")
        ]
    );
    assert_eq!(said.folder_period, Some(Duration::from_secs(60)));
    assert_eq!(said.site_period, Some(Duration::from_secs(30)));
    assert_eq!(said.logs, path("/data/pods"));
    assert_eq!(said.endpoint.as_deref(), Some("unix:///run/crio/crio.sock"));
    assert_eq!(said.driver, Some(Driver::Systemd));
    let addresses: Vec<String> = said.cluster_dns.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.96.0.10", "fd00::a"]);
    assert_eq!(said.cluster_domain.as_deref(), Some("cluster.local"));
    assert_eq!(said.resolv_conf, path("/run/systemd/resolve/resolv.conf"));
    assert!(said.seccomp_default);
    assert_eq!(said.unsafe_sysctls, ["net.core.*"]);
    assert_eq!((said.one_pull, said.pulls), (false, Some(3)));
    assert_eq!(said.idle, [""; 0]);
}

#[test]
fn json_is_read_as_well_and_paths_begin_at_the_file() {
    let text = format!(
        r#"{{"apiVersion": "{API_VERSION}", "kind": "{KIND}", "staticPodPath": "manifests"}}"#
    );
    let source = Source::new("/etc/kubelet/config.json", text);
    let (said, faults) = read(&source, Path::new("/etc/kubelet"));
    assert_eq!(faults, []);
    assert_eq!(said.folder, Some(PathBuf::from("/etc/kubelet/manifests")));
}

#[test]
fn what_tools_write_out_without_meaning_it_sets_nothing() {
    let said = good(
        "authorization:
  mode: ''
  webhook: {cacheAuthorizedTTL: 0s}
containerRuntimeEndpoint: ''
fileCheckFrequency: 0s
httpCheckFrequency: 0s
imageMinimumGCAge: 0s
logging: {flushFrequency: 0, options: {json: {infoBufferSize: '0'}}, verbosity: 0}
memorySwap: {}
staticPodPath: ''
clusterDNS: null
",
    );
    assert_eq!(said.idle, [""; 0]);
    assert!(said.folder.is_none() && said.endpoint.is_none());
    assert!(said.folder_period.is_none() && said.site_period.is_none());
}

#[test]
fn what_has_no_effect_is_named_once() {
    let said = good(
        "authentication: {anonymous: {enabled: false}}
maxPods: 20
shutdownGracePeriod: 30s
registerNode: false
",
    );
    assert_eq!(
        said.idle,
        [
            "authentication",
            "maxPods",
            "shutdownGracePeriod",
            "registerNode"
        ]
    );
}

#[test]
fn no_field_is_both_obeyed_and_idle() {
    let all: BTreeSet<_> = OBEYED.iter().chain(IDLE).collect();
    assert_eq!(all.len(), OBEYED.len() + IDLE.len());
    for field in OBEYED {
        let (_, faults) = said(&format!("{field}: {{x: {{}}}}\n"));
        assert!(!faults.is_empty(), "{field} takes anything");
    }
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let mistakes = wrong(
        "staticPodpath: /a
clusterDNS: [10.0.0.300]
fileCheckFrequency: 20
seccompDefault: 'true'
cgroupDriver: cgroups
staticPodURL: 5
staticPodURLHeader: {'a b': [c]}
nonsense: 1
clusterDomain: a
clusterDomain: b
httpCheckFrequency: 5ms
",
    );
    let told: Vec<(usize, usize, &str, &str)> = mistakes
        .iter()
        .map(|(line, column, field, message, _)| (*line, *column, field.as_str(), message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (3, 1, "staticPodpath", "is no known field"),
            (4, 14, "clusterDNS[0]", "must be an IP address"),
            (5, 21, "fileCheckFrequency", "must be a duration"),
            (6, 17, "seccompDefault", "must be true or false"),
            (7, 15, "cgroupDriver", "must be cgroupfs or systemd"),
            (8, 15, "staticPodURL", "must be text"),
            (
                9,
                22,
                "staticPodURLHeader",
                "has a name that no header may have"
            ),
            (10, 1, "nonsense", "is no known field"),
            (12, 1, "clusterDomain", "is set twice"),
            (13, 21, "httpCheckFrequency", "must be 100ms or more"),
        ]
    );
    assert_eq!(mistakes[0].4, "did you mean 'staticPodPath'?");
}

#[test]
fn a_header_is_never_shown() {
    let text = format!("{HEAD}staticPodURLHeader: {{Authorization: [5, [hunter2]]}}\n");
    let source = Source::new("/c.yaml", text);
    let (_, faults) = read(&source, Path::new("/"));
    assert_eq!(faults.len(), 2);
    let text = render(&source, &faults);
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn another_kind_of_file_is_refused() {
    for text in [
        "",
        "- a\n",
        "kind: Pod\n",
        "a",
        "apiVersion: v1\nkind: KubeletConfiguration\n",
    ] {
        let source = Source::new("/c.yaml", text);
        let (_, faults) = read(&source, Path::new("/"));
        assert!(!faults.is_empty(), "{text:?}");
    }
}

#[test]
fn a_file_that_others_can_write_to_is_not_obeyed() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(home.path(), 0o755);
    let file = home.path().join("config.yaml");
    fs::write(&file, format!("{HEAD}staticPodPath: a\n")).unwrap();
    mode(&file, 0o644);
    assert_eq!(
        load(&file).ok().unwrap().folder,
        Some(home.path().join("a"))
    );
    mode(&file, 0o666);
    let why = load(&file).err().unwrap().to_string();
    assert!(
        why.contains("has mode 0666") && why.ends_with("run chmod 0644 on it"),
        "{why}"
    );
    let none = load(&home.path().join("none")).err().unwrap();
    assert!(matches!(none, ConfigError::Read { .. }), "{none}");
    let folder = load(home.path()).err().unwrap();
    assert!(matches!(folder, ConfigError::Read { .. }), "{folder}");
}

#[test]
fn logs_images_and_pages_are_obeyed() {
    let said = good(
        "containerLogMaxSize: 5Mi
containerLogMaxFiles: 3
imageGCHighThresholdPercent: 90
imageGCLowThresholdPercent: 70
imageMinimumGCAge: 3m
imageMaximumGCAge: 0s
healthzBindAddress: 127.0.0.2
healthzPort: 0
readOnlyPort: 10255
",
    );
    let expected = Besides {
        log_size: Some(5 << 20),
        log_files: Some(3),
        images_high: Some(90),
        images_low: Some(70),
        images_least_age: Some(Duration::from_secs(180)),
        images_most_idle: None,
        bind: Some([127, 0, 0, 2].into()),
        health_port: Some(0),
        pods_port: Some(10255),
    };
    assert_eq!(said.upkeep, expected);
    let mistakes = wrong(
        "containerLogMaxSize: 5MB
containerLogMaxFiles: 1
imageGCHighThresholdPercent: 101
healthzPort: '1'
readOnlyPort: 65536
healthzBindAddress: localhost
",
    );
    let places: Vec<usize> = mistakes.iter().map(|mistake| mistake.0).collect();
    assert_eq!(places, [3, 4, 5, 6, 7, 8]);
    assert_eq!(mistakes[1].4, "write a number from 2 to 1000");
}
