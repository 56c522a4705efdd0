//! What must hold for any registry and any bytes.

use proptest::{prelude::*, sample::Index};
use registry::{
    checkpoint::Checkpoint,
    ciphertext,
    document::Document,
    key_id::KeyId,
    pair,
    record::{Record, RecordState},
    scope::Scope,
};

use crate::documents;

fn any_scope() -> impl Strategy<Value = Scope> {
    let name = "[a-c<&\u{2028}\u{e9}\"\\\\]{1,4}";
    (name, name, name, "[a-c/]{0,3}", name, name).prop_map(
        |(provider_name, cluster_id, openbao_instance_id, openbao_namespace, mount, lineage)| {
            Scope {
                provider_name,
                cluster_id,
                openbao_instance_id,
                openbao_namespace,
                transit_mount_id: mount,
                key_lineage_id: lineage,
            }
        },
    )
}

/// Fields of a record in which a zero means "not set"; the rest follows from its place.
type Times = (u8, u8, u8, u8, u8);

fn record(
    scope: &Scope,
    version: u64,
    (state, observed, count, stable, promoted): Times,
) -> Record {
    let created_unix = 1_700_000_000 + i64::from(observed);
    let observed_unix = created_unix + 1;
    Record {
        version,
        created_unix,
        key_id: KeyId::derive(scope, version, created_unix),
        state: match state % 4 {
            0 => RecordState::Pending,
            1 => RecordState::Retired,
            2 => RecordState::Rejected,
            _ => RecordState::Removed,
        },
        observed_unix,
        stable_count: u32::from(count),
        stable_unix: if count > 0 && stable > 0 {
            observed_unix + i64::from(stable)
        } else {
            0
        },
        promoted_unix: if promoted > 0 {
            observed_unix + i64::from(promoted)
        } else {
            0
        },
    }
}

/// A document of several records and at least two generations.
fn any_document() -> impl Strategy<Value = (Scope, Document)> {
    let records = prop::collection::vec(any::<Times>(), 1..6);
    (any_scope(), records).prop_map(|(scope, times)| {
        let mut first = record(&scope, 1, (1, 0, 0, 0, 0));
        first.state = RecordState::Active;
        let mut document = Document::first(&scope, first.clone()).unwrap();
        let mut records = vec![first];
        for (version, mut fields) in (2..).zip(times) {
            if fields.0 % 4 == 3 {
                fields.0 = 1;
            }
            records.push(record(&scope, version, fields));
            document = document.next(records.clone()).unwrap();
        }
        (scope, document)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    #[test]
    fn a_written_document_reads_back_equal((scope, document) in any_document()) {
        let bytes = document.render();
        prop_assert_eq!(Document::parse(&bytes, &scope).unwrap(), document.clone());
        let checkpoint = document.checkpoint();
        prop_assert_eq!(Checkpoint::parse(&checkpoint.render()).unwrap(), checkpoint.clone());
        let pair = pair::judge(Some(&bytes), Some(&checkpoint.render()), &scope).unwrap();
        prop_assert_eq!(pair.checkpoint, pair::CheckpointStatus::Current);
    }

    #[test]
    fn one_changed_byte_never_makes_another_document_of_the_same_hash(
        (scope, document) in any_document(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 64),
    ) {
        let good = document.render();
        for (place, byte) in changes {
            let mut bytes = good.clone();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(read) = Document::parse(&bytes, &scope) {
                prop_assert_eq!(&read, &document);
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_off_never_loads((scope, document) in any_document(), cut in any::<Index>()) {
        let bytes = document.render();
        // The last byte is the final newline, which no reader needs.
        let cut = cut.index(bytes.len() - 1);
        let error = Document::parse(&bytes[..cut], &scope).unwrap_err();
        prop_assert_eq!(error.word(), "corrupt");
    }

    #[test]
    fn a_document_of_another_scope_never_loads(
        (_, document) in any_document(),
        other in any_scope(),
    ) {
        prop_assume!(&other != document.scope());
        prop_assert_eq!(Document::parse(&document.render(), &other).unwrap_err().word(), "scope");
    }

    #[test]
    fn arbitrary_bytes_never_panic_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(Document::parse(&bytes, &documents::scope()).is_err());
        prop_assert!(Checkpoint::parse(&bytes).is_err());
        let _ = ciphertext::version_of(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn mangled_files_never_panic_a_reader(
        edits in prop::collection::vec((any::<Index>(), any::<Index>(), "[\\[\\]{}\",:0-9\\\\u]{0,8}"), 1..6),
    ) {
        let first = documents::first();
        let mut text = documents::after(&first, 0).render();
        for (from, length, insert) in edits {
            let from = from.index(text.len());
            let end = from + length.index((text.len() - from).min(40));
            text.splice(from..end, insert.into_bytes());
        }
        let _ = Document::parse(&text, &documents::scope());
        let _ = Checkpoint::parse(&text);
    }
}
