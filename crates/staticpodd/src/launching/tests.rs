use std::os::unix::fs::symlink;

use agent::Manifests;
use cri::v1::Image;
use manifests::view::Decoder as _;
use pace::SystemClock;

use super::*;

struct Place {
    premises: Premises,
    home: tempfile::TempDir,
}

impl Place {
    /// Without cgroups of the agent's making.
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let logs = home.path().join("log/pods");
        let premises = Premises {
            node: Node {
                name: "n1".into(),
                logs: logs.to_string_lossy().into_owned(),
                ..Node::default()
            },
            root: Root::open(&home.path().join("root")).unwrap(),
            logs: Logs {
                pods: logs,
                links: home.path().join("log/containers"),
            },
            trees: Trees::find(home.path()).unwrap(),
            clock: Arc::new(SystemClock::new()),
        };
        Self { premises, home }
    }

    fn pod(&self, name: &str) -> Arc<Pod> {
        let node = pod::Node {
            name: "n1".into(),
            suffix: true,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let decoder = Manifests::new("/m".into(), node, None, clock);
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n\
             spec: {{containers: [{{name: c, image: 'a:1'}}]}}\n"
        );
        let path = format!("/m/{name}.yaml");
        decoder.file(Path::new(&path), text.as_bytes()).unwrap().pod
    }

    fn prepare(&self, pod: &Arc<Pod>, attempt: u32, ip: &str) -> ContainerConfig {
        let sandbox = SandboxRequest {
            pod: Arc::clone(pod),
            attempt: 0,
        };
        self.premises.sandbox(&sandbox).unwrap();
        let request = self.request(pod, attempt, ip);
        self.premises.container(&request).unwrap().config
    }

    fn request(&self, pod: &Arc<Pod>, attempt: u32, ip: &str) -> ContainerRequest {
        ContainerRequest {
            pod: Arc::clone(pod),
            name: "c".into(),
            attempt,
            image: Image {
                id: "sha256:1".into(),
                ..Image::default()
            },
            ips: vec![ip.parse().unwrap()],
        }
    }

    fn log(&self, pod: &Pod, attempt: u32) -> PathBuf {
        let logs = self.premises.logs.of_pod(pod).unwrap();
        logs.join(names::container_log("c", attempt))
    }
}

#[test]
fn what_is_asked_again_is_done_once() {
    let place = Place::new();
    let pod = place.pod("web");
    let hosts = place.premises.root.pod(&pod.uid).unwrap().hosts_file();
    place.prepare(&pod, 0, "10.0.0.7");
    let text = fs::read_to_string(&hosts).unwrap();
    assert!(text.contains("10.0.0.7\tweb-n1"), "{text}");
    let written = fs::metadata(&hosts).unwrap().modified().unwrap();
    place.prepare(&pod, 1, "10.0.0.7");
    assert_eq!(fs::metadata(&hosts).unwrap().modified().unwrap(), written);
}

#[test]
fn each_start_has_its_own_last_words_and_few_are_kept() {
    let place = Place::new();
    let pod = place.pod("web");
    let of = |config: ContainerConfig| {
        let mut mounts = config.mounts.into_iter();
        let mount = mounts.find(|mount| mount.container_path == "/dev/termination-log");
        mount.unwrap().host_path
    };
    let all: BTreeSet<String> = (0..6)
        .map(|attempt| {
            let config = place.prepare(&pod, attempt, "10.0.0.7");
            fs::write(place.log(&pod, attempt), "x").unwrap();
            of(config)
        })
        .collect();
    assert_eq!(all.len(), 6);
    assert_eq!(
        all.iter().filter(|path| Path::new(path).exists()).count(),
        2
    );
    let logs = (0..6).map(|attempt| place.log(&pod, attempt).exists());
    assert_eq!(logs.filter(|there| *there).count(), 3);
    assert_eq!(place.premises.logged(&pod), [("c".to_owned(), 5)].into());
}

#[test]
fn what_goes_is_the_pods_own() {
    let place = Place::new();
    let (gone, kept) = (place.pod("gone"), place.pod("kept"));
    for pod in [&gone, &kept] {
        place.prepare(pod, 0, "10.0.0.7");
        fs::write(place.log(pod, 0), "x").unwrap();
        let request = place.request(pod, 0, "10.0.0.7");
        place.premises.link(&request, &pod.uid).unwrap();
    }
    let links = place.home.path().join("log/containers");
    symlink("/nowhere", links.join("foreign_ns_c-1.log")).unwrap();
    place.premises.clean(&gone.uid, false).unwrap();
    assert!(place.log(&gone, 0).exists());
    place.premises.clean(&gone.uid, true).unwrap();
    place.premises.clean(&gone.uid, true).unwrap();
    assert!(!place.log(&gone, 0).exists());
    assert!(place.log(&kept, 0).exists());
    assert_eq!(entries(&links).len(), 2);
    assert_eq!(
        place.premises.root.uids().unwrap(),
        std::slice::from_ref(&kept.uid)
    );
    assert!(place.premises.clean("../x", true).is_err());
}
