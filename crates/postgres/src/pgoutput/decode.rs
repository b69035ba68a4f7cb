//! One message from its bytes.

use super::{
    error::{DecodeError, Expected},
    message::{Message, Old, RelationColumn, ReplicaIdentity},
    reader::Reader,
    tuple::{COLUMNS_MAX, Tuple},
};

/// The protocol version that START_REPLICATION asks for, and so the one whose messages may come.
///
/// 1, as Debezium: whole transactions, after they committed.
const PROTOCOL_VERSION: u8 = 1;

/// Bytes of the shortest column in a Relation message: flags, the NUL of an empty name, type, modifier.
const RELATION_COLUMN_BYTES_MIN: usize = 1 + 1 + 4 + 4;

/// Bytes of an oid in a Truncate message.
const OID_BYTES: usize = 4;

/// Decodes one message: the payload of one XLogData, or one row of `pg_logical_slot_peek_binary_changes`.
///
/// The result borrows `payload`; only the lists of Relation and Truncate are allocated.
///
/// ```
/// use rowcast_postgres::pgoutput::{Message, decode};
///
/// let payload = b"Y\x00\x00\x40\x00public\0mood\0";
/// assert_eq!(decode(payload), Ok(Message::Type { oid: 0x4000, namespace: "public", name: "mood" }));
/// assert_eq!(
///     decode(&payload[..9]).unwrap_err().to_string(),
///     "Type message from PostgreSQL is malformed at byte 5: expected a string with a NUL at its end",
/// );
/// ```
pub fn decode(payload: &[u8]) -> Result<Message<'_>, DecodeError> {
    let Some(&tag) = payload.first() else {
        return Err(Reader::new("pgoutput", payload, 0).error_at(0, Expected::Bytes { needed: 1, left: 0 }));
    };
    let (name, fields): (_, Fields) = match tag {
        b'B' => ("Begin", begin),
        b'C' => ("Commit", commit),
        b'O' => ("Origin", origin),
        b'R' => ("Relation", relation),
        b'Y' => ("Type", type_name),
        b'I' => ("Insert", insert),
        b'U' => ("Update", update),
        b'D' => ("Delete", delete),
        b'T' => ("Truncate", truncate),
        b'M' => ("Message", logical_message),
        _ => return Err(not_of_this_protocol(tag)),
    };
    let mut reader = Reader::new(name, payload, 1);
    let message = fields(&mut reader)?;
    reader.end()?;
    Ok(message)
}

type Fields = for<'a> fn(&mut Reader<'a>) -> Result<Message<'a>, DecodeError>;

/// Messages that exist but were not asked for, by name; anything else is no message at all.
fn not_of_this_protocol(tag: u8) -> DecodeError {
    let (message, needs) = match tag {
        b'S' => ("Stream Start", 2),
        b'E' => ("Stream Stop", 2),
        b'c' => ("Stream Commit", 2),
        b'A' => ("Stream Abort", 2),
        b'b' => ("Begin Prepare", 3),
        b'P' => ("Prepare", 3),
        b'K' => ("Commit Prepared", 3),
        b'r' => ("Rollback Prepared", 3),
        b'p' => ("Stream Prepare", 3),
        found => {
            return DecodeError {
                message: "pgoutput",
                position: 0,
                expected: Expected::KnownMessage { found },
            };
        }
    };
    DecodeError {
        message,
        position: 0,
        expected: Expected::Protocol {
            asked: PROTOCOL_VERSION,
            needs,
        },
    }
}

fn begin<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    Ok(Message::Begin {
        final_lsn: reader.lsn()?,
        commit_ts_us: reader.unix_us()?,
        xid: reader.u32()?,
    })
}

fn commit<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    Ok(Message::Commit {
        flags: reader.u8()?,
        commit_lsn: reader.lsn()?,
        end_lsn: reader.lsn()?,
        commit_ts_us: reader.unix_us()?,
    })
}

