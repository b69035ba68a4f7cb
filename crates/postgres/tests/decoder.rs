//! What PostgreSQL sends is what the decoder says; what PostgreSQL would never send is an error that names the byte.

mod decoder_support;

use decoder_support::{Bytes, Owned, OwnedCell, OwnedColumn, OwnedOld, Y2K_US, encode, golden_frames, line, own};
use rowcast_event::{Cell, Lsn};
use rowcast_postgres::pgoutput::{
    Message, RelationColumn, ReplicaIdentity, decode,
    replication::{self, Frame, StandbyStatusUpdate},
};

fn error(frame: &[u8]) -> String {
    decode(frame).expect_err("malformed").to_string()
}

/// The error without the part that all errors share.
fn expected(frame: &[u8]) -> String {
    error(frame)
        .split_once(" message from PostgreSQL is malformed ")
        .map(|(name, rest)| format!("{name} {rest}"))
        .expect("shape")
}

#[test]
fn frames_of_a_real_postgresql_15_are_read_as_its_sql_says() {
    let lines: Vec<String> = golden_frames()
        .iter()
        .map(|frame| line(&own(&decode(frame).expect("PostgreSQL made it"))))
        .collect();
    if std::env::var_os("ROWCAST_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frames/postgres15.txt");
        std::fs::write(path, lines.join("\n") + "\n").expect("the golden file is writable");
    }
    let golden: Vec<&str> = include_str!("frames/postgres15.txt").lines().collect();
    for (index, (line, golden)) in lines.iter().zip(&golden).enumerate() {
        assert_eq!(line, golden, "frame {index}");
    }
    assert_eq!(lines.len(), golden.len());
}

#[test]
fn frames_of_a_real_postgresql_15_are_what_the_test_encoder_writes() {
    for frame in golden_frames() {
        assert_eq!(encode(&own(&decode(&frame).expect("PostgreSQL made it"))), frame);
    }
}

#[test]
fn no_frame_can_be_cut_or_lengthened() {
    for frame in golden_frames() {
        for end in 0..frame.len() {
            assert!(decode(&frame[..end]).is_err(), "{} cut at {end}", frame.escape_ascii());
        }
        let longer = [frame.as_slice(), b"\0"].concat();
        assert!(
            error(&longer).ends_with("expected the end of the message, 1 more bytes follow"),
            "{}",
            error(&longer)
        );
    }
}

#[test]
fn times_count_from_1970() {
    let begin = Bytes::of(b'B')
        .put(&7u64.to_be_bytes())
        .put(&1_000_001i64.to_be_bytes())
        .put(&9u32.to_be_bytes())
        .0;
    assert_eq!(
        decode(&begin),
        Ok(Message::Begin {
            final_lsn: Lsn(7),
            commit_ts_us: Y2K_US + 1_000_001,
            xid: 9
        })
    );
    let before_1970 = Owned::Begin {
        final_lsn: 0,
        commit_ts_us: -1,
        xid: 0,
    };
    assert_eq!(own(&decode(&encode(&before_1970)).expect("well-formed")), before_1970);
    let endless = Bytes::of(b'B').put(&[0; 8]).put(&i64::MAX.to_be_bytes()).put(&[0; 4]).0;
    assert_eq!(
        expected(&endless),
        "Begin at byte 9: expected a time within 64 bits of microseconds since 1970"
    );
}

#[test]
fn a_relation_borrows_its_names_and_keeps_its_key_flags() {
    let frame = Bytes::of(b'R')
        .put(&16384u32.to_be_bytes())
        .string("")
        .string("pg_class")
        .put(b"f\0\x01\x01")
        .string("id");
    let frame = frame.put(&23u32.to_be_bytes()).put(&(-1i32).to_be_bytes()).0;
    let Ok(Message::Relation {
        oid: 16384,
        namespace: "",
        name,
        replica_identity: ReplicaIdentity::Full,
        columns,
    }) = decode(&frame)
    else {
        panic!("{:?}", decode(&frame));
    };
    assert!(frame.as_ptr_range().contains(&name.as_ptr()));
    assert_eq!(
        columns,
        [RelationColumn {
            key: true,
            name: "id",
            type_oid: 23,
            type_modifier: -1
        }]
    );
}

