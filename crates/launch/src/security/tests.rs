use super::*;
use crate::fixtures::{container, node, pod};
use serde_json::{Value, json};
use v1::security_profile::ProfileType::{self, Localhost, RuntimeDefault, Unconfined};

fn with(
    node: &Node,
    of_pod: Value,
    own: Value,
    image: &ImageUser,
) -> Result<v1::LinuxContainerSecurityContext, Reason> {
    let mut spec = json!({"containers": [{"name": "main"}]});
    spec["securityContext"] = of_pod;
    spec["containers"][0]["securityContext"] = own;
    let pod = pod("p", spec);
    of_container(node, &pod, container(&pod, "main"), image)
}

fn context(of_pod: Value, own: Value) -> v1::LinuxContainerSecurityContext {
    with(&node(), of_pod, own, &ImageUser::Root).unwrap()
}

fn user(of_pod: Value, own: Value, image: &ImageUser) -> (Option<i64>, String) {
    let context = with(&node(), of_pod, own, image).unwrap();
    (
        context.run_as_user.map(|user| user.value),
        context.run_as_username,
    )
}

#[test]
fn the_manifest_names_the_user_and_else_the_image() {
    let none = || json!({});
    let id = |id: i64| json!({"runAsUser": id});
    let named = ImageUser::Name("web".into());
    for (of_pod, own, image, expected) in [
        (id(5), id(6), &named, (Some(6), "")),
        (id(5), none(), &named, (Some(5), "")),
        (none(), id(0), &ImageUser::Id(9), (Some(0), "")),
        (none(), none(), &ImageUser::Id(9), (Some(9), "")),
        (none(), none(), &ImageUser::Id(0), (Some(0), "")),
        (none(), none(), &named, (None, "web")),
        (none(), none(), &ImageUser::Root, (Some(0), "")),
    ] {
        let (expected, name) = expected;
        assert_eq!(user(of_pod, own, image), (expected, name.to_owned()));
    }
}

#[test]
fn the_runtime_tells_of_an_image_by_number_or_name() {
    let image = |uid: Option<i64>, name: &str| v1::Image {
        uid: uid.map(|value| v1::Int64Value { value }),
        username: name.into(),
        ..v1::Image::default()
    };
    assert_eq!(ImageUser::of(&image(Some(0), "")), ImageUser::Id(0));
    assert_eq!(ImageUser::of(&image(Some(7), "web")), ImageUser::Id(7));
    assert_eq!(
        ImageUser::of(&image(None, "web")),
        ImageUser::Name("web".into())
    );
    assert_eq!(ImageUser::of(&image(None, "")), ImageUser::Root);
}

#[test]
fn who_must_not_be_root_is_checked_as_far_as_that_can_be_known() {
    let yes = |user: Option<i64>| json!({"runAsNonRoot": true, "runAsUser": user});
    let none = || json!({});
    let named = ImageUser::Name("web".into());
    let by_image = Err(Reason::RootByImage("main".into()));
    let by_manifest = Err(Reason::RootByManifest("main".into()));
    let by_name = Err(Reason::NamedUser {
        container: "main".into(),
        user: "web".into(),
    });
    for (of_pod, own, image, expected) in [
        (yes(Some(0)), none(), &ImageUser::Id(9), by_manifest.clone()),
        (none(), yes(Some(0)), &ImageUser::Id(9), by_manifest.clone()),
        (yes(Some(5)), none(), &ImageUser::Id(0), Ok(())),
        (
            yes(Some(5)),
            json!({"runAsUser": 0}),
            &ImageUser::Id(9),
            by_manifest,
        ),
        (yes(None), json!({"runAsUser": 5}), &ImageUser::Root, Ok(())),
        (yes(None), none(), &ImageUser::Id(9), Ok(())),
        (yes(None), none(), &ImageUser::Id(0), by_image.clone()),
        (yes(None), none(), &ImageUser::Root, by_image),
        (yes(None), none(), &named, by_name),
        (
            yes(None),
            json!({"runAsNonRoot": false}),
            &ImageUser::Root,
            Ok(()),
        ),
        (
            json!({"runAsNonRoot": false}),
            none(),
            &ImageUser::Root,
            Ok(()),
        ),
        (none(), none(), &ImageUser::Root, Ok(())),
    ] {
        let found = with(&node(), of_pod.clone(), own.clone(), image).map(|_| ());
        assert_eq!(found, expected, "{of_pod} {own} {image:?}");
    }
}