fn origin<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    Ok(Message::Origin {
        lsn: reader.lsn()?,
        name: reader.string()?,
    })
}

fn relation<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    Ok(Message::Relation {
        oid: reader.u32()?,
        namespace: reader.string()?,
        name: reader.string()?,
        replica_identity: replica_identity(reader)?,
        columns: relation_columns(reader)?,
    })
}

fn replica_identity(reader: &mut Reader<'_>) -> Result<ReplicaIdentity, DecodeError> {
    let start = reader.position();
    Ok(match reader.u8()? {
        b'd' => ReplicaIdentity::Default,
        b'n' => ReplicaIdentity::Nothing,
        b'f' => ReplicaIdentity::Full,
        b'i' => ReplicaIdentity::Index,
        _ => return Err(reader.error_at(start, Expected::Kind("a replica identity (d, n, f or i)"))),
    })
}

fn relation_columns<'a>(reader: &mut Reader<'a>) -> Result<Vec<RelationColumn<'a>>, DecodeError> {
    let start = reader.position();
    let count = usize::from(reader.u16()?);
    if count > COLUMNS_MAX {
        return Err(reader.error_at(start, Expected::AtMost(COLUMNS_MAX)));
    }
    reader.require(count * RELATION_COLUMN_BYTES_MIN)?;
    (0..count).map(|_| relation_column(reader)).collect()
}

fn relation_column<'a>(reader: &mut Reader<'a>) -> Result<RelationColumn<'a>, DecodeError> {
    Ok(RelationColumn {
        key: reader.u8()? & 1 != 0,
        name: reader.string()?,
        type_oid: reader.u32()?,
        type_modifier: reader.i32()?,
    })
}

fn type_name<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    Ok(Message::Type {
        oid: reader.u32()?,
        namespace: reader.string()?,
        name: reader.string()?,
    })
}

fn insert<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let relation_oid = reader.u32()?;
    let start = reader.position();
    match reader.u8()? {
        b'N' => Ok(Message::Insert {
            relation_oid,
            new: Tuple::decode(reader)?,
        }),
        _ => Err(reader.error_at(start, Expected::Kind("a new row (N)"))),
    }
}

fn update<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let relation_oid = reader.u32()?;
    let start = reader.position();
    let old = match reader.u8()? {
        b'N' => None,
        b'K' => Some(Old::Key(Tuple::decode(reader)?)),
        b'O' => Some(Old::Full(Tuple::decode(reader)?)),
        _ => return Err(reader.error_at(start, Expected::Kind("an old key (K), an old row (O) or a new row (N)"))),
    };
    if old.is_some() {
        let start = reader.position();
        if reader.u8()? != b'N' {
            return Err(reader.error_at(start, Expected::Kind("a new row (N)")));
        }
    }
    Ok(Message::Update {
        relation_oid,
        old,
        new: Tuple::decode(reader)?,
    })
}

fn delete<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let relation_oid = reader.u32()?;
    let start = reader.position();
    let old = match reader.u8()? {
        b'K' => Old::Key(Tuple::decode(reader)?),
        b'O' => Old::Full(Tuple::decode(reader)?),
        _ => return Err(reader.error_at(start, Expected::Kind("an old key (K) or an old row (O)"))),
    };
    Ok(Message::Delete { relation_oid, old })
}

fn truncate<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let count = reader.u32()? as usize;
    let options = reader.u8()?;
    reader.require(count.saturating_mul(OID_BYTES))?;
    let relations = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
    Ok(Message::Truncate {
        cascade: options & 1 != 0,
        restart_identity: options & 2 != 0,
        relations,
    })
}

fn logical_message<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let transactional = reader.u8()? & 1 != 0;
    let lsn = reader.lsn()?;
    let prefix = reader.string()?;
    let length = reader.length()?;
    Ok(Message::Message {
        transactional,
        lsn,
        prefix,
        content: reader.take(length)?,
    })
}