#[test]
fn cells_are_appended_and_borrow_the_frame() {
    let row = [
        OwnedCell::Text(b"first".to_vec()),
        OwnedCell::Null,
        OwnedCell::Unchanged,
        OwnedCell::Text(vec![]),
    ];
    let frame = encode(&Owned::Insert {
        oid: 1,
        new: row.to_vec(),
    });
    let Ok(Message::Insert { relation_oid: 1, new }) = decode(&frame) else {
        panic!("well-formed")
    };
    let mut cells = vec![Cell::Null];
    new.cells(&mut cells);
    assert_eq!(
        cells,
        [
            Cell::Null,
            Cell::Text(b"first"),
            Cell::Null,
            Cell::Unchanged,
            Cell::Text(b"")
        ]
    );
    assert_eq!((new.columns(), new.iter().len()), (4, 4));
    let Cell::Text(first) = cells[1] else {
        panic!("compared above")
    };
    assert!(frame.as_ptr_range().contains(&first.as_ptr()));
}

#[test]
fn messages_of_later_protocols_are_refused_by_name() {
    for (tag, name, version) in [
        (b'S', "Stream Start", 2),
        (b'E', "Stream Stop", 2),
        (b'c', "Stream Commit", 2),
        (b'A', "Stream Abort", 2),
        (b'b', "Begin Prepare", 3),
        (b'P', "Prepare", 3),
        (b'K', "Commit Prepared", 3),
        (b'r', "Rollback Prepared", 3),
        (b'p', "Stream Prepare", 3),
    ] {
        assert_eq!(
            expected(&[tag, 0, 0, 0, 1]),
            format!(
                "{name} at byte 0: expected a message of protocol version 1, found one of version {version}, \
                 which was not asked for"
            )
        );
    }
    assert_eq!(
        expected(b"!"),
        "pgoutput at byte 0: expected a known message type, found byte 0x21"
    );
    assert_eq!(expected(b""), "pgoutput at byte 0: expected 1 more bytes, 0 are left");
}

#[test]
fn every_malformed_field_is_named_with_its_byte() {
    let cases: [(Bytes, &str); 14] = [
        (
            Bytes::of(b'I').put(&[0, 0, 0, 1]).put(b"K"),
            "Insert at byte 5: expected a new row (N)",
        ),
        (
            Bytes::of(b'U').put(&[0, 0, 0, 1]).put(b"x"),
            "Update at byte 5: expected an old key (K), an old row (O) or a new row (N)",
        ),
        (
            Bytes::of(b'U').put(&[0, 0, 0, 1]).tuple(b'K', &[]).put(b"K"),
            "Update at byte 8: expected a new row (N)",
        ),
        (
            Bytes::of(b'D').put(&[0, 0, 0, 1]).put(b"N"),
            "Delete at byte 5: expected an old key (K) or an old row (O)",
        ),
        (
            Bytes::of(b'I').put(&[0, 0, 0, 1]).put(b"N\0\x01b\0\0\0\0"),
            "Insert at byte 8: expected a value in text form, found a binary one, which was not asked for",
        ),
        (
            Bytes::of(b'I').put(&[0, 0, 0, 1]).put(b"N\0\x01x"),
            "Insert at byte 8: expected a value kind (n, u or t)",
        ),
        (
            Bytes::of(b'I').put(&[0, 0, 0, 1]).put(b"N\0\x01t\x7f\xff\xff\xff"),
            "Insert at byte 13: expected 2147483647 more bytes, 0 are left",
        ),
        (
            Bytes::of(b'I').put(&[0, 0, 0, 1]).put(b"N\0\x01t\xff\xff\xff\xff"),
            "Insert at byte 9: expected a count from 0 to 2147483647",
        ),
        (
            Bytes::of(b'I').put(&[0, 0, 0, 1]).put(b"N\xff\xff"),
            "Insert at byte 6: expected a count from 0 to 1600",
        ),
        (
            Bytes::of(b'R').put(&[0, 0, 0, 1]).string("s").string("t").put(b"z"),
            "Relation at byte 9: expected a replica identity (d, n, f or i)",
        ),
        (
            Bytes::of(b'R')
                .put(&[0, 0, 0, 1])
                .string("s")
                .string("t")
                .put(b"d\x06\x40"),
            "Relation at byte 12: expected 16000 more bytes, 0 are left",
        ),
        (
            Bytes::of(b'R')
                .put(&[0, 0, 0, 1])
                .string("s")
                .string("t")
                .put(b"d\x06\x41"),
            "Relation at byte 10: expected a count from 0 to 1600",
        ),
        (
            Bytes::of(b'Y').put(&[0, 0, 0, 1]).put(b"\xff\0t\0"),
            "Type at byte 5: expected a name in UTF-8",
        ),
        (
            Bytes::of(b'T').put(&[0xff, 0xff, 0xff, 0xff, 0]).put(&[0; 8]),
            "Truncate at byte 6: expected 17179869180 more bytes, 8 are left",
        ),
    ];
    for (frame, sentence) in cases {
        assert_eq!(expected(&frame.0), sentence);
    }
    assert_eq!(
        error(&Bytes::of(b'O').put(&[0; 8]).put(b"no end").0),
        "Origin message from PostgreSQL is malformed at byte 9: expected a string with a NUL at its end"
    );
}

