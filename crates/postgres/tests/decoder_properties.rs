//! What holds for every message and for every sequence of bytes, tried on random ones.

mod decoder_support;

use decoder_support::{Owned, OwnedCell, OwnedColumn, OwnedOld, Y2K_US, encode, own};
use proptest::prelude::*;
use rowcast_postgres::pgoutput::{decode, replication};

fn name() -> impl Strategy<Value = String> {
    "[^\0]{0,12}"
}

fn cell() -> impl Strategy<Value = OwnedCell> {
    prop_oneof![
        1 => Just(OwnedCell::Null),
        1 => Just(OwnedCell::Unchanged),
        3 => prop::collection::vec(any::<u8>(), 0..20).prop_map(OwnedCell::Text),
    ]
}

fn row() -> impl Strategy<Value = Vec<OwnedCell>> {
    prop::collection::vec(cell(), 0..8)
}

fn old() -> impl Strategy<Value = OwnedOld> {
    prop_oneof![row().prop_map(OwnedOld::Key), row().prop_map(OwnedOld::Full)]
}

fn time() -> impl Strategy<Value = i64> {
    (i64::MIN / 2..i64::MAX / 2).prop_map(|us| us + Y2K_US)
}

fn column() -> impl Strategy<Value = OwnedColumn> {
    (any::<bool>(), name(), any::<u32>(), any::<i32>()).prop_map(|(key, name, type_oid, type_modifier)| OwnedColumn {
        key,
        name,
        type_oid,
        type_modifier,
    })
}

fn relation() -> impl Strategy<Value = Owned> {
    let identity = prop::sample::select(b"dnfi".to_vec());
    (
        any::<u32>(),
        name(),
        name(),
        identity,
        prop::collection::vec(column(), 0..8),
    )
        .prop_map(|(oid, namespace, name, identity, columns)| Owned::Relation {
            oid,
            namespace,
            name,
            identity,
            columns,
        })
}

fn message() -> impl Strategy<Value = Owned> {
    prop_oneof![
        (any::<u64>(), time(), any::<u32>()).prop_map(|(final_lsn, commit_ts_us, xid)| Owned::Begin {
            final_lsn,
            commit_ts_us,
            xid
        }),
        (any::<u8>(), any::<u64>(), any::<u64>(), time()).prop_map(|(flags, commit_lsn, end_lsn, commit_ts_us)| {
            Owned::Commit {
                flags,
                commit_lsn,
                end_lsn,
                commit_ts_us,
            }
        }),
        (any::<u64>(), name()).prop_map(|(lsn, name)| Owned::Origin { lsn, name }),
        relation(),
        (any::<u32>(), name(), name()).prop_map(|(oid, namespace, name)| Owned::Type { oid, namespace, name }),
        (any::<u32>(), row()).prop_map(|(oid, new)| Owned::Insert { oid, new }),
        (any::<u32>(), prop::option::of(old()), row()).prop_map(|(oid, old, new)| Owned::Update { oid, old, new }),
        (any::<u32>(), old()).prop_map(|(oid, old)| Owned::Delete { oid, old }),
        (any::<bool>(), any::<bool>(), prop::collection::vec(any::<u32>(), 0..8))
            .prop_map(|(cascade, restart, oids)| Owned::Truncate { cascade, restart, oids }),
        (
            any::<bool>(),
            any::<u64>(),
            name(),
            prop::collection::vec(any::<u8>(), 0..20)
        )
            .prop_map(|(transactional, lsn, prefix, content)| Owned::Message {
                transactional,
                lsn,
                prefix,
                content
            }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_encoded_is_decoded(message in message()) {
        let frame = encode(&message);
        prop_assert_eq!(own(&decode(&frame).expect("well-formed")), message);
    }

    #[test]
    fn every_truncation_is_an_error_inside_the_frame(message in message()) {
        let frame = encode(&message);
        for end in 0..frame.len() {
            let error = decode(&frame[..end]).expect_err("cut");
            prop_assert!(error.position <= end);
        }
    }

    #[test]
    fn every_appended_byte_is_an_error(message in message(), more in prop::collection::vec(any::<u8>(), 1..5)) {
        let mut frame = encode(&message);
        frame.extend(more);
        prop_assert!(decode(&frame).is_err());
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(tag in prop::sample::select(b"BCORYIUDTMSEcAbPKrp!".to_vec()), rest in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut frame = vec![tag];
        frame.extend(rest);
        if let Ok(message) = decode(&frame) {
            prop_assert_eq!(encode(&own(&message)).len(), frame.len());
        }
        let _ = replication::decode(&frame);
    }

    /// The length, the count or the kind that is wrong in an otherwise whole frame.
    #[test]
    fn a_changed_byte_is_another_message_or_an_error(message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut frame = encode(&message);
        let at = at.index(frame.len());
        frame[at] = byte;
        match decode(&frame) {
            Ok(message) => prop_assert_eq!(encode(&own(&message)).len(), frame.len()),
            Err(error) => prop_assert!(error.position <= frame.len()),
        }
    }
}
