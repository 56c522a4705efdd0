//! Manifests as they are found in the field: all of them are read, and no damage to one breaks
//! the reader.

use super::*;

const CORPUS: [(&str, &str); 4] = [
    ("etcd.yaml", include_str!("corpus/etcd.yaml")),
    ("kms.yaml", include_str!("corpus/kms.yaml")),
    ("appliance.yaml", include_str!("corpus/appliance.yaml")),
    ("web.json", include_str!("corpus/web.json")),
];

#[test]
fn manifests_of_the_field_are_sound_and_nothing_in_them_is_without_effect() {
    for (name, text) in CORPUS {
        let reading = read(&file(), name, text.as_bytes());
        let shown = render(&reading.source, &reading.errors());
        assert!(reading.is_sound(), "{shown}");
        let ignored: Vec<_> = reading
            .warnings()
            .filter(|warning| warning.rule == "ignored-field")
            .collect();
        assert!(ignored.is_empty(), "{name}: {ignored:?}");
    }
}

#[test]
fn anchors_of_an_appliance_are_written_out() {
    let spec = manifest(CORPUS[2].1).pod.spec.unwrap();
    let init = spec.init_containers.unwrap();
    assert_eq!(init[1].name, "modules");
    assert_eq!(init[1].image.as_deref(), Some("node:1"));
    assert_eq!(
        init[2].security_context.as_ref().unwrap().privileged,
        Some(true)
    );
    assert_eq!(spec.host_network, Some(true));
    let facts = spec.volumes.unwrap()[3].downward_api.clone().unwrap();
    assert_eq!(facts.default_mode, Some(0o440));
}

/// Replaces, removes or repeats a stretch of a text.
fn damaged(text: &str, from: usize, length: usize, with: &[u8]) -> Vec<u8> {
    let bytes = text.as_bytes();
    let from = from % bytes.len();
    let until = (from + length).min(bytes.len());
    [&bytes[..from], with, &bytes[until..]].concat()
}

proptest! {
    #[test]
    fn no_damage_to_a_manifest_breaks_the_reader(
        which in 0_usize..4,
        from in any::<usize>(),
        length in 0_usize..40,
        with in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..4),
            "[-a-z0-9:{}\\[\\],&*<!\"' \n\t]{0,12}".prop_map(String::into_bytes),
        ],
    ) {
        let (name, text) = CORPUS[which];
        let bytes = damaged(text, from, length, &with);
        for origin in [file(), Origin::Url("https://example.org/".into())] {
            let reading = read(&origin, name, &bytes);
            for fault in reading.errors() {
                prop_assert!(!fault.message.contains("does not decode"), "{:?}", fault);
            }
            let _ = render(&reading.source, &reading.errors());
        }
    }
}