#[test]
fn each_option_of_truncate_is_its_own_bit() {
    for (options, cascade, restart_identity) in [(0, false, false), (1, true, false), (2, false, true), (3, true, true)]
    {
        let frame = Bytes::of(b'T').put(&[0, 0, 0, 1, options]).put(&7u32.to_be_bytes()).0;
        assert_eq!(
            decode(&frame),
            Ok(Message::Truncate {
                cascade,
                restart_identity,
                relations: vec![7]
            })
        );
    }
}

#[test]
fn the_widest_table_is_read() {
    let columns = (0..1600)
        .map(|n| OwnedColumn {
            key: n == 0,
            name: format!("c{n}"),
            type_oid: 25,
            type_modifier: -1,
        })
        .collect();
    let relation = Owned::Relation {
        oid: 1,
        namespace: "s".into(),
        name: "wide".into(),
        identity: b'd',
        columns,
    };
    assert_eq!(own(&decode(&encode(&relation)).expect("well-formed")), relation);
    let row = vec![OwnedCell::Text(b"x".to_vec()); 1600];
    let update = Owned::Update {
        oid: 1,
        old: Some(OwnedOld::Full(row.clone())),
        new: row,
    };
    assert_eq!(own(&decode(&encode(&update)).expect("well-formed")), update);
}

#[test]
fn replication_frames_are_read() {
    let data = Bytes::of(b'w')
        .put(&1u64.to_be_bytes())
        .put(&2u64.to_be_bytes())
        .put(&3i64.to_be_bytes())
        .put(b"payload")
        .0;
    assert_eq!(
        replication::decode(&data),
        Ok(Frame::XLogData {
            wal_start: Lsn(1),
            wal_end: Lsn(2),
            server_time_us: Y2K_US + 3,
            payload: b"payload"
        })
    );
    let keepalive = Bytes::of(b'k')
        .put(&5u64.to_be_bytes())
        .put(&(-1i64).to_be_bytes())
        .put(&[1])
        .0;
    assert_eq!(
        replication::decode(&keepalive),
        Ok(Frame::Keepalive {
            wal_end: Lsn(5),
            server_time_us: Y2K_US - 1,
            reply_requested: true
        })
    );
    for end in 0..keepalive.len() {
        assert!(replication::decode(&keepalive[..end]).is_err());
    }
    for end in 0..25 {
        assert!(replication::decode(&data[..end]).is_err());
    }
    let longer = [keepalive.as_slice(), b"\0"].concat();
    assert_eq!(
        replication::decode(&longer).expect_err("too long").to_string(),
        "Primary keepalive message from PostgreSQL is malformed at byte 18: expected the end of the message, 1 more bytes follow"
    );
    assert_eq!(
        replication::decode(b"r")
            .expect_err("ours, not the server's")
            .to_string(),
        "replication message from PostgreSQL is malformed at byte 0: expected a known message type, found byte 0x72"
    );
}

#[test]
fn a_status_update_is_as_postgresql_documents_it() {
    let update = StandbyStatusUpdate {
        written: Lsn(0x0102),
        flushed: Lsn(0x0304),
        applied: Lsn(0x0506),
        client_time_us: Y2K_US + 0x0708,
        reply_requested: true,
    };
    assert_eq!(
        update.encode(),
        *b"r\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\x03\x04\0\0\0\0\0\0\x05\x06\0\0\0\0\0\0\x07\x08\x01"
    );
}
