//! The other half of the decoder, for tests: messages as owned values, their encoder, and the golden frames.
//!
//! Written from PostgreSQL's documentation and not from the decoder, so that a mistake would have to be made twice.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::fmt::Write;

use rowcast_event::{Cell, Lsn};
use rowcast_postgres::pgoutput::{Message, Old, ReplicaIdentity, Tuple};

/// Microseconds from 1970 to 2000.
pub(crate) const Y2K_US: i64 = 946_684_800_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedCell {
    Null,
    Unchanged,
    Text(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedOld {
    Key(Vec<OwnedCell>),
    Full(Vec<OwnedCell>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnedColumn {
    pub(crate) key: bool,
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Begin {
        final_lsn: u64,
        commit_ts_us: i64,
        xid: u32,
    },
    Commit {
        flags: u8,
        commit_lsn: u64,
        end_lsn: u64,
        commit_ts_us: i64,
    },
    Origin {
        lsn: u64,
        name: String,
    },
    Relation {
        oid: u32,
        namespace: String,
        name: String,
        identity: u8,
        columns: Vec<OwnedColumn>,
    },
    Type {
        oid: u32,
        namespace: String,
        name: String,
    },
    Insert {
        oid: u32,
        new: Vec<OwnedCell>,
    },
    Update {
        oid: u32,
        old: Option<OwnedOld>,
        new: Vec<OwnedCell>,
    },
    Delete {
        oid: u32,
        old: OwnedOld,
    },
    Truncate {
        cascade: bool,
        restart: bool,
        oids: Vec<u32>,
    },
    Message {
        transactional: bool,
        lsn: u64,
        prefix: String,
        content: Vec<u8>,
    },
}

/// Appends big-endian fields.
#[derive(Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    pub(crate) fn of(tag: u8) -> Self {
        Self(vec![tag])
    }
    pub(crate) fn put(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    pub(crate) fn string(self, text: &str) -> Self {
        self.put(text.as_bytes()).put(&[0])
    }
    pub(crate) fn tuple(mut self, tag: u8, cells: &[OwnedCell]) -> Self {
        self = self.put(&[tag]).put(&(cells.len() as u16).to_be_bytes());
        for cell in cells {
            self = match cell {
                OwnedCell::Null => self.put(b"n"),
                OwnedCell::Unchanged => self.put(b"u"),
                OwnedCell::Text(text) => self.put(b"t").put(&(text.len() as u32).to_be_bytes()).put(text),
            };
        }
        self
    }
    pub(crate) fn old(self, old: &OwnedOld) -> Self {
        match old {
            OwnedOld::Key(cells) => self.tuple(b'K', cells),
            OwnedOld::Full(cells) => self.tuple(b'O', cells),
        }
    }
}

/// The message as `pgoutput` sends it.
pub(crate) fn encode(message: &Owned) -> Vec<u8> {
    let bytes = match message {
        Owned::Begin {
            final_lsn,
            commit_ts_us,
            xid,
        } => Bytes::of(b'B')
            .put(&final_lsn.to_be_bytes())
            .put(&(commit_ts_us - Y2K_US).to_be_bytes())
            .put(&xid.to_be_bytes()),
        Owned::Commit {
            flags,
            commit_lsn,
            end_lsn,
            commit_ts_us,
        } => Bytes::of(b'C')
            .put(&[*flags])
            .put(&commit_lsn.to_be_bytes())
            .put(&end_lsn.to_be_bytes())
            .put(&(commit_ts_us - Y2K_US).to_be_bytes()),
        Owned::Origin { lsn, name } => Bytes::of(b'O').put(&lsn.to_be_bytes()).string(name),
        Owned::Relation {
            oid,
            namespace,
            name,
            identity,
            columns,
        } => relation(*oid, namespace, name, *identity, columns),
        Owned::Type { oid, namespace, name } => Bytes::of(b'Y').put(&oid.to_be_bytes()).string(namespace).string(name),
        Owned::Insert { oid, new } => Bytes::of(b'I').put(&oid.to_be_bytes()).tuple(b'N', new),
        Owned::Update { oid, old: None, new } => Bytes::of(b'U').put(&oid.to_be_bytes()).tuple(b'N', new),
        Owned::Update {
            oid,
            old: Some(old),
            new,
        } => Bytes::of(b'U').put(&oid.to_be_bytes()).old(old).tuple(b'N', new),
        Owned::Delete { oid, old } => Bytes::of(b'D').put(&oid.to_be_bytes()).old(old),
        Owned::Truncate { cascade, restart, oids } => {
            let options = u8::from(*cascade) | u8::from(*restart) << 1;
            let head = Bytes::of(b'T').put(&(oids.len() as u32).to_be_bytes()).put(&[options]);
            oids.iter().fold(head, |bytes, oid| bytes.put(&oid.to_be_bytes()))
        }
        Owned::Message {
            transactional,
            lsn,
            prefix,
            content,
        } => Bytes::of(b'M')
            .put(&[u8::from(*transactional)])
            .put(&lsn.to_be_bytes())
            .string(prefix)
            .put(&(content.len() as u32).to_be_bytes())
            .put(content),
    };
    bytes.0
}

fn relation(oid: u32, namespace: &str, name: &str, identity: u8, columns: &[OwnedColumn]) -> Bytes {
    let head = Bytes::of(b'R')
        .put(&oid.to_be_bytes())
        .string(namespace)
        .string(name)
        .put(&[identity]);
    columns
        .iter()
        .fold(head.put(&(columns.len() as u16).to_be_bytes()), |bytes, column| {
            bytes
                .put(&[u8::from(column.key)])
                .string(&column.name)
                .put(&column.type_oid.to_be_bytes())
                .put(&column.type_modifier.to_be_bytes())
        })
}

/// A decoded message as an owned value. Panics if a tuple does not have the cells that it claims.
pub(crate) fn own(message: &Message<'_>) -> Owned {
    match message {
        Message::Begin {
            final_lsn,
            commit_ts_us,
            xid,
        } => Owned::Begin {
            final_lsn: final_lsn.0,
            commit_ts_us: *commit_ts_us,
            xid: *xid,
        },
        Message::Commit {
            flags,
            commit_lsn,
            end_lsn,
            commit_ts_us,
        } => Owned::Commit {
            flags: *flags,
            commit_lsn: commit_lsn.0,
            end_lsn: end_lsn.0,
            commit_ts_us: *commit_ts_us,
        },
        Message::Origin { lsn: Lsn(lsn), name } => Owned::Origin {
            lsn: *lsn,
            name: (*name).to_owned(),
        },
        Message::Relation {
            oid,
            namespace,
            name,
            replica_identity,
            columns,
        } => Owned::Relation {
            oid: *oid,
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
            identity: match replica_identity {
                ReplicaIdentity::Default => b'd',
                ReplicaIdentity::Nothing => b'n',
                ReplicaIdentity::Full => b'f',
                ReplicaIdentity::Index => b'i',
            },
            columns: columns
                .iter()
                .map(|column| OwnedColumn {
                    key: column.key,
                    name: column.name.to_owned(),
                    type_oid: column.type_oid,
                    type_modifier: column.type_modifier,
                })
                .collect(),
        },
        Message::Type { oid, namespace, name } => Owned::Type {
            oid: *oid,
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
        },
        Message::Insert { relation_oid, new } => Owned::Insert {
            oid: *relation_oid,
            new: cells(new),
        },
        Message::Update { relation_oid, old, new } => Owned::Update {
            oid: *relation_oid,
            old: old.as_ref().map(own_old),
            new: cells(new),
        },
        Message::Delete { relation_oid, old } => Owned::Delete {
            oid: *relation_oid,
            old: own_old(old),
        },
        Message::Truncate {
            cascade,
            restart_identity,
            relations,
        } => Owned::Truncate {
            cascade: *cascade,
            restart: *restart_identity,
            oids: relations.clone(),
        },
        Message::Message {
            transactional,
            lsn,
            prefix,
            content,
        } => Owned::Message {
            transactional: *transactional,
            lsn: lsn.0,
            prefix: (*prefix).to_owned(),
            content: content.to_vec(),
        },
        other => panic!("a message that this test does not know: {other:?}"),
    }
}

fn own_old(old: &Old<'_>) -> OwnedOld {
    match old {
        Old::Key(tuple) => OwnedOld::Key(cells(tuple)),
        Old::Full(tuple) => OwnedOld::Full(cells(tuple)),
    }
}

fn cells(tuple: &Tuple<'_>) -> Vec<OwnedCell> {
    let mut cells = Vec::new();
    tuple.cells(&mut cells);
    assert_eq!(
        cells.len(),
        usize::from(tuple.columns()),
        "a tuple has the cells that it claims"
    );
    cells
        .iter()
        .map(|cell| match cell {
            Cell::Null => OwnedCell::Null,
            Cell::Unchanged => OwnedCell::Unchanged,
            Cell::Text(text) => OwnedCell::Text(text.to_vec()),
        })
        .collect()
}

/// The frames that a PostgreSQL 15 made of `frames/golden.sql`, in its order.
pub(crate) fn golden_frames() -> Vec<Vec<u8>> {
    include_str!("../frames/postgres15.hex").lines().map(unhex).collect()
}

fn unhex(line: &str) -> Vec<u8> {
    let digits: Vec<u8> = line
        .chars()
        .map(|c| c.to_digit(16).expect("hexadecimal") as u8)
        .collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// One line that a person can check against the SQL. Oids, LSNs and times are the capture's own.
pub(crate) fn line(message: &Owned) -> String {
    match message {
        Owned::Begin {
            final_lsn,
            commit_ts_us,
            xid,
        } => format!("Begin {} {commit_ts_us} xid {xid}", Lsn(*final_lsn)),
        Owned::Commit {
            flags,
            commit_lsn,
            end_lsn,
            commit_ts_us,
        } => {
            format!(
                "Commit {} .. {} {commit_ts_us} flags {flags}",
                Lsn(*commit_lsn),
                Lsn(*end_lsn)
            )
        }
        Owned::Origin { lsn, name } => format!("Origin {} {name:?}", Lsn(*lsn)),
        Owned::Relation {
            oid,
            namespace,
            name,
            identity,
            columns,
        } => {
            let mut line = format!(
                "Relation {oid} {namespace:?} {name:?} identity {}:",
                char::from(*identity)
            );
            for OwnedColumn {
                key,
                name,
                type_oid,
                type_modifier,
            } in columns
            {
                write!(
                    line,
                    " {}{name:?} {type_oid}({type_modifier})",
                    if *key { "key " } else { "" }
                )
                .expect("memory");
            }
            line
        }
        Owned::Type { oid, namespace, name } => format!("Type {oid} {namespace:?} {name:?}"),
        Owned::Insert { oid, new } => format!("Insert {oid} {}", row(new)),
        Owned::Update { oid, old: None, new } => format!("Update {oid} {}", row(new)),
        Owned::Update {
            oid,
            old: Some(old),
            new,
        } => format!("Update {oid} {} -> {}", old_row(old), row(new)),
        Owned::Delete { oid, old } => format!("Delete {oid} {}", old_row(old)),
        Owned::Truncate { cascade, restart, oids } => format!("Truncate cascade {cascade} restart {restart} {oids:?}"),
        Owned::Message {
            transactional,
            lsn,
            prefix,
            content,
        } => {
            format!(
                "Message transactional {transactional} {} {prefix:?} {}",
                Lsn(*lsn),
                content.escape_ascii()
            )
        }
    }
}

fn old_row(old: &OwnedOld) -> String {
    match old {
        OwnedOld::Key(cells) => format!("key {}", row(cells)),
        OwnedOld::Full(cells) => format!("full {}", row(cells)),
    }
}

fn row(cells: &[OwnedCell]) -> String {
    let cells = cells.iter().map(|cell| match cell {
        OwnedCell::Null => "null".to_owned(),
        OwnedCell::Unchanged => "unchanged".to_owned(),
        OwnedCell::Text(text) if text.len() > 100 => format!("<{} bytes>", text.len()),
        OwnedCell::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
    });
    format!("({})", cells.collect::<Vec<_>>().join(", "))
}