#[test]
fn a_container_overrides_its_pod_field_by_field() {
    let of_pod = json!({
        "runAsUser": 1, "runAsGroup": 2,
        "seLinuxOptions": {"level": "s0:c1"},
        "seccompProfile": {"type": "RuntimeDefault"},
        "appArmorProfile": {"type": "RuntimeDefault"},
    });
    let inherited = context(of_pod.clone(), json!({"runAsUser": 7}));
    assert_eq!(inherited.run_as_user.unwrap().value, 7);
    assert_eq!(inherited.run_as_group.unwrap().value, 2);
    assert_eq!(inherited.selinux_options.unwrap().level, "s0:c1");
    assert_eq!(inherited.seccomp.unwrap().profile_type(), RuntimeDefault);
    assert_eq!(inherited.apparmor.unwrap().profile_type(), RuntimeDefault);
    let own = context(
        of_pod,
        json!({
            "runAsGroup": 3,
            "seLinuxOptions": {"user": "u", "role": "r", "type": "t"},
            "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "Unconfined"},
        }),
    );
    assert_eq!(own.run_as_user.unwrap().value, 1);
    assert_eq!(own.run_as_group.unwrap().value, 3);
    let options = own.selinux_options.unwrap();
    assert_eq!(
        [options.user, options.role, options.r#type, options.level],
        ["u", "r", "t", ""]
    );
    assert_eq!(own.seccomp.unwrap().profile_type(), Unconfined);
    assert_eq!(own.apparmor.unwrap().profile_type(), Unconfined);
}

#[test]
fn without_a_word_a_container_is_what_runtimes_make_by_default() {
    let found = context(json!({}), json!({}));
    assert_eq!(found.capabilities, None);
    assert!(!found.privileged && !found.readonly_rootfs && !found.no_new_privs);
    assert_eq!(
        (found.run_as_group, found.selinux_options, found.apparmor),
        (None, None, None)
    );
    assert_eq!(found.supplemental_groups, Vec::<i64>::new());
    assert_eq!(found.seccomp.unwrap().profile_type(), Unconfined);
}

#[test]
fn what_a_container_says_of_itself_is_passed_on() {
    let found = context(
        json!({}),
        json!({
            "privileged": true, "readOnlyRootFilesystem": true,
            "capabilities": {"add": ["NET_ADMIN", "SYS_MODULE"], "drop": ["ALL"]},
        }),
    );
    assert!(found.privileged && found.readonly_rootfs);
    let capabilities = found.capabilities.unwrap();
    assert_eq!(capabilities.add_capabilities, ["NET_ADMIN", "SYS_MODULE"]);
    assert_eq!(capabilities.drop_capabilities, ["ALL"]);
    assert_eq!(capabilities.add_ambient_capabilities, Vec::<String>::new());
    for (allowed, no_new_privs) in [(Some(false), true), (Some(true), false), (None, false)] {
        let found = context(json!({}), json!({"allowPrivilegeEscalation": allowed}));
        assert_eq!(found.no_new_privs, no_new_privs, "{allowed:?}");
    }
}

#[test]
fn groups_come_from_the_pod_the_one_of_its_files_first() {
    let found = context(
        json!({"fsGroup": 9, "supplementalGroups": [3, 4], "supplementalGroupsPolicy": "Strict"}),
        json!({}),
    );
    assert_eq!(found.supplemental_groups, [9, 3, 4]);
    assert_eq!(
        found.supplemental_groups_policy(),
        v1::SupplementalGroupsPolicy::Strict
    );
}

#[test]
fn the_hosts_side_of_proc_is_hidden_unless_unmasked() {
    let node = Node {
        masked_paths: vec!["/sys/devices/system/cpu/cpu0/thermal_throttle".into()],
        ..node()
    };
    let found = |mount: Value| {
        with(
            &node,
            json!({}),
            json!({"procMount": mount}),
            &ImageUser::Root,
        )
        .unwrap()
    };
    for default in [json!("Default"), json!(null)] {
        let found = found(default);
        assert_eq!(found.masked_paths.len(), MASKED.len() + 1);
        assert!(found.masked_paths.contains(&"/proc/kcore".to_owned()));
        assert!(
            found
                .masked_paths
                .iter()
                .any(|path| path.ends_with("thermal_throttle"))
        );
        assert_eq!(found.readonly_paths, READ_ONLY);
    }
    let open = found(json!("Unmasked"));
    assert_eq!((open.masked_paths.len(), open.readonly_paths.len()), (0, 0));
}

#[test]
fn profiles_of_seccomp_are_the_runtimes_none_or_a_file_of_the_node() {
    let found = |profile: Value, seccomp_default: bool| {
        let node = Node {
            seccomp_default,
            ..node()
        };
        let own = json!({"seccompProfile": profile});
        with(&node, json!({}), own, &ImageUser::Root).map(|context| {
            let profile = context.seccomp.unwrap();
            (profile.profile_type(), profile.localhost_ref)
        })
    };
    let is = |kind: ProfileType, file: &str| Ok((kind, file.to_owned()));
    let file = json!({"type": "Localhost", "localhostProfile": "a/b.json"});
    assert_eq!(found(json!(null), false), is(Unconfined, ""));
    assert_eq!(found(json!(null), true), is(RuntimeDefault, ""));
    assert_eq!(
        found(json!({"type": "Unconfined"}), true),
        is(Unconfined, "")
    );
    assert_eq!(
        found(json!({"type": "RuntimeDefault"}), false),
        is(RuntimeDefault, "")
    );
    assert_eq!(
        found(file, false),
        is(Localhost, "/var/lib/staticpodd/seccomp/a/b.json")
    );
    for bad in [
        json!({"type": "Localhost"}),
        json!({"type": "Localhost", "localhostProfile": "/etc/passwd"}),
        json!({"type": "Localhost", "localhostProfile": "a/../../b"}),
        json!({"type": "Other"}),
    ] {
        let refused = found(bad.clone(), true).unwrap_err();
        assert!(
            matches!(
                refused,
                Reason::Profile {
                    kind: "seccomp",
                    ..
                }
            ),
            "{bad}"
        );
    }
}

#[test]
fn profiles_of_apparmor_come_from_the_field_the_old_annotation_or_the_pod() {
    let found = |own: Value, annotation: Option<&str>, of_pod: Value| {
        let mut pod = pod(
            "p",
            json!({
                "securityContext": {"appArmorProfile": of_pod},
                "containers": [{"name": "main", "securityContext": {"appArmorProfile": own}}],
            }),
        );
        pod.api.metadata.annotations = annotation.map(|text| {
            let name = "container.apparmor.security.beta.kubernetes.io/main".to_owned();
            [(name, text.to_owned())].into()
        });
        of_container(&node(), &pod, container(&pod, "main"), &ImageUser::Root).map(|context| {
            context
                .apparmor
                .map(|profile| (profile.profile_type(), profile.localhost_ref))
        })
    };
    let is = |kind: ProfileType, name: &str| Ok(Some((kind, name.to_owned())));
    let none = || json!(null);
    let open = || json!({"type": "Unconfined"});
    let local = || json!({"type": "Localhost", "localhostProfile": "mine"});
    assert_eq!(found(none(), None, none()), Ok(None));
    assert_eq!(found(none(), None, local()), is(Localhost, "mine"));
    assert_eq!(
        found(none(), Some("unconfined"), local()),
        is(Unconfined, "")
    );
    assert_eq!(
        found(none(), Some("runtime/default"), open()),
        is(RuntimeDefault, "")
    );
    assert_eq!(
        found(none(), Some("localhost/theirs"), open()),
        is(Localhost, "theirs")
    );
    assert_eq!(
        found(local(), Some("unconfined"), open()),
        is(Localhost, "mine")
    );
    for bad in ["", "localhost/", "other"] {
        let refused = found(none(), Some(bad), none()).unwrap_err();
        assert!(
            matches!(
                refused,
                Reason::Profile {
                    kind: "AppArmor",
                    ..
                }
            ),
            "{bad}"
        );
    }
    let nameless = found(json!({"type": "Localhost"}), None, none());
    assert!(matches!(nameless, Err(Reason::Profile { .. })));
}

#[test]
fn namespaces_are_the_pods_unless_it_shares_the_nodes() {
    use v1::NamespaceMode::{Container, Node, Pod};
    for (spec, expected) in [
        (json!({}), (Pod, Pod, Container)),
        (json!({"hostNetwork": true}), (Node, Pod, Container)),
        (json!({"hostIPC": true}), (Pod, Node, Container)),
        (json!({"hostPID": true}), (Pod, Pod, Node)),
        (json!({"shareProcessNamespace": true}), (Pod, Pod, Pod)),
        (
            json!({"hostPID": true, "shareProcessNamespace": false}),
            (Pod, Pod, Node),
        ),
    ] {
        let pod = pod("p", spec.clone());
        let found = namespaces(pod.api.spec.as_ref());
        assert_eq!(
            (found.network(), found.ipc(), found.pid()),
            expected,
            "{spec}"
        );
        let own = of_container(&node(), &pod, container(&pod, "main"), &ImageUser::Root);
        assert_eq!(own.unwrap().namespace_options, Some(found));
    }
}
