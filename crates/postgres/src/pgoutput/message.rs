//! The messages of `pgoutput`, as values that borrow the bytes they came from.

use rowcast_event::Lsn;

use super::tuple::Tuple;

/// One message. Times are microseconds since 1970; oids are `pg_class` and `pg_type` oids.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// `B`: a transaction begins. Sent only once it has committed, so its commit is known.
    Begin {
        /// LSN of the commit record: the transaction's place among all transactions.
        final_lsn: Lsn,
        /// When it committed.
        commit_ts_us: i64,
        /// Its id.
        xid: u32,
    },
    /// `C`: the transaction is whole.
    Commit {
        /// Unused by PostgreSQL so far: 0.
        flags: u8,
        /// LSN of the commit record, the same as in [`Message::Begin`].
        commit_lsn: Lsn,
        /// End of the commit record: what may be confirmed once the transaction is durable.
        end_lsn: Lsn,
        /// When it committed.
        commit_ts_us: i64,
    },
    /// `O`: the transaction came to this server from another, by replication.
    Origin {
        /// The commit's LSN on the server it came from: another server's history, not comparable with ours.
        lsn: Lsn,
        /// The replication origin's name.
        name: &'a str,
    },
    /// `R`: a table's shape, before its first row in this session and after each change of the shape.
    Relation {
        /// The table.
        oid: u32,
        /// Its schema; empty means `pg_catalog`.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
        /// What of an old row PostgreSQL sends.
        replica_identity: ReplicaIdentity,
        /// In attribute order, as tuples have them; generated and unpublished columns are absent.
        columns: Vec<RelationColumn<'a>>,
    },
    /// `Y`: the name of a type that is not built in, before the relation that uses it.
    Type {
        /// The type.
        oid: u32,
        /// Its schema; empty means `pg_catalog`.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// `I`.
    Insert {
        /// The table.
        relation_oid: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// `U`.
    Update {
        /// The table.
        relation_oid: u32,
        /// Absent unless the key changed or the replica identity is full.
        old: Option<Old<'a>>,
        /// The row after.
        new: Tuple<'a>,
    },
    /// `D`.
    Delete {
        /// The table.
        relation_oid: u32,
        /// What is left of the row.
        old: Old<'a>,
    },
    /// `T`: one TRUNCATE of one or more tables.
    Truncate {
        /// CASCADE was said.
        cascade: bool,
        /// RESTART IDENTITY was said.
        restart_identity: bool,
        /// The tables, published ones only.
        relations: Vec<u32>,
    },
    /// `M`: what `pg_logical_emit_message` wrote.
    Message {
        /// Part of the transaction; otherwise it stands alone, outside of any Begin and Commit.
        transactional: bool,
        /// Where it is in the WAL.
        lsn: Lsn,
        /// What its writer calls it.
        prefix: &'a str,
        /// Any bytes.
        content: &'a [u8],
    },
}

/// What an update or a delete says of the row before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old<'a> {
    /// `K`: the replica identity's columns; all others are sent as null and mean nothing.
    Key(Tuple<'a>),
    /// `O`: the whole row, under REPLICA IDENTITY FULL.
    Full(Tuple<'a>),
}

/// `pg_class.relreplident`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// `d`: the primary key, if there is one.
    Default,
    /// `n`: nothing; PostgreSQL refuses updates and deletes of a published table.
    Nothing,
    /// `f`: the whole row.
    Full,
    /// `i`: a chosen unique index.
    Index,
}

/// A column as the Relation message has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationColumn<'a> {
    /// Part of the replica identity; under FULL every column is.
    pub key: bool,
    /// Its name, unquoted.
    pub name: &'a str,
    /// `atttypid`.
    pub type_oid: u32,
    /// `atttypmod`, -1 for none.
    pub type_modifier: i32,
}
